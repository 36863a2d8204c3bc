"""The store of one process: its writer, its readers, and the connection of `self.transaction()`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import Run
from stepwell.errors import ConfigurationError, NotBuilt, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store import outcome, sqlite
from stepwell.store.apply import AcceptEvent, Applier
from stepwell.store.base import Advance
from stepwell.store.migrate import check, upgrade
from stepwell.store.writer import Writer

T = TypeVar("T")

_READERS = 3
"""Reads at once: the pool has one connection more, for `data_version`. Waiting for the pool itself would time out."""


class Store:
    """Open between `open` and `close`. Reads see what was committed before they began."""

    def __init__(self, settings: Settings, accept_event: AcceptEvent) -> None:
        if settings.database_url.startswith("postgres"):
            raise NotBuilt("PostgreSQL")
        if not settings.database_url.startswith("sqlite"):
            raise ConfigurationError(
                f"database_url {settings.database_url!r} is neither SQLite nor PostgreSQL. "
                "Example: 'sqlite+aiosqlite:///stepwell.db'."
            )
        if settings.database_schema is not None:
            raise ConfigurationError("database_schema is for PostgreSQL: SQLite has no schemas. Leave it out.")
        self.path = sqlite.path_of(settings.database_url)
        self.settings = settings
        self.applier = Applier(settings.history_states, accept_event)
        self._reader = sqlite.reader_engine(self.path, settings.busy_seconds)
        self._transactions = sqlite.transaction_engine(self.path, settings.busy_seconds)
        self._watch: AsyncConnection | None = None
        self._reading = asyncio.Semaphore(_READERS)
        self._closed = False

    async def open(self) -> None:
        """The tables are those of this version, and the writer runs. Raises StoreUnavailable or ConfigurationError."""
        engine = sqlite.writer_engine(self.path, self.settings.busy_seconds)
        await asyncio.to_thread(
            _prepare, engine, self.path, upgrade if self.settings.auto_migrate is not False else check
        )
        self.writer = Writer(engine, self.applier, asyncio.get_running_loop(), self.settings.busy_seconds)
        self.writer.start()

    async def close(self) -> None:
        """Everything that was handed over is written, and every connection is closed."""
        try:
            await self.writer.stop()
        finally:
            self._closed = True
            watch, self._watch = self._watch, None
            if watch is not None:
                await watch.close()
            await self._reader.dispose()
            await self._transactions.dispose()

    async def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` found, after the reads before it where there are many. Raises StoreUnavailable."""
        try:
            async with self._reading:
                self._check_open()
                async with self._reader.connect() as connection:
                    return await connection.run_sync(query)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreUnavailable(f"The database can't be read: {error}") from error

    async def stored(self, commit: Commit, run: Run) -> bool:
        """Whether this commit, whose answer was lost, made the run what `run` says (semantics 35).

        Raises StoreUnavailable with the outcome "unknown" if the database can't tell.
        """
        try:
            found = await self.read(lambda connection: outcome.commit_stored(connection, commit, run))
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

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("This Stepwell is closed: nothing was read.")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """The write lock, on a connection of its own; rolled back unless the caller commits it."""
        lane = self.writer.lend(self.settings.transaction_seconds)
        try:
            await asyncio.wrap_future(lane.granted)
            async with self._transactions.connect() as connection:
                await connection.begin()
                yield connection
        finally:
            lane.returned.set()


def _prepare(engine: Engine, path: str, act: Callable[[Connection], object]) -> None:
    try:
        with engine.connect() as connection:
            act(connection)
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StoreUnavailable(
            f"The database {path!r} can't be opened: {cause}. It has to be a SQLite file (or none yet) in a folder, and "
            "this process must be allowed to write both."
        ) from error
