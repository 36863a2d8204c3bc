"""Runs in a database, reached through the application's own Stepwell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from stepwell.composition import Stepwell
from stepwell.console.cli.backends.backend import (
    NEWEST_DOCUMENTS,
    PAGE,
    UNFINISHED,
    BatchBeginning,
    Beginning,
    ListedWorkflow,
    RunChange,
    ScheduleName,
    Wanted,
    WantedBatches,
    below,
    check_app,
    chosen,
)
from stepwell.console.cli.backends.people_backend import AnswerOptions, WantedQuestions
from stepwell.console.cli.terminal.output import say
from stepwell.console.http.access.principal import COMMAND_LINE
from stepwell.console.reading.groups import Groups
from stepwell.console.reading.limits import LimitDetail, LimitsInUse, LimitView
from stepwell.console.reading.overview import Machines
from stepwell.console.reading.parts import Parts, Questions
from stepwell.console.reading.pausing import Pauses, Resumed
from stepwell.console.reading.schedule_views import ScheduleView
from stepwell.console.reading.schedules import Schedules
from stepwell.console.reading.views import ChildGroup, OpenSignal, StepView, Waiting, WorkspaceView, view_of
from stepwell.definition.authoring.groups import GroupItem
from stepwell.definition.compile.export import to_json
from stepwell.engine.run import Status
from stepwell.errors import ConfigurationError
from stepwell.runner.batch_models import Batch
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Checkpoint, Explanation, Page, Run, StoredDocument
from stepwell.runner.pausing import Pause
from stepwell.runner.people import Question
from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.schedule_models import TickView
from stepwell.settings import Settings
from stepwell.store.sqlite import engine as sqlite
from stepwell.urls import shown_url

_MOST_BYTES: Final = 16 * 1024 * 1024
"""Bytes of the states in one read of a history, unless a single one is larger."""
_LOOK: Final = 0.5
"""Seconds between two reads without a hint."""


class Local:
    """The runs of a Stepwell; with a user, only theirs."""

    def __init__(self, stepwell: Stepwell, user: str | None = None) -> None:
        self._stepwell = stepwell
        self._user = user

    @property
    def back(self) -> str:
        return ""

    @property
    def place(self) -> str:
        return shown(self._stepwell.settings)

    def check_there(self) -> None:
        absent = missing(self._stepwell.settings)
        if absent is not None:
            raise ConfigurationError(
                f"There is no database at {absent} yet: start a run first, or name another database."
            )

    @property
    def _runner(self) -> WorkflowRunner:
        runner = self._stepwell.runner
        return runner if self._user is None else runner.as_user(self._user)

    @asynccontextmanager
    async def open(self, *, runs: bool = True, worker: bool = False, creates: bool = True) -> AsyncIterator[None]:
        if not runs:
            yield
            return
        async with opened(self._stepwell, worker=worker, nothing=None if creates else "nothing has been started there"):
            yield

    # -- workflows ------------------------------------------------------------------------------------------------

    async def workflows(self, app_name: str | None) -> Sequence[ListedWorkflow]:
        check_app(app_name, self._stepwell.apps)
        return [
            ListedWorkflow(name, to_json(definition))
            for name, app in self._stepwell.apps.items()
            for definition in app.definitions.values()
            if app_name in (None, name)
        ]

    async def workflow(self, name: str, app_name: str | None) -> ListedWorkflow:
        check_app(app_name, self._stepwell.apps)
        lanes = [(app.name, known) for app in self._stepwell.apps.values() for known in app.definitions]
        app, found = chosen(name, app_name, lanes)
        return ListedWorkflow(app, to_json(self._stepwell.apps[app].definitions[found]))

    async def lacks_workers(self, app_name: str, workflow: str) -> bool:
        process = self._stepwell.process
        assert process is not None  # it is open
        machines = Machines(self._stepwell.runner)
        lease = process.settings.lease_seconds
        return not await machines.taken(app_name, workflow, lease, but=process.worker_id)

    # -- runs -----------------------------------------------------------------------------------------------------

    async def start(self, given: Beginning) -> str:
        handle: RunHandle[Any] = await self._stepwell.runner.run(
            given.workflow.name,
            given.args,
            app_name=given.workflow.app_name,
            user_id=given.user or COMMAND_LINE,
            labels=given.labels,
            idempotency_key=given.key,
            delay=given.delay,
            at=given.at,
            priority=given.priority,
            workspace_id=given.workspace,
        )
        return handle.workflow_id

    async def get(self, run_id: str) -> Run:
        return await self._runner.get(run_id)

    async def page(self, wanted: Wanted) -> Page[Run]:
        return await self._runner.list(
            app_name=wanted.app_name,
            workflow=wanted.workflow,
            status=wanted.status,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )

    async def steps(self, run_id: str, limit: int) -> Sequence[StepView]:
        return await Parts(self._runner).steps(run_id, limit=limit, most_bytes=_MOST_BYTES)

    async def history(self, run_id: str) -> Sequence[Checkpoint]:
        found: list[Checkpoint] = []
        while more := await self._rows(run_id, found[-1].version if found else -1):
            found += more
        return found

    async def _rows(self, run_id: str, after: int) -> Sequence[Checkpoint]:
        return await self._runner.history(run_id, after=after, most_bytes=_MOST_BYTES)

    async def documents(self, run_id: str) -> Sequence[StoredDocument]:
        return await self._runner.documents(run_id, newest=True, limit=NEWEST_DOCUMENTS, internal=False)

    async def explain(self, run_id: str) -> Explanation:
        return await self._runner.explain(run_id)

    async def waiting(self, app_name: str | None) -> Sequence[Waiting]:
        return (await Questions(self._runner).waiting(app_name=app_name)).items

    async def asks(self, run_id: str) -> Sequence[OpenSignal]:
        return await Questions(self._runner).asks(run_id)

    async def groups(self, run_id: str) -> Sequence[ChildGroup]:
        return await Groups(self._runner).of_run(run_id)

    async def signal(self, run_id: str, name: str, data: Any, key: str | None) -> Run:
        return await self._runner.signal(run_id, name, data, idempotency_key=key)

    async def cancel(self, run_id: str, reason: str | None, force: bool) -> Run:
        return await self._runner.cancel(run_id, reason=reason, force=force)

    async def retry(self, run_id: str, given: Mapping[str, Any]) -> Run:
        return await self._runner.retry(run_id, **given)

    async def fork(self, run_id: str, checkpoint: int, given: Mapping[str, Any], key: str | None) -> str:
        handle = await self._runner.fork(run_id, checkpoint=checkpoint, idempotency_key=key, **given)
        return handle.workflow_id

    async def update_run(self, run_id: str, labels: Sequence[str] | None, subject: str | None) -> Run:
        return await self._runner.update(run_id, labels=labels, subject=subject)

    async def delete_run(self, run_id: str) -> None:
        await self._runner.delete(run_id)

    # -- people ---------------------------------------------------------------------------------------------------

    async def inbox(self, wanted: WantedQuestions) -> Page[Question]:
        found = wanted
        if found.groups and self._user is None:
            raise ConfigurationError("--group needs --user: say whose groups they are.")
        return await self._stepwell.runner.find_questions(
            self._user, sorted(found.groups), found.app_name, found.workflow, found.overdue, found.limit, found.cursor,
            workflow_id=found.run_id,
        )  # fmt: skip

    async def answer(self, run_id: str, transition: str, data: Any, given: AnswerOptions) -> Run:
        if self._user is None:
            raise ConfigurationError("Say who answers: --user USER. On a server (--url) it is the token's user.")
        return await self._stepwell.runner.answer(
            run_id, transition, data, by=self._user, groups=given.groups, visit=given.visit, idempotency_key=given.key
        )

    async def assign(self, run_id: str, transition: str, assignee: str | None, group: str | None) -> Question:
        by = self._user or COMMAND_LINE
        return await self._stepwell.runner.assign(run_id, transition, assignee=assignee, group=group, by=by)

    # -- workspaces -----------------------------------------------------------------------------------------------

    async def workspaces(
        self, app_name: str | None, user: str | None, limit: int, cursor: str | None
    ) -> Page[WorkspaceView]:
        reading = Machines(self._runner)
        return await reading.workspaces(app_name=app_name, user_id=user, limit=limit, cursor=cursor)

    async def create_workspace(self, app_name: str, user: str | None, title: str) -> WorkspaceView:
        return view_of(await self._runner.workspaces.create(app_name, user or COMMAND_LINE, title))

    async def rename_workspace(self, workspace_id: str, title: str) -> WorkspaceView:
        return view_of(await self._runner.workspaces.rename(workspace_id, title))

    # -- batches --------------------------------------------------------------------------------------------------

    async def start_batch(self, given: BatchBeginning) -> tuple[str, bool]:
        handle = await self._stepwell.runner.run_batch(
            given.starts,
            app_name=given.workflow.app_name,
            user_id=given.user or COMMAND_LINE,
            label=given.label,
            max_in_flight=given.max_in_flight,
            stop_after_failures=given.stop_after_failures,
            idempotency_key=given.key,
        )
        return handle.batch_id, handle.created

    async def batch(self, batch_id: str) -> Batch:
        return await self._runner.batch(batch_id).get()

    async def batches(self, wanted: WantedBatches) -> Page[Batch]:
        return await self._runner.batches(app_name=wanted.app_name, limit=wanted.limit, cursor=wanted.cursor)

    def batch_items(self, batch_id: str, status: Status | None) -> AsyncIterator[GroupItem[Any]]:
        return self._runner.batch(batch_id).items(status)

    # -- schedules ------------------------------------------------------------------------------------------------

    async def schedules(
        self, *, name: str | None = None, user: str | None = None, limit: int = PAGE, cursor: str | None = None
    ) -> Page[ScheduleView]:
        return await self._schedules.page(name=name, user_id=user, limit=limit, cursor=cursor)

    async def create_schedule(self, wanted: ScheduleName, given: Mapping[str, Any]) -> ScheduleView:
        user = wanted.user or COMMAND_LINE
        await self._runner.schedules.create(wanted.name, app_name=wanted.app_name, user_id=user, **given)
        return await self._schedules.view(wanted.app_name, wanted.name, user)

    async def update_schedule(self, wanted: ScheduleName, changes: Mapping[str, Any]) -> ScheduleView:
        app_name, name, user = wanted
        made = await self._runner.schedules.update(name, app_name=app_name, user_id=user, **changes)
        return await self._schedules.view(app_name, name, made.user_id)

    async def delete_schedule(self, wanted: ScheduleName) -> None:
        await self._runner.schedules.delete(wanted.name, app_name=wanted.app_name, user_id=wanted.user)

    async def pause(self, wanted: ScheduleName, paused: bool) -> ScheduleView:
        return await self._schedules.pause(wanted.app_name, wanted.name, paused, wanted.user)

    async def fire(self, wanted: ScheduleName, key: str | None) -> TickView:
        return await self._schedules.fire(wanted.app_name, wanted.name, key, wanted.user)

    async def retry_tick(self, wanted: ScheduleName, scheduled_at: datetime) -> TickView:
        return await self._schedules.retry(wanted.app_name, wanted.name, scheduled_at, wanted.user)

    @property
    def _schedules(self) -> Schedules:
        return Schedules(self._runner, self._stepwell.scheduler)

    # -- pauses ---------------------------------------------------------------------------------------------------

    async def pause_runs(self, app_name: str | None, workflow: str | None, reason: str | None) -> Pause:
        return await Pauses(self._stepwell.runner).pause(app_name, workflow, reason, COMMAND_LINE)

    async def resume_runs(self, app_name: str | None, workflow: str | None) -> Resumed:
        return await Pauses(self._stepwell.runner).resume(app_name, workflow)

    async def pauses(self) -> Sequence[Pause]:
        return await Pauses(self._stepwell.runner).listed()

    async def limits(self, app_name: str | None, held: bool, limit: int, cursor: str | None) -> Page[LimitView]:
        return await LimitsInUse(self._stepwell.runner).listed(app_name=app_name, held=held, limit=limit, cursor=cursor)

    async def limit(self, limit_id: str) -> LimitDetail:
        return await LimitsInUse(self._stepwell.runner).detail(limit_id)

    # -- following ------------------------------------------------------------------------------------------------

    async def follow(self, run_id: str) -> AsyncIterator[RunChange]:
        changed = asyncio.Event()
        assert self._stepwell.process is not None  # it is open
        unsubscribe = self._stepwell.process.hub.subscribe(lambda _: changed.set())
        last, before = -1, None
        try:
            while True:
                changed.clear()
                change = await self._next_change(run_id, last)
                last = change.rows[-1].version if change.rows else last
                mark = (change.run.status, change.run.place, change.rests, change.mark)
                if change.rows or mark != before:
                    yield change
                if change.run.finished_at is not None and last >= change.run.version:
                    return
                before = mark
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await changed.wait()
        finally:
            unsubscribe()

    async def _next_change(self, run_id: str, last: int) -> RunChange:
        run = await self.get(run_id)
        rows = await self._rows(run_id, last)
        documents: Sequence[StoredDocument] = ()
        if rows:
            found = await self._runner.documents(run_id, after=last, internal=False)
            last = rows[-1].version
            documents = [one for one in found if one.version <= last]
        if last != run.version:
            return RunChange(run, rows, documents)
        others = await below(run, self.get, self._children, self.groups)
        return RunChange(run, rows, documents, not others.moving, others.waiting)

    async def _children(self, run_id: str) -> Sequence[Run]:
        return (await self._runner.list(parent_id=run_id, status=UNFINISHED, limit=PAGE)).items


def shown(settings: Settings) -> str:
    """Return the database as shown to people: the file, or the URL without user and password."""
    if settings.database_url.startswith("sqlite"):
        return str(Path(sqlite.path_of(settings.database_url)).resolve())
    scheme, _, place = shown_url(settings.database_url).partition("?")[0].partition("://")
    return f"{scheme}://{place.rpartition('@')[2]}"


def missing(settings: Settings) -> str | None:
    """Return the file of a database that doesn't exist yet, or is empty. Raises ConfigurationError."""
    if not settings.database_url.startswith("sqlite"):
        return None
    path = Path(sqlite.path_of(settings.database_url)).resolve()
    return None if path.is_file() and path.stat().st_size else str(path)


@asynccontextmanager
async def opened(stepwell: Stepwell, *, worker: bool = False, nothing: str | None = None) -> AsyncIterator[None]:
    """Open the Stepwell, executing runs only with `worker`.

    For a command that only reads, `nothing` says what a missing database means: the command creates none, but reads an
    empty temporary one.
    """
    stepwell.embedded_worker = worker
    absent = None if nothing is None else missing(stepwell.settings)
    if absent is None:
        async with stepwell:
            yield
        return
    say(f"There is no database at {absent} yet: {nothing}.")
    before = stepwell.settings
    with TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/empty.db"
        stepwell.settings = before.model_copy(update={"database_url": url, "queue_url": None})
        try:
            async with stepwell:
                yield
        finally:
            stepwell.settings = before
