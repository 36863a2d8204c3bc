"""DBOS Transact: the same work, each of its documented ways.

One workflow of three no-op steps, async except in the way `threads`. `gather` starts all with `start_workflow_async` at
once; `bounded` keeps 16 runs in progress; `threads` starts sync workflows from one thread, and DBOS runs them in its pool;
`queue` enqueues all and leaves its queue at the default polling of a second, `queue_10ms` polls every 10 ms. For each
rate the table shows the fastest way. One run goes first, and the clock stops when the last run is durable. Logs, tracing
and Conductor are off, so there is no network. On SQLite the database is what DBOS creates by itself; its pragmas are printed.

Across processes (`pickup_apart`), a `DBOSClient` enqueues runs, and an idle process polls for them every 10 ms: DBOS
has no notifications for queues.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

from benchmarks.figures import latency
from benchmarks.measure import Answer, answer
from benchmarks.pickup_apart import listening, pickup, serving
from benchmarks.sqlite import live_pragmas

AT_ONCE = 16
UNFINISHED = ["ENQUEUED", "PENDING", "DELAYED"]
POLLING = {"queue": 1.0, "queue_10ms": 0.01}
SQLITE = "sqlite:///dbos.sqlite"
RELEASE = "bench"
"""The same for both processes: DBOS leaves what another version of the application has enqueued alone."""


class Seen:
    """What the workflows reported, from whichever thread DBOS ran them in."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended = 0
        self.entered_workflow = 0
        self.entered_step = 0
        self.on_entry: Callable[[], None] | None = None

    def enter(self) -> None:
        self.entered_step = time.perf_counter_ns()
        if self.on_entry:
            self.on_entry()

    def end(self) -> None:
        with self.lock:
            self.ended += 1


seen = Seen()


@DBOS.step()
async def first() -> None:
    seen.enter()


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


@DBOS.step()
def first_sync() -> None: ...


@DBOS.step()
def second_sync() -> None: ...


@DBOS.step()
def third_sync() -> None: ...


@DBOS.workflow()
def three_steps_sync(number: int) -> None:
    first_sync()
    second_sync()
    third_sync()
    seen.end()


async def measure(*, what: str, way: str, runs: int, url: str = SQLITE) -> Answer:
    """`what` is `durable`, `pickup` or `pickup_apart`; `way` is one of those above."""
    if what == "pickup_apart":
        return await pickup_apart(url, runs)
    pragmas = live_pragmas.watch() if url == SQLITE else set()
    async with launched(url):
        await (await DBOS.start_workflow_async(three_steps, 0)).get_result()
        seen.ended = 0
        figures = await (durable(way, runs) if what == "durable" else pickup_inside(way, runs))
    return Answer(figures, {"pragmas": "; ".join(sorted(pragmas))} if pragmas else {})


@asynccontextmanager
async def launched(url: str) -> AsyncIterator[None]:
    config: DBOSConfig = {
        "name": "bench",
        "application_version": RELEASE,
        "system_database_url": url,
        "log_level": "CRITICAL",
        "console_log_level": "CRITICAL",
        "enable_otlp": False,
    }
    DBOS(config=config)
    DBOS.launch()
    try:
        for name, seconds in POLLING.items():
            await DBOS.register_queue_async(name, polling_interval_sec=seconds)
        yield
    finally:
        DBOS.destroy()


async def durable(way: str, runs: int) -> dict[str, float]:
    ways = {"gather": by_gather, "bounded": by_bounded, "threads": by_threads}
    begun, burnt = time.perf_counter(), time.process_time()
    started = await (by_queue(way, runs) if way in POLLING else ways[way](runs))
    ended = time.perf_counter()
    if seen.ended != runs:
        raise AssertionError(f"{seen.ended} of {runs} runs ended")
    return {
        "starts_per_second": runs / (started - begun),
        "runs_per_second": runs / (ended - begun),
        "transitions_per_second": 3 * runs / (ended - begun),
        "cpu_us_per_transition": 1e6 * (time.process_time() - burnt) / (3 * runs),
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


async def by_threads(runs: int) -> float:
    return await asyncio.to_thread(_by_threads, runs)


def _by_threads(runs: int) -> float:
    handles = [DBOS.start_workflow(three_steps_sync, number) for number in range(runs)]
    started = time.perf_counter()
    for handle in handles:
        handle.get_result()
    return started


async def by_queue(name: str, runs: int) -> float:
    """Waiting by `get_result` would poll the database once per run and second: this looks only when all have ended."""
    await asyncio.gather(*(DBOS.enqueue_workflow_async(name, three_steps, number) for number in range(runs)))
    started = time.perf_counter()
    while await unfinished(runs):
        await asyncio.sleep(0.01)
    return started


async def unfinished(runs: int) -> bool:
    return seen.ended < runs or bool(await DBOS.list_workflows_async(status=UNFINISHED, limit=1, load_input=False))


async def pickup_inside(way: str, runs: int) -> dict[str, float]:
    to_workflow, to_step = [], []
    for number in range(runs):
        await asyncio.sleep(0.02)
        called = time.perf_counter_ns()
        await (await start_one(way, number)).get_result()
        to_workflow.append(seen.entered_workflow - called)
        to_step.append(seen.entered_step - called)
    return latency("pickup", to_workflow) | latency("first_step", to_step)


def start_one(way: str, number: int) -> Coroutine[Any, Any, Any]:
    if way in POLLING:
        return DBOS.enqueue_workflow_async(way, three_steps, number)
    return DBOS.start_workflow_async(three_steps, number)


async def pickup_apart(url: str, runs: int) -> Answer:
    async with listening("peers.dbos_steps", {"url": url}) as entries:
        client = DBOSClient(system_database_url=url)

        async def start(number: int) -> None:
            options: EnqueueOptions = {
                "queue_name": "queue_10ms",
                "workflow_name": three_steps.__qualname__,
                "app_version": RELEASE,
            }
            await client.enqueue_async(options, number)

        return Answer(await pickup(start, entries, runs))


@asynccontextmanager
async def serve(entered: Callable[[], None], *, url: str) -> AsyncIterator[None]:
    seen.on_entry = entered
    async with launched(url):
        yield


if __name__ == "__main__":
    if not serving(serve):
        answer(measure)
