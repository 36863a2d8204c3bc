"""Pick-up on an idle system on PostgreSQL: from the call of `run` to the first line of the first transition.

`inside`: caller and worker in one process, with 20 ms of silence before each. `apart`: an idle worker in another
process, with the database as the queue, or BullMQ where a queue is given. The start is durable before user code sees it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks.figures import latency
from benchmarks.measure import Answer, answer
from benchmarks.pickup_apart import listening, pickup, serving
from benchmarks.workflows import APP, USER, first_line, on_postgres, opened

SILENCE = 0.02


async def measure(*, url: str, runs: int, way: str, queue_url: str | None = None) -> Answer:
    return Answer(await (inside(url, runs) if way == "inside" else apart(url, queue_url, runs)))


async def inside(url: str, runs: int) -> dict[str, float]:
    entered: list[int] = []
    workflow = first_line(lambda: entered.append(time.perf_counter_ns()))
    called: list[int] = []
    async with opened(on_postgres(url), workflow) as stepwell:
        for number in range(runs + 1):
            await asyncio.sleep(SILENCE)
            called.append(time.perf_counter_ns())
            run = await stepwell.runner.run(workflow, {"number": number}, app_name=APP, user_id=USER)
            await run.result()
    return latency("pickup", [entry - call for call, entry in zip(called, entered, strict=True)][1:])


async def apart(url: str, queue_url: str | None, runs: int) -> dict[str, float]:
    workflow = first_line(lambda: None)
    settings = on_postgres(url, queue_url)
    async with opened(settings, workflow, embedded_worker=False) as stepwell:
        arguments = {"url": url, "queue_url": queue_url}
        async with listening("postgres.pickup", arguments) as entries:
            run = stepwell.runner.run
            return await pickup(
                lambda number: run(workflow, {"number": number}, app_name=APP, user_id=USER), entries, runs
            )


@asynccontextmanager
async def serve(entered: Callable[[], None], *, url: str, queue_url: str | None) -> AsyncIterator[None]:
    async with opened(on_postgres(url, queue_url), first_line(entered)):
        yield


if __name__ == "__main__":
    if not serving(serve):
        answer(measure)
