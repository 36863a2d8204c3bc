"""Durable runs of transitions that do nothing, on PostgreSQL, the worker in the process.

All `run` calls are awaited through one `asyncio.gather`. Starts per second counts until the last of them is durable,
runs and transitions per second until the last run has ended, both from the first call. The transitions of a run
are as many checkpoints, each durable before the next transition starts. `at_once` is `worker_concurrency`, the runs that the
process executes at once.
"""

from __future__ import annotations

from benchmarks.burst import Countdown, burst
from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import ended_in
from benchmarks.workflows import on_postgres, one_step, opened, three_steps

WORKFLOWS = {1: one_step, 3: three_steps}


async def measure(
    *, url: str, runs: int, at_once: int | None = None, steps: int = 3, queue_url: str | None = None
) -> Answer:
    countdown = Countdown(runs)
    workflow = WORKFLOWS[steps](countdown.tick)
    async with opened(on_postgres(url, queue_url, at_once), workflow) as stepwell, ended_in(url) as ended:
        return Answer(await burst(stepwell, workflow, runs, countdown, ended, steps))


if __name__ == "__main__":
    answer(measure)
