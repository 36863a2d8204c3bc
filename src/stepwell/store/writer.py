"""The one writer of a process: it takes what has gathered, makes it one transaction, and goes on.

Idle: one write, no delay. Busy: hundreds of writes per fsync. A write is acknowledged when it is durable. An item that
breaks the transaction is set apart: the rest is committed without it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from stepwell.errors import LeaseLost, StepwellError, StoreUnavailable
from stepwell.store import history, outcome, runs
from stepwell.store.apply import Applier
from stepwell.store.base import Advance, Begin, Call, Item, Record, Started
from stepwell.store.sqlite import concerns_database, is_busy

log = logging.getLogger("stepwell.store")

T = TypeVar("T")
Answer = Any
Then = Callable[[Any], None]
Entry = tuple[Any, Item, Then | None]

_BATCH = 512
"""Items of one transaction: enough to make an fsync cheap, few enough to keep the first of them waiting only shortly."""


class _Lane:
    """The write lane, lent to a transaction of user code."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.granted: Future[None] = Future()
        self.returned = threading.Event()


class Writer:
    """A thread with the only write connection of the process. `write` from the loop, `write_from_thread` from elsewhere."""

    def __init__(self, engine: Engine, applier: Applier, loop: asyncio.AbstractEventLoop, busy_seconds: float) -> None:
        self._engine = engine
        self._applier = applier
        self._loop = loop
        self._busy_seconds = busy_seconds
        self._queue: SimpleQueue[Entry | _Lane | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="stepwell-writer", daemon=True)
        self._connection: Connection | None = None
        self._stopping = False
        self.on_commit: Callable[[Sequence[tuple[Item, Answer]]], None] = lambda answered: None
        """Called on the loop after each commit, with what was committed: the place for hints."""

    def start(self) -> None:
        """The thread runs."""
        self._thread.start()

    async def stop(self) -> None:
        """Everything that was handed over is written, and the thread has ended."""
        self._stopping = True
        self._queue.put(None)
        while self._thread.is_alive():
            await asyncio.sleep(0.005)

    async def write(self, item: Item, then: Then | None = None) -> Any:
        """The item's answer, once it is durable. Raises what the item raised, or StoreUnavailable.

        `then` is called on the loop with the answer (or the error) even if the caller is cancelled meanwhile: what was
        written is never forgotten.
        """
        self._check_running()
        future = self._loop.create_future()
        self._queue.put((future, item, then))
        return await future

    def write_from_thread(self, item: Item) -> Future[Any]:
        """As `write`, from a thread that isn't the loop's."""
        self._check_running()
        future: Future[Any] = Future()
        self._queue.put((future, item, None))
        return future

    async def call(self, operation: Callable[[Connection], T]) -> T:
        """What `operation` returned, once it is durable."""
        return cast("T", await self.write(Call(operation)))

    async def begin(self, *groups: Any) -> list[Started]:
        """The runs of one group of commits, durable, or those that its idempotency keys stand for."""
        return cast("list[Started]", await self.write(Begin(groups)))

    def lend(self, seconds: float) -> _Lane:
        """The write lane, once `granted` is done; nothing else of this process writes until `returned` is set."""
        self._check_running()
        lane = _Lane(seconds)
        self._queue.put(lane)
        return lane

    def _check_running(self) -> None:
        if self._stopping:
            raise StoreUnavailable("This Stepwell is closing: nothing was stored.")

    # -- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, lane, open_ = self._gather()
            if batch:
                self._flush(batch)
            if lane is not None:
                self._lend(lane)
        self._disconnect()

    def _gather(self) -> tuple[list[Entry], _Lane | None, bool]:
        batch: list[Entry] = []
        entry = self._queue.get()
        while True:
            if entry is None:
                return batch, None, False
            if isinstance(entry, _Lane):
                return batch, entry, True
            batch.append(entry)
            if len(batch) >= _BATCH:
                return batch, None, True
            try:
                entry = self._queue.get_nowait()
            except Empty:
                return batch, None, True

    @staticmethod
    def _lend(lane: _Lane) -> None:
        if not lane.granted.set_running_or_notify_cancel():
            return  # who asked for it doesn't wait any more
        lane.granted.set_result(None)
        # The borrower ends after `seconds` by itself; the margin is for a loop that is late to say so.
        if not lane.returned.wait(lane.seconds + 30):
            log.error("a transaction kept the write lane for %.0f s; going on without it", lane.seconds + 30)

    def _flush(self, batch: list[Entry]) -> None:
        self._answer(batch, self._answers([item for _, item, _ in batch]))

    def _answers(self, items: Sequence[Item]) -> list[Answer]:
        deadline = time.monotonic() + self._busy_seconds
        try:
            return self._attempt(items, deadline)
        except _Unavailable as error:
            return [_unavailable(error.cause)] * len(items)
        except BaseException as error:  # noqa: BLE001 - whatever one item did, the others go on
            return [_refusal(error)] if len(items) == 1 else self._one_by_one(items)

    def _one_by_one(self, items: Sequence[Item]) -> list[Answer]:
        deadline = time.monotonic() + self._busy_seconds
        answers: list[Answer] = []
        for item in items:
            try:
                answers.extend(self._attempt([item], deadline))
            except _Unavailable as error:  # as it is for this one, it is for all that are left
                return answers + [_unavailable(error.cause)] * (len(items) - len(answers))
            except BaseException as error:  # noqa: BLE001
                answers.append(_refusal(error))
        return answers

    def _attempt(self, items: Sequence[Item], deadline: float) -> list[Answer]:
        while True:
            try:
                return self._transaction(items)
            except (DBAPIError, sqlite3.Error) as error:
                self._disconnect()
                cause = _cause(error)
                if is_busy(cause) and time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                if concerns_database(cause):
                    raise _Unavailable(cause) from error
                raise

    def _transaction(self, items: Sequence[Item]) -> list[Answer]:
        connection = self._connect()
        transaction = connection.begin()
        try:
            answers = apply_items(self._applier, connection, items)
        except BaseException:
            transaction.rollback()
            raise
        try:
            transaction.commit()
        except (DBAPIError, sqlite3.Error) as error:
            if is_busy(_cause(error)):
                raise  # the transaction was still open
            return self._after_lost_answer(items, answers, error)
        return answers

    def _after_lost_answer(self, items: Sequence[Item], answers: list[Answer], error: Exception) -> list[Answer]:
        """The answers, if the commit that failed is there after all; raises `error` if it isn't (semantics 35)."""
        self._disconnect()
        try:
            with self._engine.connect() as connection:
                # A look, and no transaction: a database that can't be written may still answer.
                looking = connection.execution_options(isolation_level="AUTOCOMMIT")
                found = outcome.stored(looking, items, answers)
        except (DBAPIError, sqlite3.Error):
            log.warning("looking for what a failed commit left failed too", exc_info=True)
            found = None
        if found is None:
            return [outcome.unknown(item, _cause(error)) for item in items]
        if not found:
            raise error
        return answers

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except DBAPIError:
                log.warning("closing the write connection failed", exc_info=True)
            self._connection = None

    def _answer(self, batch: Sequence[Entry], answers: Sequence[Answer]) -> None:
        for (future, _, _), answer in zip(batch, answers, strict=True):
            if isinstance(future, Future):  # a thread waits, and must not wait for the loop
                _safely(_resolve, future, answer)
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, answers)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.debug("the loop closed before %d answers were delivered", len(batch))

    # -- on the loop ----------------------------------------------------------------------------------------------

    def _deliver(self, batch: Sequence[Entry], answers: Sequence[Answer]) -> None:
        for (future, item, then), answer in zip(batch, answers, strict=True):
            if isinstance(item, Begin) and isinstance(answer, list):
                self._applier.known_workspaces.update(started.run.workspace_id for started in answer)
            if then is not None:
                _safely(then, answer)
            _safely(_resolve, future, answer)
        self.on_commit([(entry[1], answer) for entry, answer in zip(batch, answers, strict=True)])


