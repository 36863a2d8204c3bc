"""Worker processes that only execute: runs of three transitions wait in the database, then one process or several
execute them.

The processes have loaded everything and wait for a signal. The clock runs from that signal, so it includes opening
Stepwell, until the database says that the last run has ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.burst import start_all, until_ended
from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import ended_in
from benchmarks.workflows import on_postgres, opened, three_steps

LOOK = 0.05
"""Seconds between two looks at how far they are: counting takes the database's time too."""


async def measure(*, url: str, runs: int, processes: int, at_once: int | None = None) -> Answer:
    workflow = three_steps(lambda workflow_id: None)
    async with opened(on_postgres(url), workflow, embedded_worker=False) as stepwell:
        await start_all(stepwell, workflow, runs)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(url, at_once)) for _ in range(processes)]
        ended = await stack.enter_async_context(ended_in(url))
        begun = time.perf_counter()
        for process in workers:
            say_go(process)
        await until_ended(ended, runs, seconds=120, pause=LOOK)
        seconds = time.perf_counter() - begun
    return Answer({"runs_per_second": runs / seconds, "transitions_per_second": 3 * runs / seconds})


@asynccontextmanager
async def worker(url: str, at_once: int | None) -> AsyncIterator[Process]:
    arguments = json.dumps([url, at_once])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.postgres.drain_worker", arguments), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def say_go(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


if __name__ == "__main__":
    answer(measure)
