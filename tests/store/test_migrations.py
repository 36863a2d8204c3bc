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
from uuid_utils import uuid7

from backends import SCHEMA, Database, PostgresDatabase, Row, SqliteFile, empty_database_of, migrate
from conformance.support import reaches
from servers.postgres import Postgres as PostgresServer
from stepwell import END, App, Document, Stepwell, Workflow, transition
from stepwell.console.http.access.principal import OWN_USERS
from stepwell.console.reading.tokens import StoredTokens
from stepwell.engine.commit import Listener
from stepwell.engine.run import HistoryRow, RunRow, SignalRow, names_in
from stepwell.settings import Settings
from stepwell.store import history, tables
from stepwell.store.documents import DocumentRow
from stepwell.store.journal import JournalRow
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.migrations import _SCRIPTS, VERSION_TABLE, _run
from stepwell.store.postgres import schema as postgres_schema
from stepwell.store.postgres.dialect import Postgres
from stepwell.store.sqlite.dialect import Sqlite
from stepwell.store.tokens import TokenRow, TokenUser
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow
from stepwell.store.workspaces import WorkspaceRow

PROCESSES = 8

OLD_RUN = (
    "INSERT INTO stepwell_runs (id, app_name, workflow_name, workflow_version, workspace_id, user_id, internal, labels,"
    " priority, args, created_at, inbox, status, place, version, claim, state, visit, entered_at, attempt, failures,"
    " automatic, takeovers, updated_at, parent_id, callback, children) VALUES (?, 'a', 'w', 1, 'ws', 'u', 0, '[]', 0,"
    " 'null', 0, 0, 'waiting', 'p', 0, 0, '{}', 0, 0, 0, 0, 0, 0, 0, ?, ?, ?)"
)
OLD_SIGNAL = (
    "INSERT INTO stepwell_signals (id, run_id, name, kind, data, status, sender, accepted_at, state)"
    " VALUES (?, 'p', 'a', 'signal', ?, 'completed', 'p', 1, ?)"
)
OLD_DOCUMENT = (
    "INSERT INTO stepwell_documents (id, run_id, position, name, key, content, tags, internal, version, created_at)"
    " VALUES ('0', ?, 0, 'receipt', 'k', '{\"cents\": 9}', '[]', 0, 0, 1)"
)
OLD_TOKEN = (
    "INSERT INTO stepwell_tokens (id, name, user_id, role, everybody, digest, prefix, created_by, created_at)"
    " VALUES (?, 't', ?, 'operator', 0, ?, 'sw_', ?, 1)"
)
STRUCTURE = f"""
SELECT c.relname::text, c.relkind::text, c.reloptions::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = current_schema() AND c.relname NOT LIKE '{VERSION_TABLE}%' ORDER BY 1, 4
"""
"""Columns by name: statements name the columns that they mean, so one that was added later may stand anywhere."""
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
    found = database.read(
        f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{table}') ORDER BY name"
    )
    return "WITHOUT ROWID" in sql, repr(list(found))


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


async def test_callbacks_and_kept_signals_of_older_databases_are_known(empty_database: Database) -> None:
    engine = empty_database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(lambda given: to_revision(given, "0002"))
    await engine.dispose()
    for run_id, parent, callback, children in [
        *(("p", None, None, 3), ("c1", "p", "b", 0), ("c2", "p", "a", 0), ("c3", "p", "a", 0)),
        *(("q", None, None, 1), ("d", "q", None, 0)),
    ]:
        empty_database.execute(OLD_RUN, run_id, parent, callback, children)
    for signal_id, data, state in [("s1", '"\u00e4\u00e4"', "open"), ("s2", '"taken"', "taken")]:
        empty_database.execute(OLD_SIGNAL, signal_id, data, state)
    await asyncio.to_thread(migrate, empty_database.url)
    known = dict(empty_database.read("SELECT id, callbacks FROM stepwell_runs WHERE children > 0"))
    assert (names_in(known["p"]), known["q"]) == ({"a", "b"}, None)
    assert empty_database.read("SELECT id, size FROM stepwell_signals ORDER BY id") == [("s1", 6), ("s2", 0)]


