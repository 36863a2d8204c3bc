"""The store on a SQLite file: one thread writes, readers never wait for it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import RunRow
from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store import migrations
from stepwell.store.base import Again, Parts, Store, Verdict
from stepwell.store.callers import AUTOCOMMIT_CURE, CallersTransaction, known, no_transaction
from stepwell.store.sqlite import engine as sqlite
from stepwell.store.sqlite.dialect import Sqlite
from stepwell.store.sqlite.engine import DatabaseFile, FileReplaced
from stepwell.store.tx import Advance, Answer, Item, Tx
from stepwell.store.workspaces import WorkspaceRow
from stepwell.store.writing.apply import Applier, commit_stored
from stepwell.store.writing.flush import Flusher, cause_of, stored, unknown
from stepwell.store.writing.thread import ThreadWriter

log = logging.getLogger("stepwell.store")

T = TypeVar("T")

_OWN: Final = 3
"""Reads at once of the process's own work."""
_OF_APPLICATION: Final = 3
"""Reads at once of the application."""
_FOR_USERS: Final = 4
"""Reads at once for users."""
_READERS: Final = _OWN + _OF_APPLICATION + _FOR_USERS + 1
"""Reads at once, with that of health checks. The pool has one connection more, for `data_version`: none waits for it."""
_STOPPED_EVERY: Final = 0.1
"""Seconds between interrupts of a read whose time is over: between two of its statements one has no effect."""


