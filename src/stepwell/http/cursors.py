"""The cursors of pages: where a page ended, and for whom.

A position tells nothing of others, since what follows it is read anew for who asks. The mark before it says whose page it
was, so that somebody else's cursor is not there, as anything of theirs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from fastapi import Query

from stepwell.errors import CursorNotFound
from stepwell.http.principal import Principal
from stepwell.runner.models import Page

T = TypeVar("T")

_MARK: Final = 12
"""Hexadecimal digits: enough to tell apart who uses one service. It is no secret: a guess of whose it is can be tested."""
MARK: Final = rf"[0-9a-f]{{{_MARK}}}\."
PATTERN: Final = rf"^{MARK}[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}$"
"""Of a cursor whose position is an id."""

Cursor = Annotated[str | None, Query(pattern=PATTERN, description="The next_cursor of the page before")]


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of all who see the same."""

    mark: str

    @classmethod
    def of(cls, principal: Principal) -> Cursors:
        """Those who may see everybody's runs of the same apps share their pages; others' pages are their own."""
        apps = None if principal.apps is None else sorted(principal.apps)
        return cls.whose(None if principal.everybody else principal.user_id, apps)

    @classmethod
    def whose(cls, user_id: str | None, apps: list[str] | None = None) -> Cursors:
        """Those of one user (None: of everybody) and of these apps (None: of all)."""
        return cls(hashlib.sha256(json.dumps([user_id, apps]).encode()).hexdigest()[:_MARK])

    def position(self, cursor: str | None) -> str | None:
        """Where to go on. Raises CursorNotFound."""
        if cursor is None:
            return None
        mark, _, position = cursor.partition(".")
        if mark != self.mark:
            raise CursorNotFound(f"No page ended at cursor={cursor!r} for you: begin without one.")
        return position

    def cursor(self, position: str | None) -> str | None:
        """What goes on there."""
        return None if position is None else f"{self.mark}.{position}"

    def page(self, page: Page[T]) -> Page[T]:
        """The page, with what goes on after it."""
        return page.model_copy(update={"next_cursor": self.cursor(page.next_cursor)})
