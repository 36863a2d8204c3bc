"""Ids and keys that are derived: known without asking the database, and without loading what talks to it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

DERIVED_KEY: Final = "handler:"
"""How keys begin that were derived from a call: they stand for its workflow and args, as they were given, already."""

EVENT_KEY: Final = "event:"
"""How the keys of what an event starts and resumes begin."""

_WORKSPACES = UUID("0b6a3a5e-5d0c-5f0e-9c55-7a9f2f1f6f10")


@lru_cache(maxsize=4096)
def workspace_of(app_name: str, user_id: str) -> str:
    """The id of the workspace of (app, user)."""
    return str(uuid5(_WORKSPACES, f"{app_name}\0{user_id}"))


def derived(key: str) -> bool:
    """Whether this key was derived from a call, or names what an event of such a call did."""
    return key.startswith((DERIVED_KEY, EVENT_KEY + DERIVED_KEY))
