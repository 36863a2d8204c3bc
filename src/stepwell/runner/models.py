"""The models that readers return: frozen, with JSON values inside and aware datetimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from stepwell.definition.model import Definition
from stepwell.engine.pauses import PauseRow
from stepwell.engine.questions import QuestionRow
from stepwell.engine.run import HistoryRow, Inbox, Moment, RunRow, Status, names_in
from stepwell.execution.clock import to_datetime
from stepwell.execution.versions import seen
from stepwell.runner.readable import listed, parsed, readable_checkpoint, readable_document, readable_run
from stepwell.store.documents import DocumentRow
from stepwell.store.history import History
from stepwell.store.reading.limits import Hold
from stepwell.store.workers import WorkerRow

T = TypeVar("T")


_ORIGIN = {
    "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}, "minItems": 2, "maxItems": 2,
}  # fmt: skip
"""Without `prefixItems`, which tools that know older schemas take for something else."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Run(_Frozen):
    """A run as it stood when it was read."""

    workflow_id: str
    workflow_name: str
    workflow_version: int
    app_name: str
    workspace_id: str
    user_id: str
    status: Status
    place: str
    version: int
    """The number of its latest history row."""
    args: Any
    state: Any
    result: Any
    error: str | None
    attempt: int
    """Attempts in the current visit that have failed."""
    labels: tuple[str, ...]
    priority: int
    idempotency_key: str | None
    parent_id: str | None
    subject: str | None
    """Its title for people."""
    forked_from: Annotated[tuple[str, int], WithJsonSchema(_ORIGIN)] | None
    """Of a fork: the run and the row of its history at whose target it began."""
    group_id: str | None
    """The group of children, or the batch, that it belongs to."""
    group_index: int | None
    """Its place among the starts of that group, counted from 0."""
    waiting_for: tuple[str, ...]
    """Names of the transitions that may be signalled now."""
    ready_at: datetime | None
    """The time since when it has been waiting for a worker with a free slot; None if it isn't."""
    canceling: bool
    """True from a cancel until it has cleared up from its `on_cancel` place, and is `canceled`."""
    due_at: datetime | None
    """The time at which the next timer, retry or delayed start is due; None without one."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class StoredDocument(_Frozen):
    """A document of a run. `replaced_at` is set on older versions of a key."""

    id: str
    workflow_id: str
    name: str
    title: str | None
    """The class keyword `title` of its type when it was saved; None without one: readers show the name then."""
    key: str | None
    content: dict[str, Any]
    tags: tuple[str, ...]
    meta: dict[str, Any] | None
    errors: tuple[dict[str, Any], ...]
    transition: str | None
    version: int
    internal: bool
    created_at: datetime
    replaced_at: datetime | None
    ui: tuple[dict[str, Any], ...]
    """The widgets of its type."""


class RunResult(_Frozen, Generic[T]):
    """The end of a `run_sync`. `workflow_id` is None for a stateless run."""

    workflow_id: str | None
    status: Status
    place: str
    state: Any
    result: T | None
    error: str | None
    documents: tuple[StoredDocument, ...]


class Checkpoint(_Frozen):
    """A row of the history: the creation (version 0), a checkpoint, a failed or a cancelled attempt, an unused signal.

    With the status `void`, `transition` is the signal's, `answered_by` who sent it, `started_at` when it was accepted, and
    `error` says why it wasn't used (and how many were alike, where one row stands for all of them).
    """

    version: int
    transition: str | None
    source: str | None
    target: str | None
    attempt: int
    status: Literal["committed", "failed", "canceled", "void"]
    error: str | None
    trace: str | None
    state: Any
    """None also where it is no longer kept (Settings.history_states)."""
    signal_id: str | None
    answered_by: str | None
    """The user who sent the signal, where that is known."""
    started_at: datetime
    finished_at: datetime


class Page(_Frozen, Generic[T]):
    """Some of the runs; `next_cursor` continues after them, None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None


class Refused(_Frozen):
    """A listener that an event's data doesn't fit."""

    app_name: str
    workflow_name: str
    transition: str | None
    reason: str


class Emitted(_Frozen):
    """The effects of an event."""

    started: tuple[str, ...]
    """Ids of the runs that it started (or had started, when its event_id came again)."""
    resumed: tuple[str, ...]
    """Ids of the runs that it resumed."""
    refused: tuple[Refused, ...]


