"""SQLite: one file, WAL, `synchronous=FULL`. One thread writes, readers never wait for it.

A file that is deleted, moved or replaced stays what it was for those that have it open: SQLite goes on writing to it, and
all of that is lost. Device and inode of the file, its `-wal` and its `-shm` are compared before anything is acknowledged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.nearest import suggestion
from stepwell.store.sqlite.dialect import driver_of
from stepwell.store.tx import Tx
from stepwell.store.writing.flush import cause_of
from stepwell.urls import shown_parameter, shown_url

log = logging.getLogger("stepwell.store")

# Pages in the WAL before it is moved into the file: 16 MiB, so that a busy writer isn't interrupted every 100 ms.
_CHECKPOINT_PAGES = 4000
# A reader that stays for long makes the WAL grow; once it has gone, the file is cut to what it normally needs.
_WAL_BYTES = _CHECKPOINT_PAGES * 4096

# Seconds between attempts to make a new file WAL while others open it.
_WAL_PAUSE = 0.01

_DRIVERS = ("sqlite", "sqlite+aiosqlite", "sqlite+pysqlite")
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
    """Return the file of a SQLite URL. Raises ConfigurationError for a database in memory: processes couldn't share it."""
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):  # its text may repeat a part of a password
        raise ConfigurationError(
            f"database_url {shown_url(url)!r} isn't a URL. Example: 'sqlite+aiosqlite:///stepwell.db'."
        ) from None
    database = parts.database
    _refuse_other_databases(parts)
    if not database or database == ":memory:" or "mode=memory" in url:
        raise ConfigurationError(
            f"{shown_url(url)!r} names a database in memory, which doesn't outlive the process. Name a file: "
            "'sqlite+aiosqlite:///stepwell.db'."
        )
    for name in parts.query:
        setting = " The setting busy_seconds says how long to wait for a lock." if name == "timeout" else ""
        raise ConfigurationError(
            f"database_url: the parameter {shown_parameter(name, [*parts.query])} is unknown; SQLite takes none.{setting}"
        )
    parent = Path(database).expanduser().resolve().parent
    if not parent.is_dir():
        folder = "the folder" if "@" in url else f"the folder {str(parent)!r}"
        raise ConfigurationError(f"{shown_url(url)!r}: {folder} doesn't exist. Create it, or name another file.")
    return str(Path(database).expanduser())


def _refuse_other_databases(url: URL) -> None:
    """Raise ConfigurationError for what would be ignored: only the file is used."""
    if url.drivername not in _DRIVERS:
        raise ConfigurationError(
            f"database_url names the driver {url.drivername!r}; {suggestion(url.drivername, _DRIVERS, '{!r}')}"
        )
    if url.host or url.username or url.port:
        raise ConfigurationError(
            "database_url: SQLite has no host and no user, and a file begins after three slashes: "
            "'sqlite+aiosqlite:///stepwell.db'."
        )


def writer_engine(file: DatabaseFile, busy_seconds: float) -> Engine:
    """Return an engine for the writer's thread: each transaction takes the write lock at once."""
    url = URL.create("sqlite+pysqlite", database=file.path)
    engine = create_engine(url, poolclass=NullPool, connect_args={"check_same_thread": False})
    _prepare(engine, busy_seconds, "BEGIN IMMEDIATE")
    file.watch(engine)

    @event.listens_for(engine, "do_connect")
    def connecting(*_: Any) -> None:
        file.connecting()

    return engine


def reader_engine(file: DatabaseFile, busy_seconds: float, connections: int) -> AsyncEngine:
    """Return an engine for so many reads at once: a snapshot each, never blocked by the writer."""
    url = URL.create("sqlite+aiosqlite", database=file.path)
    engine = create_async_engine(url, pool_size=connections, max_overflow=0)
    _prepare(engine.sync_engine, busy_seconds, "BEGIN")
    file.watch(engine.sync_engine)
    return engine


