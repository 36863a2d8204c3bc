"""One flush: what has gathered becomes one transaction. What breaks it is set apart, and the rest is committed.

Synchronous, whatever the driver: SQLite's writer calls it in its thread, PostgreSQL's in a greenlet of SQLAlchemy's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stepwell.errors import LeaseLost, StepwellError, StoreUnavailable
from stepwell.store import history, runs
from stepwell.store.apply import Applier
from stepwell.store.base import Advance, Begin, Call, Item, Record
from stepwell.store.tx import Dialect, Hints, Tx

log = logging.getLogger("stepwell.store")

T = TypeVar("T")
Answer = Any


class Verdict(Enum):
    """What an error says about going on."""

    WAIT = auto()
    """Nobody can write now (locked, restarting, unreachable): the same again in a moment."""
    AGAIN = auto()
    """Somebody was quicker with the same key: now it is there to be found."""
    CONTENDED = auto()
    """Somebody else holds a row that this transaction needs: others needn't wait for it."""
    SLOW = auto()
    """No answer in time: the database is away, or one of these takes too long."""
    GONE = auto()
    """The database can't be written at all: full, read-only, broken."""
    REFUSED = auto()
    """The statement is at fault."""


class Backend(Protocol):
    """A database to flush to."""

    @property
    def dialect(self) -> Dialect:
        """Its words."""
        ...

    @property
    def engine(self) -> Engine:
        """Where connections come from, each of its own."""
        ...

    def verdict(self, error: BaseException) -> Verdict:
        """What this error of the database or its driver says."""
        ...

    def refuses(self, error: BaseException) -> bool:
        """True if the database won't have this statement now; False if what it was given can never be stored."""
        ...

    def said(self, error: BaseException) -> str:
        """The error in one line."""
        ...

    def cure(self, error: BaseException) -> str:
        """What mends this, as a sentence; nothing where the error says it itself."""
        ...

    def begun(self, connection: Connection) -> None:
        """The transaction has the limits that it needs."""
        ...

    def cancelled(self, error: BaseException) -> bool:
        """True if the error says that the flush itself is to end."""
        ...

    def pause(self, seconds: float) -> None:
        """Time has passed."""
        ...

    def in_doubt(self, error: BaseException) -> bool:
        """True if a COMMIT that failed like this may have been made all the same."""
        ...

    def look_up(self, flusher: Flusher, items: Sequence[Item], answers: list[Answer], error: Exception) -> list[Answer]:
        """The answers of a transaction whose COMMIT is in doubt (semantics 35). Raises `error` if it wasn't made."""
        ...


HURRIED = 3.0
"""Seconds for which a process that closes waits for a database that is away."""
_TRIES = 3
_PATIENCE = 0.5
"""Seconds for which one flush waits for rows that others hold, before it leaves what is left for later."""


class Delayed(Exception):
    """Not an answer yet: somebody holds a row that the item, or another one beside it, needs. To be tried again later."""


class Unavailable(Exception):
    """The database can't be written: nothing of this was stored."""

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(cause)
        self.answer = StoreUnavailable(f"The database can't be written: {cause}. Nothing was stored. {cure}".rstrip())
        """What the caller is told."""


