"""The verbs that start runs.

`steering.py` has signal, emit, cancel and retry; `repairing.py` has fork; `query.py` has reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec

from typing_extensions import TypeVar

from stepwell.engine.commit import Commit
from stepwell.errors import InvalidArgs, UnknownWorkflow
from stepwell.execution.passes import Passes
from stepwell.runner import inline
from stepwell.runner.arguments import checked_seconds, id_of, users_key
from stepwell.runner.core import Core, refuse_inside_transaction
from stepwell.runner.handle import RunHandle
from stepwell.runner.links import Linking
from stepwell.runner.models import RunResult
from stepwell.runner.schedules import RunnerSchedules
from stepwell.runner.start import Origin, Start, listed, prepare, with_starts
from stepwell.runner.workspaces import RunnerWorkspaces
from stepwell.store.inbox import Claimed
from stepwell.store.tx import Begin, OtherText, StartedRun, Tx

if TYPE_CHECKING:
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.runner.callers import AwaitedConnection

# The defaults apply if the workflow is given by its name.
A = TypeVar("A", default=Any)
R = TypeVar("R", default=Any)
O_co = TypeVar("O_co", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")

RunHandles = list[RunHandle[Any]]  # `list` is a verb of the class
Starteds = list[StartedRun]


class Starting(Linking):
    """The verbs that start runs, besides those that steer and read them."""

    async def run(
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
        connection: AwaitedConnection | None = None,
    ) -> RunHandle[R]:
        """Queue a run durably and return its handle.

        With `connection`, the run exists if and only if the caller's transaction commits.

        `app_name` may be left out where exactly one app lists the workflow, and in a handler of an app that lists it.
        Raises UnknownApp, UnknownWorkflow, WorkspaceNotFound, InvalidArgs, PayloadTooLarge, IdempotencyConflict or
        StoreUnavailable; nothing is stored then.
        """
        start = Start(workflow, args, labels, idempotency_key, delay, at, priority, workspace_id)
        origin = Origin(self._app_of(workflow) if app_name is None else app_name, self._starter(user_id))
        start = self._keyed(start, origin)
        if connection is not None:
            return (await self._start_in(connection, [start], origin))[0]
        refuse_inside_transaction()
        return _handle(self, await self._start(start, origin))

    async def _start(self, start: Start, origin: Origin) -> StartedRun:
        core = self._opening.core
        # A start may belong to this process's worker at once, if it has room: no worker needs to look for it then.
        reserved = start.delay is None and start.at is None and core.passes.reserve()
        try:
            _, commit = prepare(core.shared, start, origin, core.passes.worker_id if reserved else None)
        except BaseException:
            if reserved:
                core.passes.unreserve()
            raise
        try:
            begun: Starteds = await core.store.writer.reply_to(
                Begin((commit,)), partial(_launch, core.passes) if reserved else None
            )
        except OtherText:
            # The key has other args as a text: `_begun` asks whether they mean the same (rule 49).
            # `_launch` has given the slot back, so any worker may execute the run.
            begun = await self._begun([start], (prepare(core.shared, start, origin)[1],))
        return begun[0]

    async def _start_in(self, connection: AwaitedConnection, starts: Sequence[Start], origin: Origin) -> RunHandles:
        core = self.core
        commits = tuple(prepare(core.shared, start, origin)[1] for start in starts)

        await core.prepare_starts(commits, connection)

        async def write(commits: tuple[Commit, ...]) -> Starteds:
            return await core.in_callers(lambda given: _begun_in(core, given, commits), connection)

        started = await with_starts(core.shared, starts, commits, write)
        return [_handle(self, one) for one in started]

    async def run_many(
        self,
        starts: Sequence[Start],
        *,
        app_name: str | None = None,
        user_id: str | None = None,
        connection: AwaitedConnection | None = None,
    ) -> RunHandles:
        """Queue runs, all in one transaction or none, and return their handles. Raises as `run`."""
        starter = self._starter(user_id)
        starts = listed(starts)
        if not starts:
            return []
        if app_name is None:
            app_name = self._app_for(starts)
        origin = Origin(app_name, starter)
        starts = [self._keyed(start, origin) for start in starts]
        if connection is not None:
            return await self._start_in(connection, starts, origin)
        refuse_inside_transaction()
        return await self._start_many(starts, origin)

    async def _start_many(self, starts: Sequence[Start], origin: Origin) -> RunHandles:
        commits = tuple(prepare(self.core.shared, start, origin)[1] for start in starts)
        started = await self._begun(starts, commits)
        return [_handle(self, one) for one in started]

    async def _begun(self, starts: Sequence[Start], commits: tuple[Commit, ...]) -> Starteds:
        async def write(commits: tuple[Commit, ...]) -> Starteds:
            started: Starteds = await self.core.store.writer.write(Begin(commits))
            return started

        return await with_starts(self.core.shared, starts, commits, write)

    async def run_sync(
        self,
        workflow: type[Workflow[A, Any, R]] | str,
        args: A | Mapping[str, Any] | None = None,
        *,
        app_name: str | None = None,
        user_id: str | None = None,
        workspace_id: str | None = None,
        labels: Sequence[str] = (),
        idempotency_key: str | None = None,
        stateless: bool = False,
        timeout: timedelta | float | None = None,
    ) -> RunResult[R]:
        """Return where the run ended or parked, executed in this process while the caller waits.

        After `timeout`, or when the caller is cancelled, a stored run continues like any run (status `running`); a stateless
        one is stopped with TransitionTimeout. `stateless=True` touches no database; it raises StatelessError when it
        parks or needs one. Raises what `run` raises.
        """
        start = Start(workflow, args, labels, idempotency_key, workspace_id=workspace_id)
        origin = Origin(self._app_of(workflow) if app_name is None else app_name, self._starter(user_id))
        seconds = checked_seconds(timeout)
        if stateless:
            if idempotency_key is not None:
                raise InvalidArgs(
                    "idempotency_key= and stateless=True exclude each other: a stateless run isn't stored."
                )
            return await inline.stateless(self._opening.shared, start, origin, seconds)
        refuse_inside_transaction()
        return await self.run_inline(self._keyed(start, origin), origin, seconds)

    async def run_inline(self, start: Start, origin: Origin, seconds: float | None) -> RunResult[Any]:
        """As `run_sync` of a stored run, on behalf of an `Origin`."""
        return await inline.stored(self.core, start, origin, seconds)

    @property
    def schedules(self) -> RunnerSchedules:
        """The verbs for schedules that are made at run time."""
        return RunnerSchedules(self, self._only, self._derived_key)

    @property
    def workspaces(self) -> RunnerWorkspaces:
        """The verbs for the workspaces of users."""
        return RunnerWorkspaces(self, self._only, self._derived_key)

    def handle(self, workflow_id: str) -> RunHandle[Any]:
        """Return a handle to a run. Reads nothing: a run that doesn't exist is noticed when the handle is used.

        Its `workspace_id` is None, because the id of a run doesn't tell it: `(await handle.get()).workspace_id` does.
        """
        return RunHandle(self, id_of(workflow_id) or workflow_id)

    def _starter(self, user_id: str | None) -> str:
        found = self._only(user_id)
        if found is None:
            raise InvalidArgs("user_id is missing: say for whom the run starts, as in user_id='u1'.")
        return found

    _own_app = ""
    """The app of the handler that this runner was made for; empty outside of handlers."""

    def _app_of(self, *workflows: Any) -> str:
        found = self._opening.shared.registry.listing(workflows)
        if self._own_app in found:
            return self._own_app
        if len(found) == 1:
            return found[0]
        names = " and ".join(sorted({str(getattr(one, "__name__", one)) for one in workflows}))
        if not found:
            raise UnknownWorkflow(f"No app lists {names}.")
        apps = ", ".join(map(repr, found))
        raise InvalidArgs(
            f"app_name is missing, and {names} is listed by the apps {apps}: give one, as app_name={found[0]!r}."
        )

    def _app_for(self, starts: Sequence[Start]) -> str:
        """Return the app of those of these starts that name none themselves."""
        without = {start.workflow for start in starts if start.app_name is None}
        if starts and not without:
            return str(starts[0].app_name)
        return self._app_of(*without)

    def _keyed(self, start: Start, origin: Origin) -> Start:
        if start.idempotency_key is not None:
            users_key(start.idempotency_key)
            return start
        key = self._derived_key("run", start.app_name or origin.app_name, origin.user_id, start.workflow, start.args)
        return start if key is None else replace(start, idempotency_key=key)


def _handle(runner: Linking, started: StartedRun) -> RunHandle[Any]:
    return RunHandle(runner, started.run.id, started.created, started.run.workspace_id)


def _begun_in(core: Core, tx: Tx, commits: tuple[Commit, ...]) -> Starteds:
    [answer] = core.store.applier.begin(tx, [commits])
    if isinstance(answer, Exception):
        raise answer
    return answer


def _launch(passes: Passes, answer: Starteds | Exception) -> None:
    # A run that is paused, or that a limit may hold back, isn't begun.
    if isinstance(answer, Exception) or not answer[0].created or answer[0].run.owner is None:
        passes.unreserve()
    else:
        passes.launch(Claimed(answer[0].run, (), {}), reserved=True, fresh=True)
