"""Limits under `kill -9` and SIGSTOP: never over the limit, and nothing that waits for ever (rule 54).

What the slots were is judged by `holds.py`, from what the database noted.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from acceptance import evidence, holds
from acceptance.limited import ALL, BOTH, EXECUTING, MINE, PER, RATE, WHOLE, Work, limited
from acceptance.nursery import Child, Nursery
from acceptance.seed import say, seed
from acceptance.support import opened
from stepwell import Start

pytestmark = pytest.mark.thorough

LEASE = 0.8
WORKERS = 3
PATIENCE = 300.0
"""Seconds without any run that ends."""


class Trouble:
    """Workers, of which now and then one is killed, or stands still for longer than its lease."""

    def __init__(self, nursery: Nursery, folder: Path, chance: random.Random, offsets: Sequence[float]) -> None:
        self._nursery = nursery
        self._folder = folder
        self._chance = chance
        self._offsets = offsets
        self._frozen: dict[int, tuple[Child, float]] = {}
        self.killed = self.stopped = 0
        self.workers = [self._worker(n) for n in range(WORKERS)]

    def _worker(self, number: int) -> Child:
        settings = {
            "lease_seconds": LEASE,
            "worker_concurrency": 20,
            "busy_seconds": 60,
            "offset": self._offsets[number],
        }
        log = self._folder / f"worker{number}.log"
        return self._nursery.start("acceptance.limited:worker", str(self._folder), settings, log=log)

    def strike(self) -> None:
        """One worker is killed, or stops."""
        number = self._chance.randrange(WORKERS)
        victim = self.workers[number]
        if victim.pid in self._frozen:
            return
        assert not victim.ended(), victim.tail()
        if self._chance.random() < 0.5:
            victim.kill()
            self.killed += 1
            self.workers[number] = self._worker(number)
        else:
            victim.freeze()
            until = time.monotonic() + LEASE * self._chance.choice([0.3, 3.0, 3.0])
            self._frozen[victim.pid] = (victim, until)
            self.stopped += 1

    def relent(self, *, all_: bool = False) -> None:
        """Those that have stood still for long enough go on."""
        for pid, (victim, until) in list(self._frozen.items()):
            if all_ or time.monotonic() >= until:
                del self._frozen[pid]
                victim.thaw()


async def _check(
    nursery: Nursery,
    folder: Path,
    runs: int,
    strikes: int,
    tell: Callable[[str], object],
    offsets: Sequence[float] = (0.0,) * WORKERS,
) -> None:
    """So many runs of each kind of limit, while so many times a worker is killed or stopped."""
    chosen = seed()
    tell(f"\nSTEPWELL_TEST_SEED={chosen} STEPWELL_TEST_RUNS={runs} offsets={offsets}\n")
    chance = random.Random(chosen)
    keys = [f"k{n}" for n in range(min(max(runs // 500, 2), 16))]
    async with limited(embedded_worker=False) as here:
        starts = [Start(workflow, Work(key=chance.choice(keys))) for workflow in ALL for _ in range(runs)]
        chance.shuffle(starts)
        holds.watch()
        for start in range(0, len(starts), 500):
            await here.runner.run_many(starts[start : start + 500], **MINE)
        trouble = Trouble(nursery, folder, chance, offsets)
        _stir(trouble, strikes, chance)
    for worker in trouble.workers:
        await opened(worker)  # earlier, the signal would just end it
        worker.terminate()
    for worker in trouble.workers:
        assert worker.wait() == 0, worker.tail()
    _judge(trouble, runs, tell)


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


def _judge(trouble: Trouble, runs: int, tell: Callable[[str], object]) -> None:
    executing, whole = holds.most_held("executing"), holds.most_held("run")
    found = {
        "executing": ({gate: most for gate, most in executing.items() if _of(gate, "executing")}, EXECUTING),
        "whole": ({gate: most for gate, most in whole.items() if _of(gate, "whole_run")}, WHOLE),
        "several": ({gate: most for gate, most in executing.items() if _of(gate, "several")}, EXECUTING),
        "several by name": ({gate: most for gate, most in whole.items() if _of(gate, "several")}, BOTH),
    }
    figures = {
        "runs of a kind": runs,
        "killed": trouble.killed,
        "stopped": trouble.stopped,
        "attempts": len(evidence.lines("work")),
        **{name: max(most.values()) for name, (most, _) in found.items()},
    }
    tell(f"{figures}\n")
    assert sum(len(most) for most, _ in found.values()) == len(executing) + len(whole)
    for name, (most, limit) in found.items():
        assert max(most.values()) == limit, (name, most)
    for kind, slot in [("executing", "executing"), ("whole", "run"), ("rated", "rate"), ("several", "executing")]:
        holds.judge(holds.attempts(kind), slot)
    _judge_rate()
    assert evidence.number("SELECT count(*) FROM stepwell_runs WHERE held_by IS NOT NULL") == 0
    assert evidence.number("SELECT count(*) FROM stepwell_slots WHERE kind<>'rate'") == 0


def _of(gate: str, name: str) -> bool:
    return name in json.loads(gate)[1]


def _judge_rate() -> None:
    per = PER.total_seconds() * 1_000_000
    for gate, given in holds.rated().items():
        for first, beyond in zip(given, given[RATE:], strict=False):
            assert beyond - first >= per, f"more than {RATE} began within {PER} at {gate}"


async def test_no_limit_is_exceeded_whatever_dies(nursery: Nursery, folder: Path) -> None:
    await _check(nursery, folder, 60, 6, sys.stdout.write)


async def test_no_limit_is_exceeded_by_processes_whose_clocks_are_apart(
    nursery: Nursery, postgres_folder: Path
) -> None:
    """Each goes by the server's clock. On SQLite all processes have one machine, and so one clock."""
    await _check(nursery, postgres_folder, 40, 4, sys.stdout.write, (0.0, 400.0, -400.0))


@pytest.mark.faults
async def test_no_limit_is_exceeded_by_thousands_of_runs(
    nursery: Nursery, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = int(os.environ.get("STEPWELL_TEST_RUNS", "10000"))
    with capsys.disabled():
        await _check(nursery, folder, runs, min(max(runs // 50, 6), 120), say)


@pytest.mark.faults
async def test_no_limit_is_exceeded_by_thousands_of_runs_with_clocks_apart(
    nursery: Nursery, postgres_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = int(os.environ.get("STEPWELL_TEST_RUNS", "3000"))
    with capsys.disabled():
        await _check(nursery, postgres_folder, runs, min(max(runs // 50, 6), 120), say, (0.0, 400.0, -400.0))
