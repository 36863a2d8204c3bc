"""What SQLite does in its own way. Under the write lock a fence that was read can't change before the commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, Table, func, select

from stepwell.engine.commit import Commit
from stepwell.engine.run import CREATED_FIELDS, HistoryRow, Moment, Run, unless_signalled
from stepwell.store import rows
from stepwell.store.tables import history, runs
from stepwell.store.tx import Held, Lane

_MOVING: Final = Run._fields[CREATED_FIELDS:]
_ADVANCE: Final = (
    f"UPDATE stepwell_runs SET {', '.join(f'{name}=?' for name in _MOVING)} WHERE id=? AND version=? AND claim=?"
)
_UNION: Final = 400
"""Walks joined by one UNION: SQLite's limit is 500."""


class Sqlite:
    """The dialect. Parameters are driver-level tuples: rewriting them would cost more than SQLite needs for the row."""

    among = "IN (SELECT value FROM json_each(?))"
    locking = ""
    skipping = ""
    pairs = "(SELECT json_extract(value, '$[0]') AS app, json_extract(value, '$[1]') AS workflow FROM json_each(?)) l"

    options: Mapping[str, Any] = {}

    def words(self, sql: str) -> str:
        return sql

    def listed(self, values: Iterable[str]) -> str:
        return to_json(list(values)).decode()

    def by(self, index: str) -> str:
        return f" INDEXED BY {index}"

    def insert(
        self, connection: Connection, table: Table, given: Sequence[tuple[Any, ...]], unless: Sequence[str] | None
    ) -> None:
        if table is history:
            given = _numbered(connection, given)
        connection.exec_driver_sql(_insert(table, tuple(unless or ())), list(given))

    def advance(self, connection: Connection, commits: Sequence[Commit]) -> Mapping[Held, int]:
        found = connection.exec_driver_sql(
            f"SELECT id, version, claim, inbox FROM stepwell_runs WHERE id {self.among}",
            (self.listed(commit.run.id for commit in commits),),
        )
        held = {(row[0], row[1], row[2]): row[3] for row in found.fetchall()}
        # The condition repeats the fence where it can't hurt.
        changes = [
            (*unless_signalled(run, held[run.id, version, claim])[CREATED_FIELDS:], run.id, version, claim)
            for version, claim, run in (commit[:3] for commit in commits)
            if (run.id, version, claim) in held
        ]
        if changes:
            connection.exec_driver_sql(_ADVANCE, changes)
        return held

    def claim(
        self, connection: Connection, lanes: Sequence[Lane], worker: str, limit: int, now: Moment
    ) -> Sequence[Any]:
        walks: list[Any] = [value for app, workflow in lanes for value in (app, workflow, limit)]
        return connection.exec_driver_sql(claim_sql(len(lanes)), (worker, now, *walks, limit)).fetchall()

    def keyed(self, connection: Connection, keys: Sequence[tuple[str, str, str]]) -> Sequence[Any]:
        return connection.exec_driver_sql(
            f"SELECT {rows.columns(runs, 'r.')} FROM json_each(?) k JOIN stepwell_runs r"
            " ON r.app_name = json_extract(k.value, '$[0]') AND r.user_id = json_extract(k.value, '$[1]')"
            " AND r.idempotency_key = json_extract(k.value, '$[2]')",
            (to_json([list(key) for key in keys]).decode(),),
        ).fetchall()

    def horizon(self, connection: Connection) -> str:
        last = connection.exec_driver_sql(_LAST).scalar() or 0
        return f"{last + 1}:{last + 1}:"

    def labelled(self, column: ColumnElement[str], label: str) -> ColumnElement[bool]:
        each = func.json_each(column).table_valued("value")
        return select(each.c.value).where(each.c.value == label).exists()


@lru_cache(maxsize=64)
def claim_sql(lanes: int) -> str:
    """The statement of a claim for so many lanes: one walk along the ready index per lane, the best of all of them."""
    walk = (
        "SELECT * FROM (SELECT id, priority, ready_at FROM stepwell_runs INDEXED BY stepwell_runs_ready"
        " WHERE app_name=? AND workflow_name=? AND ready_at IS NOT NULL ORDER BY priority DESC, ready_at LIMIT ?)"
    )
    best = _best_of([walk] * lanes)
    return (
        "UPDATE stepwell_runs SET owner=?, claim=claim+1, status='running', ready_at=NULL, due_at=NULL, updated_at=?"
        f" WHERE id IN (SELECT id FROM ({best}) ORDER BY priority DESC, ready_at LIMIT ?) RETURNING {rows.columns(runs)}"
    )


def _best_of(walks: Sequence[str]) -> str:
    while len(walks) > _UNION:
        groups = [walks[start : start + _UNION] for start in range(0, len(walks), _UNION)]
        walks = [f"SELECT * FROM ({' UNION ALL '.join(group)})" for group in groups]
    return " UNION ALL ".join(walks)


_LAST: Final = "SELECT max(xact) FROM stepwell_history"


def _numbered(connection: Connection, given: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of the history with their numbers in the stream, which is in the order of commits: nobody else writes now.

    They follow the clock, so that a number isn't given again where the newest rows were deleted.
    """
    last = connection.exec_driver_sql(_LAST).scalar() or 0
    first = max(last + 1, given[0][_FINISHED_AT])
    return [(*row, number, number) for number, row in enumerate(given, first)]


_FINISHED_AT: Final = HistoryRow._fields.index("finished_at")


@lru_cache(maxsize=64)
def _insert(table: Table, unless: tuple[str, ...]) -> str:
    columns = [column.name for column in table.columns]
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})"
    return f"{sql} ON CONFLICT ({', '.join(unless)}) DO NOTHING" if unless else sql