def _resolve(future: Any, answer: Answer) -> None:
    if future.done():
        return
    if isinstance(answer, StopIteration):
        # It can't be raised into a coroutine: it would end it.
        wrapped = RuntimeError(f"a write raised StopIteration({answer.value!r})")
        wrapped.__cause__ = answer
        answer = wrapped
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _safely(act: Callable[..., None], *given: Any) -> None:
    """The act is done, or its error is in the log: others wait for their answers."""
    try:
        act(*given)
    except Exception:
        log.exception("an answer of the writer could not be delivered")


class _Unavailable(Exception):
    """The database can't be written: nothing of this batch was stored."""

    def __init__(self, cause: BaseException | None) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _unavailable(cause: object) -> StoreUnavailable:
    return StoreUnavailable(f"The database can't be written: {cause}. Nothing was stored.")


def _refusal(error: BaseException) -> BaseException:
    cause = _cause(error)
    if not isinstance(cause, sqlite3.OperationalError):
        return error
    refused = StoreUnavailable(f"The database refuses this write: {cause}. Nothing was stored.")
    refused.__cause__ = error
    return refused


def _cause(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def apply_items(applier: Applier, connection: Connection, items: Sequence[Item]) -> list[Answer]:
    """One answer per item, in order, inside an open transaction: checkpoints first, then journal rows, starts, the rest."""
    answers: list[Answer] = [None] * len(items)
    _each(items, answers, Advance, lambda found: applier.advance(connection, [item.commit for item in found]))
    _each(items, answers, Record, lambda found: _record(connection, found))
    _each(items, answers, Begin, lambda found: applier.begin(connection, [item.commits for item in found]))
    for index, item in enumerate(items):
        if isinstance(item, Call):
            answers[index] = _in_savepoint(connection, item) if len(items) > 1 else _call(connection, item)
    return answers


def _each(items: Sequence[Item], answers: list[Answer], kind: type[T], act: Callable[[list[T]], Sequence[Any]]) -> None:
    found = [(index, item) for index, item in enumerate(items) if isinstance(item, kind)]
    if found:
        for (index, _), answer in zip(found, act([item for _, item in found]), strict=True):
            answers[index] = answer


def _record(connection: Connection, items: Sequence[Record]) -> list[LeaseLost | None]:
    fences = runs.fence(connection, {item.step.run_id for item in items})
    answers: list[LeaseLost | None] = []
    for item in items:
        fence = fences.get(item.step.run_id)
        held = fence is not None and (fence.version, fence.claim) == (item.version, item.claim)
        answers.append(None if held else LeaseLost(f"Run {item.step.run_id} was taken over or cancelled."))
    history.record_steps(connection, [item.step for item, lost in zip(items, answers, strict=True) if lost is None])
    return answers


def _in_savepoint(connection: Connection, item: Call[T]) -> T | BaseException:
    savepoint = connection.begin_nested()
    try:
        answer = item.operation(connection)
    except StepwellError as error:
        savepoint.rollback()
        return error
    savepoint.commit()
    return answer


def _call(connection: Connection, item: Call[T]) -> T:
    return item.operation(connection)
