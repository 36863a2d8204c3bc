"""What the readers return: frozen models, JSON values inside, aware datetimes outside."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from stepwell.definition.model import Definition
from stepwell.engine.run import Run as RunRow
from stepwell.engine.run import Status
from stepwell.execution.clock import to_datetime
from stepwell.store.base import DocumentRow, History

T = TypeVar("T")


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
    waiting_for: tuple[str, ...]
    """Names of the transitions that may be signalled now."""
    ready_at: datetime | None
    """Since when it waits for a worker with a free slot; None if it doesn't."""
    due_at: datetime | None
    """When the next timer, retry or delayed start is due; None if nothing is."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class StoredDocument(_Frozen):
    """A document of a run. `replaced_at` is set on older versions of a key."""

    id: str
    workflow_id: str
    name: str
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
    """Where `run_sync` left the run. `workflow_id` is None for a stateless one."""

    workflow_id: str | None
    status: Status
    place: str
    state: Any
    result: T | None
    error: str | None
    documents: tuple[StoredDocument, ...]


class Checkpoint(_Frozen):
    """A row of the history: the creation (version 0), a checkpoint, a failed or a cancelled attempt."""

    version: int
    transition: str | None
    source: str | None
    target: str | None
    attempt: int
    status: Literal["committed", "failed", "canceled"]
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
    """What an event did."""

    started: tuple[str, ...]
    """Ids of the runs that it started (or had started, when its event_id came again)."""
    resumed: tuple[str, ...]
    """Ids of the runs that it resumed."""
    refused: tuple[Refused, ...]


def run_of(row: RunRow, definition: Definition | None) -> Run:
    """The model of a row. Without a definition (the code lacks it) `waiting_for` is empty."""
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
        args=json.loads(row.args),
        state=json.loads(row.state),
        result=_json(row.result),
        error=row.error,
        attempt=row.attempt,
        labels=tuple(json.loads(row.labels)),
        priority=row.priority,
        idempotency_key=row.idempotency_key,
        parent_id=row.parent_id,
        waiting_for=waiting_for(row, definition),
        ready_at=_moment(row.ready_at),
        due_at=_moment(row.due_at),
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
        finished_at=_moment(row.finished_at),
    )


def waiting_for(row: RunRow, definition: Definition | None) -> tuple[str, ...]:
    """The signal transitions of the run's place, unless it takes nothing now."""
    if definition is None or row.finished or row.status == "failed":
        return ()
    place = definition.places.get(row.place)
    return tuple(t.name for t in place.waiting if t.kind == "signal") if place else ()


def document_of(row: DocumentRow) -> StoredDocument:
    """The model of a row."""
    return StoredDocument(
        id=row.id,
        workflow_id=row.run_id,
        name=row.name,
        key=row.key,
        content=json.loads(row.content),
        tags=tuple(json.loads(row.tags)),
        meta=_json(row.meta),
        errors=tuple(_json(row.errors) or ()),
        transition=row.transition,
        version=row.version,
        internal=bool(row.internal),
        created_at=to_datetime(row.created_at),
        replaced_at=_moment(row.replaced_at),
        ui=tuple(_json(row.ui) or ()),
    )


def checkpoint_of(entry: History, answered_by: str | None = None, *, traces: bool = True) -> Checkpoint:
    """The model of a row and the state as it was then; without `traces` they stay inside: they show code."""
    row = entry.row
    return Checkpoint(
        version=row.version,
        transition=row.transition,
        source=row.source,
        target=row.target,
        attempt=row.attempt,
        status=row.status,
        error=row.error,
        trace=row.trace if traces else None,
        state=_json(entry.state),
        signal_id=row.signal_id,
        answered_by=answered_by,
        started_at=to_datetime(row.started_at),
        finished_at=to_datetime(row.finished_at),
    )


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _moment(moment: int | None) -> datetime | None:
    return None if moment is None else to_datetime(moment)
