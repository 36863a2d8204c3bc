"""Limits under `kill -9` and SIGSTOP: never over the limit, and nothing that waits for ever (rule 54).

What the methods wrote down is judged as `limited.py` says.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.limited import (
    ALL,
    EXECUTING,
    MINE,
    PER,
    RATE,
    WHOLE,
    Interval,
    Stop,
    Work,
    attempts,
    limited,
    most_at_once,
    whole,
)
from acceptance.nursery import Child, Nursery
from acceptance.seed import say, seed
from stepwell import Start

pytestmark = pytest.mark.thorough

LEASE = 0.8
WORKERS = 3
PATIENCE = 300.0
"""Seconds without any run that ends."""


class Trouble:
    """Workers, of which now and then one is killed, or stands still for longer than its lease."""

    def __init__(self, nursery: Nursery, folder: Path, chance: random.Random) -> None:
        self._nursery = nursery
        self._folder = folder
        self._chance = chance
        self._frozen: dict[int, tuple[Child, int, float]] = {}
        self.stops: list[Stop] = []
        self.workers = [self._worker(n) for n in range(WORKERS)]

    def _worker(self, number: int) -> Child:
        settings = {"lease_seconds": LEASE, "worker_concurrency": 20, "busy_seconds": 60}
        log = self._folder / f"worker{number}.log"
        return self._nursery.start("acceptance.limited:worker", str(self._folder), settings, log=log)

    def strike(self) -> None:
        """One worker is killed, or stops."""
        number = self._chance.randrange(WORKERS)
        victim = self.workers[number]
        if victim.pid in self._frozen:
            return
        assert not victim.ended(), victim.tail()
        at = time.monotonic_ns()
        if self._chance.random() < 0.5:
            victim.kill()
            self.stops.append(Stop(victim.pid, time.monotonic_ns(), None))
            self.workers[number] = self._worker(number)
        else:
            victim.freeze()
            until = time.monotonic() + LEASE * self._chance.choice([0.3, 3.0, 3.0])
            self._frozen[victim.pid] = (victim, at, until)

    def relent(self, *, all_: bool = False) -> None:
        """Those that have stood still for long enough go on."""
        for pid, (victim, at, until) in list(self._frozen.items()):
            if all_ or time.monotonic() >= until:
                del self._frozen[pid]
                self.stops.append(Stop(pid, at, time.monotonic_ns()))
                victim.thaw()


async def _check(nursery: Nursery, folder: Path, runs: int, strikes: int, tell: Callable[[str], object]) -> None:
    chosen = seed()
    tell(f"\nSTEPWELL_TEST_SEED={chosen} STEPWELL_TEST_RUNS={runs}\n")
    chance = random.Random(chosen)
    async with limited(embedded_worker=False) as here:
        starts = [Start(chance.choice(ALL), Work(key=f"k{chance.randrange(4)}")) for _ in range(runs)]
        for start in range(0, runs, 500):
            await here.runner.run_many(starts[start : start + 500], **MINE)
        trouble = Trouble(nursery, folder, chance)
        _stir(trouble, strikes, chance)
    for worker in trouble.workers:
        worker.terminate()
    for worker in trouble.workers:
        assert worker.wait() == 0, worker.tail()
    _judge(trouble.stops, runs, tell)


def _stir(trouble: Trouble, strikes: int, chance: random.Random) -> None:
    left = last = -1
    since = struck = time.monotonic()
    while left:
        time.sleep(0.05)
        trouble.relent()
        if strikes and time.monotonic() - struck > chance.uniform(0.2, 1.5):
            trouble.strike()
            strikes, struck = strikes - 1, time.monotonic()
        left = evidence.number("SELECT count(*) FROM stepwell_runs WHERE status<>'completed'")
        if left != last:
            last, since = left, time.monotonic()
        assert time.monotonic() - since < PATIENCE, f"{left} runs are stuck: {_stuck()}"
    trouble.relent(all_=True)


def _stuck() -> list[object]:
    columns = "status, held_by, owner, claim, ready_at, due_at"
    return [*evidence.read(f"SELECT {columns} FROM stepwell_runs WHERE status<>'completed' LIMIT 10")]


def _judge(stops: list[Stop], runs: int, tell: Callable[[str], object]) -> None:
    lines = evidence.lines("work")
    executing = attempts("executing", stops, lines)
    runs_whole = whole(attempts("whole", stops, lines))
    rated = attempts("rated", stops, lines)
    figures = {
        "runs": runs,
        "killed": sum(stop.until is None for stop in stops),
        "stopped": sum(stop.until is not None for stop in stops),
        "attempts": len(executing) + len(rated) + len(runs_whole),
        "executing": max(most_at_once(executing).values(), default=0),
        "whole": max(most_at_once(runs_whole).values(), default=0),
    }
    tell(f"{figures}\n")
    assert figures["executing"] <= EXECUTING, most_at_once(executing)
    assert figures["whole"] <= WHOLE, most_at_once(runs_whole)
    _judge_rate()
    assert evidence.number("SELECT count(*) FROM stepwell_runs WHERE held_by IS NOT NULL") == 0
    assert evidence.number("SELECT count(*) FROM stepwell_slots WHERE kind<>'rate'") == 0
    assert _ran_together(executing), "the limit was never reached: nothing was tested"


def _judge_rate() -> None:
    moments = [at for (at,) in evidence.read("SELECT at FROM stepwell_slots WHERE kind='rate' ORDER BY at")]
    per = PER.total_seconds() * 1_000_000
    for first, beyond in zip(moments, moments[RATE:], strict=False):
        assert beyond - first >= per, f"more than {RATE} began within {PER}"


def _ran_together(executing: list[Interval]) -> bool:
    return max(most_at_once(executing).values()) == EXECUTING


async def test_no_limit_is_exceeded_whatever_dies(nursery: Nursery, folder: Path) -> None:
    await _check(nursery, folder, 150, 6, sys.stdout.write)


@pytest.mark.faults
async def test_no_limit_is_exceeded_by_thousands_of_runs(
    nursery: Nursery, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = int(os.environ.get("STEPWELL_TEST_RUNS", "5000"))
    with capsys.disabled():
        await _check(nursery, folder, runs, max(runs // 50, 6), say)
