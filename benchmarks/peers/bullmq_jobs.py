"""BullMQ for Python: jobs that do nothing, on a Valkey without persistence.

Enqueued by `addBulk`, 100 at a time, and then executed by one worker in the process, 50 at once; completed jobs are
kept, its default. For the pick-up the other process has an idle worker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bullmq import Job, Queue, Worker

from benchmarks.measure import Answer, answer
from benchmarks.pickup_apart import listening, pickup, serving

NAME = "bench"
BULK = 100
AT_ONCE = 50


async def measure(*, what: str, queue_url: str, runs: int) -> Answer:
    """`what` is `jobs` or `pickup`."""
    queue = Queue(NAME, {"connection": queue_url})
    try:
        return Answer(await (jobs(queue, queue_url, runs) if what == "jobs" else pickups(queue, queue_url, runs)))
    finally:
        await queue.close()


async def jobs(queue: Queue, queue_url: str, runs: int) -> dict[str, float]:
    begun = time.perf_counter()
    for first in range(0, runs, BULK):
        await queue.addBulk([{"name": "nothing", "data": {"number": first + number}} for number in range(BULK)])
    enqueued = time.perf_counter()
    await work(queue_url, runs)
    ended = time.perf_counter()
    done = await queue.getCompletedCount()
    if done != runs:
        raise AssertionError(f"{done} of {runs} jobs ended")
    return {"starts_per_second": runs / (enqueued - begun), "runs_per_second": runs / (ended - enqueued)}


async def work(queue_url: str, runs: int) -> None:
    left, over = runs, asyncio.Event()

    async def nothing(job: Job, token: str) -> None: ...

    def completed(*about: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            over.set()

    worker = Worker(NAME, nothing, {"connection": queue_url, "concurrency": AT_ONCE})
    worker.on("completed", completed)
    await over.wait()
    await worker.close()


async def pickups(queue: Queue, queue_url: str, runs: int) -> dict[str, float]:
    async with listening("peers.bullmq_jobs", {"queue_url": queue_url}) as entries:
        return await pickup(lambda number: queue.add("nothing", {"number": number}), entries, runs)


@asynccontextmanager
async def serve(entered: Callable[[], None], *, queue_url: str) -> AsyncIterator[None]:
    async def nothing(job: Job, token: str) -> None:
        entered()

    worker = Worker(NAME, nothing, {"connection": queue_url})
    await asyncio.sleep(1)
    yield
    await worker.close()


if __name__ == "__main__":
    if not serving(serve):
        answer(measure)
