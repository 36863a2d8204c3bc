"""The workflows that are measured. Where one reports, a function makes it and says to whom: nothing is shared.

Arguments and state are small Pydantic models, as a user would write them; the methods do nothing else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from stepwell import END, App, Settings, Stepwell, Workflow, transition

APP = "bench"
USER = "user"

WorkflowClass = type[Workflow[Any, Any, Any]]


class Number(BaseModel):
    number: int = 0


class Total(BaseModel):
    total: int = 0


class Line(BaseModel):
    item: str
    quantity: int
    cents: int


class Decision(BaseModel):
    approved: bool


def three_steps(on_last: Callable[[str], None], **keywords: Any) -> WorkflowClass:
    """Three transitions that do nothing; the last tells `on_last` its run's id as it is entered."""

    class ThreeSteps(Workflow[Number, Total], **keywords):
        @transition(target="one")
        async def first(self) -> None: ...

        @transition("one", "two")
        async def second(self) -> None: ...

        @transition("two", END)
        async def third(self) -> None:
            on_last(self.info.workflow_id)

    return ThreeSteps


def one_step(on_last: Callable[[str], None]) -> WorkflowClass:
    """One transition that does nothing: what a job is to a queue."""

    class OneStep(Workflow[Number, Total]):
        @transition(target=END)
        async def only(self) -> None:
            on_last(self.info.workflow_id)

    return OneStep


def first_line(on_entry: Callable[[], None]) -> WorkflowClass:
    """Three transitions as above; the first line of the first calls `on_entry`."""

    class FirstLine(Workflow[Number, Total]):
        @transition(target="one")
        async def first(self) -> None:
            on_entry()

        @transition("one", "two")
        async def second(self) -> None: ...

        @transition("two", END)
        async def third(self) -> None: ...

    return FirstLine


class Quote(Workflow[Line, Total]):
    """Three transitions, one of which changes the state: the stateless workflow."""

    @transition(target="priced")
    async def price(self) -> None:
        self.state.total = self.args.quantity * self.args.cents

    @transition("priced", "checked")
    async def check(self) -> None: ...

    @transition("checked", END)
    async def finish(self) -> None: ...


class Parked(Workflow[Number, Total]):
    """Waits for a person, with a timer far away, so that it is in the index of what becomes due later too."""

    @transition(target="review")
    async def ask(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, decision: Decision) -> None: ...

    @transition("review", END, after=timedelta(days=30))
    async def expire(self) -> None: ...


def logged(log: int) -> WorkflowClass:
    """Each method first appends "<run> <n>" to the open file `log`: the n-th transition of that run was entered."""

    class Logged(Workflow[Number, Total]):
        def entered(self, number: int) -> None:
            os.write(log, f"{self.info.workflow_id} {number}\n".encode())

        @transition(target="one")
        async def first(self) -> None:
            self.entered(1)

        @transition("one", "two")
        async def second(self) -> None:
            self.entered(2)

        @transition("two", "three")
        async def third(self) -> None:
            self.entered(3)

        @transition("three", "four")
        async def fourth(self) -> None:
            self.entered(4)

        @transition("four", END)
        async def fifth(self) -> None:
            self.entered(5)

    return Logged


def on_file(database: str = "bench.db") -> Settings:
    """Default settings on an SQLite file, by default in the child's fresh directory."""
    return Settings(database_url=f"sqlite+aiosqlite:///{database}")


def on_postgres(url: str, queue_url: str | None = None, worker_concurrency: int | None = None) -> Settings:
    """Default settings on the PostgreSQL database at `url`, which may be empty."""
    settings = Settings(database_url=url, queue_url=queue_url, auto_migrate=True)
    return settings.model_copy(update={"worker_concurrency": worker_concurrency} if worker_concurrency else {})


@asynccontextmanager
async def opened(
    settings: Settings, *workflows: WorkflowClass, embedded_worker: bool = True
) -> AsyncIterator[Stepwell]:
    app = App(APP, workflows=list(workflows))
    async with Stepwell(apps=[app], settings=settings, embedded_worker=embedded_worker) as stepwell:
        yield stepwell
