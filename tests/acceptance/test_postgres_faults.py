"""Everything that can go wrong around PostgreSQL, under load, and the count afterwards.

A client starts runs of every kind without a pause, three workers execute them, and meanwhile one thing after another is
broken and mended. `STEPWELL_TEST_RUNS` runs are accepted in each scenario, and at least a handful of faults happen;
`STEPWELL_TEST_SEED` makes the same schedule of faults again. The numbers in the docstrings are those of the architecture's
section 7.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from acceptance import blows
from acceptance.audit import Audit
from acceptance.blows import Blow, Strike
from acceptance.load import accepted, spread
from acceptance.nursery import Nursery
from acceptance.scene import ROLES, Scene, staged
from acceptance.seed import say, seed

LEASE = 2.0
FEW = 4
"""Faults that happen at least."""
LIMIT = 1200.0
"""Seconds for a scenario's load, whatever the machine."""
INEXACT = 0.1
"""Seconds by which clocks may differ although each follows the server's."""
DISAGREEING = {"worker0": 0.0, "worker1": 240.0, "worker2": -180.0, "client": 90.0}
"""Seconds by which the clocks are wrong."""


def play(scene: Scene, strikes: Sequence[Strike], runs: int, chance: Random) -> dict[str, int]:
    """How often each fault has happened until so many runs were accepted. Everything has ended."""
    happened = {strike.__name__: 0 for strike in strikes}
    for role in ROLES:
        scene.load.start(role)
    scene.load.wait(lambda: accepted() > min(50, runs // 4), 60, "runs are accepted")
    deadline = time.monotonic() + LIMIT
    for strike in in_rounds(strikes, chance):
        if accepted() >= runs and sum(happened.values()) >= FEW and all(happened.values()):
            break
        assert time.monotonic() < deadline, f"{accepted()} of {runs} runs were accepted within {LIMIT:g} s: {happened}"
        blow = Blow.drawn(chance)
        scene.load.watch(0.3 + 1.7 * blow.gap)
        strike(scene, blow)
        happened[strike.__name__] += 1
    scene.load.finish()
    return happened


def in_rounds(strikes: Sequence[Strike], chance: Random) -> Iterator[Strike]:
    """Without end: each of them, in an order by chance, and again."""
    while True:
        yield from chance.sample(strikes, len(strikes))


def report(scene: Scene, happened: Mapping[str, int]) -> Audit:
    """The count, with the faults that happened."""
    result = scene.load.count(inexact=INEXACT)
    faults = {f"faults: {name}": count for name, count in happened.items()}
    again = spread("seconds until work went on", scene.resumes) if scene.resumes else {}
    result.figures = {**faults, **result.figures, **again}
    return result


def check(
    nursery: Nursery,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    strikes: Sequence[Strike],
    *,
    offsets: Mapping[str, float] | None = None,
    **stage: Any,
) -> None:
    """The scenario was played, and nothing was lost and nothing doubled."""
    chosen_seed, runs = seed(), int(os.environ.get("STEPWELL_TEST_RUNS", "5000"))
    with capsys.disabled(), staged(nursery, folder, lease=LEASE, offsets=offsets, **stage) as scene:
        say(f"\nSTEPWELL_TEST_SEED={chosen_seed} STEPWELL_TEST_RUNS={runs}\n")
        happened = play(scene, strikes, runs, Random(chosen_seed))
        result = report(scene, happened)
        say(result.table() + "\n")
    assert not result.broken, f"seed {chosen_seed}: {result.broken}"
    assert max(scene.load.takeovers, default=0.0) < 2 * LEASE, sorted(scene.load.takeovers)[-5:]


pytestmark = pytest.mark.faults
Capture = pytest.CaptureFixture[str]


def test_workers_are_killed(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17: `kill -9` of workers and clients."""
    check(nursery, tmp_path, capsys, [blows.kill])


def test_workers_stand_still_past_their_lease(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 4, 5, 7, 9, 11: SIGSTOP, take-over, SIGCONT: what they still produce counts for nothing."""
    check(nursery, tmp_path, capsys, [blows.freeze])


def test_the_server_is_restarted(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 4, 5, 7, 8: commits whose answer is lost are neither lost nor made twice."""
    check(nursery, tmp_path, capsys, [blows.restart])


def test_the_server_is_killed(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 4, 5, 7, 8: what was acknowledged outlives `kill -9` of all its processes."""
    check(nursery, tmp_path, capsys, [blows.crash])


def test_the_server_stands_still(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 7, 9: a stalled database makes everybody look dead, and nobody is."""
    check(nursery, tmp_path, capsys, [blows.pause])


def test_the_server_is_out_of_connections(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 7, 16: everybody has lost theirs, and gets none for a while."""
    server = {"max_connections": 80, "superuser_reserved_connections": 12}
    check(nursery, tmp_path, capsys, [blows.starve], server=server)


def test_the_network_is_cut(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 4, 5, 7, 8, 9: held back, lost, slow and reset, between one process and the server."""
    check(nursery, tmp_path, capsys, [blows.cut, blows.lose, blows.slow, blows.reset], network=True)


def test_clocks_disagree_by_minutes(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 7, 13: who is alive is judged by counters, and delays and timers end."""
    check(nursery, tmp_path, capsys, [blows.kill, blows.freeze], offsets=DISAGREEING)


def test_the_disk_of_the_server_is_full(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 4, 7, 16: statements are refused or the server breaks down, and there is room again."""
    server = {"max_wal_size": "16MB", "min_wal_size": "2MB"}
    check(nursery, tmp_path, capsys, [blows.fill], server=server, disk_mib=256)


def test_redis_is_lost(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 2, 3, 13: flushed, killed, silent: the queue is a hint, and the sweep finds what it forgot."""
    check(nursery, tmp_path, capsys, [blows.forget, blows.lose_queue, blows.hang_queue], queue=True)


def test_everything_at_once(nursery: Nursery, tmp_path: Path, capsys: Capture) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17: one after another, by chance, on the same load."""
    strikes = [
        blows.kill, blows.freeze, blows.restart, blows.crash, blows.pause, blows.cut, blows.lose, blows.slow, blows.reset,
    ]  # fmt: skip
    check(nursery, tmp_path, capsys, strikes, network=True)
