"""Who plays the mix: a worker that executes it, and a client that starts, answers and cancels, each in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from acceptance import evidence
from acceptance.mix import DELAY, KINDS, Child, Endless, Late, Listening, Number, Ordered, Reply
from stepwell import App, Settings, Stepwell
from stepwell.errors import RunFinished, StoreUnavailable
from stepwell.execution.clock import SystemClock

APP = "a"
_LIFETIME = 1800.0
"""Seconds after which a process ends by itself, whatever its test does."""
_BATCH = 24
"""Starts at once."""


def stepwell(
    folder: str, lease: float, *, embedded_worker: bool = True, offset: float = 0.0, **settings: Any
) -> Stepwell:
    """The Stepwell of every process here. `offset` is what its clock is wrong by, in seconds."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(name)s %(message)s")
    evidence.use(folder)
    given = {
        "database_url": evidence.database_url(),
        "lease_seconds": lease,
        "worker_concurrency": 20,
        "auto_migrate": True,
    }
    return Stepwell(
        apps=[App(APP, workflows=[*KINDS, Child, Listening, Endless])],
        settings=Settings(_env_file=None, **{**given, **settings}),
        embedded_worker=embedded_worker,
        clock=SystemClock(lambda: time.time_ns() + round(offset * 1e9)),
    )


@asynccontextmanager
async def opened(folder: str, lease: float, **options: Any) -> AsyncIterator[Stepwell]:
    """An open Stepwell. While the database is away, it is tried again."""
    async with AsyncExitStack() as stack, asyncio.timeout(60) as patience:
        while (here := await _entered(stack, stepwell(folder, lease, **options))) is None:
            await asyncio.sleep(0.2)
        patience.reschedule(None)
        yield here


async def _entered(stack: AsyncExitStack, here: Stepwell) -> Stepwell | None:
    try:
        return await stack.enter_async_context(here)
    except StoreUnavailable as error:
        evidence.append("unopened", error)
        return None


def worker(folder: str, lease: float, options: dict[str, Any] | None = None) -> None:
    """Executes until the file `over` is there."""
    asyncio.run(_work(folder, lease, options or {}))


async def _work(folder: str, lease: float, options: dict[str, Any]) -> None:
    async with opened(folder, lease, **options):
        await _until("over")


async def _until(file: str) -> None:
    deadline = time.monotonic() + _LIFETIME
    while not (evidence.folder() / file).exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def client(folder: str, lease: float, unended: int, options: dict[str, Any] | None = None) -> None:
    """Starts runs of all kinds, up to `unended` at once, until the file `enough` is there; answers until `over` is."""
    asyncio.run(Client(folder, lease, unended, options or {}).run())


class Client:
    """Goes on where the one before it was killed: what wasn't acknowledged is started again with the same key."""

    def __init__(self, folder: str, lease: float, unended: int, options: dict[str, Any]) -> None:
        self.folder = folder
        self.lease = lease
        self.unended = unended
        self.options = options

    async def run(self) -> None:
        async with opened(self.folder, self.lease, embedded_worker=False, **self.options) as here:
            self.runner = here.runner
            self.engine = _engine(here.settings.database_url)
            async with asyncio.TaskGroup() as duties:
                tasks = [duties.create_task(self.start()), duties.create_task(self.answer())]
                await _until("over")
                for task in tasks:
                    task.cancel()
            await self.engine.dispose()

    async def start(self) -> None:
        accepted = {int(words[0]) for words in evidence.lines("accepted")}
        upto = max(accepted, default=-1) + 1
        missing = [n for n in range(upto) if n not in accepted]
        while missing or not (evidence.folder() / "enough").exists():
            if await _number("SELECT count(*) FROM stepwell_runs WHERE finished_at IS NULL") >= self.unended:
                await asyncio.sleep(0.02)
                continue
            batch = missing[:_BATCH] or list(range(upto, upto + _BATCH))
            missing = missing[_BATCH:]
            upto = max(upto, batch[-1] + 1)
            await asyncio.gather(*(self.start_one(n) for n in batch))

    async def start_one(self, n: int) -> None:
        while True:
            try:
                handle = await self.try_one(n)
            except (StoreUnavailable, SQLAlchemyError, OSError) as error:
                evidence.append("refused", n, getattr(error, "outcome", "-"), type(error).__name__, error)
            else:
                evidence.append("accepted", n, handle.workflow_id)
                return
            await asyncio.sleep(0.1)

    async def try_one(self, n: int) -> Any:
        kind = KINDS[n % len(KINDS)]
        options: dict[str, Any] = {"app_name": APP, "user_id": f"u{n % 7}", "idempotency_key": f"n{n}"}
        if kind is Ordered:
            return await self.order(n, options)
        delay = timedelta(seconds=DELAY) if kind is Late else None
        return await self.runner.run(kind, Number(n=n), delay=delay, **options)

    async def order(self, n: int, options: dict[str, Any]) -> Any:
        async with self.engine.begin() as connection:
            handle = await self.runner.run(Ordered, Number(n=n), connection=connection, **options)
            if handle.created:
                values = {"n": n, "run_id": handle.workflow_id}
                await connection.execute(text("INSERT INTO orders (n, run_id) VALUES (:n, :run_id)"), values)
        return handle

    async def answer(self) -> None:
        while True:
            await self.each("answered", "asked", self.reply)
            await self.each("doomed", "spawned", self.doom)
            await asyncio.sleep(0.05)

    async def each(self, kind: str, place: str, act: Callable[[str], Any]) -> None:
        waiting = await asyncio.to_thread(
            evidence.read,
            "SELECT id FROM stepwell_runs WHERE workflow_name=? AND place=? AND status='waiting' LIMIT 20",
            kind,
            place,
        )
        for (run_id,) in waiting:
            try:
                await act(run_id)
            except RunFinished:
                continue  # it ended since the look
            except StoreUnavailable as error:
                evidence.append("refused", run_id, error.outcome, type(error).__name__, error)
                return  # the next look finds it again

    async def reply(self, run_id: str) -> None:
        await self.runner.signal(run_id, "answer", Reply(yes=True), idempotency_key="reply")

    async def doom(self, run_id: str) -> None:
        await self.runner.cancel(run_id, reason="as planned")


async def _number(sql: str) -> int:
    return await asyncio.to_thread(evidence.number, sql)


def _engine(url: str) -> AsyncEngine:
    if url.startswith("sqlite"):
        return create_async_engine(make_url(url).set(drivername="sqlite+aiosqlite"), connect_args={"timeout": 30})
    # A server that goes away in the middle of a transaction must not be waited for without end.
    arguments = {"timeout": 5, "command_timeout": 10}
    return create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), connect_args=arguments)
