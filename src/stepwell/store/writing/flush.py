"""One flush: what has gathered becomes one transaction.

A batch that fails is halved until the items that fail are alone, and all others are committed.

Synchronous, whatever the driver: SQLite's writer calls it in its thread, PostgreSQL's in a greenlet of SQLAlchemy's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stepwell.engine.run import RunRow
from stepwell.errors import StoreUnavailable
from stepwell.store import history, runs
from stepwell.store.base import Store, Verdict
from stepwell.store.journal import Record
from stepwell.store.tx import Advance, Answer, Begin, Hints, Item, Tx
from stepwell.store.writing.apply import apply_items, commit_stored

log = logging.getLogger("stepwell.store")

HURRIED = 3.0
"""Seconds for which a process that closes waits for a database that is away."""
_TRIES = 3
_PATIENCE = 0.5
"""Seconds for which one flush waits for rows that others hold, before it leaves what is left for later."""


class Delayed(Exception):
    """Not an answer yet: another transaction holds a row that the item, or one beside it, needs. It is tried again later."""


class Unavailable(Exception):
    """The database can't be written: nothing of this was stored."""

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(cause)
        self.answer = StoreUnavailable(f"The database can't be written: {cause}. Nothing was stored. {cure}".rstrip())
        """The error for the caller."""


class Flusher:
    """One write connection, and what it does with a batch. `begun` is called at the beginning of each transaction."""

    def __init__(self, store: Store, engine: Engine, begun: Callable[[Connection], None]) -> None:
        self.engine = engine
        self._store = store
        self._begun = begun
        self._connection: Connection | None = None
        self._hints = Hints()
        self._deadline = 0.0
        self._hurried = False

    def hurry(self) -> None:
        """Wait only shortly from now on for a database that can't be reached. Called from any thread."""
        self._hurried = True
        self._deadline = min(self._deadline, time.monotonic() + HURRIED)

    def flush(self, items: Sequence[Item]) -> tuple[list[Answer], Hints]:
        """Return one answer per item, and the hints for others. An answer may be an error, or `Delayed`."""
        self._hints = Hints()
        self._deadline = time.monotonic() + (HURRIED if self._hurried else self._store.settings.busy_seconds)
        answers: list[Answer] = [None] * len(items)
        parts = [(0, len(items))]
        waited = 0.0
        while parts:
            start, end = parts.pop()
            began = time.monotonic()
            try:
                answers[start:end] = self._try(items[start:end])
            except Delayed as error:
                waited += time.monotonic() - began
                if end - start == 1 or waited > _PATIENCE:
                    answers[start:end] = [error] * (end - start)
                else:
                    parts += _halves(start, end)
            except Unavailable as error:  # as it is for these, it is for all that are left
                answers[start:] = [error.answer] * (len(items) - start)
                break
            except BaseException as error:  # an operation may raise anything, and the writer has to outlive it
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise
                if end - start == 1:
                    answers[start] = self._refusal(items[start], error)
                else:
                    parts += _halves(start, end)
        return answers, self._hints

    def _try(self, items: Sequence[Item]) -> list[Answer]:
        """Return the answers of one transaction. Raises Unavailable, Delayed, or what one of the items did."""
        again = _TRIES
        while True:
            try:
                return self._transaction(items)
            except Exception as error:
                cause = cause_of(error)
                match self._store.verdict(cause):
                    case Verdict.AGAIN if again:
                        again -= 1
                    case Verdict.WAIT if time.monotonic() < self._deadline:
                        self.disconnect()
                        self._store.pause(0.01)
                    case Verdict.SLOW if not self._database_responds() and time.monotonic() < self._deadline:
                        self._store.pause(0.01)
                    case Verdict.CONTENDED:
                        raise Delayed from error
                    case Verdict.REFUSED | Verdict.UNSTORABLE | Verdict.AGAIN | Verdict.SLOW:
                        if isinstance(error, SQLAlchemyError):
                            self.disconnect()
                        raise
                    case _:
                        self.disconnect()
                        raise Unavailable(self._store.said(cause), self._store.cure(cause)) from error

    def _database_responds(self) -> bool:
        """Return whether the database answers on a new connection: then these items aren't delayed by it."""
        self.disconnect()
        try:
            connection = self._connect()
            with connection.begin():
                connection.exec_driver_sql("SELECT 1")
        except (SQLAlchemyError, OSError):
            self.disconnect()
            return False
        return True

    def _insist(self, items: Sequence[Item]) -> list[Answer]:
        """Try these items until the rows that others hold are free, or the deadline has passed."""
        while True:
            try:
                return self._try(items)
            except Delayed:
                if time.monotonic() >= self._deadline:
                    raise
            self._store.pause(0.1)

    def _transaction(self, items: Sequence[Item]) -> list[Answer]:
        connection = self._connect()
        transaction = connection.begin()
        tx = Tx(connection, self._store.dialect)
        try:
            self._begun(connection)
            answers = apply_items(self._store.applier, tx, items)
            self._store.confirm()
        except BaseException as error:
            self._roll_back(transaction, error)
            raise
        try:
            transaction.commit()
        except Exception as error:
            self.disconnect()  # SQLAlchemy takes the transaction for open as long as no COMMIT has succeeded
            if not self._store.in_doubt(cause_of(error)):
                raise
            answers = self._store.look_up(items, answers, error, self._insist)
        if (lost := self._store.fault()) is not None:
            self.disconnect()
            return [unknown(item, lost) for item in items]
        self._hints.add(tx.hints)
        return answers

    def _roll_back(self, transaction: RootTransaction, error: BaseException) -> None:
        if self._store.in_doubt(cause_of(error)):
            self.disconnect()  # and with the connection the transaction is gone: no answer would come from there
            return
        try:
            transaction.rollback()
        except (DBAPIError, OSError):
            self.disconnect()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self.engine.connect()
        return self._connection

    def disconnect(self) -> None:
        """Close the connection: the next transaction gets a new one."""
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
        for_now = self._store.verdict(cause) not in (Verdict.UNSTORABLE, Verdict.AGAIN)
        if not isinstance(error, (DBAPIError, OSError)) or (isinstance(item, Advance | Record) and not for_now):
            return error
        refused = StoreUnavailable(f"The database refuses this write: {self._store.said(cause)}. Nothing was stored.")
        refused.refused = not for_now
        refused.__cause__ = error
        return refused