class Flusher:
    """One write connection, and what it does with a batch."""

    def __init__(self, backend: Backend, applier: Applier, busy_seconds: float) -> None:
        self.backend = backend
        self.applier = applier
        self._busy_seconds = busy_seconds
        self._connection: Connection | None = None
        self._hints = Hints()
        self._deadline = 0.0
        self._hurried = False

    def hurry(self) -> None:
        """The process goes: a database that is away is waited for only shortly from now on. Called from any thread."""
        self._hurried = True
        self._deadline = min(self._deadline, time.monotonic() + HURRIED)

    def flush(self, items: Sequence[Item]) -> tuple[list[Answer], Hints]:
        """One answer per item, and what others should hear of. An answer may be an error, or `Delayed`."""
        self._hints = Hints()
        self._deadline = time.monotonic() + (HURRIED if self._hurried else self._busy_seconds)
        answers: list[Answer] = [None] * len(items)
        parts = [(0, len(items))]
        waited = 0.0
        while parts:
            start, end = parts.pop()
            began = time.monotonic()
            try:
                answers[start:end] = self.attempt(items[start:end])
            except Delayed as error:
                waited += time.monotonic() - began
                if end - start == 1 or waited > _PATIENCE:
                    answers[start:end] = [error] * (end - start)
                else:
                    parts += _halves(start, end)
            except Unavailable as error:  # as it is for these, it is for all that are left
                answers[start:] = [error.answer] * (len(items) - start)
                break
            except BaseException as error:
                if self.backend.cancelled(error):
                    raise
                if end - start == 1:
                    answers[start] = self._refusal(items[start], error)
                else:
                    parts += _halves(start, end)
        return answers, self._hints

    def attempt(self, items: Sequence[Item]) -> list[Answer]:
        """The answers of one transaction. Raises Unavailable, Delayed, or what one of the items did."""
        again = _TRIES
        while True:
            try:
                return self._transaction(items)
            except Exception as error:
                cause = cause_of(error)
                match self.backend.verdict(cause):
                    case Verdict.AGAIN if again:
                        again -= 1
                    case Verdict.WAIT if time.monotonic() < self._deadline:
                        self.disconnect()
                        self.backend.pause(0.01)
                    case Verdict.SLOW if not self._answers() and time.monotonic() < self._deadline:
                        self.backend.pause(0.01)
                    case Verdict.CONTENDED:
                        raise Delayed from error
                    case Verdict.REFUSED | Verdict.AGAIN | Verdict.SLOW:
                        if isinstance(error, SQLAlchemyError):
                            self.disconnect()
                        raise
                    case _:
                        self.disconnect()
                        raise Unavailable(self.backend.said(cause), self.backend.cure(cause)) from error

    def _answers(self) -> bool:
        """Whether the database answers on a new connection: then it isn't what keeps these."""
        self.disconnect()
        try:
            connection = self._connect()
            with connection.begin():
                connection.exec_driver_sql("SELECT 1")
        except (SQLAlchemyError, OSError):
            self.disconnect()
            return False
        return True

    def insist(self, items: Sequence[Item]) -> list[Answer]:
        """As `attempt`; rows that somebody holds are waited for too."""
        while True:
            try:
                return self.attempt(items)
            except Delayed:
                if time.monotonic() >= self._deadline:
                    raise
            self.backend.pause(0.1)

    def _transaction(self, items: Sequence[Item]) -> list[Answer]:
        connection = self._connect()
        transaction = connection.begin()
        tx = Tx(connection, self.backend.dialect)
        try:
            self.backend.begun(connection)
            answers = apply_items(self.applier, tx, items)
        except BaseException as error:
            self._roll_back(transaction, error)
            raise
        try:
            transaction.commit()
        except Exception as error:
            self.disconnect()  # SQLAlchemy takes the transaction for open as long as no COMMIT has succeeded
            if not self.backend.in_doubt(cause_of(error)):
                raise
            answers = self.backend.look_up(self, items, answers, error)
        self._hints.add(tx.hints)
        return answers

    def _roll_back(self, transaction: RootTransaction, error: BaseException) -> None:
        if self.backend.in_doubt(cause_of(error)):
            self.disconnect()  # and with the connection the transaction is gone: nobody there would answer
            return
        try:
            transaction.rollback()
        except (DBAPIError, OSError):
            self.disconnect()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self.backend.engine.connect()
        return self._connection

    def disconnect(self) -> None:
        """The next transaction has a new connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except Exception:
                log.warning("closing the write connection failed", exc_info=True)

    def _refusal(self, item: Item, error: BaseException) -> BaseException:
        cause = cause_of(error)
        # A checkpoint or a journal row that can never be stored is a failure of its attempt: waiting wouldn't mend it.
        given = isinstance(item, Advance | Record) and not self.backend.refuses(cause)
        if not isinstance(error, (DBAPIError, OSError)) or given:
            return error
        refused = StoreUnavailable(f"The database refuses this write: {self.backend.said(cause)}. Nothing was stored.")
        refused.__cause__ = error
        return refused


def _halves(start: int, end: int) -> list[tuple[int, int]]:
    """The first half comes last: it is taken next."""
    middle = (start + end) // 2
    return [(middle, end), (start, middle)]


def cause_of(error: BaseException) -> BaseException:
    """The driver's error behind one of SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def apply_items(applier: Applier, tx: Tx, items: Sequence[Item]) -> list[Answer]:
    """One answer per item, in order, inside an open transaction: checkpoints first, then journal rows, starts, the rest."""
    answers: list[Answer] = [None] * len(items)
    _each(items, answers, Advance, lambda found: applier.advance(tx, [item.commit for item in found]))
    _each(items, answers, Record, lambda found: _record(tx, found))
    _each(items, answers, Begin, lambda found: applier.begin(tx, [item.commits for item in found]))
    for index, item in enumerate(items):
        if isinstance(item, Call):
            answers[index] = _in_savepoint(tx, item) if len(items) > 1 else item.operation(tx)
    return answers


def _each(items: Sequence[Item], answers: list[Answer], kind: type[T], act: Callable[[list[T]], Sequence[Any]]) -> None:
    found = [(index, item) for index, item in enumerate(items) if isinstance(item, kind)]
    if found:
        for (index, _), answer in zip(found, act([item for _, item in found]), strict=True):
            answers[index] = answer


def _record(tx: Tx, items: Sequence[Record]) -> list[LeaseLost | None]:
    fences = runs.fence(tx, {item.step.run_id for item in items})
    answers: list[LeaseLost | None] = []
    for item in items:
        fence = fences.get(item.step.run_id)
        held = fence is not None and (fence.version, fence.claim) == (item.version, item.claim)
        answers.append(None if held else LeaseLost(f"Run {item.step.run_id} was taken over or cancelled."))
    history.record_steps(tx, [item.step for item, lost in zip(items, answers, strict=True) if lost is None])
    return answers


def _in_savepoint(tx: Tx, item: Call[T]) -> T | BaseException:
    savepoint = tx.connection.begin_nested()
    inner = Tx(tx.connection, tx.dialect)
    try:
        answer = item.operation(inner)
    except StepwellError as error:
        savepoint.rollback()
        return cast("BaseException", error)
    savepoint.commit()
    tx.hints.add(inner.hints)
    return answer
