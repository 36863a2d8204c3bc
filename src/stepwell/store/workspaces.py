"""Workspaces: the first of each app and user, created on first use, exactly once however many callers race; and those
that users make besides. And derived keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Table

from stepwell.engine.commit import Commit
from stepwell.store import tables
from stepwell.store.tables import made_workspaces, workspaces
from stepwell.store.tx import Tx

DERIVED_KEY: Final = "handler:"
"""The beginning of keys that were derived from a call: they stand for its workflow and its args as given."""

EVENT_KEY: Final = "event:"
"""The beginning of the keys of runs and signals that come from an event."""

_WORKSPACES = UUID("0b6a3a5e-5d0c-5f0e-9c55-7a9f2f1f6f10")


class WorkspaceRow(NamedTuple):
    """A workspace of an app's user: the first one, or one that was made besides."""

    id: str
    app_name: str
    user_id: str
    created_at: int
    title: str | None = None


@lru_cache(maxsize=4096)
def workspace_of(app_name: str, user_id: str) -> str:
    """Return the id of the workspace of (app, user)."""
    return str(uuid5(_WORKSPACES, f"{app_name}\0{user_id}"))


def workspaces_of(commits: Sequence[Commit]) -> list[WorkspaceRow]:
    """Return the workspaces that these runs make where they aren't there, in the order of their ids."""
    return sorted(
        WorkspaceRow(workspace_id, run.app_name, run.user_id, run.created_at)
        for workspace_id, run in {commit.run.workspace_id: commit.run for commit in commits}.items()
        if workspace_id == workspace_of(run.app_name, run.user_id)
    )


def ensure(tx: Tx, wanted: Iterable[WorkspaceRow]) -> None:
    """Create these workspaces unless they exist."""
    tx.insert(workspaces, sorted(wanted), unless=("id",))


def load(tx: Tx, workspace_id: str) -> WorkspaceRow | None:
    """Return the workspace, or None."""
    return _in(tx, workspaces, workspace_id) or _in(tx, made_workspaces, workspace_id)


def _in(tx: Tx, table: Table, workspace_id: str) -> WorkspaceRow | None:
    return tx.one(WorkspaceRow._make, f"SELECT {tables.columns(table)} FROM {table.name} WHERE id=?", workspace_id)


def make(tx: Tx, row: WorkspaceRow) -> WorkspaceRow:
    """Create a workspace besides the first one, unless one of its id exists, and return what is there."""
    tx.insert(made_workspaces, [row], unless=("id",))
    found = load(tx, row.id)
    assert found is not None
    return found


def rename(tx: Tx, workspace_id: str, title: str) -> None:
    """Give the workspace this title."""
    for table in (workspaces, made_workspaces):
        tx.run(f"UPDATE {table.name} SET title=? WHERE id=?", title, workspace_id)


def made_id(key: str | None) -> str | None:
    """Return the id of the workspace that a call of this derived key makes; None without a key."""
    return None if key is None else str(uuid5(_WORKSPACES, key))


def existing(tx: Tx, ids: Iterable[str]) -> set[str]:
    """Return those of these workspaces that exist."""
    return {row[0] for row in tx.rows("SELECT id FROM stepwell_workspaces WHERE id IN list(?)", tx.listed(ids))}


def derived(key: str) -> bool:
    """Return whether this key was derived from a call, or comes from an event of such a call."""
    return key.startswith((DERIVED_KEY, EVENT_KEY + DERIVED_KEY))
