"""Sets of rows as parameters: one array per column, and one value for columns that are alike in all rows.

An array costs as much to send as to use, and most columns of most rows say nothing: no error, no parent, first attempt.
They are told in groups, because each combination is a statement of its own, which has to be planned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, SmallInteger, Table, Text

from stepwell.engine.run import CREATED_FIELDS, Run
from stepwell.store.tables import runs

Names = tuple[str, ...]

_TYPES: Final = {Text: "text", BigInteger: "bigint", SmallInteger: "smallint", Integer: "integer"}
_TOGETHER: Final[Mapping[str, Sequence[Names]]] = {
    "stepwell_runs": (
        ("parent_id", "callback", "callback_meta", "on_parent_end", "internal", "deadline", "children", "takeovers"),
        ("attempt", "error", "failing", "failures", "bound", "bound_signal", "moves_to", "detours"),
        ("result", "told_at", "finished_at"),
        ("ready_at", "due_at"),
    ),
    "stepwell_history": (("attempt", "status", "error", "trace", "signal_id"),),
}
"""Columns that mostly have one value each in all rows of a flush."""

_FENCE: Final = {"at_id": "text", "at_version": "integer", "at_claim": "integer", "at_inbox": "integer"}
_MOVING: Final = Run._fields[CREATED_FIELDS:]
CHANGE: Final = (*_FENCE, *_MOVING)
"""What a checkpoint is as a row: what the run must still be, and what it is then."""


def packed(columns: Names, table: Table, rows: Sequence[tuple[Any, ...]]) -> tuple[Names, Names, tuple[Any, ...]]:
    """The columns that are sent as arrays, those that are alike in all rows, and the parameters of both in this order."""
    lists = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    alike: list[str] = []
    for group in _TOGETHER.get(table.name, ()):
        given = [name for name in group if name in lists]
        if all(lists[name].count(lists[name][0]) == len(rows) for name in given):
            alike += given
    sent = tuple(name for name in columns if name not in alike)
    return sent, tuple(alike), (*(lists[name] for name in sent), *(lists[name][0] for name in alike))


@lru_cache(maxsize=256)
def insert_sql(table: Table, sent: Names, alike: Names, unless: Names) -> str:
    """The statement that inserts such rows; with `unless`, those for which these columns aren't taken."""
    arrays = ", ".join(f"CAST(? AS {_type(table.c[name])}[])" for name in sent)
    values = "".join(f", CAST(? AS {_type(table.c[name])})" for name in alike)
    sql = (
        f"WITH v AS (SELECT * FROM unnest({arrays})) INSERT INTO {table.name} ({', '.join((*sent, *alike))})"
        f" SELECT v.*{values} FROM v"
    )
    return f"{sql} ON CONFLICT ({', '.join(unless)}) DO NOTHING" if unless else sql


@lru_cache(maxsize=256)
def advance_sql(sent: Names, alike: Names) -> str:
    """The statement that makes such checkpoints, where the fence holds, and returns for which it did."""
    types = _FENCE | {name: _type(runs.c[name]) for name in _MOVING}
    arrays = ", ".join(f"CAST(? AS {types[name]}[])" for name in sent)
    new = {name: f"v.{name}" for name in sent} | {name: f"CAST(? AS {types[name]})" for name in alike}
    # Semantics 3a, as `engine.run.unless_signalled` says it.
    unread = "v.status='waiting' AND r.inbox<>v.at_inbox"
    new["ready_at"] = f"CASE WHEN {unread} THEN v.updated_at ELSE {new['ready_at']} END"
    new["due_at"] = f"CASE WHEN {unread} THEN NULL ELSE {new['due_at']} END"
    changes = ", ".join(f"{name}={new[name]}" for name in (*sent, *alike) if name not in _FENCE)
    return (
        f"WITH v AS (SELECT * FROM unnest({arrays}) AS u({', '.join(sent)}))"
        f" UPDATE stepwell_runs r SET {changes} FROM v"
        " WHERE r.id=v.at_id AND r.version=v.at_version AND r.claim=v.at_claim"
        " RETURNING r.id, v.at_version, v.at_claim, r.inbox"
    )


def _type(column: Column[Any]) -> str:
    return _TYPES[type(column.type)]
