"""The store on PostgreSQL: the writer on the loop, the heartbeats in a thread, and a bounded number of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import Moment, Run
from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store import outcome, postgres, runs, workspaces
from stepwell.store.apply import Applier
from stepwell.store.base import Advance
from stepwell.store.flush import HURRIED, Flusher, Verdict
from stepwell.store.loop_writer import LoopWriter
from stepwell.store.postgres_dialect import Postgres
from stepwell.store.postgres_schema import prepare
from stepwell.store.store import Store
from stepwell.store.thread_writer import ThreadWriter
from stepwell.store.tx import Tx

T = TypeVar("T")

_FLUSHES: Final = 1
"""Flushes at once."""
_TRANSACTIONS: Final = 3
"""Open `self.transaction()`s at once; others wait for one of them, which lasts a few seconds at most."""
_SINGLE: Final = 3
"""One connection each: for writes that wait for somebody's lock, for heartbeats, for listening."""
_LOCK_MS: Final = 100
"""Milliseconds for a row that somebody else holds: then the item waits by itself. Below `deadlock_timeout`, so that it
also breaks deadlocks."""
_SHORT_MS: Final = 20
"""The same where one after the other is tried again."""
_ANSWER: Final = 1.0
_EXACT: Final = 20_000
"""Microseconds of disagreement between clocks that don't matter."""
_SAMPLES: Final = 3
"""Looks at the server's clock: the quickest says most."""
FEWEST: Final = _FLUSHES + _TRANSACTIONS + _SINGLE + 1

_Fingerprint = tuple[Any, ...]


