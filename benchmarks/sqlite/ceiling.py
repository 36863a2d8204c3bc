"""The upper limit: the rows that a checkpoint writes, written by plain sqlite3 and nothing else.

WAL, `synchronous=FULL`, transactions of 100 checkpoints, as the group commit makes them when 100 runs are in progress:
each is one fenced update of a run row and one history row of about the same width, in tables with the same keys. No
validation, no user code, no event loop, no claims, one thread: an upper bound for transitions per second here.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from uuid_utils import uuid7

from benchmarks.measure import Answer, answer

SCHEMA = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, app_name TEXT, workflow_name TEXT, workflow_version INTEGER, workspace_id TEXT, user_id TEXT,
    labels TEXT, priority INTEGER, args TEXT, created_at INTEGER, inbox INTEGER,
    status TEXT, place TEXT, version INTEGER, claim INTEGER, owner TEXT, state TEXT, result TEXT, error TEXT,
    visit INTEGER, entered_at INTEGER, attempt INTEGER, failures INTEGER, automatic INTEGER, takeovers INTEGER,
    ready_at INTEGER, due_at INTEGER, deadline INTEGER, children INTEGER, updated_at INTEGER, finished_at INTEGER
) WITHOUT ROWID;
CREATE INDEX runs_ready ON runs (app_name, workflow_name, priority DESC, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_workspace ON runs (workspace_id, id);
CREATE TABLE history (
    run_id TEXT, version INTEGER, transition TEXT, source TEXT, target TEXT, attempt INTEGER, status TEXT, error TEXT,
    state TEXT, started_at INTEGER, finished_at INTEGER, PRIMARY KEY (run_id, version)
) WITHOUT ROWID;
"""
UPDATE = """
UPDATE runs SET place = ?, version = version + 1, visit = version + 1, attempt = 0, automatic = automatic + 1,
    entered_at = ?, updated_at = ? WHERE id = ? AND version = ? AND claim = 1
"""
INSERT_HISTORY = "INSERT INTO history VALUES (?, ?, ?, ?, ?, 1, 'committed', NULL, NULL, ?, ?)"
INSERT_RUN = """
INSERT INTO runs VALUES (?, 'bench', 'three_steps', 1, ?, 'user', '[]', 0, '{"number":1}', ?, 0,
    'running', 'start', 0, 1, ?, '{"total":0}', NULL, NULL, 0, ?, 0, 0, 0, 0, NULL, NULL, NULL, 0, ?, NULL)
"""


def measure(*, runs: int, batch: int = 100) -> Answer:
    connection = opened()
    ids = created(connection, runs)
    begun = time.perf_counter()
    for version in range(3):
        for chunk in chunks(ids, batch):
            checkpoint(connection, chunk, version)
    seconds = time.perf_counter() - begun
    return Answer({"transitions_per_second": 3 * runs / seconds}, {"pragmas": pragmas(connection)})


def opened() -> sqlite3.Connection:
    connection = sqlite3.connect("ceiling.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(SCHEMA)
    return connection


def created(connection: sqlite3.Connection, runs: int) -> list[str]:
    now, workspace, worker = microseconds(), str(uuid7()), str(uuid7())
    ids = [str(uuid7()) for _ in range(runs)]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(INSERT_RUN, [(id_, workspace, now, worker, now, now) for id_ in ids])
    connection.execute("COMMIT")
    return ids


def chunks(ids: list[str], size: int) -> Iterator[list[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))


def checkpoint(connection: sqlite3.Connection, ids: list[str], version: int) -> None:
    now = microseconds()
    source, target = f"place-{version}", f"place-{version + 1}"
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(UPDATE, [(target, now, now, id_, version) for id_ in ids])
    connection.executemany(
        INSERT_HISTORY, [(id_, version + 1, f"step-{version}", source, target, now, now) for id_ in ids]
    )
    connection.execute("COMMIT")


def microseconds() -> int:
    return time.time_ns() // 1000


def pragmas(connection: sqlite3.Connection) -> str:
    names = ("journal_mode", "synchronous")
    return ", ".join(f"{name}={connection.execute(f'PRAGMA {name}').fetchone()[0]}" for name in names)


if __name__ == "__main__":
    answer(measure)
