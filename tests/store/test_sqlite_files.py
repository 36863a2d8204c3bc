"""A file that changes underneath: nothing is acknowledged that would be lost, and what is put back is used again.

SQLite itself notices nothing: it goes on writing to a file that has no name any more.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from backends import Database
from conformance.support import ME, until
from stepwell import END, Stepwell, Workflow, transition
from stepwell.errors import StepwellError, StoreUnavailable
from stepwell.store.sqlite import engine as sqlite
from stepwell.store.sqlite.engine import DatabaseFile
from stepwell.store.sqlite.store import SqliteStore

StepwellOn = Callable[..., Stepwell]
gate = asyncio.Event()
begun: list[int] = []


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    return sqlite_database


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Held(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        async with self.transaction():
            begun.append(1)
            await gate.wait()


async def gone(store: SqliteStore) -> bool:
    """Close what the process has open; true once nothing is: the last connection removes the -wal."""
    lane = store.writer.lend(60)  # the writer waits meanwhile: a heartbeat may be on its way
    await asyncio.wrap_future(lane.granted)
    await store._disconnect()
    store.writer._flusher.disconnect()
    lane.returned.set()
    gc.collect()  # the driver leaves it to this to close what was cancelled while it connected
    return not there(store.path + "-wal")


def test_a_new_file_that_another_process_is_just_making_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite calls no busy handler while a file becomes WAL: of processes that opened a new file together, one failed.
    path = str(tmp_path / "new.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE theirs (x)")
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(sqlite.time, "sleep", pause)
    engine = sqlite.writer_engine(DatabaseFile(path), busy_seconds=60)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert len(pauses) == 3
    other.execute("BEGIN IMMEDIATE")
    with engine.connect():
        pass
    assert len(pauses) == 3, "a file that is WAL already waited for a writer"
    other.close()


def store_of(stepwell: Stepwell) -> SqliteStore:
    assert stepwell.process is not None
    assert isinstance(stepwell.process.store, SqliteStore)
    return stepwell.process.store


def names(path: Path) -> list[Path]:
    """The database with all that belongs to it."""
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]


def there(name: str) -> bool:
    """Whether there is a file of this name."""
    return Path(name).exists()


def size(name: str) -> int:
    """How many bytes the file has."""
    return Path(name).stat().st_size


def move(path: Path, where: Path) -> None:
    """The whole database is at another place."""
    where.mkdir(exist_ok=True)
    for one in names(path):
        if one.exists():
            one.rename(where / one.name)


def remove(path: Path, what: str) -> None:
    """These files are gone."""
    for one in names(path):
        if what in ("all", one.name.removeprefix(path.name)):
            one.unlink(missing_ok=True)


def backup(path: Path, where: Path) -> None:
    """A consistent copy, as SQLite makes it."""
    with sqlite3.connect(path) as here, sqlite3.connect(where) as there:
        here.backup(there)
    here.close()
    there.close()


async def heals(stepwell: Stepwell) -> Any:
    """A run that was started as soon as the database could be written again."""

    async def tried() -> Any:
        try:
            return await stepwell.runner.run(Quick, **ME)
        except StoreUnavailable as error:
            assert error.outcome == "nothing", error  # noqa: PT017 - it is looked at, and tried again
            return None

    return await until(tried, "a start that is stored")


@pytest.mark.parametrize("what", ["all", "", "-wal", "-shm"])
async def test_nothing_is_acknowledged_on_a_file_that_is_gone(
    stepwell_on: StepwellOn, tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        path = Path(store_of(stepwell).path)
        run = await stepwell.runner.run(Quick, **ME)
        await stepwell.runner.get(run.workflow_id)
        assert await stepwell.faults() == []
        remove(path, what)
        faults = await stepwell.faults()
        assert any(str(path) in fault and "while" in fault for fault in faults), faults
        with pytest.raises(StoreUnavailable, match=rf"{path}.*Nothing was stored"):
            await stepwell.runner.run(Quick, **ME)
        if what in ("all", ""):
            with pytest.raises(StoreUnavailable, match="deleted or moved away while it was open"):
                await stepwell.runner.get(run.workflow_id)
            assert not there(str(path)), "no empty database in its place"
    said = [record for record in caplog.records if str(path) in record.getMessage() and record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "nothing is stored until it is back" in said[0].getMessage()


@pytest.mark.parametrize("moved", [1, 3])
async def test_a_file_that_is_put_back_is_used_again_with_all_that_was_in_it(
    stepwell_on: StepwellOn, tmp_path: Path, moved: int
) -> None:
    async with stepwell_on([Quick]) as stepwell:
        path, away = Path(store_of(stepwell).path), tmp_path / "away"
        run = await stepwell.runner.run(Quick, **ME)
        await run.result(60)
        away.mkdir()
        for one in names(path)[:moved]:
            one.rename(away / one.name)
        with pytest.raises(StoreUnavailable):
            await stepwell.runner.run(Quick, **ME)
        for one in names(path)[:moved]:
            if (away / one.name).exists():
                (away / one.name).rename(one)
        again = await heals(stepwell)
        await again.result(60)  # and the loop that claims goes on
        assert (await run.get()).status == "completed"
        assert await stepwell.faults() == []
    async with stepwell_on([Quick]) as stepwell:
        assert {one.status for one in (await stepwell.runner.list()).items} == {"completed"}
        assert len((await stepwell.runner.list()).items) == 2


@pytest.mark.parametrize("stale", [True, False], ids=["beside the old wal", "alone"])
async def test_a_restored_copy_is_gone_on_with(
    stepwell_on: StepwellOn, tmp_path: Path, stale: bool, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "copy.db"
    async with stepwell_on([Quick]) as stepwell:
        path = Path(store_of(stepwell).path)
        early = await stepwell.runner.run(Quick, **ME)
        await early.result(60)
        backup(path, copy)
        late = await stepwell.runner.run(Quick, app_name="shop", user_id="u2")
        await late.result(60)
        os.replace(copy, path)
        if not stale:
            remove(path, "-wal")
            remove(path, "-shm")
        with pytest.raises(StoreUnavailable, match="replaced by another one while it was open"):
            await stepwell.runner.run(Quick, **ME)
        again = await heals(stepwell)
        await again.result(60)
        assert (await early.get()).status == "completed"
        with pytest.raises(StepwellError, match="No run"):
            await late.get()
        # What the process knew of the database it knows of the one before: the user's workspace is made again.
        await (await stepwell.runner.run(Quick, app_name="shop", user_id="u2")).result(60)
    assert "is written again, as it is there now" in caplog.text
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert check.execute(
        "SELECT count(*) FROM stepwell_runs WHERE workspace_id NOT IN (SELECT id FROM stepwell_workspaces)"
    ).fetchone() == (0,)
    check.close()


async def test_a_file_of_something_else_is_refused_and_the_right_one_taken(
    stepwell_on: StepwellOn, tmp_path: Path
) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        path, away = Path(store_of(stepwell).path), tmp_path / "away"
        await stepwell.runner.run(Quick, **ME)
        move(path, away)
        sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()

        async def refused() -> bool:
            with pytest.raises(StoreUnavailable) as caught:
                await stepwell.runner.run(Quick, **ME)
            return "has no Stepwell tables" in str(caught.value)

        await until(refused, "the refusal of the other file")
        assert await stepwell.faults() != []
        remove(path, "all")
        move(away / path.name, path.parent)
        await heals(stepwell)
        assert len((await stepwell.runner.list()).items) == 2


async def test_what_a_transaction_of_a_method_writes_isnt_acknowledged_either(
    stepwell_on: StepwellOn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate.clear()
    begun.clear()
    async with stepwell_on([Held], drain_seconds=0.1) as stepwell:
        path = Path(store_of(stepwell).path)
        run = await stepwell.runner.run(Held, **ME)
        await until(lambda: asyncio.sleep(0, begun))
        move(path, tmp_path / "away")
        gate.set()
        await until(lambda: asyncio.sleep(0, "its transaction broke with the database" in caplog.text))
        move(tmp_path / "away" / path.name, path.parent)
        assert await run.result(60) is None
        [row] = [one for one in await stepwell.runner.history(run.workflow_id) if one.transition == "go"]
        assert (row.status, len(begun)) == ("committed", 2), "what the first one wrote was rolled back"


async def test_in_the_callers_transaction_it_is_refused_too(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        await stepwell.runner.run(Quick, **ME)
        path = Path(store_of(stepwell).path)
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        async with engine.connect() as connection:
            await connection.begin()
            remove(path, "all")
            for verb in (
                stepwell.runner.run(Quick, **ME, connection=connection),
                stepwell.runner.emit("x", connection=connection),
            ):
                with pytest.raises(StoreUnavailable, match="deleted or moved away while it was open"):
                    await verb
        await engine.dispose()


async def test_a_wal_comes_and_goes_while_nothing_is_open(stepwell_on: StepwellOn) -> None:
    """The last connection removes it, and that is as it should be: no alarm."""
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        store = store_of(stepwell)
        await stepwell.runner.run(Quick, **ME)
        await stepwell.runner.list()
        assert stepwell.process is not None
        await stepwell.process.duties.end()  # they look, too

        await until(lambda: gone(store))
        assert store.faults() == []
        await stepwell.runner.run(Quick, **ME)
        assert len((await stepwell.runner.list()).items) == 2


async def test_a_wal_that_a_long_reader_made_grow_shrinks_when_it_has_gone(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        store = store_of(stepwell)
        wal = store.path + "-wal"
        reader = sqlite3.connect(store.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM stepwell_runs").fetchone()

        def filled(tx: Any) -> None:
            tx.run("CREATE TABLE IF NOT EXISTS blobs (x BLOB)")
            tx.run("INSERT INTO blobs VALUES (zeroblob(8000000))")

        for _ in range(6):
            await store.writer.call(filled)
        grown = size(wal)
        assert grown > 40_000_000
        reader.close()
        for _ in range(3):
            await stepwell.runner.run(Quick, **ME)
        assert size(wal) < 20_000_000
