"""The columns of the tables, in order: rows are tuples, and go to the database and come from it as they are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy import Table

from stepwell.store.tables import BY_THE_DATABASE


@lru_cache(maxsize=64)
def names(table: Table) -> tuple[str, ...]:
    """The names of the table's columns that rows hold, in order."""
    return tuple(column.name for column in table.columns if column.info is not BY_THE_DATABASE)


def columns(table: Table, prefix: str = "") -> str:
    """The table's columns, in order, for a SELECT or RETURNING."""
    return ", ".join(prefix + name for name in names(table))


def fitting(sizes: Iterable[int], most: int) -> int:
    """How many of the first ones are no larger together than `most`; one at least, where there is one."""
    count = 0
    for size in sizes:
        most -= size
        if most < 0 and count:
            break
        count += 1
    return count
