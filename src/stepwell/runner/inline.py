"""Runs that are executed while the caller waits: stored ones, and stateless ones without any storage."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from functools import partial
from typing import Any

from stepwell.definition.authoring.marks import START
from stepwell.definition.model import Definition
from stepwell.definition.values.codec import plain
from stepwell.engine.commit import Commit
from stepwell.engine.control import begin
from stepwell.engine.run import RunRow
from stepwell.errors import StatelessError, TransitionTimeout, WorkflowNotFound, WorkspaceNotFound
from stepwell.execution.scope import Limit, Scope
from stepwell.execution.shared import Shared
from stepwell.execution.stateless import run_stateless
from stepwell.execution.timers import at_start
from stepwell.runner.core import Core
from stepwell.runner.ends import waiting_for
from stepwell.runner.models import RunResult, document_of
from stepwell.runner.start import Origin, Start, prepare, requested, with_starts
from stepwell.store import documents, runs
from stepwell.store.documents import DocumentRow
from stepwell.store.inbox import Claimed
from stepwell.store.tx import Begin, StartedRun
from stepwell.store.workspaces import workspace_of


async def stateless(shared: Shared, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
    """Run it without storage. Raises TransitionTimeout after `seconds`, StatelessError if it parks or needs a database."""
    now = shared.clock.now()
    definition, request = requested(shared, start, origin, now, "stateless", limited=False)
    commit = begin(definition, at_start(definition, request) if START in definition.timed else request, now)
    if commit.run.workspace_id != workspace_of(origin.app_name, origin.user_id):  # no database is asked for another
        raise WorkspaceNotFound(
            f"A stateless run has no database, so it can't find workspace {start.workspace_id!r} of user {origin.user_id!r}."
        )
    if seconds is None:
        row, saved = await run_stateless(shared, commit)
    else:
        row, saved = await _within(shared, definition, commit, seconds)
    if row.status == "waiting":
        names = ", ".join(t.name for t in definition.places[row.place].waiting)
        raise StatelessError(
            f"{definition.workflow.__name__} waits at {row.place!r} ({names}), and a stateless run can't wait. "
            "Run it without stateless=True."
        )
    return _result(definition, row, saved, None)


async def _within(
    shared: Shared, definition: Definition, commit: Commit, seconds: float
) -> tuple[RunRow, list[DocumentRow]]:
    task, name = asyncio.current_task(), f"{definition.workflow.__name__} (stateless)"
    assert task is not None  # it is awaited
    scope = Scope(task, Limit(max(seconds, 0.0), lasting=False), lambda: name, shared.limits.cleanup_seconds)
    with scope:
        ended = await run_stateless(shared, commit)
    if scope.reason is not None:
        raise TransitionTimeout(f"{name} took longer than {seconds:g} s")
    return ended


async def stored(core: Core, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
    """Run it until it ends or parks, or for `seconds`: after that it continues here like any run.

    Raises StoreUnavailable when this Stepwell closes meanwhile: another process continues the run.
    """
    if core.passes.trial.on:
        await core.passes.trial.over(seconds)
    core.passes.check_open()
    definition, commit = prepare(core.shared, start, origin, core.passes.worker_id)
    context = contextvars.copy_context()

    def launch(answer: list[StartedRun] | Exception) -> None:
        if isinstance(answer, Exception) or not answer[0].created:
            return
        if answer[0].run.owner is None:  # it has to wait for a slot, a rate or a pause
            core.here.take(answer[0].run, context)
        else:
            claimed = Claimed(answer[0].run, (), {})
            task = core.passes.launch(claimed, extra=True, hold=True, fresh=True, context=context)
            if task is not None:
                task.add_done_callback(partial(_attended, core, context))

    async def write(commits: tuple[Commit, ...]) -> list[StartedRun]:
        answer: list[StartedRun] = await core.store.writer.write(Begin(commits), launch)
        return answer

    [started] = await with_starts(core.shared, [start], (commit,), write)
    run_id = started.run.id
    with waiting_for(core.passes, run_id):
        row = await _settled(core, run_id, seconds)
    if row is None:
        row = await core.store.read(lambda given: runs.load_one(given, run_id))
    if row is None:
        raise WorkflowNotFound(f"Run {run_id!r} was deleted meanwhile.")
    saved = await core.store.read(lambda given: documents.of_run(given, run_id))
    return _result(definition, row, saved, run_id)


def _attended(core: Core, context: contextvars.Context, task: asyncio.Task[RunRow | None]) -> None:
    """Continue here with a run that was handed back as it is, because it is paused, once that is over."""
    run = None if task.cancelled() or task.exception() is not None else task.result()
    if run is None or run.owner is not None or core.passes.closing:
        return
    if run.ready_at is not None or run.status == "retrying":
        core.here.take(run, context)


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
        result = definition.result.load(row.result) if row.status == "completed" else plain(row.result)
    return RunResult(
        workflow_id=workflow_id,
        status=row.status,
        place=row.place,
        state=plain(row.state),
        result=result,
        error=row.error,
        documents=tuple(document_of(one) for one in saved if not one.internal),
    )
