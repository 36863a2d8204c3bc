"""What the tests of this folder share: waiting for what must come, and looking at everything that is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy import select

from stepwell import Run, Stepwell, WorkflowRunner
from stepwell.store.tables import metadata
from stepwell.store.tx import Tx
from stepwell.testing import Harness
from stepwell.testing.crash import bury

T = TypeVar("T")
StepwellOn = Callable[..., Stepwell]
"""The fixture `stepwell_on(apps, **settings)`."""
HarnessOn = Callable[..., Harness]
"""The fixture `harness_on(classes, **settings)`."""

ME: dict[str, Any] = {"app_name": "shop", "user_id": "u1"}
"""On whose behalf most tests start their runs."""

VOLATILE = {"stepwell_workers"}
"""What changes by itself while a Stepwell is open."""


async def until(look: Callable[[], Awaitable[T]], what: str = "it", seconds: float = 60.0) -> T:
    """What `look` answers, once that is true."""
    answer = None
    try:
        async with asyncio.timeout(seconds):
            while not (answer := await look()):
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} didn't come within {seconds:g} s; last seen: {answer!r}") from None
    return answer


async def reaches(
    runner: WorkflowRunner, workflow_id: str, status: str, place: str | None = None, version: int = 0
) -> Run:
    """The run, once it has this status (at this place, with at least this version)."""
    last: list[Run] = []

    async def look() -> Run | None:
        run = await runner.get(workflow_id)
        last[:] = [run]
        return run if run.status == status and place in (None, run.place) and run.version >= version else None

    try:
        return await until(look)  # type: ignore[return-value]
    except AssertionError:
        raise AssertionError(f"the run isn't {status} at {place or 'any place'}: {last}") from None


async def everything(stepwell: Stepwell) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, the heartbeats left out."""

    def query(tx: Tx) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table.name: sorted((tuple(row) for row in tx.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name not in VOLATILE
        }

    assert stepwell.process is not None
    return await stepwell.process.store.read(query)


async def counts(stepwell: Stepwell) -> dict[str, int]:
    """How many rows each table has, empty ones left out."""
    return {name: len(rows) for name, rows in (await everything(stepwell)).items() if rows}


async def buried(stepwell: Stepwell) -> None:
    """This worker has taken over what all others had, without waiting for the end of their leases."""
    assert stepwell.process is not None
    await bury(stepwell.process)


async def die(stepwell: Stepwell) -> None:
    """The process is gone without a word: nothing is released, nothing more is written."""
    process = stepwell.process
    assert process is not None
    process.passes.accepting = False
    await process.duties.end()
    process.heartbeat.stop()
    process.passes.stop_all("lost")
    await process.passes.drained(2)

    async def nothing() -> None: ...

    process.drain.deregister = nothing  # type: ignore[method-assign]


class Gate:
    """Where a method waits until the test lets it go on; `reached` says that it came there, and how often."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._arrived: asyncio.Queue[None] = asyncio.Queue()
        self._open = asyncio.Event()
        self.arrivals = 0
        self.cancelled = 0
        self.left = 0

    async def pass_through(self) -> None:
        """Called by the method."""
        self.arrivals += 1
        self._arrived.put_nowait(None)
        try:
            await self._open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.left += 1

    async def reached(self) -> None:
        """A method has come to the gate (once per arrival)."""
        async with asyncio.timeout(60):
            await self._arrived.get()

    def open(self) -> None:
        """All go on, now and later."""
        self._open.set()
