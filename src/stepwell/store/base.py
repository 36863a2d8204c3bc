"""The seam to a database: all that differs between SQLite and PostgreSQL, except for SQL (`tx.Dialect`).

A `Store` belongs to one process. The rooms that import the store read, write (by its writers) and open
transactions with it, on the loop.
The flushes of its writers ask it, in their threads too, what an error means and how a transaction stands.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import ClassVar, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import Moment, RunRow
from stepwell.errors import ReadTooLong, StoreUnavailable
from stepwell.settings import Settings
from stepwell.store.callers import CallersTransaction
from stepwell.store.reader_queue import ReaderQueue
from stepwell.store.tx import Answer, Dialect, Item, Tx
from stepwell.store.workspaces import WorkspaceRow
from stepwell.store.writing.apply import Applier
from stepwell.store.writing.writer import Writer

T = TypeVar("T")
Parts = Callable[[], Iterator[Callable[[Tx], bool]]]
"""Begins a large write, anew each time it is called: its parts in order. One that returns False is the last."""
Again = Callable[[Sequence[Item]], list[Answer]]
"""A second transaction of these items, behind whatever the first still holds."""


class Lend(Protocol):
    """Calls a function with the caller's transaction, where that may be used."""

    async def __call__(self, act: Callable[[CallersTransaction], None], /) -> None:
        """Return when `act` has returned, or raise its error."""
        ...


class Verdict(Enum):
    """The meaning of an error for further tries."""

    WAIT = auto()
    """No write is possible now (locked, restarting, unreachable): the same again in a moment."""
    AGAIN = auto()
    """Another transaction was quicker with the same key: now it can be found."""
    CONTENDED = auto()
    """Another transaction holds a row that this one needs: other items needn't wait for it."""
    SLOW = auto()
    """No answer in time: the database is away, or one of these takes too long."""
    GONE = auto()
    """The database can't be written at all: full, read-only, broken."""
    REFUSED = auto()
    """The database refuses the statement for now."""
    UNSTORABLE = auto()
    """The statement is at fault: its values can never be stored."""