class Explanation(_Frozen):
    """One sentence per reason, the most important first."""

    workflow_id: str
    status: str
    place: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.reasons)


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts about a run that explain where it is, read in one transaction. The console words them."""

    row: RunRow
    definition: Definition | None
    inbox: Inbox
    workers: Sequence[WorkerRow]
    takers: int
    """Live workers that take its workflow."""
    unused: Sequence[HistoryRow] = ()
    """Signals that were not used."""
    machines: bool = True
    """True if the answer may say where processes are, and who has paused what."""
    pauses: Sequence[PauseRow] = ()
    """Those that cover it."""
    hold: Hold | None = None
    """The limit behind which it is held."""
    ahead: int | None = None
    """The ready runs of its workflow that come before it, if it is ready; at most `COUNTED` are counted."""
    asked: Sequence[QuestionRow] = ()
    """Its open questions."""
    now: Moment = 0


Explain = Callable[[Situation], Explanation]


def run_of(row: RunRow, definition: Definition | None) -> Run:
    """Return the model of a row. Without a definition (the code lacks it) `waiting_for` is empty.

    A row that can't be read as it is has an `error` that says so: it must not hide the others of its page.
    """
    try:
        return _run(row, definition)
    except (ValueError, TypeError, RecursionError):
        return _run(readable_run(row), definition)


def _run(row: RunRow, definition: Definition | None) -> Run:
    return Run(
        workflow_id=row.id,
        workflow_name=row.workflow_name,
        workflow_version=row.workflow_version,
        app_name=row.app_name,
        workspace_id=row.workspace_id,
        user_id=row.user_id,
        status=row.status,
        place=row.place,
        version=row.version,
        args=parsed(row.args),
        state=parsed(row.state),
        result=parsed(row.result),
        error=row.error,
        attempt=row.attempt,
        labels=tuple(listed(row.labels)),
        priority=row.priority,
        idempotency_key=row.idempotency_key,
        parent_id=row.parent_id,
        subject=row.subject,
        forked_from=None if row.forked_from is None else (row.forked_from, row.forked_at or 0),
        group_id=row.group_id,
        group_index=row.group_index,
        waiting_for=waiting_signals(row, definition),
        ready_at=_moment(row.ready_at),
        canceling=row.canceling is not None and not row.finished,
        due_at=_moment(row.due_at),
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
        finished_at=_moment(row.finished_at),
    )


def without_values(run: Run) -> Run:
    """Return the run as those see it who only answer a question of it: without args, state, result and error."""
    return run.model_copy(update=dict.fromkeys(("args", "state", "result", "error")))


def waiting_signals(row: RunRow, definition: Definition | None) -> tuple[str, ...]:
    """Return the transitions of the run's place that may be signalled; none if it takes nothing now."""
    if definition is None or row.finished or row.status == "failed":
        return ()
    row = seen(definition, row)
    place = definition.places.get(row.place)
    called = names_in(row.callbacks)
    return tuple(t.name for t in place.waiting if t.kind == "signal" and t.name not in called) if place else ()


def document_of(row: DocumentRow) -> StoredDocument:
    """Return the model of a row; one that can't be read as it is says so among its errors."""
    try:
        return _document(row)
    except (ValueError, TypeError, RecursionError):
        return _document(readable_document(row))


def _document(row: DocumentRow) -> StoredDocument:
    return StoredDocument(
        id=row.id,
        workflow_id=row.run_id,
        name=row.name,
        title=row.title,
        key=row.key,
        content=parsed(row.content),
        tags=tuple(listed(row.tags)),
        meta=parsed(row.meta),
        errors=tuple(listed(row.errors)),
        transition=row.transition,
        version=row.version,
        internal=bool(row.internal),
        created_at=to_datetime(row.created_at),
        replaced_at=_moment(row.replaced_at),
        ui=tuple(listed(row.ui)),
    )


def checkpoint_of(entry: History, answered_by: str | None = None, *, traces: bool = True) -> Checkpoint:
    """Return the model of a row and the state as it was then; without `traces` they stay inside: they show code."""
    try:
        return _checkpoint(entry.row, entry.state, answered_by, traces)
    except (ValueError, TypeError, RecursionError):
        return _checkpoint(readable_checkpoint(entry.row), None, answered_by, traces)


def _checkpoint(row: HistoryRow, state: str | None, answered_by: str | None, traces: bool) -> Checkpoint:
    return Checkpoint(
        version=row.version,
        transition=row.transition,
        source=row.source,
        target=row.target,
        attempt=row.attempt,
        status=row.status,
        error=row.error,
        trace=row.trace if traces else None,
        state=parsed(state),
        signal_id=row.signal_id,
        answered_by=answered_by,
        started_at=to_datetime(row.started_at),
        finished_at=to_datetime(row.finished_at),
    )


def _moment(moment: int | None) -> datetime | None:
    return None if moment is None else to_datetime(moment)
