"""The verbs for synchronous code: each is the asynchronous one, and blocks until that is done.

With `connection=` this thread lends its transaction to the verb (`callers.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypedDict, Unpack, overload

from typing_extensions import TypeVar

from stepwell.definition.unset import UNSET
from stepwell.runner.batching import Batching
from stepwell.runner.blocking_batch import BlockingBatch
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Emitted, Run
from stepwell.runner.opening import Opening
from stepwell.runner.portal import Portal
from stepwell.runner.portal import verb as _verb
from stepwell.runner.schedules import RunnerSchedules
from stepwell.runner.start import Start
from stepwell.runner.starting import Starting
from stepwell.runner.steering import D, Data, Takes, TakesNothing, W
from stepwell.runner.workspaces import RunnerWorkspaces

if TYPE_CHECKING:
    from stepwell.definition.authoring.context import Signal
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.runner.callers import BlockingConnection

# The defaults apply if the workflow is given by its name.
A = TypeVar("A", default=Any)
R = TypeVar("R", default=Any)


class BlockingSignalOptions(TypedDict, total=False):
    """The keywords of `runner.blocking.signal`."""

    user_id: str | None
    idempotency_key: str | None
    answered_by: str | None
    groups: Collection[str]
    connection: BlockingConnection | None


class BlockingHandle(Portal[RunHandle[R]], Generic[R]):
    """A handle to a run, for synchronous code."""

    def __init__(self, handle: RunHandle[R], opening: Opening) -> None:
        super().__init__(handle, opening)
        self.workflow_id = handle.workflow_id
        self.created = handle.created
        self.workspace_id = handle.workspace_id

    def __repr__(self) -> str:
        return f"BlockingHandle({self.workflow_id!r})"

    def result(self, timeout: timedelta | float | None = None) -> R:
        """Like `RunHandle.result`, but blocking."""
        return self._call(self._awaited.result(timeout), waits=True)

    get = _verb(RunHandle[Any].get)
    cancel = _verb(RunHandle[Any].cancel)
    retry = _verb(RunHandle[Any].retry)

    @overload
    def signal(self, name: TakesNothing[W], data: None = None, *, idempotency_key: str | None = None) -> Run: ...
    @overload
    def signal(self, name: Takes[W, Signal[D]], data: Data[D], *, idempotency_key: str | None = None) -> Run: ...
    @overload
    def signal(
        self, name: Takes[W, D | None], data: Data[D] | None = None, *, idempotency_key: str | None = None
    ) -> Run: ...
    @overload
    def signal(self, name: Takes[W, D], data: Data[D], *, idempotency_key: str | None = None) -> Run: ...
    @overload
    def signal(self, name: str, data: Any = None, *, idempotency_key: str | None = None) -> Run: ...
    @wraps(RunHandle[Any].signal)
    def signal(self, *args: Any, **kwargs: Any) -> Run:
        return self._call(self._awaited.signal(*args, **kwargs))


BlockingHandles: TypeAlias = list[BlockingHandle[Any]]


class BlockingSchedules(Portal[RunnerSchedules]):
    """The verbs of `runner.schedules`, blocking until they are done."""

    create = _verb(RunnerSchedules.create)
    get = _verb(RunnerSchedules.get)
    list = _verb(RunnerSchedules.list)
    update = _verb(RunnerSchedules.update)
    delete = _verb(RunnerSchedules.delete)
    pause = _verb(RunnerSchedules.pause)
    resume = _verb(RunnerSchedules.resume)
    fire = _verb(RunnerSchedules.fire)


class BlockingWorkspaces(Portal[RunnerWorkspaces]):
    """The verbs of `runner.workspaces`, blocking until they are done."""

    create = _verb(RunnerWorkspaces.create)
    get = _verb(RunnerWorkspaces.get)
    list = _verb(RunnerWorkspaces.list)
    rename = _verb(RunnerWorkspaces.rename)


class BlockingRunner(Portal[Batching]):
    """Each verb of WorkflowRunner under its own name, blocking until it is done. Not for use on the loop itself.

    `connection=` is a `Connection` or `Session` of a synchronous engine of SQLAlchemy, or `django.db.connection` inside
    `atomic()`, on Stepwell's database. It is used in the thread that calls the verb; what the verb writes is there if and
    only if its transaction commits. Raises ConfigurationError for another database or thread, a connection that is closed,
    asynchronous, or in autocommit.
    """

    def as_user(self, user_id: str) -> BlockingRunner:
        """Return the same verbs, restricted to this user's runs."""
        return BlockingRunner(self._awaited.as_user(user_id), self._opening)

    @property
    def schedules(self) -> BlockingSchedules:
        """The verbs for schedules that are made at run time."""
        return BlockingSchedules(self._awaited.schedules, self._opening)

    @property
    def workspaces(self) -> BlockingWorkspaces:
        """The verbs for the workspaces of users."""
        return BlockingWorkspaces(self._awaited.workspaces, self._opening)

    def handle(self, workflow_id: str) -> BlockingHandle[Any]:
        """Return a handle to an existing run."""
        return BlockingHandle(self._awaited.handle(workflow_id), self._opening)

    def batch(self, batch_id: str) -> BlockingBatch:
        """Return a handle to an existing batch."""
        return BlockingBatch(self._awaited.batch(batch_id), self._opening)

    run_sync = _verb(Starting.run_sync, waits=True)
    retry = _verb(Starting.retry)
    update = _verb(Batching.update)
    delete = _verb(Batching.delete)
    get = _verb(Starting.get)
    list = _verb(Starting.list)
    history = _verb(Starting.history)
    steps = _verb(Starting.steps)
    documents = _verb(Starting.documents)
    explain = _verb(Starting.explain)
    pause = _verb(Starting.pause)
    resume = _verb(Starting.resume)
    paused = _verb(Starting.paused)
    group = _verb(Starting.group)
    batches = _verb(Batching.batches)
    inbox = _verb(Batching.inbox)
    assign = _verb(Batching.assign)
    answer_link = _verb(Batching.answer_link)

    def answer(
        self,
        workflow_id: str,
        transition: str | Callable[..., object],
        data: Any = None,
        *,
        by: str,
        groups: Collection[str] = (),
        visit: int | None = None,
        idempotency_key: str | None = None,
        connection: BlockingConnection | None = None,
    ) -> Run:
        """Like `WorkflowRunner.answer`, but blocking."""
        return self._call_with(
            connection,
            self._awaited.answer,
            workflow_id,
            transition,
            data,
            by=by,
            groups=groups,
            visit=visit,
            idempotency_key=idempotency_key,
        )

    # Written out, as their connection is another one than that of the awaited verbs.

    def run(
        self,
        workflow: type[Workflow[A, Any, R]] | str,
        args: A | Mapping[str, Any] | None = None,
        *,
        app_name: str | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
        delay: timedelta | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        connection: BlockingConnection | None = None,
    ) -> BlockingHandle[R]:
        """Like `WorkflowRunner.run`, but blocking."""
        handle: RunHandle[R] = self._call_with(
            connection,
            self._awaited.run,
            workflow,
            args,
            app_name=app_name,
            user_id=user_id,
            workspace_id=workspace_id,
            labels=labels,
            idempotency_key=idempotency_key,
            delay=delay,
            at=at,
            priority=priority,
        )
        return BlockingHandle(handle, self._opening)

    def run_many(
        self,
        starts: Sequence[Start],
        *,
        app_name: str | None = None,
        user_id: str | None = None,
        connection: BlockingConnection | None = None,
    ) -> BlockingHandles:
        """Like `WorkflowRunner.run_many`, but blocking."""
        made = self._call_with(connection, self._awaited.run_many, starts, app_name=app_name, user_id=user_id)
        return [BlockingHandle(one, self._opening) for one in made]

    def run_batch(
        self,
        starts: Sequence[Start],
        *,
        app_name: str | None = None,
        user_id: str | None = None,
        label: str | None = None,
        max_in_flight: int | None = None,
        stop_after_failures: int | float | None = None,
        idempotency_key: str | None = None,
        connection: BlockingConnection | None = None,
    ) -> BlockingBatch:
        """Like `WorkflowRunner.run_batch`, but blocking."""
        made = self._call_with(
            connection,
            self._awaited.run_batch,
            starts,
            app_name=app_name,
            user_id=user_id,
            label=label,
            max_in_flight=max_in_flight,
            stop_after_failures=stop_after_failures,
            idempotency_key=idempotency_key,
        )
        return BlockingBatch(made, self._opening)

    def fork(
        self,
        workflow_id: str,
        *,
        checkpoint: int,
        state: Any = UNSET,
        args: Any = UNSET,
        labels: Sequence[str] | None = None,
        user_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> BlockingHandle[Any]:
        """Like `WorkflowRunner.fork`, but blocking."""
        made = self._awaited.fork(
            workflow_id,
            checkpoint=checkpoint,
            state=state,
            args=args,
            labels=labels,
            user_id=user_id,
            idempotency_key=idempotency_key,
        )
        return BlockingHandle(self._call(made), self._opening)

    def emit(
        self,
        name: str,
        data: Any = None,
        *,
        user_id: str | None = None,
        event_id: str | None = None,
        connection: BlockingConnection | None = None,
    ) -> Emitted:
        """Like `WorkflowRunner.emit`, but blocking."""
        return self._call_with(connection, self._awaited.emit, name, data, user_id=user_id, event_id=event_id)

    def cancel(
        self,
        workflow_id: str,
        *,
        user_id: str | None = None,
        reason: str | None = None,
        force: bool = False,
        connection: BlockingConnection | None = None,
    ) -> Run:
        """Like `WorkflowRunner.cancel`, but blocking."""
        return self._call_with(
            connection, self._awaited.cancel, workflow_id, user_id=user_id, reason=reason, force=force
        )

    @overload
    def signal(
        self, workflow_id: str, name: TakesNothing[W], data: None = None, **options: Unpack[BlockingSignalOptions]
    ) -> Run: ...
    @overload
    def signal(
        self, workflow_id: str, name: Takes[W, Signal[D]], data: Data[D], **options: Unpack[BlockingSignalOptions]
    ) -> Run: ...
    @overload
    def signal(
        self,
        workflow_id: str,
        name: Takes[W, D | None],
        data: Data[D] | None = None,
        **options: Unpack[BlockingSignalOptions],
    ) -> Run: ...
    @overload
    def signal(
        self, workflow_id: str, name: Takes[W, D], data: Data[D], **options: Unpack[BlockingSignalOptions]
    ) -> Run: ...
    @overload
    def signal(
        self, workflow_id: str, name: str, data: Any = None, **options: Unpack[BlockingSignalOptions]
    ) -> Run: ...
    def signal(
        self,
        workflow_id: str,
        name: str | Callable[..., object],
        data: Any = None,
        *,
        user_id: str | None = None,
        idempotency_key: str | None = None,
        answered_by: str | None = None,
        groups: Collection[str] = (),
        connection: BlockingConnection | None = None,
    ) -> Run:
        """Like `WorkflowRunner.signal`, but blocking."""
        return self._call_with(
            connection,
            self._awaited.signal,
            workflow_id,
            name,
            data,
            user_id=user_id,
            idempotency_key=idempotency_key,
            answered_by=answered_by,
            groups=groups,
        )
