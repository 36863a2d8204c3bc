"""The interface that commands use, wherever the runs are: in a database, or behind the HTTP API of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from stepwell.console.cli.backends.people_backend import PeopleBackend
from stepwell.console.cli.backends.workspace_backend import WorkspaceBackend
from stepwell.console.http.json_lines import JsonLines
from stepwell.console.reading.limits import LimitDetail, LimitView
from stepwell.console.reading.pausing import Resumed
from stepwell.console.reading.schedule_views import ScheduleView
from stepwell.console.reading.views import ChildGroup, OpenSignal, StepView, Waiting
from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.run import Status
from stepwell.errors import ConfigurationError, UnknownApp, UnknownWorkflow
from stepwell.nearest import nearest
from stepwell.runner.batch_models import Batch
from stepwell.runner.models import Checkpoint, Explanation, Page, Run, StoredDocument
from stepwell.runner.pausing import Pause
from stepwell.runner.schedule_models import TickView

MOVING: Final = ("pending", "running", "retrying")
ENDED: Final = ("completed", "canceled", "failed")
NEWEST_DOCUMENTS: Final = 100
"""Documents of a run that are shown at once, at most."""
UNFINISHED: Final = (*MOVING, "waiting")
PAGE: Final = 100
_MOST: Final = 500
"""Descendants that are examined, at most: a terminal asks one question after the other."""


@dataclass(frozen=True, slots=True)
class ListedWorkflow:
    """A workflow of an app, as `definition.export.to_json` describes it."""

    app_name: str
    described: dict[str, Any]

    @property
    def name(self) -> str:
        """The name by which it is started."""
        return str(self.described["name"])

    @property
    def args(self) -> dict[str, Any]:
        """The JSON schema of its args; {} if it takes none."""
        return self.described["args"] or {}

    def payload(self, transition: str) -> dict[str, Any] | None:
        """Return the JSON schema of a signal's payload; None: it carries nothing, or there is no such signal."""
        found = [t["payload"] for t in self.described["transitions"] if t["name"] == transition and t["payload"]]
        return found[0]["schema"] if found else None

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` shows of it."""
        return {"app_name": self.app_name, **self.described}


class RunChange(NamedTuple):
    """A change of a run since the previous one."""

    run: Run
    """The run as it is now; its args, state and result may be left out."""
    rows: Sequence[Checkpoint] = ()
    documents: Sequence[StoredDocument] = ()
    rests: bool = False
    """It has ended or failed, or waits for a person: neither it nor a run below it goes on by itself."""
    below: Sequence[Run] = ()
    """The runs below it that may be signalled, while it rests."""

    @property
    def mark(self) -> tuple[tuple[str, int], ...]:
        """The runs that wait for a person, with their versions."""
        return tuple((run.workflow_id, run.version) for run in (self.run, *self.below))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs to list; None: any."""

    app_name: str | None = None
    workflow: str | None = None
    status: Sequence[str] | None = None
    limit: int = 50
    cursor: str | None = None

    @property
    def is_narrow(self) -> bool:
        """Only some runs are wanted."""
        return any((self.app_name, self.workflow, self.status, self.cursor))


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run to start."""

    workflow: ListedWorkflow
    args: Any
    user: str | None = None
    """The run's user; None: the caller."""
    labels: Sequence[str] = field(default=())
    key: str | None = None
    delay: timedelta | None = None
    """It begins this much later; can't be combined with `at`."""
    at: datetime | None = None
    """It begins at this time; aware."""
    priority: int | None = None
    """Higher goes first; None: the workflow's."""
    workspace: str | None = None
    """The workspace's id; None: that of the app and the user."""


@dataclass(frozen=True, slots=True)
class BatchBeginning:
    """A batch to start."""

    workflow: ListedWorkflow
    starts: JsonLines
    user: str | None = None
    """The runs' user; None: the caller."""
    label: str | None = None
    key: str | None = None
    max_in_flight: int | None = None
    stop_after_failures: int | float | None = None


@dataclass(frozen=True, slots=True)
class WantedBatches:
    """Which batches to list; None: any."""

    app_name: str | None = None
    limit: int = 50
    cursor: str | None = None


class ScheduleName(NamedTuple):
    """The names of a schedule."""

    app_name: str
    name: str
    user: str | None = None
    """The user for whom it was made at run time; None: it is declared, or the caller is that user."""


class CommandBackend(WorkspaceBackend, PeopleBackend, Protocol):
    """Runs, and the actions on them. Errors are StepwellErrors, whichever side they come from."""

    @property
    def back(self) -> str:
        """The options by which another command reaches the same runs, for people to copy."""
        ...

    @property
    def place(self) -> str:
        """The location of the runs, for people."""
        ...

    def check_there(self) -> None:
        """Raise ConfigurationError where there is no database yet."""
        ...

    def open(
        self, *, runs: bool = True, worker: bool = False, creates: bool = True
    ) -> AbstractAsyncContextManager[None]:
        """Return a context in which the other methods work; without `runs`, only those about workflows.

        Unless it `creates`, no database is created: a missing one is reported, and there are no runs.

        With `worker`, this process executes runs, unless a server does that.
        """
        ...

    async def workflows(self, app_name: str | None) -> Sequence[ListedWorkflow]:
        """Return all workflows, or those of an app. Raises UnknownApp."""
        ...

    async def workflow(self, name: str, app_name: str | None) -> ListedWorkflow:
        """Return the workflow of that name. Raises UnknownApp, UnknownWorkflow, ConfigurationError with the known names."""
        ...

    async def lacks_workers(self, app_name: str, workflow: str) -> bool:
        """Return whether no live process takes this workflow, as far as this process can know."""
        ...

    async def start(self, given: Beginning) -> str:
        """Start a run, and return its id once it is queued durably."""
        ...

    async def get(self, run_id: str) -> Run: ...

    async def page(self, wanted: Wanted) -> Page[Run]:
        """Return a page of runs, the newest first; args, state and result may be left out."""
        ...

    async def history(self, run_id: str) -> Sequence[Checkpoint]: ...

    async def steps(self, run_id: str, limit: int) -> Sequence[StepView]:
        """Return the steps that the run journaled last, oldest first."""
        ...

    async def documents(self, run_id: str) -> Sequence[StoredDocument]:
        """Return the current documents in order, at most the newest `NEWEST_DOCUMENTS`; no internal ones."""
        ...

    async def explain(self, run_id: str) -> Explanation: ...

    async def waiting(self, app_name: str | None) -> Sequence[Waiting]:
        """Return the runs that wait for a person, the newest first; at most a page."""
        ...

    async def asks(self, run_id: str) -> Sequence[OpenSignal]:
        """Return the signals that a person may send now."""
        ...

    async def groups(self, run_id: str) -> Sequence[ChildGroup]:
        """Return the groups of children that the run has started, the newest first."""
        ...

    async def signal(self, run_id: str, name: str, data: Any, key: str | None) -> Run: ...

    async def cancel(self, run_id: str, reason: str | None, force: bool) -> Run: ...

    async def retry(self, run_id: str, given: Mapping[str, Any]) -> Run:
        """Retry a failed run, with other `data` or another `state` where they are given."""
        ...

    async def fork(self, run_id: str, checkpoint: int, given: Mapping[str, Any], key: str | None) -> str:
        """Return the id of a new run from this row, with other `state` or `args` where they are given."""
        ...

    async def update_run(self, run_id: str, labels: Sequence[str] | None, subject: str | None) -> Run:
        """Replace the labels or the subject of a run; None: as they are."""
        ...

    async def delete_run(self, run_id: str) -> None:
        """Delete a finished run."""
        ...

    async def start_batch(self, given: BatchBeginning) -> tuple[str, bool]:
        """Start a batch, and return its id once it is queued durably; and whether this call made it."""
        ...

    async def batch(self, batch_id: str) -> Batch: ...

    async def batches(self, wanted: WantedBatches) -> Page[Batch]:
        """Return a page of batches, the newest first."""
        ...

    def batch_items(self, batch_id: str, status: Status | None) -> AsyncIterator[GroupItem[Any]]:
        """Yield the runs of a batch in the order of its starts, or those of a status."""
        ...

    async def schedules(
        self, *, name: str | None = None, user: str | None = None, limit: int = PAGE, cursor: str | None = None
    ) -> Page[ScheduleView]:
        """Return a page: all declared schedules first, then those made at run time; only those of a name or a user."""
        ...

    async def create_schedule(self, wanted: ScheduleName, given: Mapping[str, Any]) -> ScheduleView:
        """Make a schedule of these keywords of `runner.schedules.create`, and return it. Default user: the caller."""
        ...

    async def update_schedule(self, wanted: ScheduleName, changes: Mapping[str, Any]) -> ScheduleView:
        """Change these of a schedule that was made at run time, and return it."""
        ...

    async def delete_schedule(self, wanted: ScheduleName) -> None:
        """Delete a schedule that was made at run time. The runs that it has started stay."""
        ...

    async def pause(self, wanted: ScheduleName, paused: bool) -> ScheduleView:
        """Pause or resume a schedule, and return it: paused, it fires nothing until it is resumed."""
        ...

    async def fire(self, wanted: ScheduleName, key: str | None) -> TickView:
        """Fire a schedule now, and return the tick, fired or refused, or the one that this key has fired."""
        ...

    async def retry_tick(self, wanted: ScheduleName, scheduled_at: datetime) -> TickView:
        """Run the failed handler of a tick again, or the failed run that it started, and return the tick."""
        ...

    async def pause_runs(self, app_name: str | None, workflow: str | None, reason: str | None) -> Pause:
        """Pause an app, a workflow (of that app), or everything."""
        ...

    async def resume_runs(self, app_name: str | None, workflow: str | None) -> Resumed:
        """Lift exactly this pause."""
        ...

    async def pauses(self) -> Sequence[Pause]:
        """Return the pauses, the oldest first."""
        ...

    async def limits(self, app_name: str | None, held: bool, limit: int, cursor: str | None) -> Page[LimitView]:
        """Return a page of the limits that runs hold or wait for; `held`: those that hold runs back."""
        ...

    async def limit(self, limit_id: str) -> LimitDetail:
        """Return a limit with its first runs. Raises LimitNotFound."""
        ...

    def follow(self, run_id: str) -> AsyncIterator[RunChange]:
        """Yield the run's history from its beginning until it ends; each row once, and in order."""
        ...


def check_app(app_name: str | None, known: Collection[str]) -> None:
    """Raise UnknownApp with the known names, unless it is one of them or none is named."""
    if app_name is not None and app_name not in known:
        raise UnknownApp(f"No app {app_name!r}. Known apps: {', '.join(sorted(known)) or 'none'}.")


def chosen(name: str, app_name: str | None, found: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the (app, workflow) with this name. Raises UnknownWorkflow, ConfigurationError with the known names."""
    named = [one for one in found if one[1] == name and app_name in (None, one[0])]
    if not named:
        listed = sorted({known for app, known in found if app_name in (None, app)})
        meant = nearest(name, listed)
        cure = f" Did you mean {meant!r}?" if meant else ""
        raise UnknownWorkflow(f"No workflow {name!r}. Known workflows: {', '.join(listed) or 'none'}.{cure}")
    if len(named) > 1:
        apps = ", ".join(app for app, _ in named)
        raise ConfigurationError(f"Several apps list {name!r} ({apps}): name one with --app-name.")
    return named[0]


def may_go_on(run: Run) -> bool:
    """Return whether the run goes on by itself, as far as it shows; it may also wait for a child that does."""
    if run.status in MOVING or run.ready_at is not None:
        return True
    return run.status == "waiting" and run.due_at is not None and not run.waiting_for  # only a timer


class Below(NamedTuple):
    """The state of the runs below a run."""

    moving: bool
    """One of them goes on by itself, so that more questions may follow."""
    waiting: tuple[Run, ...] = ()
    """Those that may be signalled."""


async def below(
    run: Run,
    get: Callable[[str], Awaitable[Run]],
    children_of: Callable[[str], Awaitable[Sequence[Run]]],
    groups_of: Callable[[str], Awaitable[Sequence[ChildGroup]]],
) -> Below:
    """Return whether the run or one below it goes on; `children_of` gives the unfinished children of a run.

    Rows are read one after the other, and a child may end in between, which makes its parent go on: runs at rest are read
    twice.
    """
    if may_go_on(run):
        return Below(moving=True)
    if run.status in ENDED:
        return Below(moving=False)
    found, seen = await _look(run, children_of)
    if found.moving or any(group.due for group in await groups_of(run.workflow_id)):
        return Below(moving=True)
    now = await get(run.workflow_id)
    if now.version != run.version or may_go_on(now):
        return Below(moving=True)
    again, seen_again = await _look(run, children_of)
    return again if seen_again == seen else Below(moving=True)


async def _look(
    run: Run, children_of: Callable[[str], Awaitable[Sequence[Run]]]
) -> tuple[Below, list[tuple[str, int]]]:
    open_, waiting = [run.workflow_id], []
    seen: list[tuple[str, int]] = []
    while open_ and len(seen) < _MOST:
        for child in await children_of(open_.pop(0)):
            if may_go_on(child):
                return Below(moving=True), seen
            seen.append((child.workflow_id, child.version))
            open_.append(child.workflow_id)
            if child.waiting_for:
                waiting.append(child)
    return Below(moving=False, waiting=tuple(waiting)), seen
