"""The size of answers in JSON values: a megabyte may be one text, or 350,000 empty lists, which take seconds to parse."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

VALUES: Final = 100_000
"""Values of one answer, unless a single row has more. A comma within a text counts as one, too."""
_BEGINNINGS: Final = (",", "[", "{")


def within_values(rows: list[T], texts: Callable[[T], Iterable[str | None]], *, last: bool = False) -> list[T]:
    """Return the first (or last) rows whose JSON has at most `VALUES` values together; at least one, if there is one."""
    left, count = VALUES, 0
    for row in reversed(rows) if last else rows:
        left -= sum(text.count(one) for text in texts(row) if text for one in _BEGINNINGS)
        if left < 0 and count:
            break
        count += 1
    return rows[len(rows) - count :] if last else rows[:count]