def _halves(start: int, end: int) -> list[tuple[int, int]]:
    """Return both halves, the first half last: it is taken next."""
    middle = (start + end) // 2
    return [(middle, end), (start, middle)]


def _is_cancelled() -> bool:
    """Return whether the task that flushes is to end; False in a thread without a loop, and for an error of an operation."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's error behind one of SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


# -- a COMMIT in doubt: what became of it is looked up by id and version (rule 35) ------------------------------------


def stored(tx: Tx, items: Sequence[Item], answers: Sequence[Any]) -> bool | None:
    """Return whether the one transaction of these items was committed: an item that can be looked up decides for all.

    None: none of them can be.
    """
    for item, answer in zip(items, answers, strict=True):
        found = _item_stored(tx, item, answer)
        if found is not None:
            return found
    return None


def _item_stored(tx: Tx, item: Item, answer: Any) -> bool | None:
    match item:
        case Begin() if isinstance(answer, list):
            created = [started.run.id for started in answer if started.created]
            return bool(runs.existing(tx, created)) if created else None
        case Advance(commit) if isinstance(answer, RunRow):
            return commit_stored(tx, commit, answer)
        case Record(step) if answer is None:
            return history.journaled(tx, step)
        case _:
            return None


def unknown(item: Item, cause: object) -> StoreUnavailable:
    """Return the error of an item whose fate can't be found out now."""
    workflow_id = _run_id(item)
    what = f"Look for run {workflow_id} later" if workflow_id else "Look later"
    return StoreUnavailable(
        f"The answer to a commit was lost: {cause}. Whether it was stored is unknown. {what}.",
        outcome="unknown",
        workflow_id=workflow_id,
    )


def _run_id(item: Item) -> str | None:
    match item:
        case Begin(commits):
            return commits[0].run.id if commits else None
        case Advance(commit):
            return commit.run.id
        case Record(step):
            return step.run_id
        case _:
            return None
