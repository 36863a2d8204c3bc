"""The parts of tables: columns of texts, numbers and moments, and partial indexes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Text, text
from sqlalchemy.dialects import postgresql

metadata = MetaData()

BY_THE_DATABASE: Final = {"by": "the database"}
"""A mark of columns that no row of ours holds: the database fills them."""

TEXT: Final = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Texts compared byte by byte, as ids and names are, whatever the database's language."""


def texts(*names: str, null: bool = False) -> Iterable[Column[Any]]:
    """Return columns of texts."""
    return [Column(name, TEXT, nullable=null) for name in names]


def ints(*names: str, null: bool = False) -> Iterable[Column[Any]]:
    """Return columns of whole numbers up to 2**31."""
    return [Column(name, Integer, nullable=null) for name in names]


def moments(*names: str, null: bool = False) -> Iterable[Column[Any]]:
    """Return columns of moments."""
    return [Column(name, BigInteger, nullable=null) for name in names]


def partial_index(name: str, *columns: Any, where: str, unique: bool = False) -> None:
    """Make an index of the rows for which a condition is true."""
    Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
