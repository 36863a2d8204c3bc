"""Ids that are derived: known without asking the database, and without loading what talks to it."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID, uuid5

_WORKSPACES = UUID("0b6a3a5e-5d0c-5f0e-9c55-7a9f2f1f6f10")


@lru_cache(maxsize=4096)
def workspace_of(app_name: str, user_id: str) -> str:
    """The id of the workspace of (app, user)."""
    return str(uuid5(_WORKSPACES, f"{app_name}\0{user_id}"))
