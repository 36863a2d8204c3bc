"""Many runs of three transitions at once: the shape that several measurements share."""

from __future__ import annotations

import asyncio
import sqlite3
import time

from benchmarks.store_view import finished, runs_by_status
from benchmarks.workflows import APP, USER, WorkflowClass
from stepwell import Stepwell

LAST_COMMITS = 30.0


class Countdown:
    """Set once `runs` last transitions have been entered."""

    def __init__(self, runs: int) -> None:
        self.left = runs
        self.over = asyncio.Event()

    def tick(self, workflow_id: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.over.set()

    def again(self, runs: int) -> None:
        self.left = runs
        self.over.clear()


async def burst(
    stepwell: Stepwell, workflow: WorkflowClass, runs: int, countdown: Countdown, database: sqlite3.Connection
) -> dict[str, float]:
    """Start `runs` runs through gather with the worker in the process, and wait until the last has ended, durably.

    One run goes before, so that nothing is done for the first time while the clock runs.
    """
    await (await stepwell.runner.run(workflow, {"number": 0}, app_name=APP, user_id=USER)).result()
    countdown.again(runs)
    before = finished(database)
    begun = time.perf_counter()
    await start_all(stepwell, workflow, runs)
    started = time.perf_counter()
    await countdown.over.wait()
    await until_finished(database, before + runs)
    ended = time.perf_counter()
    return {
        "starts_per_second": runs / (started - begun),
        "runs_per_second": runs / (ended - begun),
        "transitions_per_second": 3 * runs / (ended - begun),
    }


async def start_all(stepwell: Stepwell, workflow: WorkflowClass, runs: int) -> None:
    run = stepwell.runner.run
    await asyncio.gather(*(run(workflow, {"number": n}, app_name=APP, user_id=USER) for n in range(runs)))


async def until_finished(database: sqlite3.Connection, expected: int) -> None:
    """All last transitions were entered: wait for their commits, by looking at the file, not by asking Stepwell."""
    deadline = time.perf_counter() + LAST_COMMITS
    while finished(database) < expected:
        if time.perf_counter() > deadline:
            raise AssertionError(f"{expected} runs should have ended, but the file holds {runs_by_status(database)}")
        await asyncio.sleep(0.002)
