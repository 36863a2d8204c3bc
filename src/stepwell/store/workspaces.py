"""Workspaces: one per app and user, created on first use, exactly once however many callers race."""

from __future__ import annotations

from collections.abc import Iterable

from stepwell.store import rows
from stepwell.store.base import WorkspaceRow
from stepwell.store.tables import workspaces
from stepwell.store.tx import Tx


def ensure(tx: Tx, wanted: Iterable[WorkspaceRow]) -> None:
    """These workspaces exist."""
    tx.insert(workspaces, sorted(wanted), unless=("id",))


def load(tx: Tx, workspace_id: str) -> WorkspaceRow | None:
    """The workspace, or None."""
    found = tx.fetch(
        WorkspaceRow._make,
        f"SELECT {rows.columns(workspaces)} FROM stepwell_workspaces WHERE id=?",
        workspace_id,
    )
    return found[0] if found else None
