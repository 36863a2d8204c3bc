"""Workflows with limits that write down when they execute, and the processes that execute them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from acceptance import evidence
from acceptance.holds import write_down
from acceptance.small import serve
from stepwell import END, App, Concurrency, RateLimit, Settings, Stepwell, Workflow, transition
from stepwell.execution.clock import SystemClock

EXECUTING, WHOLE, RATE, BOTH = 2, 2, 40, 3
PER = timedelta(seconds=2)
MINE: dict[str, Any] = {"app_name": "limited", "user_id": "u1"}


class Work(BaseModel):
    key: str
    seconds: float = 0.02


class Executing(Workflow[Work], concurrency=Concurrency(EXECUTING, key="args.key")):
    @transition(target="between")
    async def first(self) -> None:
        await _written("executing", "first", self.args, self.info.workflow_id)

    @transition("between", "rested", after=timedelta(seconds=0.05))
    async def second(self) -> None:
        await _written("executing", "second", self.args, self.info.workflow_id)

    @transition("rested", END)
    async def third(self) -> None:
        await _written("executing", "third", self.args, self.info.workflow_id)


class WholeRun(Workflow[Work], concurrency=Concurrency(WHOLE, key="args.key", holds="run")):
    @transition(target="between")
    async def first(self) -> None:
        await _written("whole", "first", self.args, self.info.workflow_id)

    @transition("between", END, after=timedelta(seconds=0.05))
    async def second(self) -> None:
        await _written("whole", "second", self.args, self.info.workflow_id)


class Slowly(Workflow[Work], rate_limit=RateLimit(RATE, PER, key="args.key"), fair_by="args.key"):
    @transition(target=END)
    async def first(self) -> None:
        await _written("rated", "first", self.args, self.info.workflow_id)


class Several(
    Workflow[Work],
    concurrency=[Concurrency(EXECUTING, key="args.key"), Concurrency(BOTH, name="several", holds="run")],
    fair_by="args.key",
):
    """Two limits and turns at once."""

    @transition(target=END)
    async def first(self) -> None:
        await _written("several", "first", self.args, self.info.workflow_id)


ALL = [Executing, WholeRun, Slowly, Several]


async def _written(kind: str, step: str, args: Work, run_id: str) -> None:
    await write_down(kind, args.key, run_id, step, args.seconds)


def limited(*, embedded_worker: bool = True, offset: float = 0.0, **settings: Any) -> Stepwell:
    """A Stepwell with these workflows. `offset` is what its machine's clock is wrong by, in seconds."""
    given = Settings(_env_file=None, database_url=evidence.database_url(), **settings)
    clock = SystemClock(lambda: time.time_ns() + round(offset * 1e9))
    return Stepwell([App("limited", workflows=ALL)], settings=given, embedded_worker=embedded_worker, clock=clock)


def worker(folder: str, settings: dict[str, Any]) -> None:
    """Executes until SIGTERM."""
    serve(folder, lambda: limited(**settings))
