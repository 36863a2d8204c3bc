"""Databases that can't be opened: StoreUnavailable or ConfigurationError, with the database and what to do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends import Database
from conformance.support import ME
from stepwell import END, App, Settings, Stepwell, Workflow, transition
from stepwell.errors import ConfigurationError, StoreUnavailable


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


def on(url: str, **settings: Any) -> Stepwell:
    given = Settings(_env_file=None, database_url=url, **settings)
    return Stepwell(apps=[App("shop", workflows=[Quick])], settings=given)


async def refused(stepwell: Stepwell, error: type[Exception] | tuple[type[Exception], ...], text: str) -> None:
    """Opening it raises this, in one line, and leaves nothing open."""
    with pytest.raises(error, match=text) as caught:
        async with stepwell:
            pass
    assert "\n" not in str(caught.value)
    assert stepwell.process is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sqlite://", r"in memory.*Name a file"),
        ("sqlite:///:memory:", r"in memory.*Name a file"),
        ("mysql://ann:secret@localhost/x", r"'mysql', which is neither SQLite nor PostgreSQL.*Example"),
        ("", r"database_url.*neither SQLite nor PostgreSQL"),
        ("stepwell.db", r"'stepwell\.db', which is neither"),
        ("postgresql+psycopg://ann:secret@localhost/x", r"Write 'postgresql\+asyncpg://"),
        ("postgresql://ann:secret@localhost:port/x", r"isn't a URL.*Example"),
    ],
)
async def test_a_url_that_names_no_database_is_refused(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        async with on(url):
            pass
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("auto_migrate", [None, True, False])
async def test_a_database_of_a_newer_version_is_refused(database: Database, auto_migrate: bool | None) -> None:
    database.execute("UPDATE stepwell_alembic_version SET version_num='9999'")
    stepwell = on(database.url, auto_migrate=auto_migrate)
    await refused(stepwell, ConfigurationError, r"'9999'.*Upgrade the stepwell package")


async def test_a_database_that_was_never_migrated_says_so(empty_database: Database) -> None:
    await refused(on(empty_database.url, auto_migrate=False), ConfigurationError, r"stepwell db upgrade.*auto_migrate")


async def test_only_a_file_is_migrated_unasked(empty_database: Database) -> None:
    if empty_database.kind == "sqlite":
        async with on(empty_database.url):
            pass
    else:
        await refused(on(empty_database.url), ConfigurationError, "has no Stepwell tables")


async def test_a_database_locked_for_too_long_is_unavailable_and_nothing_is_stored(database: Database) -> None:
    async with on(database.url, busy_seconds=0.1) as stepwell:
        with database.locked(), pytest.raises(StoreUnavailable, match="can't be written") as caught:
            await stepwell.runner.run(Quick, **ME)
        assert caught.value.outcome == "nothing"
        assert (await stepwell.runner.list()).items == ()
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"


async def test_a_database_locked_for_a_while_is_waited_for(database: Database) -> None:
    async with on(database.url, busy_seconds=600) as stepwell:
        with database.locked():
            start = asyncio.ensure_future(stepwell.runner.run(Quick, **ME))
            done, _ = await asyncio.wait([start], timeout=0.4)
            assert not done
        await (await start).result(60)


async def test_several_processes_may_open_and_migrate_at_once(empty_database: Database) -> None:
    opened = [on(empty_database.url, auto_migrate=True) for _ in range(4)]
    await asyncio.gather(*(one.__aenter__() for one in opened))
    done = await asyncio.gather(*(one.runner.run_sync(Quick, **ME) for one in opened))
    assert {one.status for one in done} == {"completed"}
    await asyncio.gather(*(one.__aexit__(None, None, None) for one in opened))
