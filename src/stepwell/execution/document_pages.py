"""Pages of a run's documents, as the running transition sees them: the stored ones, then those that it has saved.

Positions don't change: a document that replaces another has that one's, and none is ever taken away. So a page behind a
document has all that stand behind it, each once, whatever the transition saves between two pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from weakref import ref

from stepwell.definition.authoring.document import Document
from stepwell.definition.text import is_text
from stepwell.engine.commit import DocumentWrite
from stepwell.errors import InvalidArgs
from stepwell.store.documents import DocumentRow, Position, WantedDocuments

Stored = Callable[[WantedDocuments], Awaitable[list[DocumentRow]]]
_SAVED_HERE: Final = 2**62
"""The position of what the transition has saved itself, behind all that is stored."""
_MOST: Final = 1_000


def check_page(limit: object, after: object) -> None:
    """Raise InvalidArgs where these are no page."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _MOST):
        raise InvalidArgs(f"documents.find(limit={limit!r}): it is 1 to 1,000.")
    if after is not None and not isinstance(after, Document) and not is_text(after, 512):
        raise InvalidArgs(
            f"documents.find(after={after!r}): give a document of the page before, or the key of a document."
        )


class Found:
    """The positions of documents that pages of this attempt had, for as long as the method keeps them."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[ref[Document], Position]] = {}

    def note(self, documents: Sequence[Document], places: Sequence[Position]) -> None:
        """Keep the positions of these documents."""
        for document, place in zip(documents, places, strict=True):
            known = id(document)
            self._places[known] = (ref(document, lambda _, known=known: self._places.pop(known, None)), place)  # type: ignore[misc]

    async def place_of(self, after: Document | str, stored: Stored, written: Sequence[DocumentWrite]) -> Position:
        """Return the position of a document, or of the one with this key. Raises InvalidArgs where it isn't known."""
        if isinstance(after, Document):
            known = self._places.get(id(after))
            if known is not None:
                return known[1]
            raise InvalidArgs(
                f"documents.find(after={type(after).__name__}(...)): no page of this attempt had this document; give "
                "the last one that documents.find(limit=...) returned, or the key of a document."
            )
        for row in await stored(WantedDocuments(None, (after,))):
            return Position(row.position, row.id)
        for place, one in _places(written):
            if one.key == after:
                return place
        raise InvalidArgs(f"documents.find(after={after!r}): the run has no current document with this key.")


async def page_of(
    name: str, limit: int | None, after: Position | None, stored: Stored, written: Sequence[DocumentWrite]
) -> list[tuple[Position, DocumentRow | DocumentWrite]]:
    """Return the current documents of this name behind a position, with their positions; `written` has each key once."""
    by_key = {one.key: one for one in written if one.key is not None}
    page: list[tuple[Position, DocumentRow | DocumentWrite]] = []
    place, more = after, after is None or after.position < _SAVED_HERE
    while more and len(page) != limit:
        asked = None if limit is None else limit - len(page)
        rows = await stored(WantedDocuments(name, tuple(by_key), place, asked))
        for row in rows:
            place = Position(row.position, row.id)
            one = by_key.get(row.key or "", row)
            if one.name == name:
                page.append((place, one))
        more = asked is not None and len(rows) == asked
    if len(page) == limit:
        return page
    replaced = {row.key for row in await stored(WantedDocuments(None, tuple(by_key)))} if by_key else set()
    new = [found for found in _places(written) if found[1].key not in replaced and found[1].name == name]
    return [*page, *(found for found in new if after is None or found[0] > after)][:limit]


def _places(written: Sequence[DocumentWrite]) -> list[tuple[Position, DocumentWrite]]:
    return [(Position(_SAVED_HERE, f"{n:09}"), one) for n, one in enumerate(written)]
