"""`kill -9` at random moments, under load, and the count afterwards.

Names the faults of the architecture, section 7: 1 (a dead process leaves no run behind), 3 (no row without its place in
the queue), 4 (nothing of a failed attempt exists), 5 (a parent is told once), 6 (results outlive waits), 7 (one commit per
transition), 8 (one run per key, one workspace per user), 9 (what was cancelled stays so), 13 (delays and timers survive),
17 (failed attempts leave a trace).
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.audit import Audit, audit
from acceptance.mix import TABLES
from acceptance.nursery import Child, Nursery

LEASE = 0.8
POLLING = 1.0
"""Seconds on top of two leases: a beat, a look, and a machine that does other things too."""
WORKERS = 3
UNENDED = 120
"""Runs that are under way at once."""


@dataclass(slots=True)
class Massacre:
    """Kills, restarts, and measures how long the dead one's runs are without an owner who lives."""

    nursery: Nursery
    folder: Path
    chance: random.Random
    kills: int = 0
    with_runs: int = 0
    takeovers: list[float] = field(default_factory=list)
    cast: dict[str, Child] = field(default_factory=dict)
    _born: dict[str, float] = field(default_factory=dict)
    _waits: list[tuple[str, float]] = field(default_factory=list)

    def start(self, role: str) -> None:
        log = self.folder / f"{role}.log"
        if role == "client":
            child = self.nursery.start("acceptance.mix:client", str(self.folder), LEASE, UNENDED, log=log)
        else:
            child = self.nursery.start("acceptance.mix:worker", str(self.folder), LEASE, log=log)
        self.cast[role] = child
        self._born[role] = time.monotonic()

    def kill(self) -> None:
        role = self.chance.choice(
            [*(f"worker{n}" for n in range(WORKERS)), *(f"worker{n}" for n in range(WORKERS)), "client"]
        )
        victim = self.cast[role]
        assert victim.code is None
        owners = evidence.read("SELECT id FROM stepwell_workers WHERE pid=?", victim.pid)
        victim.kill()
        assert victim.code == -9, f"{role} had ended by itself ({victim.code})\n{victim.tail()}"
        self.kills += 1
        for (owner,) in owners:
            if _owned(owner):
                self.with_runs += 1
                self._waits.append((owner, time.monotonic()))
        self.start(role)

    def watch(self, seconds: float) -> None:
        """Looks for take-overs until the time is over."""
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            for owner, since in [one for one in self._waits if not _owned(one[0])]:
                self._waits.remove((owner, since))
                # Without anybody who lived through it, the next ones have to see the dead one's heart stand still first.
                witnesses = [role for role, born in self._born.items() if born < since - 0.5]
                if witnesses:
                    self.takeovers.append(now - since)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.02, left))


def _owned(owner: str) -> bool:
    return evidence.number("SELECT count(*) FROM stepwell_runs WHERE owner=?", owner) > 0


def massacre(nursery: Nursery, folder: Path, kills: int, seed: int) -> tuple[Audit, Massacre]:
    """So many kills under load, then peace until everything has ended, then the count."""
    scene = Massacre(nursery, folder, random.Random(seed))
    began = time.monotonic()
    scene.start("worker0")
    _wait(lambda: _has_tables(folder), 20, "the first worker opens the database", scene)
    with sqlite3.connect(folder / evidence.DATABASE, timeout=30) as connection:
        connection.executescript(TABLES)
    for role in ("worker1", "worker2", "client"):
        scene.start(role)
    _wait(lambda: len(evidence.lines("accepted")) > 50, 30, "runs are accepted", scene)
    for _ in range(kills):
        scene.watch(scene.chance.uniform(0.05, 0.3) if scene.chance.random() < 0.2 else scene.chance.uniform(0.3, 1.6))
        scene.kill()
    (folder / "enough").touch()
    _wait(_nothing_left, 60, "everything ends", scene)
    scene.watch(2.5 * LEASE)
    (folder / "over").touch()
    codes = {role: child.wait() for role, child in scene.cast.items()}
    result = audit()
    times = sorted(scene.takeovers)
    result.figures = {
        "kills": scene.kills,
        "of them, of processes that owned runs": scene.with_runs,
        **result.figures,
        "seconds to take over, median": f"{times[len(times) // 2]:.2f}" if times else "-",
        "seconds to take over, longest": f"{times[-1]:.2f}" if times else "-",
        f"allowed (two leases of {LEASE:g} s, and polling)": f"{2 * LEASE + POLLING:.2f}",
        "seconds in all": f"{time.monotonic() - began:.0f}",
    }
    result.faults["processes that didn't end well"] = [f"{role}: {code}" for role, code in codes.items() if code]
    return result, scene


def _has_tables(folder: Path) -> bool:
    try:
        return evidence.number("SELECT count(*) FROM stepwell_workers") > 0
    except sqlite3.OperationalError:
        return False


def _nothing_left() -> bool:
    accepted = {words[0] for words in evidence.lines("accepted")}
    unacknowledged = [
        key for (key,) in evidence.read("SELECT idempotency_key FROM stepwell_runs WHERE idempotency_key LIKE 'n%'")
        if key[1:] not in accepted
    ]  # fmt: skip
    unended = "SELECT count(*) FROM stepwell_runs WHERE finished_at IS NULL AND status != 'failed'"
    return not unacknowledged and not evidence.number(unended)


def _wait(look: Callable[[], bool], seconds: float, what: str, scene: Massacre) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        dead = [role for role, child in scene.cast.items() if child.ended()]
        if dead or time.monotonic() > deadline:
            rows = evidence.read("SELECT workflow_name, status, place, owner, ready_at, due_at, version, error FROM stepwell_runs"
                                 " WHERE finished_at IS NULL LIMIT 20")  # fmt: skip
            logs = "\n".join(
                f"--- {role} (exit code {child.code})\n{child.tail()}" for role, child in scene.cast.items()
            )
            raise AssertionError(f"not within {seconds:g} s: {what} (ended by themselves: {dead})\n{rows}\n{logs}")
        scene.watch(0.05)


def _check(nursery: Nursery, folder: Path, kills: int, say: Callable[[str], object]) -> None:
    seed = int(os.environ.get("STEPWELL_TEST_SEED") or random.SystemRandom().randrange(2**32))
    say(f"\nSTEPWELL_TEST_SEED={seed}\n")
    result, scene = massacre(nursery, folder, kills, seed)
    say(result.table() + "\n")
    assert not result.broken, f"seed {seed}: {result.broken}"
    assert scene.kills == kills
    assert max(scene.takeovers, default=0.0) < 2 * LEASE + POLLING, sorted(scene.takeovers)[-5:]


def test_a_few_kills_lose_nothing_and_double_nothing(nursery: Nursery, folder: Path) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17, in short."""
    _check(nursery, folder, 6, sys.stdout.write)


@pytest.mark.faults
def test_two_hundred_kills_lose_nothing_and_double_nothing(
    nursery: Nursery, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17."""
    with capsys.disabled():
        _check(nursery, folder, int(os.environ.get("STEPWELL_TEST_KILLS", "200")), _say)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