def transaction_engine(file: DatabaseFile, busy_seconds: float) -> AsyncEngine:
    """Return an engine for `self.transaction()`, which takes the write lock when it opens, one at a time."""
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=file.path), pool_size=1, max_overflow=0)
    _prepare(engine.sync_engine, busy_seconds, "BEGIN IMMEDIATE")
    file.watch(engine.sync_engine)

    @event.listens_for(engine.sync_engine, "commit")
    def committing(_connection: Connection) -> None:
        file.check()

    return engine


def _prepare(engine: Engine, busy_seconds: float, begin: str) -> None:
    @event.listens_for(engine, "connect")
    def connected(dbapi_connection: Any, _record: Any) -> None:
        # Stepwell says itself where transactions begin; the driver's own rule would begin them too late.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
        _into_wal(cursor, busy_seconds)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # SQLAlchemy calls this in autocommit too. A transaction there would keep its snapshot, and with it the WAL, for ever.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            driver_of(connection).change(begin)


def _into_wal(cursor: Any, busy_seconds: float) -> None:
    # A file that is WAL already needs no lock for this. Making it WAL does, and SQLite doesn't wait for that one itself
    # (its busy handler isn't called): of several processes that open a new file at once, all but one would fail.
    # Only the writer's first connection ever waits here, in its thread: those of the loop find a file that is WAL.
    patience = time.monotonic() + busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= patience:
                raise
            time.sleep(_WAL_PAUSE)


def data_version(connection: Connection) -> int:
    """Return a number that changes whenever another connection, of any process, commits. Costs no I/O."""
    return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())


def is_busy(error: BaseException | None) -> bool:
    """Return whether another connection holds the write lock: worth waiting for."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _BUSY
    text = str(error)
    return "locked" in text or "busy" in text


def is_interrupted(error: BaseException | None) -> bool:
    """Return whether the statement was stopped by `interrupt`."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT


def concerns_database(error: BaseException | None) -> bool:
    """Return True if the database can't be written at all now; False if it refused this one statement."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, sqlite3.OperationalError)
    return code & 0xFF in _UNAVAILABLE


def unopened(path: str, error: BaseException) -> StoreUnavailable:
    """Return the refusal of a file that can't be opened, or is none."""
    return StoreUnavailable(
        f"The database {path!r} can't be opened: {cause_of(error)}. It has to be a SQLite file (or none yet) in a folder, "
        "and this process must be allowed to write both."
    )


def file_of(tx: Tx) -> str:
    """Return the file that the connection has open as its main database; empty for one in memory."""
    return next(str(file or "") for _, name, file in tx.rows("PRAGMA database_list") if name == "main")


def lock(tx: Tx) -> None:
    """Take the write lock: after a first read, a later write would fail if another one came in between."""
    tx.run("UPDATE stepwell_runs SET id=id WHERE 0")


@contextlib.contextmanager
def directly() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Let a thread call functions inside the block directly."""
    yield lambda act: act()


# -- the file ----------------------------------------------------------------------------------------------------------

_Id = tuple[int, int] | None
"""Device and inode; None where there is no file."""


_REST_WITHIN: Final = 5.0
"""Seconds after which a database that is back is taken without the `-wal` and the `-shm` that it had."""


class FileReplaced(sqlite3.OperationalError):
    """The open connections aren't on the file that the path names: what they write would be lost."""

    sqlite_errorcode = sqlite3.SQLITE_IOERR


class FileIdentity(NamedTuple):
    """The files behind the three names of a database at one moment."""

    database: _Id
    wal: _Id
    shm: _Id