class SqliteStore(Store):
    """One file."""

    look_every = 1.0
    writer: ThreadWriter

    def __init__(self, settings: Settings, applier: Applier, process_id: str) -> None:
        super().__init__(settings, applier, process_id, _FOR_USERS)
        if settings.database_schema is not None:
            raise ConfigurationError("database_schema is for PostgreSQL: SQLite has no schemas. Leave it out.")
        self.path = sqlite.path_of(settings.database_url)
        self.dialect = Sqlite()
        self.file = DatabaseFile(self.path)
        self._reader = sqlite.reader_engine(self.file, settings.busy_seconds, _READERS + 1)
        self._transactions = sqlite.transaction_engine(self.file, settings.busy_seconds)
        self._writing = sqlite.writer_engine(self.file, settings.busy_seconds)
        self._dropping: asyncio.Task[None] | None = None
        self._watch: AsyncConnection | None = None
        self._own = asyncio.Semaphore(_OWN)
        self._of_application = asyncio.Semaphore(_OF_APPLICATION)
        self._reading = asyncio.Semaphore(_READERS)

    async def open(self) -> None:
        act = migrations.upgrade if self.settings.auto_migrate is not False else migrations.check
        await asyncio.to_thread(_prepare, self._writing, self.path, act)
        loop = asyncio.get_running_loop()
        self.file.on_replaced = partial(loop.call_soon_threadsafe, self._drop)
        flusher = Flusher(self, self._writing, lambda connection: self.file.begun(partial(_verify, connection)))
        self.writer = ThreadWriter(flusher, loop, sqlite.directly)
        self.beats = self.writer
        self.writer.start()

    async def close(self) -> None:
        try:
            await self.writer.stop()
        finally:
            self._closed = True
            await self._end_probe()
            await self._disconnect()

    def faults(self) -> list[str]:
        fault = self.file.fault()
        return super().faults() + ([] if fault is None else [fault])

    def _drop(self) -> None:
        if self._dropping is None or self._dropping.done():
            self._dropping = asyncio.get_running_loop().create_task(self._disconnect_all())

    async def _disconnect_all(self) -> None:
        # One that is just being given back would go into the pool before, and stay open for good: no read is on its way.
        async with AsyncExitStack() as without_readers:
            for _ in range(_READERS):
                await without_readers.enter_async_context(self._reading)
            await self._disconnect()

    async def _disconnect(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()
        await self._reader.dispose()
        await self._transactions.dispose()

    async def _given_back(self, connection: AsyncConnection) -> None:
        if self.file.dropping:
            await connection.invalidate()

    async def read(self, query: Callable[[Tx], T]) -> T:
        async with self._own:
            return await self._read(query)

    async def _probe(self) -> None:
        await self._read(lambda tx: tx.scalar("SELECT 1 FROM stepwell_workers LIMIT 1"))

    async def _read_for_application(self, seconds: float, query: Callable[[Tx], T]) -> T:
        async with self._of_application:
            return await self._read(query, partial(_Stop, seconds))

    async def _read_for_users(self, seconds: float, query: Callable[[Tx], T]) -> T:
        return await self._read(query, partial(_Stop, seconds))

    async def _read(self, query: Callable[[Tx], T], limit: Callable[[Any], _Stop] | None = None) -> T:
        stop: _Stop | None = None
        try:
            async with self._reading:
                self._check_open()
                self.file.check()
                async with self._reader.connect() as connection:
                    try:
                        if limit is not None:
                            stop = limit((await connection.get_raw_connection()).driver_connection)
                        reading = connection.run_sync(lambda given: query(Tx(given, self.dialect)))
                        return await (reading if stop is None else stop.when_given_up(reading))
                    finally:
                        await self._given_back(connection)
        except (SQLAlchemyError, sqlite3.Error) as error:
            if sqlite.is_interrupted(cause_of(error)):
                if stop is not None and stop.over:
                    raise self._too_long() from error
                return await self._read(query, limit)  # it was meant for the read that had the connection before
            raise StoreUnavailable(f"The database can't be read: {error}") from error
        finally:
            if stop is not None:
                stop.cancel()

    async def stored(self, commit: Commit, run: RunRow) -> bool:
        try:
            found = await self.read(lambda tx: commit_stored(tx, commit, run))
        except StoreUnavailable as error:
            raise unknown(Advance(commit), error) from error
        if found is None:
            raise unknown(Advance(commit), "others have had the run since")
        return found

    async def data_version(self) -> int:
        """Return a number that changes whenever another connection, this process's writer included, commits."""
        self._check_open()
        try:
            self.file.check()
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
        """Open a transaction with the write lock."""
        lent = self.writer.lend(self.settings.transaction_seconds)
        try:
            await asyncio.wrap_future(lent.granted)
            self.file.check()
            async with self._transactions.connect() as connection:
                try:
                    await connection.begin()
                    yield connection
                finally:
                    await self._given_back(connection)
        finally:
            lent.returned.set()

    async def write_parts(self, parts: Parts, beside: Sequence[WorkspaceRow]) -> None:
        # The file is locked for all that is written: nothing but writing happens meanwhile.
        def write(tx: Tx) -> None:
            for part in parts():
                if not part(tx):
                    return

        await self.writer.call(write)

    def check_same(self, given: CallersTransaction) -> None:
        if given.name != "sqlite":
            shown, same = repr(given.url.render_as_string()), False
        else:
            file = known(given, lambda: sqlite.file_of(given.tx(self.dialect)))
            shown, same = repr(file) if file else "a database in memory", _same_file(file, self.path)
        if not same:
            raise ConfigurationError(
                f"connection= is on {shown}, not on Stepwell's database ({self.path!r}): what it writes could not commit "
                "together."
            )
        try:
            self.file.check()
        except FileReplaced as error:
            raise StoreUnavailable(f"The database can't be written: {error}. Nothing was stored.") from error

    def begin_in(self, given: CallersTransaction) -> Tx:
        tx = super().begin_in(given)
        sqlite.lock(tx)
        if not given.raw.in_transaction:
            raise no_transaction(AUTOCOMMIT_CURE)
        return tx

    # -- errors ---------------------------------------------------------------------------------------------------

    def unavailable(self, error: BaseException) -> bool:
        return isinstance(error, OperationalError | FileReplaced)

    def verdict(self, error: BaseException) -> Verdict:
        if sqlite.is_busy(error):
            return Verdict.WAIT
        if isinstance(error, FileReplaced) or sqlite.concerns_database(error):
            return Verdict.GONE
        return Verdict.REFUSED if isinstance(error, sqlite3.OperationalError) else Verdict.UNSTORABLE

    def said(self, error: BaseException) -> str:
        return str(error)

    def cure(self, error: BaseException) -> str:
        return _BACK if isinstance(error, FileReplaced) else ""

    # -- a flush, in the writer's thread --------------------------------------------------------------------------

    def confirm(self) -> None:
        self.file.check()

    def fault(self) -> str | None:
        return self.file.fault()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def in_doubt(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.Error) and not sqlite.is_busy(error)  # busy: the transaction is still open

    def look_up(self, items: Sequence[Item], answers: list[Answer], error: Exception, again: Again) -> list[Answer]:
        try:
            with self._writing.connect() as connection:
                # A look, and no transaction: a database that can't be written may still answer.
                looking = connection.execution_options(isolation_level="AUTOCOMMIT")
                found = stored(Tx(looking, self.dialect), items, answers)
        except (DBAPIError, sqlite3.Error):
            log.warning("looking for what a failed commit left failed too", exc_info=True)
            found = None
        if found is None:
            return [unknown(item, cause_of(error)) for item in items]
        if not found:
            raise error
        return answers


class _Stop:
    """Stops the statements of a connection of aiosqlite, from so many seconds on."""

    def __init__(self, seconds: float, connection: Any) -> None:
        self.over = False
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(seconds, self._end)

    def _end(self) -> None:
        self.over = True
        self.interrupt()

    def interrupt(self) -> None:
        """Stop the statement that is executed now, and each that follows, until this is cancelled."""
        self._next.cancel()
        # The coroutine awaits nothing. As a task it could run when another read has the connection.
        with suppress(StopIteration):
            self._connection.interrupt().send(None)
        self._next = self._loop.call_later(_STOPPED_EVERY, self.interrupt)

    async def when_given_up(self, reading: Coroutine[Any, Any, T]) -> T:
        """Return what the read returns. Cancelled, it stops the read first: its connection can't be closed before."""
        task = self._loop.create_task(reading)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.interrupt()
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()  # that of the statement which was stopped
            raise

    def cancel(self) -> None:
        self._next.cancel()


_BACK: Final = (
    "Put it back, or a backup in its place, with the -wal that belongs to it or none; or restart this process to begin "
    "with a new file."
)


def _verify(connection: Connection) -> None:
    try:
        migrations.check(connection)
    except ConfigurationError as error:
        raise FileReplaced(f"the file was replaced by one that can't be used: {error}") from error


def _same_file(file: str, path: str) -> bool:
    return bool(file) and Path(file).resolve() == Path(path).resolve()


def _prepare(engine: Engine, path: str, act: Callable[[Connection], object]) -> None:
    try:
        with engine.begin() as connection:
            act(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise sqlite.unopened(path, error) from error
