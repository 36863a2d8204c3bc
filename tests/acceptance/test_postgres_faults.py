"""Everything that can go wrong around PostgreSQL, under load, and the count afterwards.

A client starts runs of every kind without a pause, three workers execute them, and meanwhile one thing after another is
broken and mended. `STEPWELL_TEST_RUNS` runs are accepted in each scenario, and at least a handful of faults happen;
`STEPWELL_TEST_SEED` makes the same schedule of faults again. The numbers in the docstrings are those of the
faults in docs/architecture.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from acceptance import blows
from acceptance.blows import Strike
from acceptance.nursery import Nursery
from acceptance.play import endure
from acceptance.scene import staged
from acceptance.seed import say

pytestmark = pytest.mark.thorough

LEASE = 2.0
DISAGREEING = {"worker0": 0.0, "worker1": 240.0, "worker2": -180.0, "client": 90.0}
"""Seconds by which the clocks are wrong."""

FEW_CONNECTIONS = {"max_connections": 80, "superuser_reserved_connections": 12}
SMALL_LOG = {"max_wal_size": "16MB", "min_wal_size": "2MB"}


class Endured(Protocol):
    def __call__(self, *strikes: Strike, **stage: Any) -> None:
        """The load has endured these faults."""
        ...


@pytest.fixture
def endured(nursery: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Endured:
    """Plays a scenario in its full length, and prints its count."""

    def played(*strikes: Strike, **stage: Any) -> None:
        runs = int(os.environ.get("STEPWELL_TEST_RUNS", "5000"))
        with capsys.disabled(), staged(nursery, tmp_path, lease=LEASE, **stage) as scene:
            endure(scene, strikes, runs, say)

    return played


def test_a_few_faults_lose_nothing_and_double_nothing(nursery: Nursery, tmp_path: Path) -> None:
    """Faults 1, 3, 4, 5, 7, 8, in short."""
    strikes: Sequence[Strike] = [blows.kill, blows.crash, blows.deafen, blows.freeze]
    with staged(nursery, tmp_path, lease=1.0, network=True) as scene:
        endure(scene, strikes, 150, sys.stdout.write)


@pytest.mark.faults
def test_workers_are_killed(endured: Endured) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17: `kill -9` of workers and clients."""
    endured(blows.kill)


@pytest.mark.faults
def test_workers_stand_still_past_their_lease(endured: Endured) -> None:
    """Faults 1, 4, 5, 7, 9, 11: SIGSTOP, take-over, SIGCONT: what they still produce counts for nothing."""
    endured(blows.freeze)


@pytest.mark.faults
def test_the_server_is_restarted(endured: Endured) -> None:
    """Faults 1, 3, 4, 5, 7, 8: commits whose answer is lost are neither lost nor made twice."""
    endured(blows.restart)


@pytest.mark.faults
def test_the_server_is_killed(endured: Endured) -> None:
    """Faults 1, 3, 4, 5, 7, 8: what was acknowledged outlives `kill -9` of all its processes, and of everybody's."""
    endured(blows.crash, blows.blackout)


@pytest.mark.faults
def test_the_server_stands_still(endured: Endured) -> None:
    """Faults 1, 3, 7, 9: a stalled database makes everybody look dead, and nobody is."""
    endured(blows.pause)


@pytest.mark.faults
def test_the_server_is_out_of_connections(endured: Endured) -> None:
    """Faults 1, 3, 7, 16: everybody has lost theirs, and gets none for a while."""
    endured(blows.starve, server=FEW_CONNECTIONS)


@pytest.mark.faults
def test_the_network_is_cut(endured: Endured) -> None:
    """Faults 1, 3, 4, 5, 7, 8, 9: held back, lost, slow and reset, between one process and the server."""
    endured(blows.cut, blows.lose, blows.slow, blows.reset, network=True)


@pytest.mark.faults
def test_answers_are_lost(endured: Endured) -> None:
    """Faults 3, 4, 5, 7, 8: the server has committed, or not, and nobody says so (rule 35)."""
    endured(blows.deafen, network=True)


@pytest.mark.faults
def test_somebody_else_has_the_locks(endured: Endured) -> None:
    """Faults 3, 14: what needs these rows waits, and nothing else does; where nobody can commit, everybody waits."""
    endured(blows.hold, blows.hush)


@pytest.mark.faults
def test_clocks_disagree_by_minutes(endured: Endured) -> None:
    """Faults 1, 7, 13: who is alive is judged by counters, and delays and timers end."""
    endured(blows.kill, blows.freeze, offsets=DISAGREEING)


@pytest.mark.faults
def test_the_disk_of_the_server_is_full(endured: Endured) -> None:
    """Faults 1, 3, 4, 7, 16: statements are refused or the server breaks down, and there is room again."""
    endured(blows.fill, server=SMALL_LOG, disk_mib=256)


@pytest.mark.faults
def test_redis_is_lost(endured: Endured) -> None:
    """Faults 2, 3, 13: flushed, killed, silent: the queue is a hint, and the sweep finds what it forgot."""
    endured(blows.forget, blows.lose_queue, blows.hang_queue, blows.kill, queue=True)


@pytest.mark.faults
def test_everything_at_once(endured: Endured) -> None:
    """Faults 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17: one after another, by chance, on the same load."""
    processes = [blows.kill, blows.freeze]
    server = [
        blows.restart, blows.crash, blows.blackout, blows.pause, blows.starve, blows.fill, blows.hold, blows.hush,
    ]  # fmt: skip
    network = [blows.cut, blows.lose, blows.deafen, blows.slow, blows.reset]
    queue = [blows.forget, blows.lose_queue, blows.hang_queue]
    settings = {**SMALL_LOG, **FEW_CONNECTIONS}
    endured(*processes, *server, *network, *queue, server=settings, disk_mib=256, network=True, queue=True)
