"""Pick-up across processes: from the call that starts something to the first line of user code in another process.

The other process is idle, and reports the time of each entry by the clock that all processes of a machine share. Before
each start is a pause of random length, so that no poll is synchronised with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from benchmarks.figures import latency

SERVE = "serve"
SEED = 1
PAUSE = (0.02, 0.1)
PATIENCE = 30.0
READY = b"ready\n"

Entered = Callable[[], None]


class Entries:
    """The times at which the other process has entered user code, in nanoseconds of the monotonic clock."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream

    async def next(self) -> int:
        async with asyncio.timeout(PATIENCE):
            line = await self._stream.readline()
        if not line:
            raise AssertionError("the other process has ended")
        return int(line)

    async def ready(self) -> None:
        async with asyncio.timeout(PATIENCE):
            line = await self._stream.readline()
        if line != READY:
            raise AssertionError(f"the other process didn't start: {line!r}")


async def pickup(start: Callable[[int], Awaitable[object]], entries: Entries, runs: int) -> dict[str, float]:
    """Start `runs` times; the first one isn't counted."""
    chance = random.Random(SEED)
    waited = []
    for number in range(runs + 1):
        await asyncio.sleep(chance.uniform(*PAUSE))
        called = time.monotonic_ns()
        await start(number)
        waited.append(await entries.next() - called)
    return latency("pickup", waited[1:])


@asynccontextmanager
async def listening(module: str, arguments: Mapping[str, Any]) -> AsyncIterator[Entries]:
    """The module's `serve` runs in a process of its own, idle."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"benchmarks.{module}", SERVE, json.dumps(dict(arguments))),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    entries = Entries(process.stdout)
    try:
        await entries.ready()
        yield entries
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def serving(serve: Callable[..., AbstractAsyncContextManager[None]]) -> bool:
    """False if this isn't the other process; else it has served until it was ended.

    `serve(entered, **arguments)` is open while the process is ready, and calls `entered` first thing in user code.
    """
    if sys.argv[1] != SERVE:
        return False
    channel = os.dup(1)
    os.dup2(2, 1)

    def entered() -> None:
        os.write(channel, b"%d\n" % time.monotonic_ns())

    async def live() -> None:
        async with serve(entered, **json.loads(sys.argv[2])):
            os.write(channel, READY)
            await asyncio.Event().wait()

    asyncio.run(live())
    return True
