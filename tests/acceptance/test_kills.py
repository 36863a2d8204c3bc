"""`kill -9` at random moments, under load, and the count afterwards.

Faults of docs/architecture.md: 1 (a dead process leaves no run behind), 3 (no row without its place in
the queue), 4 (nothing of a failed attempt exists), 5 (a parent is told once), 6 (results outlive waits), 7 (one commit per
transition), 8 (one run per key, one workspace per user), 9 (what was cancelled stays so), 13 (delays and timers survive),
17 (failed attempts leave a trace).
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.load import Load, accepted
from acceptance.mix import TABLES
from acceptance.nursery import Nursery
from acceptance.seed import say, seed

pytestmark = pytest.mark.thorough

LEASE = 0.8


def massacre(load: Load, kills: int, chance: random.Random) -> None:
    """So many kills under load, then peace until everything has ended."""
    load.start("worker0")
    load.wait(_has_tables, "the first worker opens the database")
    evidence.write(TABLES)
    for role in ("worker1", "worker2", "client"):
        load.start(role)
    load.wait(lambda: accepted() > 50, "runs are accepted")
    for _ in range(kills):
        load.watch(chance.uniform(0.05, 0.3) if chance.random() < 0.2 else chance.uniform(0.3, 1.6))
        load.kill(chance.choice([*load.workers, *load.workers, "client"]))
    load.finish()


def _has_tables() -> bool:
    try:
        return evidence.number("SELECT count(*) FROM stepwell_workers") > 0
    except sqlite3.OperationalError:
        return False


def _check(nursery: Nursery, folder: Path, kills: int, tell: Callable[[str], object]) -> None:
    chosen = seed()
    tell(f"\nSTEPWELL_TEST_SEED={chosen}\n")
    load = Load(nursery, folder, LEASE)
    massacre(load, kills, random.Random(chosen))
    result = load.count()
    result.figures = {"kills": load.deaths, "of them, of processes that owned runs": load.with_runs, **result.figures}
    tell(result.table() + "\n")
    assert not result.broken, f"seed {chosen}: {result.broken}"
    assert load.deaths == kills
    load.check_takeovers()


def test_a_few_kills_lose_nothing_and_double_nothing(nursery: Nursery, sqlite_folder: Path) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17, in short."""
    _check(nursery, sqlite_folder, 6, sys.stdout.write)


@pytest.mark.faults
def test_two_hundred_kills_lose_nothing_and_double_nothing(
    nursery: Nursery, sqlite_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Faults 1, 3, 4, 5, 6, 7, 8, 9, 13, 17."""
    with capsys.disabled():
        _check(nursery, sqlite_folder, int(os.environ.get("STEPWELL_TEST_KILLS", "200")), say)
