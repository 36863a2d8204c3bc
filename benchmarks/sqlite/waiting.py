"""A file that holds many waiting runs: the same burst as above, with 0, 10,000 and 1,000,000 of them.

The waiting runs are copies of one row that a real workflow left when it parked, with a signal and a timer 30 days
away; their history rows are not copied. Pairs (with and without) alternate, on two files that both keep the finished
runs of earlier pairs; the figure is the median of the pairs' ratios. The claim is timed alone as well, by running its
statement and rolling it back.
"""

from __future__ import annotations

import asyncio

from benchmarks.burst import Countdown, burst
from benchmarks.measure import Answer, answer
from benchmarks.sqlite.store_view import (
    claim_milliseconds,
    claim_query,
    connect,
    copy_run,
    ended_in,
    query_plan,
    table_scans,
)
from benchmarks.workflows import APP, USER, Parked, on_file, opened, three_steps
from stepwell import WorkflowRunner


async def measure(*, database: str, do: str, count: int) -> Answer:
    return await (fill(database, count) if do == "fill" else load(database, count))


async def fill(database: str, waiting: int) -> Answer:
    """The file exists with one parked run and `waiting` copies of it (no copies: no parked run either)."""
    async with opened(on_file(database), Parked) as stepwell:
        if waiting == 0:
            return Answer()
        run = await stepwell.runner.run(Parked, {"number": 1}, app_name=APP, user_id=USER)
        await until_parked(stepwell.runner, run.workflow_id)
    copy_run(connect(database, write=True), run.workflow_id, waiting)
    return Answer()


async def until_parked(runner: WorkflowRunner, workflow_id: str) -> None:
    for _ in range(1000):
        if (await runner.get(workflow_id)).status == "waiting":
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"run {workflow_id} did not park in 10 s")


async def load(database: str, runs: int) -> Answer:
    countdown = Countdown(runs)
    workflow = three_steps(countdown.tick)
    async with opened(on_file(database), workflow, Parked) as stepwell:
        figures = await burst(stepwell, workflow, runs, countdown, ended_in(connect(database)))
    return with_claim(database, figures)


def with_claim(database: str, figures: dict[str, float]) -> Answer:
    query = claim_query(APP, ("three_steps", "parked"))
    connection = connect(database, write=True)
    plan = query_plan(connection, query)
    claim = {"claim_ms": claim_milliseconds(connection, query), "claim_scans": float(table_scans(plan))}
    return Answer(figures | claim, {"claim_plan": plan})


if __name__ == "__main__":
    answer(measure)
