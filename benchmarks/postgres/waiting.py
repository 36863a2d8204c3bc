"""A database that holds a million waiting runs: the burst of `durable.py` with them and without them.

The waiting runs are copies of one row that a real workflow left when it parked, with a signal and a timer 30 days
away; their history rows are not copied. Pairs (with and without) alternate, on two databases that both keep the finished
runs of earlier pairs; the figure is the median of the pairs' ratios.
"""

from __future__ import annotations

import asyncio

from benchmarks.burst import Countdown, burst
from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import connected, copy_run, ended_in
from benchmarks.workflows import APP, USER, Parked, on_postgres, opened, three_steps
from stepwell import WorkflowRunner


async def measure(*, url: str, do: str, count: int, at_once: int | None = None) -> Answer:
    return await (fill(url, count) if do == "fill" else load(url, count, at_once))


async def fill(url: str, waiting: int) -> Answer:
    """The tables exist, with one parked run and `waiting` copies of it (no copies: no parked run either)."""
    async with opened(on_postgres(url), Parked) as stepwell:
        if waiting == 0:
            return Answer()
        run = await stepwell.runner.run(Parked, {"number": 1}, app_name=APP, user_id=USER)
        await until_parked(stepwell.runner, run.workflow_id)
    async with connected(url) as connection:
        await copy_run(connection, run.workflow_id, waiting)
    return Answer()


async def until_parked(runner: WorkflowRunner, workflow_id: str) -> None:
    for _ in range(1000):
        if (await runner.get(workflow_id)).status == "waiting":
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"run {workflow_id} did not park in 10 s")


async def load(url: str, runs: int, at_once: int | None) -> Answer:
    countdown = Countdown(runs)
    workflow = three_steps(countdown.tick)
    settings = on_postgres(url, worker_concurrency=at_once)
    async with opened(settings, workflow, Parked) as stepwell, ended_in(url) as ended:
        return Answer(await burst(stepwell, workflow, runs, countdown, ended))


if __name__ == "__main__":
    answer(measure)
