"""The verbs: one class, each method a few lines over the rooms below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from stepwell.errors import InvalidArgs, NotBuilt
from stepwell.execution.emission import plan
from stepwell.execution.passes import Passes
from stepwell.runner import inline
from stepwell.runner.core import refuse_inside_transaction
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Emitted, Refused, Run, RunResult
from stepwell.runner.query import Reader, check_id
from stepwell.runner.start import (
    Origin,
    Start,
    check_user,
    checked_reason,
    checked_seconds,
    prepare,
    refuse_reserved,
    users_key,
)
from stepwell.store.base import Begin, Claimed, Started
from stepwell.store.tx import Tx

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from stepwell.definition.workflow import Workflow
    from stepwell.runner.blocking import BlockingRunner

A = TypeVar("A")
R = TypeVar("R")

Handles = list[RunHandle[Any]]  # `list` is a verb of the class
Starteds = list[Started]


class WorkflowRunner(Reader):
    """Starts, resumes, steers and reads runs. Made by `Stepwell`; `as_user` gives the same verbs for one user only."""

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
            _, commit = prepare(core.shared, start, origin, core.passes.worker_id if reserved else None)
        except BaseException:
            if reserved:
                core.passes.unreserve()
            raise
        written = core.store.writer.write(Begin((commit,)), partial(_launch, core.passes) if reserved else None)
        [started] = await written
        return started.run.id, started.created

    async def _start_in(
        self, connection: AsyncConnection | AsyncSession, starts: Sequence[Start], origin: Origin
    ) -> Handles:
        core = self.core
        commits = tuple(prepare(core.shared, start, origin)[1] for start in starts)

        await core.store.prepare_starts(commits)

        def operation(given: Tx) -> Starteds:
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
        return await self._start_many(starts, origin)

    async def _start_many(self, starts: Sequence[Start], origin: Origin) -> Handles:
        commits = tuple(prepare(self.core.shared, start, origin)[1] for start in starts)
        started: Starteds = await self.core.store.writer.write(Begin(commits))
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
        seconds = checked_seconds(timeout)
        if stateless:
            if idempotency_key is not None:
                raise InvalidArgs("idempotency_key= with stateless=True: nothing is stored that a key could lead to.")
            return await inline.stateless(self._opening.shared, start, origin, seconds)
        refuse_inside_transaction()
        return await self.run_inline(self._keyed(start, origin), origin, seconds)

    async def run_inline(self, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
        """As `run_sync` of a stored run, on behalf of an `Origin`."""
        return await inline.stored(self.core, start, origin, seconds)

    # -- steering -------------------------------------------------------------------------------------------------

    async def signal(
        self,
        workflow_id: str,
        name: str,
        data: Any = None,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
        answered_by: str | None = None,
        connection: AsyncConnection | AsyncSession | None = None,
    ) -> Run:
        """The run, with the signal stored: taken by its place, or kept until the run comes there.

        `answered_by` is who answered, where that isn't the user to whom the call is restricted.

        Raises WorkflowNotFound, RunFinished, UnknownTransition, InvalidPayload, PayloadTooLarge, IdempotencyConflict,
        StoreUnavailable; the run is untouched then.
        """
        key = users_key(idempotency_key) or self._derived_key("signal", workflow_id, name, data)
        operations, checked = self.core.operations, None
        check_id(workflow_id)
        if connection is None:
            # Validators are user code: they run here, and not in the thread that writes for everybody.
            checked = operations.payload(await self.row(workflow_id, user_id), name, data)
        operation = operations.signal(workflow_id, name, data, self._only(user_id), key, checked, answered_by)
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
        IdempotencyConflict (the same `event_id` with other data), StoreUnavailable; nobody is reached then.
        """
        core = self.core
        refuse_reserved("event_id", event_id)
        if event_id is None:
            event_id = self._derived_key("emit", name, data, self._only(user_id))
        only = self._only(user_id)
        emission, refused = plan(core.shared, name, data, only, event_id, only_user=only)
        now = core.shared.clock.now()
        if connection is not None:
            await core.store.prepare_starts(emission.starts)
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
        check_id(workflow_id)
        executing = core.passes.executing.get(workflow_id)
        operation = core.operations.cancel(workflow_id, self._only(user_id), checked_reason(reason), executing)
        row = await core.write(operation, connection)
        return self._model(row)

    async def retry(self, workflow_id: str, *, user_id: str | None = None) -> Run:
        """The failed (or retrying) run, due now, with a full retry budget. Raises WorkflowNotFound, RunFinished."""
        core = self.core
        check_id(workflow_id)
        return self._model(await core.write(core.operations.retry(workflow_id, self._only(user_id)), None))

    async def fork(
        self, workflow_id: str, *, checkpoint: int, state: Any = None, user_id: str | None = None
    ) -> RunHandle[Any]:
        """A new run from an old checkpoint. Not built yet: raises NotBuilt."""
        raise NotBuilt("runner.fork")

    def handle(self, workflow_id: str) -> RunHandle[Any]:
        """A handle to a run. Asks nothing: whether the run exists shows when the handle is used."""
        return RunHandle(self, workflow_id)

    # -- shared ---------------------------------------------------------------------------------------------------

    def _starter(self, user_id: str | None) -> str:
        found = self._only(user_id)
        if found is None:
            raise InvalidArgs("user_id is missing: say for whom the run starts, as in user_id='u1'.")
        return found

    def _keyed(self, start: Start, origin: Origin) -> Start:
        if users_key(start.idempotency_key) is not None:
            return start
        key = self._derived_key("run", origin.app_name, origin.user_id, start.workflow, start.args)
        return start if key is None else replace(start, idempotency_key=key)

    def _derived_key(self, *what: Any) -> str | None:
        """The key of a call that was given none. Handlers of ticks and deliveries have one for each (semantics 38)."""
        return None


def _launch(passes: Passes, answer: Starteds | Exception) -> None:
    if isinstance(answer, Exception) or not answer[0].created:
        passes.unreserve()
    else:
        passes.launch(Claimed(answer[0].run, (), {}), reserved=True, fresh=True)
