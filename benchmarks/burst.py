"""Many runs at once: the shape that several measurements share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.workflows import APP, USER, WorkflowClass
from stepwell import Stepwell

LAST_COMMITS = 30.0

Ended = Callable[[], Awaitable[int]]
"""Tells how many runs have ended, durably, by asking the database, not Stepwell."""


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
    stepwell: Stepwell, workflow: WorkflowClass, runs: int, countdown: Countdown, ended: Ended, steps: int = 3
) -> dict[str, float]:
    """Start `runs` runs through gather with the worker in the process, and wait until the last has ended, durably.

    One run goes before, so that nothing is done for the first time while the clock runs.
    """
    await (await stepwell.runner.run(workflow, {"number": 0}, app_name=APP, user_id=USER)).result()
    countdown.again(runs)
    before = await ended()
    begun, burnt = time.perf_counter(), time.process_time()
    await start_all(stepwell, workflow, runs)
    started = time.perf_counter()
    await countdown.over.wait()
    await until_ended(ended, before + runs)
    over = time.perf_counter()
    return {
        "starts_per_second": runs / (started - begun),
        "runs_per_second": runs / (over - begun),
        "transitions_per_second": steps * runs / (over - begun),
        "cpu_us_per_transition": 1e6 * (time.process_time() - burnt) / (steps * runs),
    }


async def start_all(stepwell: Stepwell, workflow: WorkflowClass, runs: int) -> None:
    run = stepwell.runner.run
    await asyncio.gather(*(run(workflow, {"number": n}, app_name=APP, user_id=USER) for n in range(runs)))


async def until_ended(ended: Ended, expected: int, *, seconds: float = LAST_COMMITS, pause: float = 0.002) -> None:
    """The database knows that so many have ended. Raises AssertionError if it takes longer."""
    deadline = time.perf_counter() + seconds
    while (count := await ended()) < expected:
        if time.perf_counter() > deadline:
            raise AssertionError(f"{expected} runs should have ended, but the database knows {count}")
        await asyncio.sleep(pause)
