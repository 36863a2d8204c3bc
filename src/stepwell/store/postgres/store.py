"""The store on PostgreSQL: the writer on the loop, the heartbeats in a thread, and a bounded number of connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util import await_only

from stepwell.engine.commit import Commit
from stepwell.engine.run import Moment, RunRow
from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store import runs, workspaces
from stepwell.store.base import Again, Lend, Parts, Store, Verdict
from stepwell.store.callers import CallersTransaction, known
from stepwell.store.journal import Record
from stepwell.store.postgres import engine as postgres
from stepwell.store.postgres.dialect import InCallers, Postgres
from stepwell.store.postgres.schema import prepare
from stepwell.store.tx import Advance, Answer, Begin, Hints, Item, Tx
from stepwell.store.workspaces import WorkspaceRow
from stepwell.store.writing.apply import Applier, commit_stored
from stepwell.store.writing.flush import HURRIED, Delayed, Flusher, Unavailable, cause_of, unknown
from stepwell.store.writing.loop import LoopWriter
from stepwell.store.writing.thread import ThreadWriter

T = TypeVar("T")

_TRANSACTIONS: Final = 3
"""Open `self.transaction()`s at once; others wait for one of them, which lasts a few seconds at most."""
_SINGLE: Final = 4
"""Single connections: for the writer, for writes that wait for another's lock, for heartbeats, for listening."""
_LOCK_MS: Final = 100
"""Milliseconds for a row that another transaction holds: then the item waits by itself. Below `deadlock_timeout`, so that it
also breaks deadlocks."""
_SHORT_MS: Final = 20
"""The same where one after the other is tried again."""
GATES: Final = "g"
"""A kind of notification besides `tx.KINDS`: a caller's transaction that held runs back, or freed slots, is committed."""
_ANSWER: Final = 1.0
_EXACT: Final = 20_000
"""Microseconds of disagreement between clocks that don't matter."""
_SAMPLES: Final = 3
"""Looks at the server's clock: the quickest says most."""
FEWEST: Final = _SINGLE + _TRANSACTIONS + 1
"""Connections with which a process can work: the single ones, those for transactions, and one for all reads."""
_LATE: Final = 1.0
"""Seconds that the server has to stop a statement itself, before the process no longer waits for it."""

_Fingerprint = tuple[Any, ...]


class _Readers:
    """The connections for one kind of reads."""

    def __init__(self, settings: Settings, size: int, longest: float | None = None) -> None:
        self.engine = postgres.engine(settings, size=size, autocommit=True, longest=longest)
        self.size = size
        self.free = asyncio.Semaphore(size)


class PostgresStore(Store):
    """One schema of one database."""

    keeps_time = True
    look_every = 3.0
    dialect: Postgres

    def __init__(self, settings: Settings, applier: Applier, process_id: str) -> None:
        if settings.database_connections < FEWEST:
            raise ConfigurationError(
                f"database_connections={settings.database_connections}: a process needs {FEWEST} at least: {_SINGLE} for "
                f"writing and listening, {_TRANSACTIONS} for self.transaction(), and one for reads. With fewer processes, "
                "each may have more."
            )
        readers = settings.database_connections - _SINGLE - _TRANSACTIONS
        own, of_application, for_users = _split(readers - 1)
        super().__init__(settings, applier, process_id, for_users)
        self.channel = postgres.channel(settings)
        self.dialect = Postgres(settings.database_schema)
        # With few connections, kinds of reads share one: health checks have one of their own first, then the process.
        self._health = _Readers(settings, 1)
        self._own = _Readers(settings, own) if readers > 1 else self._health
        self._reader = self._own.engine
        longest = settings.read_seconds
        self._of_application = _Readers(settings, of_application, longest) if readers > 2 else self._own
        self._for_users = _Readers(settings, for_users, longest) if readers > 3 else self._of_application
        # Who holds one open for too long is told so by Stepwell, before the driver or the server end it.
        self._longest = settings.transaction_seconds + 5
        self._transactions = postgres.engine(
            settings, size=_TRANSACTIONS, silent_seconds=self._longest, statement_seconds=self._longest
        )
        self._transacting = asyncio.Semaphore(_TRANSACTIONS)

    async def open(self) -> None:
        try:
            await prepare(self.settings)
            self._mine = await self.read(_fingerprint)
            if self.settings.database_schema is None:
                # Where they are for us: a caller's connection may find others first.
                self.dialect = Postgres(str(await self.read(_schema)))
            loop, busy = asyncio.get_running_loop(), self.settings.busy_seconds
            self.writer = LoopWriter(self._flusher(), self._flusher(lock=_SHORT_MS), loop, busy)
            self.beats = ThreadWriter(self._flusher(single=True), loop, postgres.loop_of_its_own, 2 * HURRIED)
            self.writer.start()
            self.beats.start()
        except BaseException:
            await self._dispose()
            raise

    def _flusher(self, *, single: bool = False, lock: int = _LOCK_MS) -> Flusher:
        """Return a flusher with its own connection; `single`: for writes of one statement, which is its own transaction."""
        silent = max(1.0, min(self.settings.lease_seconds / 2, 10.0))
        engine = postgres.engine(self.settings, silent_seconds=silent, lock=lock, autocommit=single)

        def begun(connection: Connection) -> None:
            if self.settings.transaction_pooler:
                connection.exec_driver_sql(*postgres.limits(silent, lock))

        return Flusher(self, engine.sync_engine, begun)

    async def close(self) -> None:
        try:
            self.beats.hurry()
            await self.writer.stop()
            await self.beats.stop()
        finally:
            await self._dispose()

    async def _dispose(self) -> None:
        self._closed = True
        await self._end_probe()
        readers = (self._own, self._of_application, self._for_users, self._health)
        await asyncio.gather(*(one.engine.dispose() for one in readers), self._transactions.dispose())

    async def read(self, query: Callable[[Tx], T]) -> T:
        return await self._read(self._own, query)

    async def _probe(self) -> None:
        await self._read(self._health, lambda tx: tx.scalar("SELECT 1 FROM stepwell_workers LIMIT 1"))

    async def _read_for_application(self, seconds: float, query: Callable[[Tx], T]) -> T:
        return await self._read_within(self._of_application, seconds, query)

    async def _read_for_users(self, seconds: float, query: Callable[[Tx], T]) -> T:
        return await self._read_within(self._for_users, seconds, query)

    async def _read_within(self, readers: _Readers, seconds: float, query: Callable[[Tx], T]) -> T:
        try:
            # The server stops a single statement. A query that has several may take as long with all of them.
            async with asyncio.timeout(seconds + _LATE) as time:
                return await self._read(readers, query, seconds)
        except TimeoutError as error:
            if not time.expired():
                raise
            raise self._too_long() from error

    async def _read(self, readers: _Readers, query: Callable[[Tx], T], seconds: float | None = None) -> T:
        again = readers.size
        while True:
            try:
                return await self._read_on(readers, query, seconds)
            except (SQLAlchemyError, OSError) as error:
                if seconds is not None and postgres.is_canceled(error):
                    raise self._too_long() from error
                # A connection that was good when it was last used says nothing about the database now, nor of the others.
                slow = isinstance(error, TimeoutError)
                if not again or not (slow or (isinstance(error, SQLAlchemyError) and postgres.is_lost(error))):
                    raise StoreUnavailable(f"The database can't be read: {postgres.said(error)}") from error
            again = 0 if slow else again - 1

    async def _read_on(self, readers: _Readers, query: Callable[[Tx], T], seconds: float | None) -> T:
        async with readers.free:
            self._check_open()
            async with readers.engine.connect() as connection:
                try:
                    if seconds is not None and self.settings.transaction_pooler:
                        await connection.exec_driver_sql(*postgres.time_limit(seconds))
                    return await connection.run_sync(lambda given: query(Tx(given, self.dialect)))
                except Exception as error:
                    if postgres.is_lost(error):
                        await connection.invalidate()  # the server said goodbye; SQLAlchemy may not have heard it yet
                    raise

    async def stored(self, commit: Commit, run: RunRow) -> bool:
        deadline = time.monotonic() + self.settings.busy_seconds
        while True:
            try:
                async with self.transaction() as connection:
                    found = await connection.run_sync(lambda given: self._look(given, commit, run))
                break
            except Exception as error:
                if not self.unavailable(error) or time.monotonic() >= deadline:
                    raise unknown(Advance(commit), postgres.said(error)) from error
            await asyncio.sleep(0.1)
        if found is None:
            raise unknown(Advance(commit), "others have had the run since")
        return found

    def _look(self, connection: Connection, commit: Commit, run: RunRow) -> bool | None:
        tx = Tx(connection, self.dialect)
        runs.hold(tx, run.id)  # behind the transaction in doubt, if the server still has it open
        return commit_stored(tx, commit, run)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Lend one of a few connections, in a transaction."""
        async with self._transacting, self._transactions.connect() as connection:
            await connection.begin()
            if self.settings.transaction_pooler:
                await connection.exec_driver_sql(*postgres.limits(self._longest, 0))
            yield connection

    async def write_parts(self, parts: Parts, beside: Sequence[WorkspaceRow]) -> None:
        # A workspace that isn't committed would keep every other writer waiting (rule 36).
        await self.writer.call(lambda tx: workspaces.ensure(tx, beside))
        deadline = time.monotonic() + self.settings.busy_seconds
        while True:
            try:
                hints = await self._parts_written(parts)
                break
            except (SQLAlchemyError, OSError) as error:
                again = postgres.verdict(error) in (Verdict.WAIT, Verdict.AGAIN, Verdict.CONTENDED)
                if not again or time.monotonic() >= deadline:
                    cure = self.cure(cause_of(error))
                    raise StoreUnavailable(
                        f"The database refuses this write: {postgres.said(error)}. Nothing was stored. {cure}".rstrip()
                    ) from error
            await asyncio.sleep(0.1)
        self.writer.on_commit(0, hints)

    async def _parts_written(self, parts: Parts) -> Hints:
        hints = Hints()
        async with self.transaction() as connection:
            for part in parts():
                more, told = await connection.run_sync(self._part_written, part)
                hints.add(told)
                if not more:
                    break
            try:
                await connection.commit()
            except (SQLAlchemyError, OSError) as error:
                if not self.in_doubt(cause_of(error)):
                    raise
                raise StoreUnavailable(
                    f"The answer to a commit was lost: {postgres.said(error)}. Whether it was stored is unknown.",
                    outcome="unknown",
                ) from error
        return hints

    def _part_written(self, connection: Connection, part: Callable[[Tx], bool]) -> tuple[bool, Hints]:
        tx = Tx(connection, InCallers(self.dialect))
        more = part(tx)
        self.applier.settle(tx)
        return more, tx.hints

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Any]:
        """Yield a connection of the driver's, for LISTEN."""
        engine = postgres.engine(self.settings, autocommit=True)
        async with engine.connect() as connection:
            yield (await connection.get_raw_connection()).driver_connection

    async def answers(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWER):
                await self.probe()
                return True
        except (StoreUnavailable, TimeoutError):
            return False

    def check_same(self, given: CallersTransaction) -> None:
        url, same = given.url, False
        if given.name == "postgresql":
            theirs = known(given, lambda: _fingerprint(given.tx(self.dialect)))
            url, same = url.set(database=str(theirs[0])), theirs == self._mine
        if not same:
            raise ConfigurationError(
                f"connection= is on {postgres.shown(url)!r}, not on Stepwell's database "
                f"({postgres.shown(self._reader.url)!r}): what it writes could not commit together."
            )

    async def lag(self, now: Callable[[], Moment]) -> int:
        took, ahead = min([await self.read(lambda tx: _lag(tx, now)) for _ in range(_SAMPLES)])
        # The time of the query itself may be all of the difference.
        return ahead if abs(ahead) > took // 2 + _EXACT else 0

    async def prepare_starts(self, commits: Sequence[Commit], lend: Lend) -> None:
        wanted = workspaces.workspaces_of(commits)
        found = await self.read(lambda tx: workspaces.existing(tx, (row.id for row in wanted)))
        if missing := [row for row in wanted if row.id not in found]:
            await lend(self._check_writable)
            await self.writer.call(lambda tx: workspaces.ensure(tx, missing))

    def _check_writable(self, given: CallersTransaction) -> None:
        """Raise an error of the database's where nothing could be written: no transaction, or a failed or read-only one."""
        tx = self.begin_in(given)
        with given.savepoint():
            tx.run("INSERT INTO stepwell_runs (id) SELECT id FROM stepwell_runs WHERE false")

    def begin_in(self, given: CallersTransaction) -> Tx:
        return given.tx(InCallers(self.dialect))

    def announce_in(self, tx: Tx) -> None:
        if tx.hints:
            # This process knows the gates (`Gatekeeper.perhaps_changed`), but not when they are committed.
            self.tell(tx, tx.hints.kinds() + (GATES if tx.hints.gates else ""), everybody=True)

    async def notify(self, connection: Any, kinds: str) -> None:
        """Notify like `tell`, but at once, on a connection of `listening`."""
        await connection.execute("SELECT pg_notify($1, $2)", self.channel, postgres.notice(self.process_id, kinds))

    def tell(self, tx: Tx, kinds: str, *, everybody: bool = False) -> None:
        """Notify listeners of these kinds when the transaction is committed; with `everybody` this process too."""
        notice = postgres.notice("" if everybody else self.process_id, kinds)
        tx.rows("SELECT pg_notify(?, ?)", self.channel, notice)

    # -- errors ---------------------------------------------------------------------------------------------------

    def unavailable(self, error: BaseException) -> bool:
        return postgres.verdict(error) not in (Verdict.REFUSED, Verdict.UNSTORABLE)

    def lost(self, error: BaseException) -> bool:
        return postgres.is_lost(error)

    def verdict(self, error: BaseException) -> Verdict:
        return postgres.verdict(error)

    def said(self, error: BaseException) -> str:
        return postgres.said(error)

    def cure(self, error: BaseException) -> str:
        return postgres.grant(error, self.settings)

    # -- a flush, in a greenlet -----------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        await_only(asyncio.sleep(max(seconds, 0.1)))

    def in_doubt(self, error: BaseException) -> bool:
        return postgres.is_lost(error)

    def look_up(self, items: Sequence[Item], answers: list[Answer], error: Exception, again: Again) -> list[Answer]:
        # The server may still be about to commit: only doing it again, behind the locks of the first, is certain.
        found: list[Answer] = [unknown(item, cause_of(error)) for item in items]
        with contextlib.suppress(Delayed, Unavailable):  # then all that are left are unknown, as they say already
            for index, item in enumerate(items):
                if isinstance(item, Advance | Begin | Record):
                    with contextlib.suppress(DBAPIError):
                        [found[index]] = again([item])
        return found


def _split(readers: int) -> tuple[int, int, int]:
    """Return the readers of the process's own work, of the application (at least as many as any other), and for users."""
    own, for_users = max(1, readers // 4), max(1, readers * 3 // 10)
    return own, max(1, readers - own - for_users), for_users


def _fingerprint(tx: Tx) -> _Fingerprint:
    """Return the identity of database and server, whatever the URL."""
    return tuple(tx.rows("SELECT current_database(), system_identifier FROM pg_control_system()")[0])


def _schema(tx: Tx) -> Any:
    return tx.scalar(
        "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE c.oid='stepwell_runs'::regclass"
    )


def _lag(tx: Tx, now: Callable[[], Moment]) -> tuple[int, int]:
    """Return how long the query took, and how far ahead of `now` the server's clock was in its middle."""
    asked = now()
    theirs = int(tx.scalar("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"))
    answered = now()
    return answered - asked, theirs - (asked + answered) // 2
