"""The load of the crash tests: workflows of every kind, which note what they do."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from sqlalchemy import text

from acceptance import evidence
from stepwell import END, Document, Event, Retry, Workflow, transition

TIMER = 0.3
DELAY = 0.4
SOON = Retry(retries=200, delay=timedelta(milliseconds=50), backoff="fixed")


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


class Answered(Workflow[Number]):
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
    Plain, Stepping, Booking, Parent, Answered, Flaky, Timed, Papers, Announcing, Doomed, Late, Ordered,
]  # fmt: skip
TABLES = "CREATE TABLE bookings (run_id TEXT, attempt INTEGER); CREATE TABLE orders (n INTEGER, run_id TEXT);"
