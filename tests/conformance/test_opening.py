"""Databases that can't be opened: StoreUnavailable or ConfigurationError, with the file and what to do (api 3, 5)."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.support import ME
from stepwell import END, App, Settings, Stepwell, Workflow, transition
from stepwell.errors import ConfigurationError, NotBuilt, StoreUnavailable

NOBODY = 65534


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


def on(url: str, **settings: Any) -> Stepwell:
    given = Settings(_env_file=None, database_url=url, **settings)
    return Stepwell(apps=[App("shop", workflows=[Quick])], settings=given)


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """A folder of its own outside of pytest's, which only the owner may enter."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """The superuser may write everywhere; for the test the process is nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def refused(stepwell: Stepwell, error: type[Exception] | tuple[type[Exception], ...], text: str) -> None:
    with pytest.raises(error, match=text):
        async with stepwell:
            pass
    assert stepwell.process is None


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("sqlite://", ConfigurationError, r"in memory.*Name a file"),
        ("sqlite:///:memory:", ConfigurationError, r"in memory.*Name a file"),
        ("mysql://localhost/x", ConfigurationError, r"'mysql://localhost/x' is neither SQLite nor PostgreSQL"),
        ("", ConfigurationError, r"database_url ''"),
        ("stepwell.db", ConfigurationError, r"'stepwell\.db' is neither"),
    ],
)
async def test_a_url_that_names_no_database_is_refused(url: str, error: type[Exception], text: str) -> None:
    with pytest.raises((error, NotBuilt), match=text):
        async with on(url):
            pass


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    await refused(on(f"sqlite:///{tmp_path}/no/such/x.db"), ConfigurationError, r"no/such' doesn't exist.*Create it")
    assert not (tmp_path / "no").exists()


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    await refused(on(f"sqlite:///{tmp_path}"), (StoreUnavailable, ConfigurationError), str(tmp_path))


async def test_a_file_that_isnt_a_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    await refused(on(f"sqlite:///{path}"), (StoreUnavailable, ConfigurationError), r"notes\.txt.*not a database")
    assert path.read_text() == "not a database\n" * 100


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    async with on(f"sqlite:///{tmp_path}/x.db"):
        pass
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("UPDATE stepwell_alembic_version SET version_num='9999'")
    await refused(on(f"sqlite:///{tmp_path}/x.db"), ConfigurationError, r"'9999'.*Upgrade the stepwell package")


async def test_a_folder_that_cant_be_written_is_refused(readable_by_all: Path, unprivileged: None) -> None:
    if os.geteuid() != NOBODY:
        os.chmod(readable_by_all, 0o555)
    await refused(on(f"sqlite:///{readable_by_all}/x.db"), (StoreUnavailable, ConfigurationError), r"x\.db")


async def test_a_file_that_cant_be_written_is_refused(readable_by_all: Path) -> None:
    path = readable_by_all / "x.db"
    async with on(f"sqlite:///{path}"):
        pass
    path.chmod(0o444)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
        try:
            await refused(on(f"sqlite:///{path}"), (StoreUnavailable, ConfigurationError), r"x\.db")
        finally:
            os.seteuid(0)
    else:
        os.chmod(readable_by_all, 0o555)
        await refused(on(f"sqlite:///{path}"), (StoreUnavailable, ConfigurationError), r"x\.db")


async def test_a_database_that_was_never_migrated_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    await refused(on(url, auto_migrate=False), (StoreUnavailable, ConfigurationError), r"stepwell db upgrade|migrate")


async def test_a_database_locked_for_too_long_is_unavailable_and_nothing_is_stored(tmp_path: Path) -> None:
    async with on(f"sqlite:///{tmp_path}/x.db", busy_seconds=0.1) as stepwell:
        other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked") as caught:
            await stepwell.runner.run(Quick, **ME)
        assert caught.value.outcome == "nothing"
        other.execute("ROLLBACK")
        other.close()
        assert (await stepwell.runner.list()).items == ()
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed"


async def test_a_database_locked_for_a_while_is_waited_for(tmp_path: Path) -> None:
    import asyncio

    async with on(f"sqlite:///{tmp_path}/x.db") as stepwell:
        other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        start = asyncio.ensure_future(stepwell.runner.run(Quick, **ME))
        done, _ = await asyncio.wait([start], timeout=0.1)
        assert not done
        other.execute("ROLLBACK")
        other.close()
        await (await start).result(8)


async def test_several_processes_may_migrate_at_once(tmp_path: Path) -> None:
    import asyncio

    opened = [on(f"sqlite:///{tmp_path}/x.db") for _ in range(4)]
    await asyncio.gather(*(one.__aenter__() for one in opened))
    done = await asyncio.gather(*(one.runner.run_sync(Quick, **ME) for one in opened))
    assert {one.status for one in done} == {"completed"}
    await asyncio.gather(*(one.__aexit__(None, None, None) for one in opened))
