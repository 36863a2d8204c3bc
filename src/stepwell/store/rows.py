"""Rows in bulk: statements are compiled once by SQLAlchemy and then take tuples as they are.

Compiling a statement and rewriting parameters costs SQLAlchemy more than SQLite needs for the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from pydantic_core import to_json
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite

R = TypeVar("R")
_DIALECT = sqlite.dialect(paramstyle="qmark")


@lru_cache(maxsize=256)
def _insert_sql(table: Table, or_ignore: bool) -> str:
    statement = table.insert().prefix_with("OR IGNORE") if or_ignore else table.insert()
    return str(statement.compile(dialect=_DIALECT, column_keys=names(table)))


def insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], *, or_ignore: bool = False) -> None:
    """All rows are in `table`, in the order of its columns; with `or_ignore`, those whose key wasn't taken."""
    if rows:
        connection.exec_driver_sql(_insert_sql(table, or_ignore), list(rows))


def names(table: Table) -> list[str]:
    """The names of the table's columns, in order."""
    return [column.name for column in table.columns]


def ids(values: Iterable[str]) -> str:
    """A JSON array, for `IN (SELECT value FROM json_each(?))`: one parameter whatever the number."""
    return to_json(list(values)).decode()


def fetch(connection: Connection, make: Callable[[Iterable[Any]], R], sql: str, *parameters: Any) -> list[R]:
    """The rows of a driver-level query, made into named tuples."""
    cursor = connection.exec_driver_sql(sql, parameters)
    return [make(row) for row in cursor.fetchall()]


def columns(table: Table, prefix: str = "") -> str:
    """The table's columns, in order, for a SELECT or RETURNING."""
    return ", ".join(prefix + name for name in names(table))


__all__ = ["columns", "fetch", "ids", "insert", "names"]
