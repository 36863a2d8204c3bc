"""The parts that the verbs share: the store, the passes of this process, and the hints that follow a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError

from stepwell.engine.commit import Commit
from stepwell.errors import StepwellError
from stepwell.execution.begun import current_attempt
from stepwell.execution.operations import Operations
from stepwell.execution.passes import Passes
from stepwell.execution.shared import Shared
from stepwell.hints.tail import Tail
from stepwell.queue.base import Queue
from stepwell.runner.callers import Borrowed, borrowed
from stepwell.runner.ends import Ends
from stepwell.runner.here import Here
from stepwell.store.base import Store
from stepwell.store.callers import CallersTransaction, refusal
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.schedules import TickRow
from stepwell.store.tx import Hints, Tx

T = TypeVar("T")

_TRIES = 5
_WAKES = (0.0, 0.05, 0.5)
"""Seconds after a call in the caller's transaction at which workers are woken: the moment of its commit isn't known."""


class MadeTicks(Protocol):
    """Fires schedules made at run time, inside the transaction that has locked their row."""

    def declares(self, app_name: str, name: str) -> bool:
        """Return whether a schedule of this name is declared by the app."""
        ...

    def settle(self, tx: Tx, row: MadeSchedule) -> MadeSchedule:
        """Fire or skip everything that is due, and return the schedule as it is then."""
        ...

    def fire(self, tx: Tx, row: MadeSchedule, key: str | None) -> TickRow:
        """Fire a tick now, or return the one that this key has fired. Raises UnknownApp, UnknownWorkflow."""
        ...


@dataclass(slots=True)
class Core:
    """The open parts of a Stepwell."""

    shared: Shared
    store: Store
    operations: Operations
    passes: Passes
    queue: Queue
    ends: Ends
    tail: Tail
    here: Here
    on_hints: Callable[[Hints], None]
    """The listener that acts on runs that may be ready, due or ended by now."""
    ticks: MadeTicks
    """The part that fires schedules that are made at run time."""

    async def write(self, operation: Callable[[Tx], T], connection: Any) -> T:
        """Run the operation, durably or in the caller's transaction, and return its value. Raises StoreUnavailable."""
        if connection is None:
            refuse_inside_transaction()
            return await self.store.writer.call(operation)
        return await self.in_callers(operation, connection)

    async def in_callers(self, operation: Callable[[Tx], T], connection: Any) -> T:
        """Write the operation in the caller's transaction; it holds exactly if that commits."""
        with _refusing():
            answer, hints = await self._in_savepoint(await borrowed(connection), operation)
        loop = asyncio.get_running_loop()
        for delay in _WAKES:
            loop.call_later(delay, self.on_hints, hints)
        return answer

    async def prepare_starts(self, commits: Sequence[Commit], connection: Any) -> None:
        """Create what these starts need beside the caller's transaction, unless its connection is refused."""
        with _refusing():
            lend = (await borrowed(connection)).run
            await lend(self.store.check_same)
            await self.store.prepare_starts(commits, lend)

    async def _in_savepoint(self, given: Borrowed, operation: Callable[[Tx], T]) -> tuple[T, Hints]:
        tries = _TRIES
        while True:
            try:
                return await given.run(lambda caller: self._written(caller, operation))
            except IntegrityError:
                # Another transaction with the same key was under way: now it can be found.
                tries -= 1
                if not tries:
                    raise

    def _written(self, caller: CallersTransaction, operation: Callable[[Tx], T]) -> tuple[T, Hints]:
        self.store.check_same(caller)
        tx = self.store.begin_in(caller)
        # A failure midway leaves nothing in a transaction that the caller may still commit.
        with caller.savepoint():
            answer = operation(tx)
            self.store.applier.settle(tx)
            self.store.announce_in(tx)
        return answer, tx.hints


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, InvalidRequestError) as error:
        raise refusal(error) from error


def refuse_inside_transaction() -> None:
    """Raise StepwellError inside an open `self.transaction()`: a second writer would wait for the first forever."""
    inside = current_attempt.get()
    if inside is not None and inside.attempt.in_transaction:
        raise StepwellError(
            "Inside self.transaction() a runner call needs connection=connection: without it, it would wait for this "
            "very transaction to end."
        )
