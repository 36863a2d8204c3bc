"""The first commit of a run: its row, the row 0 of its history, and what it listens to from the start."""

from __future__ import annotations

from typing import NamedTuple

from stepwell.definition.model import START, Definition
from stepwell.engine.commit import Commit
from stepwell.engine.matching import listeners_of
from stepwell.engine.run import HistoryRow, Moment, Run, microseconds


class Request(NamedTuple):
    """A start, worked out: everything is validated and every id is known."""

    id: str
    app_name: str
    user_id: str
    workspace_id: str
    args: str
    labels: str = "[]"
    priority: int | None = None
    idempotency_key: str | None = None
    due_at: Moment | None = None
    """Not before this moment; None: now."""
    owner: str | None = None
    """Insert it already claimed by this worker."""
    parent_id: str | None = None
    callback: str | None = None
    callback_meta: str | None = None
    on_parent_end: str | None = None
    internal: int = 0


def begin(definition: Definition, request: Request, now: Moment) -> Commit:
    """The commit that creates a run at START, ready at once, later, or owned by the worker that starts it."""
    later = request.due_at if request.due_at is not None and request.due_at > now else None
    owner = request.owner if later is None else None
    run = Run(
        id=request.id, app_name=request.app_name, workflow_name=definition.name, workflow_version=definition.version,
        workspace_id=request.workspace_id, user_id=request.user_id, parent_id=request.parent_id,
        callback=request.callback, callback_meta=request.callback_meta, on_parent_end=request.on_parent_end,
        internal=request.internal, labels=request.labels,
        priority=definition.priority if request.priority is None else request.priority,
        idempotency_key=request.idempotency_key, args=request.args, created_at=now, inbox=0,
        status="running" if owner else "pending", place=START, version=0, claim=1 if owner else 0, owner=owner,
        state=definition.new_state(), result=None, error=None, visit=0, entered_at=now,
        attempt=0, failing=None, failures=0, bound=None, bound_signal=None, moves_to=None, detours=None,
        automatic=0, takeovers=0, ready_at=None if owner or later is not None else now, due_at=later,
        deadline=deadline(definition, now if later is None else later), children=0, told_at=None, updated_at=now,
        finished_at=None,
    )  # fmt: skip
    creation = HistoryRow(run.id, 0, None, None, None, 0, "committed", None, None, run.state, None, now, now)
    return Commit(-1, -1, run, creation, listeners=listeners_of(definition, run))


def deadline(definition: Definition, now: Moment) -> Moment | None:
    """When the run_timeout of a run that starts (or is retried) at `now` is over."""
    return None if definition.run_timeout is None else now + microseconds(definition.run_timeout)
