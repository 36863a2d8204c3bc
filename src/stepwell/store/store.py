"""The store of one process: its writer, its readers, and the connections of `self.transaction()`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import Moment, Run
from stepwell.errors import ConfigurationError, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store.apply import Applier
from stepwell.store.tx import Dialect, Tx
from stepwell.store.writer import Writer

T = TypeVar("T")


class Store(ABC):
    """Open between `open` and `close`. Reads see what was committed before they began."""

    dialect: Dialect
    writer: Writer
    beats: Writer
    """Writes the heartbeats: from a thread, whatever the loop does."""
    reports_commits: ClassVar[bool]
    """Other processes hear of commits by themselves; else they look whether there were any."""

    look_every: ClassVar[float]
    """Seconds after which a process looks for what is ready or due although nothing told it to."""

    def __init__(self, settings: Settings, applier: Applier, process_id: str) -> None:
        self.settings = settings
        self.applier = applier
        self.process_id = process_id
        self._closed = False

    @abstractmethod
    async def open(self) -> None:
        """The tables are those of this version, and the writer runs. Raises StoreUnavailable or ConfigurationError."""

    @abstractmethod
    async def close(self) -> None:
        """Everything that was handed over is written, and every connection is closed."""

    @abstractmethod
    async def read(self, query: Callable[[Tx], T]) -> T:
        """What `query` found, after the reads before it where there are many. Raises StoreUnavailable."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection in a transaction of its own, which may write; rolled back unless the caller commits it.

        Raises StoreUnavailable.
        """

    @abstractmethod
    def unavailable(self, error: BaseException) -> bool:
        """Whether an error of the database says that it can't be written now, whatever the statement."""

    def lost(self, error: BaseException) -> bool:
        """Whether an error inside a transaction says that its connection is gone, and not that a statement is wrong."""
        return False

    async def answers(self) -> bool:
        """Whether the database answers now, within a second."""
        return True

    @abstractmethod
    async def stored(self, commit: Commit, run: Run) -> bool:
        """Whether this commit, whose answer was lost, made the run what `run` says (semantics 35).

        Raises StoreUnavailable with the outcome "unknown" if the database can't tell.
        """

    @abstractmethod
    async def check_same(self, given: AsyncConnection) -> None:
        """Raises ConfigurationError unless the caller's connection is on this database."""

    async def lag(self, now: Callable[[], Moment]) -> int:
        """By how many microseconds the given clock is behind that which all processes share; 0 if it is that one."""
        return 0

    async def prepare_starts(self, commits: Sequence[Commit]) -> None:
        """What these starts need and must not hang on the caller's transaction is there (semantics 36)."""
        return

    def begin_in(self, connection: Connection) -> Tx:
        """The caller's transaction, ready to be written in."""
        return Tx(connection, self.dialect)

    def announce_in(self, tx: Tx) -> None:
        """Everybody hears of what was written in this transaction when it commits, where the database can tell them."""
        return

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("This Stepwell is closed: nothing was read.")


def store_for(settings: Settings, applier: Applier, process_id: str) -> Store:
    """The store that the settings name. Raises ConfigurationError."""
    url = settings.database_url
    if url.startswith("postgres"):
        from stepwell.store.postgres_store import PostgresStore

        return PostgresStore(settings, applier, process_id)
    if not url.startswith("sqlite"):
        raise neither(url)
    from stepwell.store.sqlite_store import SqliteStore

    return SqliteStore(settings, applier, process_id)


def neither(url: str) -> ConfigurationError:
    """The refusal of a URL of another database. It may hold a password: only the scheme is told."""
    scheme = url.partition(":")[0]
    return ConfigurationError(
        f"database_url begins with {scheme!r}, which is neither SQLite nor PostgreSQL. Examples: "
        "'sqlite+aiosqlite:///stepwell.db', 'postgresql+asyncpg://user:password@host/database'."
    )
