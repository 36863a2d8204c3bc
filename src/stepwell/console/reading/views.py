"""Models of everything beyond single runs (frozen, JSON values, aware datetimes), and what a reader may see of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stepwell.definition.authoring.context import Until
from stepwell.definition.model import Definition
from stepwell.definition.text import is_handler, is_own
from stepwell.engine.run import RunRow, Status
from stepwell.runner.core import Core
from stepwell.runner.groups import GroupProgress
from stepwell.runner.models import Run, run_of
from stepwell.runner.query import Reader
from stepwell.runner.step_models import StepRow
from stepwell.runner.workspaces import Workspace


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)


class OpenSignal(_View):
    """A signal that a person may send to a run now."""

    transition: str
    title: str
    """The title of the question, or the transition's name, written as a phrase."""
    description: str
    """The text of the question, or the docstring of the method."""
    optional: bool
    """The payload may be null."""
    payload_schema: dict[str, Any] | None = Field(alias="schema")
    """The JSON schema of the payload; null: the signal carries no payload."""
    source: str
    target: str


class TakenSignal(OpenSignal):
    """The signal with which a run has failed: a retry may replace its data."""

    data: Any
    answered_by: str | None
    """The user who sent it, where that is known."""


class Waiting(_View):
    """A run that waits for a person."""

    run: Run
    asks: tuple[OpenSignal, ...]
    since: datetime


class Child(_View):
    """A run that another run started, with how its parent shows it."""

    run: Run
    callback: str | None
    """The signal that tells the parent of its end."""
    label: str | None
    show: Literal["inline", "link", "hidden"]
    on_parent_end: Literal["cancel", "abandon"]


class ChildGroup(_View):
    """A group of children that a run started together."""

    group_id: str
    label: str | None
    workflow_name: str | None
    """The children's workflow, if they all have the same."""
    callback: str | None
    """The signal that tells the parent of the end of the group; None also where each child tells it by itself."""
    until: Until
    max_in_flight: int | None
    outcome: Literal["completed", "failed"] | None
    """None as long as the group isn't decided."""
    decided_by: str | None
    """The child whose end has decided it, if one has."""
    decided_at: datetime | None
    progress: GroupProgress

    @property
    def due(self) -> bool:
        """True if it is decided in a moment, or lets a held child through."""
        found = self.progress
        ended = found.completed + found.failed + found.canceled
        if self.callback is not None and self.outcome is None:
            first = {"all_completed": found.failed + found.canceled, "first_completed": found.completed}
            if ended == found.total or first.get(self.until, 0):
                return True
        return found.held > 0 and found.total - ended - found.held < (self.max_in_flight or 0)


class StepView(StepRow):
    """A step of a run, as the journal has it."""

    recorded_at: datetime
    """The moment at which its row was last written."""


class Counts(_View):
    """The number of runs of each status."""

    counts: dict[Status, int]
    capped_at: int
    """A count that reaches this may be higher in fact."""


class Failures(_View):
    """Runs that failed in the same way."""

    app_name: str
    workflow_name: str
    error: str
    """The first line of the newest run's error."""
    count: int
    last_at: datetime
    workflow_id: str
    """The newest run."""
    subject: str | None
    """Its subject."""


class Bucket(_View):
    """An interval of time: how many runs ended in it, and how long the completed ones took."""

    at: datetime
    completed: int
    failed: int
    canceled: int
    p50_seconds: float | None
    p95_seconds: float | None


class Metrics(_View):
    """Throughput and latency of the last hour or day. Latencies are those of the newest completed runs."""

    window: Literal["hour", "day"]
    since: datetime
    until: datetime
    bucket_seconds: int
    buckets: tuple[Bucket, ...]
    completed: int
    failed: int
    canceled: int
    p50_seconds: float | None
    p95_seconds: float | None


class WorkspaceView(Workspace):
    """A workspace of an app's user."""

    id: str
    """The same as `workspace_id`."""


def view_of(found: Workspace) -> WorkspaceView:
    """Return the view of a workspace."""
    return WorkspaceView(id=found.workspace_id, **dict(found))


class Lane(_View):
    """An app's workflow."""

    app_name: str
    workflow_name: str


class Worker(_View):
    """A process that executes runs."""

    id: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    alive: bool
    """Its heartbeat is younger than a lease."""
    takes: tuple[Lane, ...]
    holding: int
    runs: tuple[Run, ...]
    """The first of the runs that it executes."""


class LaneDepth(Lane):
    """The runs of a workflow that wait for a worker."""

    ready: int
    oldest_at: datetime
    workers: int
    """Live workers that take it."""
    paused: bool
    """A pause covers it: its runs wait for the end of that."""


class Depth(_View):
    """The runs that wait for workers, and since when."""

    ready: int
    """Those that are paused included."""
    oldest_at: datetime | None
    """Since when the first run waits that isn't paused."""
    paused: int
    """The number of ready runs that are paused."""
    held: int
    """Runs that are held back behind limits; they aren't ready."""
    later: int
    """Runs with a future timer, delay or retry."""
    next_at: datetime | None
    lanes: tuple[LaneDepth, ...]
    capped_at: int


class Recent(_View):
    """The outcome of a run of a workflow."""

    workflow_id: str
    status: Status
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """The runs that a reader may see; `apps`: those of these apps only."""

    reader: Reader
    apps: frozenset[str] | None = None

    @property
    def _core(self) -> Core:
        return self.reader.core

    @property
    def _user(self) -> str | None:
        return self.reader.only

    def _sees(self, app_name: str) -> bool:
        return self.apps is None or app_name in self.apps

    def definitions(self, *, ready_made: bool = False) -> Iterable[tuple[str, Definition]]:
        """Yield (app, definition) of each workflow that the apps list; with `ready_made` those that every app has as well."""
        registry = self._core.shared.registry
        for app, name in registry.lanes:
            found = registry.find(app, name)
            if found is not None and not (is_handler if ready_made else is_own)(name) and self._sees(app):
                yield app, found

    def _model(self, row: RunRow) -> Run:
        return run_of(row, self._core.shared.registry.find(row.app_name, row.workflow_name))
