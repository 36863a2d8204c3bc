"""Runs with a step that may run only once, and processes that stand still at a chosen moment of it, to be killed there."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

from acceptance import evidence
from stepwell import END, App, Settings, Step, Stepwell, Workflow, transition
from stepwell import process as process_module
from stepwell.engine.run import RunRow
from stepwell.execution.durable import Durable
from stepwell.execution.storage import Journal
from stepwell.store.journal import JournalRow
from stepwell.testing.crash import bury

ME: dict[str, Any] = {"app_name": "once", "user_id": "u1"}
MOMENTS = ("before-marker", "before-body", "in-body", "before-value", "before-checkpoint")
_LIFETIME = 600.0


class Pays(Workflow[str, None, str]):
    """Pays once. Its args name the moment at which the first process that executes it stands still; empty: none."""

    @transition(target=END)
    async def go(self) -> str:
        return await self.step(Step("pay", once=True), pay, self.info.workflow_id, self.args)


async def pay(run_id: str, moment: str) -> str:
    evidence.append("bodies", run_id, os.getpid())
    await stand("in-body", run_id, moment)
    await asyncio.sleep(int(run_id[-2:], 16) / 2_000)  # of different lengths: a kill at random finds some at work
    return "paid"


async def stand(here: str, run_id: str, moment: str) -> None:
    """Stand still here if this is the run's moment, and no process has stood there."""
    if here != moment or [moment, run_id] in evidence.lines("stands"):
        return
    evidence.append("stands", moment, run_id)
    await asyncio.sleep(_LIFETIME)


class Standing(Durable):
    """The storage of a process that may be killed before and after each of its journal's rows."""

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        moment = json.loads(run.args)
        before, after = ("before-marker", "before-body") if row.status else ("before-value", "before-checkpoint")
        if row.status in (None, "started"):
            await stand(before, run.id, moment)
        await super().record(run, row, journal)
        if row.status in (None, "started"):
            await stand(after, run.id, moment)


def once(*, embedded_worker: bool = True) -> Stepwell:
    """A Stepwell that knows these runs."""
    settings = Settings(_env_file=None, database_url=evidence.database_url(), lease_seconds=3_600, max_takeovers=1_000)
    return Stepwell([App("once", workflows=[Pays])], settings=settings, embedded_worker=embedded_worker)


def worker(folder: str) -> None:
    """Take over what all others have, and execute, until it is killed."""
    evidence.use(Path(folder))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(message)s")

    process_module.Durable = Standing  # type: ignore[misc]

    async def work() -> None:
        async with once() as opened:
            process = opened.process
            assert process is not None
            await bury(process)
            evidence.append("open", os.getpid())
            await asyncio.sleep(_LIFETIME)

    asyncio.run(work())