class DatabaseFile:
    """One file, as the connections of this process have it open. Used from the loop and from the writer's thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.on_replaced: Callable[[], object] = lambda: None
        """Called from the writer's thread: the connections that aren't used now have to be closed."""
        self.dropping = False
        """True while connections to what was open before are to be closed when they are given back."""
        self._names = (path, f"{os.path.realpath(path)}-wal", f"{os.path.realpath(path)}-shm")
        self._known: FileIdentity | None = None
        self._whole = False
        """False if only the database itself is known: without any connection the other two come and go."""
        self._open = 0
        self._connecting: _Id = None
        self._adopting = False
        self._told = False
        self._away = False
        """True from when the database was away or another one until it is written again."""
        self._back: float | None = None
        self._lock = threading.Lock()

    def watch(self, engine: Engine) -> None:
        """Count the connections of this engine: while there is one, the `-wal` and the `-shm` stay."""

        @event.listens_for(engine, "connect")
        def opened(_connection: Any, _record: Any) -> None:
            with self._lock:
                self._open += 1

        @event.listens_for(engine, "close")
        def closed(_connection: Any, _record: Any) -> None:
            with self._lock:
                self._open -= 1
                self._whole = self._whole and self._open > 0

    # -- for all users of the file --------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise FileReplaced unless the file is the one that is open."""
        if (fault := self.fault()) is None:
            return
        self._away = self._away or self._look().database != (self._known and self._known.database)
        if not self._told:
            self._told = True
            log.error("%s: nothing is stored until it is back, or another one is there", fault)
        raise FileReplaced(fault)

    def fault(self) -> str | None:
        """Return the fault of the file, in one line; None while it is the one that is open."""
        known, seen = self._known, self._look()
        if known is None or seen == known:
            return None
        if seen.database != known.database:
            become = "deleted or moved away" if seen.database is None else "replaced by another one"
            return f"the file {self.path!r} was {become} while it was open"
        if self._away:
            return f"the file {self.path!r} is back, and its -wal and -shm are not those that it had"
        if not self._whole:
            return None
        name = self._names[1 if seen.wal != known.wal else 2]
        return f"the file {name!r} was deleted, moved or replaced while the database was open"

    def _look(self) -> FileIdentity:
        return FileIdentity(*map(_id, self._names))

    # -- for the writer, in its thread ----------------------------------------------------------------------------

    def connecting(self) -> None:
        """Let the writer connect. Raises FileReplaced where that would make a new file, or mix two of them."""
        seen, known = self._look(), self._known
        self._connecting, self._adopting = seen.database, False
        if known is None or self.fault() is None:
            return
        if seen.database is None:
            self.check()
        if self._open:
            # SQLite finds the `-wal` by its name: nothing of the old may be open when what is there now is.
            self.dropping = True
            self.on_replaced()
            self.check()
        if seen.database == known.database:
            self._wait_for_the_rest()
        elif seen.wal is not None and seen.wal == known.wal:
            self._set_aside()
        self._adopting = True

    def begun(self, verify: Callable[[], None]) -> None:
        """Note that the writer has the lock: the present file is the open one. `verify` raises if another file is useless."""
        if self._known is not None and self._whole and not self._adopting:
            self.check()
            return
        seen = self._look()
        if self._connecting is not None and seen.database != self._connecting:
            raise FileReplaced(f"the file {self.path!r} was replaced while it was opened")
        if self._adopting:
            verify()
        self._known, self._whole, told = seen, True, self._told or self._adopting
        self.dropping = self._adopting = self._told = self._away = False
        self._back = None
        if told:
            log.warning("the file %r is written again, as it is there now", self.path)

    def _wait_for_the_rest(self) -> None:
        """Raise FileReplaced for a while: files are moved one by one, and without its `-wal` a database isn't whole."""
        if not self._away:
            return
        self._back = self._back or time.monotonic()
        if time.monotonic() - self._back < _REST_WITHIN:
            self.check()

    def _set_aside(self) -> None:
        """Set the old file's `-wal` aside, so that it isn't applied to the new one."""
        stamp = f".replaced-{time.time_ns()}"
        log.warning("%r belongs to the file before: it is renamed to end in %r", self._names[1], stamp)
        for name in self._names[1:]:
            if os.path.exists(name):
                os.replace(name, name + stamp)


def _id(name: str) -> _Id:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino
