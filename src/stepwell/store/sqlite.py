"""SQLite: one file, WAL, `synchronous=FULL`. One thread writes, readers never wait for it."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.store import outcome
from stepwell.store.base import Item
from stepwell.store.flush import Answer, Flusher, Verdict, cause_of
from stepwell.store.sqlite_dialect import Sqlite
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.store")

# Pages in the WAL before it is moved into the file: 16 MiB, so that a busy writer isn't interrupted every 100 ms.
_CHECKPOINT_PAGES = 4000

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNAVAILABLE = _BUSY | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
}


def path_of(url: str) -> str:
    """The file of a SQLite URL. Raises ConfigurationError for a database in memory: processes couldn't share it."""
    database = make_url(url).database
    if not database or database == ":memory:" or "mode=memory" in url:
        raise ConfigurationError(
            f"{url!r} names a database in memory, which doesn't outlive the process. Name a file: "
            "'sqlite+aiosqlite:///stepwell.db'."
        )
    parent = Path(database).expanduser().resolve().parent
    if not parent.is_dir():
        raise ConfigurationError(f"{url!r}: the folder {str(parent)!r} doesn't exist. Create it, or name another file.")
    return str(Path(database).expanduser())


def writer_engine(path: str, busy_seconds: float) -> Engine:
    """For the writer's thread: each transaction takes the write lock at once."""
    url = URL.create("sqlite+pysqlite", database=path)
    engine = create_engine(url, poolclass=NullPool, connect_args={"check_same_thread": False})
    _prepare(engine, busy_seconds, "BEGIN IMMEDIATE")
    return engine


def reader_engine(path: str, busy_seconds: float) -> AsyncEngine:
    """For reads: a snapshot each, never blocked by the writer."""
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=path), pool_size=2, max_overflow=2)
    _prepare(engine.sync_engine, busy_seconds, "BEGIN")
    return engine


def transaction_engine(path: str, busy_seconds: float) -> AsyncEngine:
    """For `self.transaction()`: takes the write lock when it opens. One at a time, in the writer's lane."""
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=path), pool_size=1, max_overflow=0)
    _prepare(engine.sync_engine, busy_seconds, "BEGIN IMMEDIATE")
    return engine


def _prepare(engine: Engine, busy_seconds: float, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def connected(dbapi_connection: Any, _record: Any) -> None:
        # Stepwell says itself where transactions begin; the driver's own rule would begin them too late.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # SQLAlchemy calls this in autocommit too. A transaction there would keep its snapshot, and with it the WAL, for ever.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(begin)


def data_version(connection: Connection) -> int:
    """Changes whenever another connection, of any process, has committed something. Costs no I/O."""
    return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())


def is_busy(error: BaseException | None) -> bool:
    """True if somebody else holds the write lock: worth waiting for."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _BUSY
    text = str(error)
    return "locked" in text or "busy" in text


def concerns_database(error: BaseException | None) -> bool:
    """True if the database can't be written at all now; False if it refused this one statement."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in _UNAVAILABLE


def unopened(path: str, error: BaseException) -> StoreUnavailable:
    """The refusal of a file that can't be opened, or is none."""
    return StoreUnavailable(
        f"The database {path!r} can't be opened: {cause_of(error)}. It has to be a SQLite file (or none yet) in a folder, "
        "and this process must be allowed to write both."
    )


def lock(connection: Connection) -> None:
    """The transaction may write: a first read would make its later write fail as soon as somebody wrote in between."""
    connection.exec_driver_sql("UPDATE stepwell_runs SET id=id WHERE 0")


class SqliteBackend:
    """Flushes to a SQLite file."""

    def __init__(self, engine: Engine, dialect: Sqlite) -> None:
        self.engine = engine
        self.dialect = dialect

    def verdict(self, error: BaseException) -> Verdict:
        if is_busy(error):
            return Verdict.WAIT
        return Verdict.GONE if concerns_database(error) else Verdict.REFUSED

    def refuses(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.OperationalError)

    def said(self, error: BaseException) -> str:
        return str(error)

    def cure(self, error: BaseException) -> str:
        return ""

    def begun(self, connection: Connection) -> None:
        return

    def cancelled(self, error: BaseException) -> bool:
        return False

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def in_doubt(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.Error) and not is_busy(error)  # busy: the transaction is still open

    def look_up(self, flusher: Flusher, items: Sequence[Item], answers: list[Answer], error: Exception) -> list[Answer]:
        try:
            with self.engine.connect() as connection:
                # A look, and no transaction: a database that can't be written may still answer.
                looking = connection.execution_options(isolation_level="AUTOCOMMIT")
                found = outcome.stored(Tx(looking, self.dialect), items, answers)
        except (DBAPIError, sqlite3.Error):
            log.warning("looking for what a failed commit left failed too", exc_info=True)
            found = None
        if found is None:
            return [outcome.unknown(item, cause_of(error)) for item in items]
        if not found:
            raise error
        return answers


@contextlib.contextmanager
def directly() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """For a thread: what is called inside runs in it as it is."""
    yield lambda act: act()
