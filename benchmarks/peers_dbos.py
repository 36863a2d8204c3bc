"""DBOS Transact on its default SQLite: the same work, each of its documented ways.

One workflow of three no-op async steps. `gather` starts all with `start_workflow_async` at once; `bounded` keeps 16
runs under way; `queue` enqueues all and leaves its queue at the default polling of a second. For each rate the table
shows whichever does most. One run goes before, and the clock stops when the last is durable. Logs are off, tracing and
Conductor too: no network. The database is what DBOS creates by itself; its pragmas are printed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS, DBOSConfig

from benchmarks import live_pragmas
from benchmarks.figures import latency
from benchmarks.measure import Answer, answer

QUEUE = "bench"
AT_ONCE = 16
UNFINISHED = ["ENQUEUED", "PENDING", "DELAYED"]


class Seen:
    """What the workflows reported, from whichever thread DBOS ran them in."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended = 0
        self.entered_workflow = 0
        self.entered_step = 0

    def end(self) -> None:
        with self.lock:
            self.ended += 1


seen = Seen()


@DBOS.step()
async def first() -> None:
    seen.entered_step = time.perf_counter_ns()


@DBOS.step()
async def second() -> None: ...


@DBOS.step()
async def third() -> None: ...


@DBOS.workflow()
async def three_steps(number: int) -> None:
    seen.entered_workflow = time.perf_counter_ns()
    await first()
    await second()
    await third()
    seen.end()


async def measure(*, what: str, way: str, runs: int) -> Answer:
    """`what` is `durable` or `pickup`; `way` is `gather`, `bounded` or `queue`."""
    pragmas = live_pragmas.watch()
    async with launched():
        await (await DBOS.start_workflow_async(three_steps, 0)).get_result()
        seen.ended = 0
        figures = await (durable(way, runs) if what == "durable" else pickup(way, runs))
    return Answer(figures, {"pragmas": "; ".join(sorted(pragmas))})


@asynccontextmanager
async def launched() -> AsyncIterator[None]:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": "sqlite:///dbos.sqlite",
        "log_level": "CRITICAL",
        "console_log_level": "CRITICAL",
        "enable_otlp": False,
    }
    DBOS(config=config)
    DBOS.launch()
    try:
        await DBOS.register_queue_async(QUEUE)
        yield
    finally:
        DBOS.destroy()


async def durable(way: str, runs: int) -> dict[str, float]:
    begun = time.perf_counter()
    started = await {"gather": by_gather, "bounded": by_bounded, "queue": by_queue}[way](runs)
    ended = time.perf_counter()
    if seen.ended != runs:
        raise AssertionError(f"{seen.ended} of {runs} runs ended")
    return {
        "starts_per_second": runs / (started - begun),
        "runs_per_second": runs / (ended - begun),
        "transitions_per_second": 3 * runs / (ended - begun),
    }


async def by_gather(runs: int) -> float:
    handles = await asyncio.gather(*(DBOS.start_workflow_async(three_steps, number) for number in range(runs)))
    started = time.perf_counter()
    await asyncio.gather(*(handle.get_result() for handle in handles))
    return started


async def by_bounded(runs: int) -> float:
    room = asyncio.Semaphore(AT_ONCE)
    started = 0.0

    async def one(number: int) -> None:
        nonlocal started
        async with room:
            handle = await DBOS.start_workflow_async(three_steps, number)
            started = time.perf_counter()
            await handle.get_result()

    await asyncio.gather(*(one(number) for number in range(runs)))
    return started


async def by_queue(runs: int) -> float:
    """Waiting by `get_result` would poll the database once per run and second: this looks only when all have ended."""
    await asyncio.gather(*(DBOS.enqueue_workflow_async(QUEUE, three_steps, number) for number in range(runs)))
    started = time.perf_counter()
    while await unfinished(runs):
        await asyncio.sleep(0.01)
    return started


async def unfinished(runs: int) -> bool:
    return seen.ended < runs or bool(await DBOS.list_workflows_async(status=UNFINISHED, limit=1, load_input=False))


async def pickup(way: str, runs: int) -> dict[str, float]:
    to_workflow, to_step = [], []
    for number in range(runs):
        await asyncio.sleep(0.02)
        called = time.perf_counter_ns()
        await (await start_one(way, number)).get_result()
        to_workflow.append(seen.entered_workflow - called)
        to_step.append(seen.entered_step - called)
    return latency("pickup", to_workflow) | latency("first_step", to_step)


def start_one(way: str, number: int) -> Coroutine[Any, Any, Any]:
    if way == "queue":
        return DBOS.enqueue_workflow_async(QUEUE, three_steps, number)
    return DBOS.start_workflow_async(three_steps, number)


if __name__ == "__main__":
    answer(measure)
