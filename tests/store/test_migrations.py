"""The migrations and the tables can't drift apart, and rows fit them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table

from backends import SCHEMA, Database, PostgresDatabase, Row, SqliteFile, empty_database_of, migrate
from servers.postgres import Postgres as PostgresServer
from stepwell.engine.commit import Listener
from stepwell.engine.run import HistoryRow, Run, SignalRow, StepRow
from stepwell.settings import Settings
from stepwell.store import history, postgres_schema, rows, tables
from stepwell.store.base import DocumentRow, WorkspaceRow
from stepwell.store.migrate import _SCRIPTS, VERSION_TABLE, _run
from stepwell.store.postgres_dialect import Postgres
from stepwell.store.sqlite_dialect import Sqlite
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow

PROCESSES = 8

STRUCTURE = f"""
SELECT c.relname::text, c.relkind::text, c.reloptions::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attnum::int, a.attcollation::regcollation::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = current_schema() AND c.relname NOT LIKE '{VERSION_TABLE}%' ORDER BY 1, 8
"""
INDEXES = f"""
SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename <> '{VERSION_TABLE}' ORDER BY 1
"""
CONSTRAINTS = f"""
SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(k.oid) FROM pg_constraint k
JOIN pg_namespace n ON n.oid = k.connamespace
WHERE n.nspname = current_schema() AND conrelid <> '{VERSION_TABLE}'::regclass ORDER BY 1, 2
"""


def structure(database: Database) -> list[Row]:
    """Tables, columns, indexes, constraints and storage options, in one spelling, without Alembic's own table."""
    if database.kind == "postgres":
        return [*database.read(STRUCTURE), *database.read(INDEXES), *database.read(CONSTRAINTS)]
    found = database.read("SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return sorted(
        (name, re.sub(r"\s+", " ", sql)) if kind == "index" else (name, *columns_of(database, name, sql))
        for name, kind, sql in found
        if name != VERSION_TABLE
    )


def columns_of(database: Database, table: str, sql: str) -> tuple[object, ...]:
    """A table by its columns: a column that was added later stands elsewhere in the text of the table."""
    return "WITHOUT ROWID" in sql, repr(list(database.read(f"PRAGMA table_info({table})")))


@pytest.fixture
def created(request: pytest.FixtureRequest, empty_database: Database, tmp_path: Path) -> Iterator[Database]:
    """Another empty database of the same kind."""
    if empty_database.kind == "sqlite":
        yield SqliteFile(f"sqlite:///{tmp_path}/created.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with empty_database_of(server) as made:
        made.execute(f"CREATE TABLE {VERSION_TABLE} (n INTEGER)")
        yield made


async def test_migrating_makes_the_tables_that_the_code_expects(empty_database: Database, created: Database) -> None:
    await asyncio.to_thread(migrate, empty_database.url)
    found = structure(empty_database)
    revision = empty_database.read(f"SELECT version_num FROM {VERSION_TABLE}")
    await asyncio.to_thread(migrate, empty_database.url)
    assert structure(empty_database) == found, "a second time changes nothing"
    assert empty_database.read(f"SELECT version_num FROM {VERSION_TABLE}") == revision
    engine = created.engine()
    async with engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    await engine.dispose()
    assert len(found) > len(tables.metadata.tables)
    assert structure(created) == found


async def test_a_database_of_the_first_revision_keeps_its_runs(empty_database: Database) -> None:
    engine = empty_database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(to_first_revision)
        await connection.exec_driver_sql(
            "INSERT INTO stepwell_history (run_id, version, attempt, status, started_at, finished_at)"
            " VALUES ('r1', 0, 0, 'committed', 1, 1)"
        )
    await asyncio.to_thread(migrate, empty_database.url)
    assert empty_database.read("SELECT run_id, version, xact FROM stepwell_history") == [("r1", 0, None)]
    async with engine.begin() as connection:
        dialect = Postgres(None) if empty_database.kind == "postgres" else Sqlite()
        row = HistoryRow("r1", 1, "t", "a", "b", 1, "committed", None, None, None, None, 2, 2)
        await connection.run_sync(lambda given: history.append(Tx(given, dialect), [row], 100))
    [(seq, xact)] = empty_database.read("SELECT seq, xact FROM stepwell_history WHERE version=1")
    assert seq is not None
    assert xact is not None
    await engine.dispose()


def to_first_revision(connection: Connection) -> None:
    scripts = ScriptDirectory(str(_SCRIPTS))
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    _run(context, scripts, "0001")


async def test_any_number_of_processes_may_migrate_at_once(empty_postgres: PostgresDatabase) -> None:
    program = "import sys; from backends import migrate; migrate(sys.argv[1])"
    pipe, here = asyncio.subprocess.PIPE, str(Path(__file__).parent.parent)
    children = await asyncio.gather(
        *(
            asyncio.create_subprocess_exec(
                sys.executable, "-c", program, empty_postgres.url, cwd=here, stdout=pipe, stderr=pipe
            )
            for _ in range(PROCESSES)
        )
    )
    said = await asyncio.gather(*(child.communicate() for child in children))
    assert [child.returncode for child in children] == [0] * PROCESSES, said
    assert placed(empty_postgres) == {"public": len(tables.metadata.tables) + 1}


async def test_a_schema_is_made_by_whoever_comes_first(empty_postgres: PostgresDatabase) -> None:
    settings = Settings(_env_file=None, database_url=empty_postgres.url, database_schema=SCHEMA)
    revisions = await asyncio.gather(*(postgres_schema.upgrade(settings) for _ in range(PROCESSES)))
    assert len(set(revisions)) == 1
    assert placed(empty_postgres) == {SCHEMA: len(tables.metadata.tables) + 1}


def placed(database: PostgresDatabase) -> dict[Any, Any]:
    """How many tables of Stepwell's each schema has."""
    sql = "SELECT schemaname::text, count(*) FROM pg_tables WHERE tablename LIKE 'stepwell%' GROUP BY 1"
    return dict(database.read(sql))


async def test_who_migrates_waits_for_another_however_long_that_takes(empty_postgres: PostgresDatabase) -> None:
    """Longer than any statement of a worker may take: making an index does."""
    settings = Settings(_env_file=None, database_url=empty_postgres.url, lease_seconds=0.1)
    statement_seconds = 1.0
    waits: Any = None
    with empty_postgres.holding("SELECT pg_advisory_xact_lock(?)", crc32(b"stepwell migrations None")):
        waits = asyncio.ensure_future(postgres_schema.upgrade(settings))
        done, _ = await asyncio.wait([waits], timeout=statement_seconds + 0.5)
        assert not done, waits.exception()
    assert await asyncio.wait_for(waits, 10) == empty_postgres.read(f"SELECT version_num FROM {VERSION_TABLE}")[0][0]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (tables.runs, Run),
        (tables.history, HistoryRow),
        (tables.signals, SignalRow),
        (tables.steps, StepRow),
        (tables.documents, DocumentRow),
        (tables.workspaces, WorkspaceRow),
        (tables.workers, WorkerRow),
        (tables.listeners, Listener),
    ],
    ids=str,
)
def test_columns_stand_in_the_order_of_the_rows(table: Table, row: type[tuple[object, ...]]) -> None:
    assert list(rows.names(table)) == list(row._fields)  # type: ignore[attr-defined]


def test_what_changes_at_every_checkpoint_is_in_no_index() -> None:
    indexed = {column.name for index in tables.runs.indexes for column in index.columns}
    assert not indexed & {"state", "place", "version", "attempt", "failures", "visit", "updated_at", "automatic"}