class Store(ABC):
    """The store, open between `open` and `close`. Reads see commits made before they began.

    There are four kinds of reads, and none waits for another kind: those of the process's own work (`read`), those of the
    application and those for users (`read_for`), and that of health checks (`probe`).
    """

    dialect: Dialect
    writer: Writer
    beats: Writer
    """The writer of heartbeats: from a thread, whatever the loop does."""
    keeps_time: ClassVar[bool] = False
    """True if the database has a clock of its own, which all processes share; else the machine's is as good."""
    look_every: ClassVar[float]
    """Seconds after which a process looks for ready or due runs without any hint."""

    def __init__(self, settings: Settings, applier: Applier, process_id: str, users_readers: int) -> None:
        self.settings = settings
        self.applier = applier
        self.process_id = process_id
        self.reader_queue = ReaderQueue(users_readers)
        self._probing: asyncio.Task[None] | None = None
        self._closed = False

    @abstractmethod
    async def open(self) -> None:
        """Check the tables' version and start the writer. Raises StoreUnavailable or ConfigurationError."""

    @abstractmethod
    async def close(self) -> None:
        """Write everything that was handed over, and close every connection."""

    @abstractmethod
    async def read(self, query: Callable[[Tx], T]) -> T:
        """Return the result of `query`, after earlier reads if there are many. For the process's own work.

        Raises StoreUnavailable.
        """

    async def read_for(self, user: str | None, query: Callable[[Tx], T]) -> T:
        """Return the result of `query` for this user; None: for the application itself.

        Each read has `Settings.read_seconds`. A user has a share of the readers for users; the application has readers of
        its own, and is never refused. Raises ReadTooLong, TooManyReads or StoreUnavailable.
        """
        if user is None:
            return await self._read_for_application(self.settings.read_seconds, query)
        async with self.reader_queue.turn(user):
            return await self._read_for_users(self.settings.read_seconds, query)

    @abstractmethod
    async def _read_for_application(self, seconds: float, query: Callable[[Tx], T]) -> T:
        """Return the result of `query`. Raises ReadTooLong after so many seconds, or StoreUnavailable."""

    @abstractmethod
    async def _read_for_users(self, seconds: float, query: Callable[[Tx], T]) -> T:
        """Return the result of `query`. Raises ReadTooLong after so many seconds, or StoreUnavailable."""

    async def probe(self) -> None:
        """Check that the database can be read, with a reader that nothing else uses. Raises StoreUnavailable.

        Those who ask while a check is under way share its answer: health checks are open to everyone.
        """
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._probe())
            self._probing.add_done_callback(_heard)
        await asyncio.shield(self._probing)

    @abstractmethod
    async def _probe(self) -> None:
        """Read a row. Raises StoreUnavailable."""

    async def _end_probe(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait((self._probing,))

    def _too_long(self) -> ReadTooLong:
        return ReadTooLong(
            f"This read took longer than read_seconds={self.settings.read_seconds:g}, and was stopped. Narrow the filter "
            "(an app, a workflow, a status, a time), or ask for fewer rows."
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("This Stepwell is closed: nothing was read.")

    @abstractmethod
    async def stored(self, commit: Commit, run: RunRow) -> bool:
        """Return whether this commit, whose answer was lost, made the run as `run` is (rule 35).

        Raises StoreUnavailable with the outcome "unknown" if the database can't tell.
        """

    def faults(self) -> list[str]:
        """Return the current faults, for health checks."""
        return self.writer.faults()

    async def answers(self) -> bool:
        """Return whether the database answers now, within a second."""
        return True

    async def lag(self, now: Callable[[], Moment]) -> int:
        """Return by how many microseconds the given clock is behind the shared one; 0 if it is the shared one."""
        return 0

    @abstractmethod
    async def write_parts(self, parts: Parts, beside: Sequence[WorkspaceRow]) -> None:
        """Write all parts in one transaction, durably, or none of them; others write meanwhile where the database lets them.

        `beside`: workspaces that the parts need. Raises StoreUnavailable, or the error of a part.
        """

    # -- transactions of callers ----------------------------------------------------------------------------------

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection in a transaction of its own, which may write; rolled back unless the caller commits it.

        Raises StoreUnavailable.
        """

    @abstractmethod
    def check_same(self, given: CallersTransaction) -> None:
        """Raise ConfigurationError unless the caller's connection is on this database. Called in its thread or greenlet."""

    async def prepare_starts(self, commits: Sequence[Commit], lend: Lend) -> None:
        """Create rows that these starts need and that must not depend on the caller's transaction (rule 36).

        None are created where that transaction, which `lend` gives, can't be written in. Raises an error of the database's.
        """
        return

    def begin_in(self, given: CallersTransaction) -> Tx:
        """Return the caller's transaction, ready to be written in. Raises ConfigurationError where there is none."""
        return given.tx(self.dialect)

    def announce_in(self, tx: Tx) -> None:
        """Notify all processes of this transaction when it commits, if the database can do that."""
        return

    # -- errors ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def unavailable(self, error: BaseException) -> bool:
        """Return whether an error of the database means that it can't be written now, whatever the statement."""

    def lost(self, error: BaseException) -> bool:
        """Return whether an error inside a transaction means that its connection is gone, not that a statement is wrong."""
        return False

    @abstractmethod
    def verdict(self, error: BaseException) -> Verdict:
        """Return the verdict on this error of the database or its driver."""

    @abstractmethod
    def said(self, error: BaseException) -> str:
        """Return the error in one line."""

    @abstractmethod
    def cure(self, error: BaseException) -> str:
        """Return the cure, as a sentence; empty if the error names it itself."""

    # -- a flush, in whichever thread -----------------------------------------------------------------------------

    def confirm(self) -> None:
        """Check before COMMIT that the database will keep what is written. Raises an error that `unavailable` knows."""
        return

    def fault(self) -> str | None:
        """Return why the last commit may be lost anyway; None if it is durable."""
        return None

    @abstractmethod
    def pause(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def in_doubt(self, error: BaseException) -> bool:
        """Return True if a COMMIT that failed like this may have been made all the same."""

    @abstractmethod
    def look_up(self, items: Sequence[Item], answers: list[Answer], error: Exception, again: Again) -> list[Answer]:
        """Return the answers of a transaction whose COMMIT is in doubt (rule 35). Raises `error` if it wasn't made."""


def _heard(probing: asyncio.Task[None]) -> None:
    """Take note of an error that no health check waits for any more."""
    if not probing.cancelled():
        probing.exception()
