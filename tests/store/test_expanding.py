"""Tables expand first and contract later: code of the version before goes on after an upgrade (docs/why/tables.md)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect

from backends import Database, migrate
from conformance.support import reaches
from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.errors import ConfigurationError
from stepwell.settings import Settings
from stepwell.store import migrations
from stepwell.store.migrations import _SCRIPTS, VERSION_TABLE
from store.test_migrations import structure, to_revision

HEADS = [script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()]
"""The newest first."""

Shape = dict[str, dict[str, tuple[str, bool, bool]]]
"""By table and column: the type, whether it may be NULL, whether it has a default."""


class Sale(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


def shape_of(connection: Connection) -> tuple[Shape, set[tuple[str, ...]]]:
    """The columns of all tables, and what has to be unique or true in each of them."""
    found = inspect(connection)
    shape: Shape = {}
    rules: set[tuple[str, ...]] = set()
    for table in found.get_table_names():
        shape[table] = {
            column["name"]: (str(column["type"]), bool(column["nullable"]), column["default"] is not None)
            for column in found.get_columns(table)
        }
        unique = [one for one in found.get_indexes(table) if one["unique"]]
        rules |= {(table, "unique", *map(str, one["column_names"])) for one in unique}
        rules |= {(table, "unique", *map(str, one["column_names"])) for one in found.get_unique_constraints(table)}
        rules |= {(table, "check", str(one["sqltext"])) for one in found.get_check_constraints(table)}
        rules |= {(table, "key", *map(str, one["constrained_columns"])) for one in found.get_foreign_keys(table)}
    return shape, rules


async def shapes(database: Database, *revisions: str) -> list[tuple[Shape, set[tuple[str, ...]]]]:
    found = []
    engine = database.engine()
    for revision in revisions:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync, one=revision: to_revision(sync, one))
            found.append(await connection.run_sync(shape_of))
    await engine.dispose()
    return found


@pytest.mark.parametrize("newer", [0, 1])
async def test_each_of_the_last_two_revisions_only_adds(empty_database: Database, newer: int) -> None:
    (old, old_rules), (new, new_rules) = await shapes(empty_database, HEADS[newer + 1], HEADS[newer])
    for table, columns in old.items():
        assert table in new, f"{table} is gone, which the code before reads"
        for name, kind in columns.items():
            assert new[table].get(name) == kind, f"{table}.{name} isn't as the code before knows it"
        for name in new[table].keys() - columns.keys():
            _, nullable, default = new[table][name]
            assert nullable or default, (
                f"the code before doesn't write {table}.{name}: let it be NULL, or give it a default"
            )
    assert not {rule for rule in new_rules - old_rules if rule[0] in old}, "a rule that the code before doesn't know"
    assert not old_rules - new_rules, "a rule that the code before relies on"


def code_of(monkeypatch: pytest.MonkeyPatch, revision: str) -> None:
    """As if this were code up to that revision."""
    real = ScriptDirectory.walk_revisions
    monkeypatch.setattr(ScriptDirectory, "get_current_head", lambda self: revision)
    monkeypatch.setattr(
        ScriptDirectory, "walk_revisions", lambda self: (one for one in real(self) if one.revision <= revision)
    )


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_the_code_before_starts_and_works_after_an_upgrade(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, auto_migrate: bool
) -> None:
    await asyncio.to_thread(migrate, empty_database.url)
    before = structure(empty_database)
    code_of(monkeypatch, HEADS[1])
    settings = Settings(database_url=empty_database.url, auto_migrate=auto_migrate)
    async with Stepwell(apps=[App("shop", workflows=[Sale])], settings=settings) as old:
        run = await old.runner.run(Sale, app_name="shop", user_id="u1")
        await reaches(old.runner, run.workflow_id, "waiting", "open")
        await old.runner.signal(run.workflow_id, "close")
        await reaches(old.runner, run.workflow_id, "completed")
    assert structure(empty_database) == before
    assert empty_database.read(f"SELECT version_num FROM {VERSION_TABLE}") == [(HEADS[0],)], "it isn't taken back"


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_code_two_revisions_behind_is_refused(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, auto_migrate: bool
) -> None:
    await asyncio.to_thread(migrate, empty_database.url)
    code_of(monkeypatch, HEADS[2])
    settings = Settings(database_url=empty_database.url, auto_migrate=auto_migrate)
    with pytest.raises(ConfigurationError, match=f"revision '{HEADS[0]}'"):
        async with Stepwell(apps=[App("shop", workflows=[Sale])], settings=settings):
            pass


@pytest.mark.parametrize(
    ("revision", "head", "answer"),
    [
        ("0011", "0010", True),
        ("0010", "0010", False),
        ("0012", "0010", False),
        ("x", "0010", False),
        (None, "0010", False),
    ],
)
def test_the_next_revision_is_known_by_its_number(revision: str | None, head: str, answer: bool) -> None:
    assert migrations.is_next(revision, head) is answer


def test_the_statements_of_an_upgrade_make_the_same_tables(tmp_path: Path) -> None:
    """Executed by hand, from nothing and from the revision before."""
    made = []
    for start in (None, HEADS[1]):
        engine = create_engine(f"sqlite:///{tmp_path}/{start}.db")
        raw = engine.raw_connection()
        if start is not None:
            with engine.begin() as connection:
                to_revision(connection, start)
        raw.executescript(migrations.upgrade_sql("sqlite", start))  # type: ignore[attr-defined]
        raw.close()
        with engine.begin() as connection:
            migrations.check(connection)
            made.append(shape_of(connection))
        engine.dispose()
    assert made[0] == made[1]
    assert migrations.upgrade_sql("sqlite", HEADS[0]) == ""


def test_the_statements_for_postgres_are_one_transaction_in_the_schema() -> None:
    text = migrations.upgrade_sql("postgresql", HEADS[1], '"flows"')
    assert text.startswith('BEGIN;\n\nCREATE SCHEMA IF NOT EXISTS "flows";\n\nSET LOCAL search_path TO "flows";\n')
    assert text.rstrip().endswith("COMMIT;")
    assert f"UPDATE {VERSION_TABLE} SET version_num='{HEADS[0]}'" in text
