"""PgQueuer: jobs that do nothing, on PostgreSQL through asyncpg.

Enqueued 100 at a time, and then executed by one worker in the process until the queue is empty, with batches of 10, its
default (`batch_10`), and of 100 (`batch_100`). For the pick-up the other process has an idle worker with the defaults; it
listens for notifications.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode

from benchmarks.measure import Answer, answer
from benchmarks.pickup_apart import listening, pickup, serving

BATCH = {"batch_10": 10, "batch_100": 100}
BULK = 100


async def application(url: str, on_entry: Callable[[], None]) -> PgQueuer:
    app = PgQueuer.from_asyncpg_connection(await asyncpg.connect(url))

    @app.entrypoint("nothing")
    async def nothing(job: Job) -> None:
        on_entry()

    return app


async def measure(*, what: str, url: str, runs: int, way: str = "batch_100") -> Answer:
    """`what` is `jobs` or `pickup`; `way` is one of those above."""
    logging.disable(logging.INFO)
    ended = [0]

    def count() -> None:
        ended[0] += 1

    app = await application(url, count)
    await app.qm.queries.install()
    figures = await (jobs(app, way, runs) if what == "jobs" else pickups(app, url, runs))
    if what == "jobs" and ended[0] != runs:
        raise AssertionError(f"{ended[0]} of {runs} jobs were executed")
    return Answer(figures)


async def jobs(app: PgQueuer, way: str, runs: int) -> dict[str, float]:
    begun = time.perf_counter()
    for _ in range(0, runs, BULK):
        await app.qm.queries.enqueue(["nothing"] * BULK, [b"1"] * BULK, [0] * BULK)
    enqueued = time.perf_counter()
    await app.qm.run(batch_size=BATCH[way], mode=QueueExecutionMode.drain)
    ended = time.perf_counter()
    return {"starts_per_second": runs / (enqueued - begun), "runs_per_second": runs / (ended - enqueued)}


async def pickups(app: PgQueuer, url: str, runs: int) -> dict[str, float]:
    async with listening("peers.pgqueuer_jobs", {"url": url}) as entries:
        return await pickup(lambda number: app.qm.queries.enqueue("nothing", b"1"), entries, runs)


@asynccontextmanager
async def serve(entered: Callable[[], None], *, url: str) -> AsyncIterator[None]:
    app = await application(url, entered)
    worker = asyncio.create_task(app.qm.run())
    await asyncio.sleep(1)
    yield
    worker.cancel()


if __name__ == "__main__":
    if not serving(serve):
        answer(measure)
