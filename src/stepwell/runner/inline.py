"""Runs that are executed while the caller waits: stored ones, and stateless ones without any storage."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Sequence
from typing import Any

from stepwell.definition.model import Definition
from stepwell.engine.commit import Commit
from stepwell.engine.run import Run as RunRow
from stepwell.errors import StatelessError, TransitionTimeout, WorkflowNotFound
from stepwell.execution.shared import Shared
from stepwell.execution.stateless import run_stateless
from stepwell.runner.core import Core
from stepwell.runner.models import RunResult, document_of
from stepwell.runner.start import Origin, Start, prepare
from stepwell.store import documents, runs
from stepwell.store.base import Begin, Claimed, DocumentRow, Started


async def stateless(shared: Shared, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
    """Where the run ended. Raises TransitionTimeout after `seconds`, StatelessError if it parks or needs a database."""
    definition, commit = prepare(shared, start, origin, "stateless")
    if seconds is None:
        row, saved = await run_stateless(shared, commit)
    else:
        row, saved = await _within(shared, definition, commit, seconds)
    if row.status == "waiting":
        names = ", ".join(t.name for t in definition.places[row.place].waiting)
        raise StatelessError(
            f"{definition.workflow.__name__} waits at {row.place!r} ({names}): a stateless run can't. "
            "Run it without stateless=True."
        )
    return _result(definition, row, saved, None)


async def _within(
    shared: Shared, definition: Definition, commit: Commit, seconds: float
) -> tuple[RunRow, list[DocumentRow]]:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await run_stateless(shared, commit)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TransitionTimeout(f"{definition.workflow.__name__} (stateless) was stopped after {seconds:g} s") from None


async def stored(core: Core, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
    """Where the run ended or parked, or stands after `seconds`: then it goes on here as any run.

    Raises StoreUnavailable when this Stepwell closes meanwhile: the run goes on elsewhere.
    """
    core.passes.check_open()
    definition, commit = prepare(core.shared, start, origin, core.passes.worker_id)
    context = contextvars.copy_context()

    def launch(answer: list[Started] | Exception) -> None:
        if not isinstance(answer, Exception) and answer[0].created:
            claimed = Claimed(answer[0].run, (), {})
            core.passes.launch(claimed, extra=True, hold=True, fresh=True, context=context)

    [started] = await core.store.writer.write(Begin((commit,)), launch)
    run_id = started.run.id
    row = await _settled(core, run_id, seconds)
    if row is None:
        row = await core.store.read(lambda given: runs.load_one(given, run_id))
    if row is None:
        raise WorkflowNotFound(f"Run {run_id!r} was deleted meanwhile.")
    saved = await core.store.read(lambda given: documents.of_run(given, run_id))
    return _result(definition, row, saved, run_id)


async def _settled(core: Core, run_id: str, seconds: float | None) -> RunRow | None:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await core.ends.wait(run_id, parked=True)
    except TimeoutError:
        if not limit.expired():
            raise
        return None


def _result(
    definition: Definition, row: RunRow, saved: Sequence[DocumentRow], workflow_id: str | None
) -> RunResult[Any]:
    result = None
    if row.result is not None and row.result != "null":
        result = definition.result.load(row.result) if row.status == "completed" else json.loads(row.result)
    return RunResult(
        workflow_id=workflow_id,
        status=row.status,
        place=row.place,
        state=json.loads(row.state),
        result=result,
        error=row.error,
        documents=tuple(document_of(one) for one in saved if not one.internal),
    )
