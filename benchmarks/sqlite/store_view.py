"""The only file that knows Stepwell's tables on SQLite. Everything reads by plain sqlite3, beside Stepwell's own connections."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import UUID

from benchmarks.burst import Ended

RUN_COLUMNS = {"id", "place", "version", "claim"}
HISTORY_COLUMNS = {"run_id", "version", "transition", "source"}


@dataclass(frozen=True, slots=True)
class Query:
    """One SQL statement as the driver gets it."""

    sql: str
    parameters: Sequence[Any]


def connect(database: str, *, write: bool = False) -> sqlite3.Connection:
    mode = "rw" if write else "ro"
    return sqlite3.connect(f"file:{os.path.abspath(database)}?mode={mode}", uri=True, isolation_level=None)


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def table_with(connection: sqlite3.Connection, needed: Iterable[str]) -> str:
    """The one table that has all these columns. Raises LookupError if none has."""
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        if set(needed) <= set(columns(connection, table)):
            return str(table)
    raise LookupError(f"no table with the columns {sorted(needed)} among {tables}")


def finished(connection: sqlite3.Connection) -> int:
    """How many runs have ended, durably. Reads a partial index, so that a million waiting runs don't slow it."""
    table = table_with(connection, RUN_COLUMNS)
    return int(connection.execute(f"SELECT count(*) FROM {table} WHERE finished_at IS NOT NULL").fetchone()[0])


def ended_in(connection: sqlite3.Connection) -> Ended:
    async def ended() -> int:
        return finished(connection)

    return ended


def ready(connection: sqlite3.Connection) -> int:
    """How many runs are ready and not claimed."""
    table = table_with(connection, RUN_COLUMNS)
    return int(connection.execute(f"SELECT count(*) FROM {table} WHERE ready_at IS NOT NULL").fetchone()[0])


def last_checkpoints(connection: sqlite3.Connection) -> dict[str, int]:
    """For each stored run, how many of its transitions are committed."""
    runs, history = table_with(connection, RUN_COLUMNS), table_with(connection, HISTORY_COLUMNS)
    return dict(
        connection.execute(
            f"SELECT id, (SELECT count(*) FROM {history} WHERE run_id = {runs}.id AND transition IS NOT NULL "
            f"AND {history}.status = 'committed') FROM {runs}"
        )
    )


def copy_run(connection: sqlite3.Connection, run_id: str, copies: int) -> None:
    """There are `copies` more rows like the run's, each with an id of its own, older than it."""
    table = table_with(connection, RUN_COLUMNS)
    connection.create_function("older_id", 2, older_id, deterministic=True)
    names = columns(connection, table)
    values = ", ".join("older_id(id, n)" if name == "id" else name for name in names)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}) "
        f"WITH RECURSIVE numbers(n) AS (SELECT {copies} UNION ALL SELECT n - 1 FROM numbers WHERE n > 1) "
        f"SELECT {values} FROM numbers CROSS JOIN {table} WHERE id = ?",
        (run_id,),
    )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def older_id(run_id: str, milliseconds: int) -> str:
    """The UUIDv7 `run_id` as if made that much earlier, written the same way."""
    earlier = UUID(int=UUID(run_id).int - (milliseconds << 80))
    return str(earlier) if "-" in run_id else earlier.hex


def claim_query(app_name: str, workflow_names: Iterable[str], limit: int = 100) -> Query:
    """The statement by which a worker claims up to `limit` due runs of these workflows, as the store builds it."""
    from stepwell.store.sqlite.dialect import claim_sql

    lanes = [(app_name, name) for name in workflow_names]
    walks = [value for lane in lanes for value in (*lane, limit)]
    return Query(claim_sql(len(lanes)), ("benchmark", 0, *walks, limit))


def query_plan(connection: sqlite3.Connection, query: Query) -> str:
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.parameters)
    return "; ".join(str(row[3]) for row in rows)


def table_scans(plan: str) -> int:
    """How many steps of a plan walk a whole stored table, rather than an index of it or a result in memory."""
    return sum(step.startswith("SCAN stepwell_") and " USING " not in step for step in plan.split("; "))


def claim_milliseconds(connection: sqlite3.Connection, query: Query, times: int = 100) -> float:
    """The median time of claiming 100 ready runs, each claim undone again. They are finished runs, revived."""
    return median(_timed(connection, query) for _ in range(times))


def _timed(connection: sqlite3.Connection, query: Query) -> float:
    table = table_with(connection, RUN_COLUMNS)
    connection.execute("BEGIN IMMEDIATE")
    some = f"SELECT id FROM {table} WHERE finished_at IS NOT NULL LIMIT 100"
    connection.execute(f"UPDATE {table} SET ready_at = created_at WHERE id IN ({some})")
    begun = time.perf_counter()
    claimed = connection.execute(query.sql, query.parameters).fetchall()
    elapsed = time.perf_counter() - begun
    connection.execute("ROLLBACK")
    if not claimed:
        raise AssertionError("the claim found none of the ready runs")
    return elapsed * 1000