class PostgresStore(Store):
    """One schema of one database."""

    reports_commits = True
    look_every = 3.0
    dialect: Postgres

    def __init__(self, settings: Settings, applier: Applier, process_id: str) -> None:
        super().__init__(settings, applier, process_id)
        if settings.database_connections < FEWEST:
            raise ConfigurationError(
                f"database_connections={settings.database_connections}: a process needs {FEWEST} at least."
            )
        self.channel = postgres.channel(settings)
        self.dialect = Postgres(settings.database_schema)
        readers = settings.database_connections - FEWEST + 1
        self._reader = postgres.engine(settings, size=readers, autocommit=True)
        self._reading = asyncio.Semaphore(readers)
        self._readers = readers
        # Who holds one open for too long is told so by Stepwell, before the driver or the server end it.
        self._longest = settings.transaction_seconds + 5
        self._transactions = postgres.engine(
            settings, size=_TRANSACTIONS, silent_seconds=self._longest, statement_seconds=self._longest
        )
        self._transacting = asyncio.Semaphore(_TRANSACTIONS)
        self._same: WeakKeyDictionary[Any, _Fingerprint] = WeakKeyDictionary()

    async def open(self) -> None:
        try:
            await prepare(self.settings)
            self._mine = await self.read(_fingerprint)
            if self.settings.database_schema is None:
                # Where they are for us: a caller's connection may find others first.
                self.dialect = Postgres(str(await self.read(_schema)))
            loop, busy = asyncio.get_running_loop(), self.settings.busy_seconds
            flushers = [self._flusher() for _ in range(_FLUSHES)]
            self.writer = LoopWriter(flushers, self._flusher(lock=_SHORT_MS), loop, busy)
            self.beats = ThreadWriter(self._flusher(single=True), loop, postgres.loop_of_its_own, 2 * HURRIED)
            self.writer.start()
            self.beats.start()
        except BaseException:
            await self._dispose()
            raise

    def _flusher(self, *, single: bool = False, lock: int = _LOCK_MS) -> Flusher:
        """With a connection of its own; `single`: for writes of one statement, which is its own transaction."""
        silent = max(1.0, min(self.settings.lease_seconds / 2, 10.0))
        engine = postgres.engine(self.settings, silent_seconds=silent, lock=lock, autocommit=single)
        backend = postgres.PostgresBackend(engine, self.dialect, self.settings, silent, lock)
        return Flusher(backend, self.applier, self.settings.busy_seconds)

    async def close(self) -> None:
        try:
            self.beats.hurry()
            await self.writer.stop()
            await self.beats.stop()
        finally:
            await self._dispose()

    async def _dispose(self) -> None:
        self._closed = True
        await asyncio.gather(self._reader.dispose(), self._transactions.dispose())

    async def read(self, query: Callable[[Tx], T]) -> T:
        again = self._readers
        while True:
            try:
                return await self._read(query)
            except (SQLAlchemyError, OSError) as error:
                # A connection that was good when it was last used says nothing about the database now, nor of the others.
                slow = isinstance(error, TimeoutError)
                if not again or not (slow or (isinstance(error, SQLAlchemyError) and postgres.is_lost(error))):
                    raise StoreUnavailable(f"The database can't be read: {postgres.said(error)}") from error
            again = 0 if slow else again - 1

    async def _read(self, query: Callable[[Tx], T]) -> T:
        async with self._reading:
            self._check_open()
            async with self._reader.connect() as connection:
                try:
                    return await connection.run_sync(lambda given: query(Tx(given, self.dialect)))
                except Exception as error:
                    if postgres.is_lost(error):
                        await connection.invalidate()  # the server said goodbye; SQLAlchemy may not have heard it yet
                    raise

    async def stored(self, commit: Commit, run: Run) -> bool:
        deadline = time.monotonic() + self.settings.busy_seconds
        while True:
            try:
                async with self.transaction() as connection:
                    found = await connection.run_sync(lambda given: self._look(given, commit, run))
                break
            except Exception as error:
                if not self.unavailable(error) or time.monotonic() >= deadline:
                    raise outcome.unknown(Advance(commit), postgres.said(error)) from error
            await asyncio.sleep(0.1)
        if found is None:
            raise outcome.unknown(Advance(commit), "others have had the run since")
        return found

    def _look(self, connection: Connection, commit: Commit, run: Run) -> bool | None:
        tx = Tx(connection, self.dialect)
        runs.hold(tx, run.id)  # behind the transaction in doubt, if the server still has it open
        return outcome.commit_stored(tx, commit, run)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """On one of a few connections."""
        async with self._transacting, self._transactions.connect() as connection:
            await connection.begin()
            if self.settings.transaction_pooler:
                await connection.exec_driver_sql(*postgres.limits(self._longest, 0))
            yield connection

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Any]:
        """A connection of the driver's, for LISTEN."""
        engine = postgres.engine(self.settings, autocommit=True)
        async with engine.connect() as connection:
            yield (await connection.get_raw_connection()).driver_connection

    def unavailable(self, error: BaseException) -> bool:
        return postgres.verdict(error) is not Verdict.REFUSED

    def lost(self, error: BaseException) -> bool:
        return postgres.is_lost(error)

    async def answers(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER):
                return bool(await self.read(lambda tx: tx.scalar("SELECT 1")))
        except (StoreUnavailable, TimeoutError):
            return False

    async def check_same(self, given: AsyncConnection) -> None:
        known = self._same.get(given.sync_engine)
        if known is None and given.dialect.name == "postgresql":
            known = await given.run_sync(lambda connection: _fingerprint(Tx(connection, self.dialect)))
            self._same[given.sync_engine] = known
        if known != self._mine:
            raise ConfigurationError(
                f"connection= is on {given.engine.url.render_as_string()!r}, not on Stepwell's database "
                f"({self._reader.url.render_as_string()!r}): what it writes could not commit together."
            )

    async def lag(self, now: Callable[[], Moment]) -> int:
        took, ahead = min([await self.read(lambda tx: _lag(tx, now)) for _ in range(_SAMPLES)])
        # What the question itself took may be all of the difference.
        return ahead if abs(ahead) > took // 2 + _EXACT else 0

    async def prepare_starts(self, commits: Sequence[Commit]) -> None:
        wanted = self.applier.unknown_workspaces(commits)
        if wanted:
            await self.writer.call(lambda tx: workspaces.ensure(tx, wanted))
            self.applier.known_workspaces.update(row.id for row in wanted)

    def announce_in(self, tx: Tx) -> None:
        if tx.hints:
            self.tell(tx, postgres.kinds(tx.hints), everybody=True)

    async def notify(self, connection: Any, kinds: str) -> None:
        """As `tell`, at once, on a connection of `listening`."""
        await connection.execute("SELECT pg_notify($1, $2)", self.channel, postgres.notice(self.process_id, kinds))

    def tell(self, tx: Tx, kinds: str, *, everybody: bool = False) -> None:
        """Who listens hears of these kinds when the transaction is committed; this process too, if `everybody` does."""
        notice = postgres.notice("" if everybody else self.process_id, kinds)
        tx.rows("SELECT pg_notify(?, ?)", self.channel, notice)


def _fingerprint(tx: Tx) -> _Fingerprint:
    """Which database of which server this is, whatever the URL."""
    return tuple(tx.rows("SELECT current_database(), system_identifier FROM pg_control_system()")[0])


def _schema(tx: Tx) -> Any:
    return tx.scalar(
        "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE c.oid='stepwell_runs'::regclass"
    )


def _lag(tx: Tx, now: Callable[[], Moment]) -> tuple[int, int]:
    """How long the question took, and how far ahead of `now` the server's clock was in its middle."""
    asked = now()
    theirs = int(tx.scalar("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"))
    answered = now()
    return answered - asked, theirs - (asked + answered) // 2
