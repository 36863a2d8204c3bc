"""Reading runs for people: filters, keyset pages."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select

from stepwell.engine.run import Run
from stepwell.store.tables import runs
from stepwell.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs to list; None: any."""

    app_name: str | None = None
    workflow_name: str | None = None
    status: tuple[str, ...] | None = None
    label: str | None = None
    user_id: str | None = None
    workspace_id: str | None = None
    parent_id: str | None = None


def list_runs(tx: Tx, wanted: Filter, limit: int, before: str | None) -> list[Run]:
    """The newest runs first; at most `limit`, those older than `before` if given. Internal ones are left out."""
    query = select(runs).where(runs.c.internal == 0, *_conditions(tx, wanted)).order_by(runs.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(runs.c.id < before)
    return [Run._make(row) for row in tx.execute(query)]


def _conditions(tx: Tx, wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in ("app_name", "workflow_name", "user_id", "workspace_id", "parent_id"):
        value = getattr(wanted, name)
        if value is not None:
            found.append(runs.c[name] == value)
    if wanted.status is not None:
        found.append(runs.c.status.in_(wanted.status))
    if wanted.label is not None:
        found.append(tx.dialect.labelled(runs.c.labels, wanted.label))
    return found


def ready(tx: Tx, limit: int = 1000) -> list[Run]:
    """Runs that wait for a worker with a free slot, those that wait longest first; internal ones too."""
    query = select(runs).where(runs.c.ready_at.is_not(None)).order_by(runs.c.ready_at).limit(limit)
    return [Run._make(row) for row in tx.execute(query)]
