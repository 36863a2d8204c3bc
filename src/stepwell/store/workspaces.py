"""Workspaces: one per app and user, created on first use, exactly once however many callers race."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID, uuid5

from sqlalchemy import Connection

from stepwell.store import rows
from stepwell.store.base import WorkspaceRow
from stepwell.store.tables import workspaces

_NAMESPACE = UUID("0b6a3a5e-5d0c-5f0e-9c55-7a9f2f1f6f10")


@lru_cache(maxsize=4096)
def workspace_of(app_name: str, user_id: str) -> str:
    """The id of the workspace of (app, user). It is derived, so that no start has to ask for it first."""
    return str(uuid5(_NAMESPACE, f"{app_name}\0{user_id}"))


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
