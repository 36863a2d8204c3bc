"""Durable runs of transitions that do nothing, on PostgreSQL, the worker in the process.

All `run` calls are awaited through one `asyncio.gather`. Starts per second counts until the last of them is durable,
runs and transitions per second until the last run has ended, both from the first call. The transitions of a run
are as many checkpoints, each durable before the next transition starts. `at_once` is `worker_concurrency`, the runs that the
process executes at once. Transitions per fsync: how many share a wait of the server for its disk, by its own statistics.
"""

from __future__ import annotations

from benchmarks.burst import Countdown, burst
from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import connected, ended_in, wal_syncs
from benchmarks.workflows import on_postgres, one_step, opened, three_steps

WORKFLOWS = {1: one_step, 3: three_steps}


async def measure(
    *, url: str, runs: int, at_once: int | None = None, steps: int = 3, queue_url: str | None = None
) -> Answer:
    countdown = Countdown(runs)
    workflow = WORKFLOWS[steps](countdown.tick)
    async with connected(url) as connection:
        before = await wal_syncs(connection)
        async with opened(on_postgres(url, queue_url, at_once), workflow) as stepwell, ended_in(url) as ended:
            figures = await burst(stepwell, workflow, runs, countdown, ended, steps)
        syncs = await wal_syncs(connection) - before
    return Answer(figures | {"transitions_per_fsync": steps * runs / max(syncs, 1)})


if __name__ == "__main__":
    answer(measure)
