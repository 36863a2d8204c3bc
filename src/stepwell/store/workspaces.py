"""Workspaces: one per app and user, created on first use, exactly once however many callers race."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from stepwell.store import rows
from stepwell.store.base import WorkspaceRow
from stepwell.store.tables import workspaces


def ensure(connection: Connection, wanted: Iterable[WorkspaceRow]) -> None:
    """These workspaces exist."""
    rows.insert(connection, workspaces, list(wanted), or_ignore=True)


def load(connection: Connection, workspace_id: str) -> WorkspaceRow | None:
    """The workspace, or None."""
    found = rows.fetch(
        connection,
        WorkspaceRow._make,
        f"SELECT {rows.columns(workspaces)} FROM stepwell_workspaces WHERE id=?",
        workspace_id,
    )
    return found[0] if found else None
