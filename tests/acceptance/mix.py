"""The load of the crash tests: workflows of every kind, a worker, and a client that starts, answers and cancels."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from sqlalchemy import make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from acceptance import evidence
from stepwell import END, App, Document, Event, Retry, Settings, Stepwell, Workflow, transition
from stepwell.errors import RunFinished, StoreUnavailable
from stepwell.execution.clock import SystemClock

APP = "a"
TIMER = 0.3
DELAY = 0.4
SOON = Retry(retries=5, delay=timedelta(milliseconds=50), backoff="fixed")
_LIFETIME = 1800.0
"""Seconds after which a process ends by itself, whatever its test does."""
_BATCH = 24
"""Starts at once."""


class Number(BaseModel):
    n: int


class Seen(BaseModel):
    seen: list[str] = []


class Note(Document):
    text: str


def entered(workflow: Workflow[Any, Any, Any], version: int) -> None:
    """Notes when a transition began before the checkpoint that leads to it was durable."""
    run_id = workflow.info.workflow_id
    stored = evidence.number("SELECT coalesce(max(version), -1) FROM stepwell_history WHERE run_id=?", run_id)
    if stored < version:
        evidence.append("early", run_id, version, stored)


class Plain(Workflow[Number, Seen, int]):
    """Three steps; each is entered once the one before is durable."""

    @transition(target="second")
    async def one(self) -> None:
        await asyncio.to_thread(entered, self, 0)
        await work()
        self.state.seen.append("one")

    @transition("second", "third")
    def two(self) -> None:
        entered(self, 1)
        self.state.seen.append("two")

    @transition("third", END)
    async def three(self) -> int:
        await asyncio.to_thread(entered, self, 2)
        assert self.state.seen == ["one", "two"]
        return self.args.n


async def work() -> None:
    """Takes its time, so that a kill finds methods at work."""
    await asyncio.sleep(random.uniform(0.0, 0.15))


def recorded(key: str, name: str, called: int) -> str:
    """The id of this execution of a step. Notes when the journal had a value already before the step was called.

    A process that stands still between its call and this look is no such case: others have executed the step meanwhile.
    """
    run_id, method, visit = key.split(":")
    known = evidence.read(
        "SELECT 1 FROM stepwell_steps WHERE run_id=? AND visit=? AND transition=? AND name=? AND recorded_at<?",
        run_id,
        int(visit),
        method,
        name,
        called,
    )
    execution = uuid4().hex
    if known:
        evidence.append("again", key, name, execution)
    evidence.append("steps", key, name, execution)
    return execution


def now() -> int:
    """Microseconds since 1970, by the machine's clock."""
    return time.time_ns() // 1000


class Stepping(Workflow[Number, Seen, list[str]]):
    """Journaled steps, one after another and side by side."""

    @transition(target="half")
    async def first(self) -> None:
        key = self.info.idempotency_key
        self.state.seen.append(await self.step("a", recorded, key, "a", now()))
        await work()
        self.state.seen += await asyncio.gather(*(self.step(name, recorded, key, name, now()) for name in ("b", "c")))

    @transition("half", END)
    async def second(self) -> list[str]:
        self.state.seen.append(await self.step("d", recorded, self.info.idempotency_key, "d", now()))
        return self.state.seen


class Booking(Workflow[Number]):
    """A row in the user's table; the first attempt fails after it has written its own."""

    @transition(target="booked", retry=SOON)
    async def book(self) -> None:
        async with self.transaction() as connection:
            await connection.execute(
                text("INSERT INTO bookings (run_id, attempt) VALUES (:run_id, :attempt)"),
                {"run_id": self.info.workflow_id, "attempt": self.info.attempt},
            )
            await asyncio.sleep(random.uniform(0.0, 0.02))
        if self.info.attempt == 1:
            raise ValueError("after the transaction")

    @transition("booked", END)
    async def done(self) -> None: ...


class Child(Workflow[Number, Seen, int]):
    @transition(target="half")
    async def begin(self) -> None:
        await work()
        self.state.seen.append("began")

    @transition("half", END)
    async def finish(self) -> int:
        return self.args.n


class Parent(Workflow[Number, Seen, int]):
    """A child with a callback; the child of the first attempt must never exist."""

    @transition(target="spawned", retry=SOON)
    async def spawn(self) -> None:
        await self.start(Child, Number(n=self.args.n), callback="told")
        if self.info.attempt == 1:
            raise ValueError("after the start")

    @transition("spawned", END, wait=True)
    async def told(self, n: int) -> int:
        return n


class Reply(BaseModel):
    yes: bool


class Asking(Workflow[Number]):
    """Waits for an answer."""

    @transition(target="asked")
    async def ask(self) -> None: ...

    @transition("asked", END, wait=True)
    async def answer(self, reply: Reply) -> bool:
        return reply.yes


class Flaky(Workflow[Number, Seen]):
    """Two failed attempts, of which nothing but their traces remains."""

    @transition(target="tried", retry=SOON)
    async def attempt(self) -> None:
        if self.info.attempt < 3:
            self.state.seen.append("failed")
            await self.documents.save(Note(text="of a failed attempt"))
            await self.emit("announced", Number(n=-1))
            raise ValueError("not yet")

    @transition("tried", END)
    async def done(self) -> None:
        assert self.state.seen == []


class Timed(Workflow[Number]):
    """A timer."""

    @transition(target="waiting")
    async def begin(self) -> None: ...

    @transition("waiting", END, after=timedelta(seconds=TIMER))
    async def rang(self) -> None: ...


class Papers(Workflow[Number]):
    """Two documents in each checkpoint: one of a key, one without."""

    @transition(target="second")
    async def first(self) -> None:
        await self._both("1")

    @transition("second", "third")
    async def second(self) -> None:
        await self._both("2")

    @transition("third", END)
    async def third(self) -> None:
        await self._both("3")

    async def _both(self, content: str) -> None:
        await work()
        await self.documents.save(Note(text=content), key="status")
        await self.documents.save(Note(text=content))


class Announcing(Workflow[Number]):
    """Emits an event that starts a run."""

    @transition(target="announced")
    async def announce(self) -> None:
        await self.emit("announced", self.args)
        await work()

    @transition("announced", END)
    async def done(self) -> None: ...


class Listening(Workflow[Number], on=Event("announced")):
    @transition(target=END)
    async def hear(self) -> None: ...


class Endless(Workflow[Number]):
    @transition(target=END, wait=True)
    async def never(self) -> None: ...


class Doomed(Workflow[Number]):
    """Is cancelled while it waits for its child, which must end with it."""

    @transition(target="spawned")
    async def spawn(self) -> None:
        await self.start(Endless, self.args, callback="told")

    @transition("spawned", END, wait=True)
    async def told(self) -> None: ...


class Late(Plain, name="late"):
    """Starts after a delay."""


class Ordered(Plain, name="ordered"):
    """Starts in the caller's transaction, with a row of the caller's."""


KINDS: list[type[Workflow[Any, Any, Any]]] = [
    Plain, Stepping, Booking, Parent, Asking, Flaky, Timed, Papers, Announcing, Doomed, Late, Ordered,
]  # fmt: skip
TABLES = "CREATE TABLE bookings (run_id TEXT, attempt INTEGER); CREATE TABLE orders (n INTEGER, run_id TEXT);"


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
            await self.each("asking", "asked", self.reply)
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
