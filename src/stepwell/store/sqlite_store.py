"""The store on a SQLite file: one thread writes, readers never wait for it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import Run
from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store import migrate, outcome, sqlite
from stepwell.store.apply import Applier
from stepwell.store.base import Advance
from stepwell.store.flush import Flusher
from stepwell.store.sqlite_dialect import Sqlite
from stepwell.store.store import Store
from stepwell.store.thread_writer import ThreadWriter
from stepwell.store.tx import Tx

T = TypeVar("T")

_READERS = 3
"""Reads at once: the pool has one connection more, for `data_version`. Waiting for the pool itself would time out."""


class SqliteStore(Store):
    """One file."""

    reports_commits = False
    look_every = 1.0
    writer: ThreadWriter

    def __init__(self, settings: Settings, applier: Applier, process_id: str) -> None:
        super().__init__(settings, applier, process_id)
        if settings.database_schema is not None:
            raise ConfigurationError("database_schema is for PostgreSQL: SQLite has no schemas. Leave it out.")
        self.path = sqlite.path_of(settings.database_url)
        self.dialect = Sqlite()
        self._reader = sqlite.reader_engine(self.path, settings.busy_seconds)
        self._transactions = sqlite.transaction_engine(self.path, settings.busy_seconds)
        self._watch: AsyncConnection | None = None
        self._reading = asyncio.Semaphore(_READERS)

    async def open(self) -> None:
        engine = sqlite.writer_engine(self.path, self.settings.busy_seconds)
        act = migrate.upgrade if self.settings.auto_migrate is not False else migrate.check
        await asyncio.to_thread(_prepare, engine, self.path, act)
        flusher = Flusher(sqlite.SqliteBackend(engine, Sqlite()), self.applier, self.settings.busy_seconds)
        self.writer = ThreadWriter(flusher, asyncio.get_running_loop(), sqlite.directly)
        self.beats = self.writer
        self.writer.start()

    async def close(self) -> None:
        try:
            await self.writer.stop()
        finally:
            self._closed = True
            watch, self._watch = self._watch, None
            if watch is not None:
                await watch.close()
            await self._reader.dispose()
            await self._transactions.dispose()

    async def read(self, query: Callable[[Tx], T]) -> T:
        try:
            async with self._reading:
                self._check_open()
                async with self._reader.connect() as connection:
                    return await connection.run_sync(lambda given: query(Tx(given, self.dialect)))
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreUnavailable(f"The database can't be read: {error}") from error

    async def stored(self, commit: Commit, run: Run) -> bool:
        try:
            found = await self.read(lambda tx: outcome.commit_stored(tx, commit, run))
        except StoreUnavailable as error:
            raise outcome.unknown(Advance(commit), error) from error
        if found is None:
            raise outcome.unknown(Advance(commit), "others have had the run since")
        return found

    async def data_version(self) -> int:
        """Changes whenever another connection, this process's writer included, has committed something."""
        self._check_open()
        try:
            if self._watch is None:
                self._watch = await self._reader.connect()
                self._watch = await self._watch.execution_options(isolation_level="AUTOCOMMIT")
            return await self._watch.run_sync(sqlite.data_version)
        except (SQLAlchemyError, sqlite3.Error) as error:
            watch, self._watch = self._watch, None
            if watch is not None:
                await watch.invalidate()
            raise StoreUnavailable(f"The database can't be read: {error}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """With the write lock."""
        lane = self.writer.lend(self.settings.transaction_seconds)
        try:
            await asyncio.wrap_future(lane.granted)
            async with self._transactions.connect() as connection:
                await connection.begin()
                yield connection
        finally:
            lane.returned.set()

    def unavailable(self, error: BaseException) -> bool:
        return isinstance(error, OperationalError)

    async def check_same(self, given: AsyncConnection) -> None:
        if given.dialect.name != "sqlite" or not _same_file(given.engine.url.database, self.path):
            raise ConfigurationError(
                f"connection= is on {given.engine.url.render_as_string()!r}, not on Stepwell's database "
                f"({self.path!r}): what it writes could not commit together."
            )

    def begin_in(self, connection: Connection) -> Tx:
        sqlite.lock(connection)
        return super().begin_in(connection)


def _same_file(database: str | None, path: str) -> bool:
    return database is not None and Path(database).expanduser().resolve() == Path(path).resolve()


def _prepare(engine: Engine, path: str, act: Callable[[Connection], object]) -> None:
    try:
        with engine.begin() as connection:
            act(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise sqlite.unopened(path, error) from error
