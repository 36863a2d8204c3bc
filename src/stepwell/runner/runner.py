"""The verbs: one class, each method a few lines over the rooms below."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload
from uuid import UUID

from sqlalchemy import Connection

from stepwell.definition.model import Definition
from stepwell.engine.run import Run as RunRow
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, NotBuilt, StatelessError, TransitionTimeout, WorkflowNotFound
from stepwell.execution.emission import plan
from stepwell.execution.operations import visible
from stepwell.execution.stateless import run_stateless
from stepwell.runner.core import Core, refuse_inside_transaction
from stepwell.runner.explain import Explanation, explain
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import (
    Checkpoint,
    Emitted,
    Page,
    Refused,
    Run,
    RunResult,
    StoredDocument,
    checkpoint_of,
    document_of,
    run_of,
)
from stepwell.runner.start import Origin, Start, check_user, checked_key, prepare
from stepwell.store import documents, history, queries, runs, signals, workers
from stepwell.store.base import Begin, Claimed, DocumentRow, Started

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from stepwell.definition.workflow import Workflow
    from stepwell.runner.blocking import BlockingRunner
    from stepwell.runner.opening import Opening

A = TypeVar("A")
R = TypeVar("R")

Handles = list[RunHandle[Any]]  # `list` is a verb of the class below
Starteds = list[Started]


class WorkflowRunner:
    """Starts, resumes, steers and reads runs. Made by `Stepwell`; `as_user` gives the same verbs for one user only."""

    def __init__(self, opening: Opening, user_id: str | None = None) -> None:
        self._opening = opening
        self._user_id = user_id

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError unless the Stepwell is open."""
        return self._opening.core

    @property
    def blocking(self) -> BlockingRunner:
        """The same verbs for synchronous code; `with stepwell:` opens it in a thread of its own."""
        from stepwell.runner.blocking import BlockingRunner

        return BlockingRunner(self, self._opening)

    def as_user(self, user_id: str) -> WorkflowRunner:
        """The same verbs, restricted to this user's runs: for everything that comes from a request."""
        check_user(user_id)
        return WorkflowRunner(self._opening, self._only(user_id))

    # -- starting -------------------------------------------------------------------------------------------------

    async def run(
        self,
        workflow: type[Workflow[A, Any, R]] | str,
        args: A | Mapping[str, Any] | None = None,
        *,
        app_name: str,
        user_id: str | None = None,
        workspace_id: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        connection: AsyncConnection | AsyncSession | None = None,
    ) -> RunHandle[R]:
        """A handle of a run that is queued, durably (with `connection`: exactly if the caller's transaction commits).

        Raises UnknownApp, UnknownWorkflow, WorkspaceNotFound, InvalidArgs, PayloadTooLarge, IdempotencyConflict or
        StoreUnavailable; nothing is stored then.
        """
        start = Start(workflow, args, labels, idempotency_key, delay, at, priority, workspace_id)
        origin = Origin(app_name, self._starter(user_id))
        start = self._keyed(start, origin)
        if connection is not None:
            return (await self._start_in(connection, [start], origin))[0]
        refuse_inside_transaction()
        return RunHandle(self, *await self._start(start, origin))

    async def _start(self, start: Start, origin: Origin) -> tuple[str, bool]:
        core = self.core
        # A start may be born in the hands of this process's worker, if it has room: nobody needs to look for it then.
        reserved = start.delay is None and start.at is None and core.passes.reserve()
        try:
            _, commit = prepare(core.services, start, origin, core.passes.worker_id if reserved else None)
        except BaseException:
            if reserved:
                core.passes.unreserve()
            raise
        written = core.store.writer.write(Begin((commit,)), self._launch if reserved else None)
        [started] = await written
        return started.run.id, started.created

    def _launch(self, answer: Starteds | Exception) -> None:
        passes = self.core.passes
        if isinstance(answer, Exception) or not answer[0].created:
            passes.unreserve()
        else:
            passes.launch(Claimed(answer[0].run, (), {}), reserved=True, fresh=True)

    async def _start_in(
        self, connection: AsyncConnection | AsyncSession, starts: Sequence[Start], origin: Origin
    ) -> Handles:
        core = self.core
        commits = tuple(prepare(core.services, start, origin)[1] for start in starts)

        def operation(given: Connection) -> Starteds:
            [answer] = core.store.applier.begin(given, [commits])
            if isinstance(answer, Exception):
                raise answer
            return answer

        started = await core.in_callers(operation, connection)
        return [RunHandle(self, one.run.id, one.created) for one in started]

    async def run_many(
        self,
        starts: Sequence[Start],
        *,
        app_name: str,
        user_id: str | None = None,
        connection: AsyncConnection | AsyncSession | None = None,
    ) -> Handles:
        """Handles of runs that are all queued in one transaction, or none. Raises as `run`."""
        origin = Origin(app_name, self._starter(user_id))
        if not starts:
            return []
        starts = [self._keyed(start, origin) for start in starts]
        if connection is not None:
            return await self._start_in(connection, starts, origin)
        refuse_inside_transaction()
        commits = tuple(prepare(self.core.services, start, origin)[1] for start in starts)
        started: Starteds = await self.core.store.writer.write(Begin(commits))
        self.core.hint()
        return [RunHandle(self, one.run.id, one.created) for one in started]

    @overload
    async def run_sync(
        self,
        workflow: type[Workflow[A, Any, R]],
        args: A | Mapping[str, Any] | None = None,
        *,
        app_name: str,
        user_id: str | None = None,
        workspace_id: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
        stateless: bool = False,
        timeout: timedelta | float | None = None,
    ) -> RunResult[R]: ...
    @overload
    async def run_sync(
        self,
        workflow: str,
        args: Any = None,
        *,
        app_name: str,
        user_id: str | None = None,
        workspace_id: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
        stateless: bool = False,
        timeout: timedelta | float | None = None,
    ) -> RunResult[Any]: ...
    async def run_sync(
        self,
        workflow: Any,
        args: Any = None,
        *,
        app_name: str,
        user_id: str | None = None,
        workspace_id: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
        stateless: bool = False,
        timeout: timedelta | float | None = None,
    ) -> RunResult[Any]:
        """Where the run ended or parked, executed in this process while the caller waits.

        After `timeout`, or when the caller is cancelled, a stored run goes on as any run (status `running`); a stateless
        one is stopped with TransitionTimeout. `stateless=True` touches no database; it raises StatelessError when it
        parks or needs one. Raises what `run` raises.
        """
        start = Start(workflow, args, labels, idempotency_key, workspace_id=workspace_id)
        origin = Origin(app_name, self._starter(user_id))
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if stateless:
            if idempotency_key is not None:
                raise InvalidArgs("idempotency_key= with stateless=True: nothing is stored that a key could lead to.")
            return await self._run_stateless(start, origin, seconds)
        refuse_inside_transaction()
        return await self.run_inline(self._keyed(start, origin), origin, seconds)

    async def _run_stateless(self, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
        services = self._opening.services
        definition, commit = prepare(services, start, origin, "stateless")
        try:
            async with asyncio.timeout(seconds) as limit:
                row, saved = await run_stateless(services, commit)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TransitionTimeout(
                f"{definition.workflow.__name__} (stateless) was stopped after {seconds:g} s"
            ) from None
        if row.status == "waiting":
            names = ", ".join(t.name for t in definition.places[row.place].waiting)
            raise StatelessError(
                f"{definition.workflow.__name__} waits at {row.place!r} ({names}): a stateless run can't. "
                "Run it without stateless=True."
            )
        return _result(definition, row, saved, None)

    async def run_inline(self, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
        """As `run_sync` of a stored run, on behalf of an `Origin`."""
        core = self.core
        definition, commit = prepare(core.services, start, origin, core.passes.worker_id)
        context = contextvars.copy_context()

        def launch(answer: Starteds | Exception) -> None:
            if not isinstance(answer, Exception) and answer[0].created:
                claimed = Claimed(answer[0].run, (), {})
                core.passes.launch(claimed, extra=True, hold=True, fresh=True, context=context)

        [started] = await core.store.writer.write(Begin((commit,)), launch)
        row = await self._settled(started.run.id, seconds)
        if row is None:
            row = await self._row(started.run.id)
        saved = await core.store.read(lambda connection: documents.of_run(connection, row.id))
        return _result(definition, row, saved, row.id)

    async def _settled(self, run_id: str, seconds: float | None) -> RunRow | None:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self.core.ends.wait(run_id, parked=True)
        except TimeoutError:
            if not limit.expired():
                raise
            return None

    # -- steering -------------------------------------------------------------------------------------------------

    async def signal(
        self,
        workflow_id: str,
        name: str,
        data: Any = None,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
        connection: AsyncConnection | AsyncSession | None = None,
    ) -> Run:
        """The run, with the signal stored: taken by its place, or kept until the run comes there.

        Raises WorkflowNotFound, RunFinished, UnknownTransition, InvalidPayload, PayloadTooLarge, IdempotencyConflict,
        StoreUnavailable; the run is untouched then.
        """
        key = checked_key(idempotency_key) or self._derived_key("signal", workflow_id, name, data)
        operation = self.core.operations.signal(workflow_id, name, data, self._only(user_id), key)
        return self._model(await self.core.write(operation, connection))

    async def emit(
        self,
        name: str,
        data: Any = None,
        *,
        user_id: str | None = None,
        event_id: str | None = None,
        connection: AsyncConnection | AsyncSession | None = None,
    ) -> Emitted:
        """What the event started and resumed, all in one transaction. With `user_id` it reaches that user's runs only.

        The same `event_id` again starts and resumes nothing twice. Raises InvalidArgs, InvalidPayload, PayloadTooLarge,
        StoreUnavailable; nobody is reached then.
        """
        core = self.core
        if event_id is None:
            event_id = self._derived_key("emit", name, data, self._only(user_id))
        only = self._only(user_id)
        emission, refused = plan(core.services, name, data, only, event_id, only_user=only)
        now = core.services.clock.now()
        started, resumed = await core.write(lambda given: core.store.applier.emit(given, emission, now), connection)
        return Emitted(
            started=tuple(started),
            resumed=tuple(resumed),
            refused=tuple(
                Refused(app_name=r.app_name, workflow_name=r.workflow_name, transition=r.transition, reason=r.reason)
                for r in refused
            ),
        )

    async def cancel(
        self,
        workflow_id: str,
        *,
        user_id: str | None = None,
        reason: str | None = None,
        connection: AsyncConnection | AsyncSession | None = None,
    ) -> Run:
        """The run, cancelled; what it was executing is stopped, and its children follow.

        A cancelled run is returned unchanged. Raises WorkflowNotFound, RunFinished (completed), StoreUnavailable.
        """
        core = self.core
        executing = core.passes.executing.get(workflow_id)
        operation = core.operations.cancel(workflow_id, self._only(user_id), reason, executing)
        row = await core.write(operation, connection)
        if connection is None:
            core.passes.stop(workflow_id, "lost")
            core.ends.heard(row)
        core.children_marked()
        return self._model(row)

    async def retry(self, workflow_id: str, *, user_id: str | None = None) -> Run:
        """The failed (or retrying) run, due now, with a full retry budget. Raises WorkflowNotFound, RunFinished."""
        return self._model(await self.core.write(self.core.operations.retry(workflow_id, self._only(user_id)), None))

    async def fork(
        self, workflow_id: str, *, checkpoint: int, state: Any = None, user_id: str | None = None
    ) -> RunHandle[Any]:
        """A new run from an old checkpoint. Not built yet: raises NotBuilt."""
        raise NotBuilt("runner.fork")

    # -- reading --------------------------------------------------------------------------------------------------

    def handle(self, workflow_id: str) -> RunHandle[Any]:
        """A handle to a run. Asks nothing: whether the run exists shows when the handle is used."""
        return RunHandle(self, workflow_id)

    async def get(self, workflow_id: str, *, user_id: str | None = None) -> Run:
        """The run as it stands. Raises WorkflowNotFound."""
        return self._model(await self._row(workflow_id, user_id))

    async def list(
        self,
        *,
        app_name: str | None = None,
        workflow: type[Workflow[Any, Any, Any]] | str | None = None,
        status: str | Sequence[str] | None = None,
        label: str | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
        parent_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Run]:
        """A page of runs, newest first. `limit` is 1 to 1,000; `cursor` is the `next_cursor` of the page before."""
        if not _is_limit(limit):
            raise InvalidArgs(f"limit={limit!r}: it is 1 to 1,000.")
        wanted = queries.Filter(
            app_name=app_name,
            workflow_name=_workflow_name(workflow),
            status=_statuses(status),
            label=label,
            user_id=self._only(user_id),
            workspace_id=workspace_id,
            parent_id=parent_id,
        )
        before = _cursor(cursor)
        found = await self.core.store.read(lambda given: queries.list_runs(given, wanted, limit + 1, before))
        more = found[limit - 1].id if len(found) > limit else None
        return Page(items=tuple(self._model(row) for row in found[:limit]), next_cursor=more)

    async def history(self, workflow_id: str, *, user_id: str | None = None) -> Sequence[Checkpoint]:
        """The history, oldest first; row 0 is the creation. Raises WorkflowNotFound."""
        await self._row(workflow_id, user_id)
        found = await self.core.store.read(lambda given: history.of_run(given, workflow_id))
        return [checkpoint_of(entry) for entry in found]

    async def documents(
        self, workflow_id: str, *, user_id: str | None = None, replaced: bool = False
    ) -> Sequence[StoredDocument]:
        """The current documents, in order; with `replaced` their older versions too. Internal ones only without a user.

        Raises WorkflowNotFound.
        """
        await self._row(workflow_id, user_id)
        found = await self.core.store.read(lambda given: documents.of_run(given, workflow_id, current=not replaced))
        return [document_of(row) for row in found if not row.internal or self._only(user_id) is None]

    async def explain(self, workflow_id: str, *, user_id: str | None = None) -> Explanation:
        """Why the run is where it is, in plain words. Raises WorkflowNotFound."""
        row = await self._row(workflow_id, user_id)

        def query(given: Connection) -> tuple[Any, Any]:
            return signals.inboxes(given, [workflow_id]), workers.all_of(given)

        inboxes, alive = await self.core.store.read(query)
        lane = [row.app_name, row.workflow_name]
        takers = sum(lane in workers.lanes_of(worker) for worker in alive)
        return explain(row, self._definition(row), inboxes.get(workflow_id, ()), alive, takers)

    async def _row(self, workflow_id: str, user_id: str | None = None) -> RunRow:
        row = await self.core.store.read(lambda given: runs.load_one(given, workflow_id))
        return visible(row, workflow_id, self._only(user_id))

    @property
    def restricted(self) -> bool:
        """True if this runner acts for one user only."""
        return self._user_id is not None

    # -- shared ---------------------------------------------------------------------------------------------------

    def _only(self, user_id: str | None) -> str | None:
        """The user to restrict to. Raises WorkflowNotFound for somebody else's name in a restricted runner."""
        if self._user_id is None or user_id in (None, self._user_id):
            return self._user_id or user_id
        raise WorkflowNotFound(f"This runner acts for user {self._user_id!r} only, not for {user_id!r}.")

    def _starter(self, user_id: str | None) -> str:
        found = self._only(user_id)
        if found is None:
            raise InvalidArgs("user_id is missing: say for whom the run starts, as in user_id='u1'.")
        return found

    def _keyed(self, start: Start, origin: Origin) -> Start:
        if start.idempotency_key is not None:
            return start
        key = self._derived_key("run", origin.app_name, origin.user_id, start.workflow, start.args)
        return start if key is None else replace(start, idempotency_key=key)

    def _derived_key(self, *what: Any) -> str | None:
        """The key of a call that was given none. Handlers of ticks and deliveries have one for each (semantics 38)."""
        return None

    def _definition(self, row: RunRow) -> Definition | None:
        return self.core.services.registry.find(row.app_name, row.workflow_name)

    def _model(self, row: RunRow) -> Run:
        return run_of(row, self._definition(row))


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


def _is_limit(limit: Any) -> bool:
    return isinstance(limit, int) and 1 <= limit <= 1000


def _statuses(status: Any) -> tuple[str, ...] | None:
    if status is None:
        return None
    wanted = (status,) if isinstance(status, str) else tuple(status)
    known = get_args(Status)
    wrong = [one for one in wanted if one not in known]
    if wrong:
        raise InvalidArgs(f"status={wrong[0]!r} is none: a run is {', '.join(known)}.")
    return wanted


def _cursor(cursor: Any) -> str | None:
    try:
        return None if cursor is None else str(UUID(cursor))
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgs(f"cursor={cursor!r}: give the next_cursor of the page before, or leave it out.") from None


def _workflow_name(workflow: Any) -> str | None:
    return workflow if workflow is None or isinstance(workflow, str) else workflow.stepwell_definition.name