async def tokens_after_0006(database: Database, made: dict[str, tuple[str, str]]) -> dict[str, TokenRow]:
    """Return tokens that were there before, by their ids: `made` names the user and the maker of each."""
    engine = database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(lambda given: to_revision(given, "0006"))
    await engine.dispose()
    for token_id, (user, maker) in made.items():
        database.execute(OLD_TOKEN, token_id, user, token_id, maker)
    settings = Settings(_env_file=None, database_url=database.url, auto_migrate=True)
    async with Stepwell(apps=[], settings=settings) as stepwell:
        return {row.id: row for row in await StoredTokens(stepwell.opening).newest(None, None, 20)}


async def test_tokens_of_older_databases_keep_working(empty_database: Database) -> None:
    found = await tokens_after_0006(empty_database, {"t1": ("u", "ann"), "t2": ("u", "cli"), "t3": ("u", "local")})
    assert all(row.valid(2) and row.role == "operator" and row.created_with is None for row in found.values())
    assert {one: row.created_via for one, row in found.items()} == {"t1": None, "t2": "local", "t3": "local"}


async def test_old_tokens_of_stepwells_own_users_are_listed_as_revoked(empty_database: Database) -> None:
    """Whoever made them: a user of the application who was named so would see the runs of the command line."""
    made = {f"{user}-{maker}": (user, maker) for user in sorted(OWN_USERS) for maker in ("root", *sorted(OWN_USERS))}
    found = await tokens_after_0006(empty_database, {**made, "other": ("ann", "cli")})
    assert {one for one, row in found.items() if row.revoked_at is None} == {"other"}
    assert {row.created_via for one, row in found.items() if one != "other"} == {None}


class Receipt(Document, title="Your receipt"):
    cents: int


class Sells(Workflow[None, dict[str, Any], None], name="w"):
    @transition(target="p")
    async def sell(self) -> None: ...

    @transition("p", END, wait=True)
    async def correct(self) -> None:
        (receipt,) = await self.documents.find(Receipt)
        await self.documents.save(Receipt(cents=receipt.cents - 1), key="k")


async def test_documents_of_older_databases_have_no_title_and_their_runs_go_on(empty_database: Database) -> None:
    engine = empty_database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(lambda given: to_revision(given, "0004"))
    await engine.dispose()
    run_id = str(uuid7())
    empty_database.execute(OLD_RUN, run_id, None, None, 0)
    empty_database.execute(OLD_DOCUMENT, run_id)
    settings = Settings(_env_file=None, database_url=empty_database.url, auto_migrate=True)
    async with Stepwell(apps=[App("a", workflows=[Sells])], settings=settings) as stepwell:
        [before] = await stepwell.runner.documents(run_id)
        assert (before.name, before.title) == ("receipt", None)
        await stepwell.runner.signal(run_id, "correct")
        await reaches(stepwell.runner, run_id, "completed")
        found = await stepwell.runner.documents(run_id, replaced=True)
        assert [(one.content["cents"], one.title) for one in found] == [(9, None), (8, "Your receipt")]


def to_first_revision(connection: Connection) -> None:
    to_revision(connection, "0001")


def to_revision(connection: Connection, revision: str) -> None:
    scripts = ScriptDirectory(str(_SCRIPTS))
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    _run(context, scripts, revision)


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
    assert await asyncio.wait_for(waits, 60) == empty_postgres.read(f"SELECT version_num FROM {VERSION_TABLE}")[0][0]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (tables.runs, RunRow),
        (tables.history, HistoryRow),
        (tables.signals, SignalRow),
        (tables.steps, JournalRow),
        (tables.documents, DocumentRow),
        (tables.workspaces, WorkspaceRow),
        (tables.workers, WorkerRow),
        (tables.listeners, Listener),
        (tables.tokens, TokenRow),
        (tables.token_users, TokenUser),
        (tables.made_schedules, MadeSchedule),
    ],
    ids=str,
)
def test_columns_stand_in_the_order_of_the_rows(table: Table, row: type[tuple[object, ...]]) -> None:
    assert list(tables.names(table)) == list(row._fields)  # type: ignore[attr-defined]


def test_what_changes_at_every_checkpoint_is_in_no_index() -> None:
    indexed = {column.name for index in tables.runs.indexes for column in index.columns}
    assert not indexed & {"state", "place", "version", "attempt", "failures", "visit", "updated_at", "automatic"}
