"""Procrastinate: jobs that do nothing, on PostgreSQL.

Enqueued by `batch_defer_async`, 100 at a time, and then executed by one worker in the process, which runs until the queue
is empty. `one_by_one` and `at_once` are a worker of concurrency 1, its default, and of 50; each with a pool of connections as
large as it can use. For the pick-up the other process has an idle worker that listens for notifications, its default.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.measure import Answer, answer
from benchmarks.pickup_apart import listening, pickup, serving

CONCURRENCY = {"one_by_one": 1, "at_once": 50}
BULK = 100
CONNECTIONS = 20


def application(url: str, on_entry: Callable[[], None]) -> App:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=CONNECTIONS))

    @app.task(name="nothing", queue="bench")
    async def nothing(number: int) -> None:
        on_entry()

    return app


async def measure(*, what: str, url: str, runs: int, way: str = "at_once") -> Answer:
    """`what` is `jobs` or `pickup`; `way` is one of those above."""
    app = application(url, lambda: None)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        return Answer(await (jobs(app, way, runs) if what == "jobs" else pickups(app, url, runs)))


def arguments(number: int) -> dict[str, Any]:
    return {"number": number}


async def jobs(app: App, way: str, runs: int) -> dict[str, float]:
    begun = time.perf_counter()
    for first in range(0, runs, BULK):
        await app.configure_task("nothing", queue="bench").batch_defer_async(
            *(arguments(number) for number in range(first, first + BULK))
        )
    enqueued = time.perf_counter()
    await app.run_worker_async(concurrency=CONCURRENCY[way], wait=False, install_signal_handlers=False)
    ended = time.perf_counter()
    done = len(list(await app.job_manager.list_jobs_async(status="succeeded")))
    if done != runs:
        raise AssertionError(f"{done} of {runs} jobs ended")
    return {"starts_per_second": runs / (enqueued - begun), "runs_per_second": runs / (ended - enqueued)}


async def pickups(app: App, url: str, runs: int) -> dict[str, float]:
    async with listening("peers.procrastinate_jobs", {"url": url}) as entries:
        task = app.configure_task("nothing", queue="bench")
        return await pickup(lambda number: task.defer_async(number=number), entries, runs)


@asynccontextmanager
async def serve(entered: Callable[[], None], *, url: str) -> AsyncIterator[None]:
    app = application(url, entered)
    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
        await asyncio.sleep(1)
        yield
        worker.cancel()


if __name__ == "__main__":
    if not serving(serve):
        answer(measure)
