"""What the verbs share: the store, the passes of this process, and the hints that follow a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.errors import ConfigurationError, StepwellError, StoreUnavailable
from stepwell.events.tail import Tail
from stepwell.execution.attempt import current_attempt
from stepwell.execution.operations import Operations
from stepwell.execution.passes import Passes
from stepwell.execution.shared import Shared
from stepwell.queue.base import Queue
from stepwell.runner.ends import Ends
from stepwell.store.store import Store
from stepwell.store.tx import Hints, Tx

T = TypeVar("T")

_TRIES = 5
_RINGS = (0.0, 0.05, 0.5)
"""Seconds after a call in the caller's transaction at which the bell rings: nobody says when that commits."""


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
    heard: Callable[[Hints], None]
    """Acts on what may be ready, due or ended by now."""

    async def write(self, operation: Callable[[Tx], T], connection: Any) -> T:
        """What the operation returned: durable, or written in the caller's transaction. Raises StoreUnavailable."""
        if connection is None:
            refuse_inside_transaction()
            return await self.store.writer.call(operation)
        return await self.in_callers(operation, connection)

    async def in_callers(self, operation: Callable[[Tx], T], connection: Any) -> T:
        """The operation, written in the caller's transaction and true exactly if that commits."""
        given = await self._checked(connection)
        try:
            answer, hints = await self._in_savepoint(given, operation)
        except DBAPIError as error:
            raise StoreUnavailable(f"The database can't be written: {error.orig}. Nothing was stored.") from error
        loop = asyncio.get_running_loop()
        for delay in _RINGS:
            loop.call_later(delay, self.heard, hints)
        return answer

    async def _in_savepoint(self, given: AsyncConnection, operation: Callable[[Tx], T]) -> tuple[T, Hints]:
        tries = _TRIES
        while True:
            try:
                return await given.run_sync(self._written, operation)
            except IntegrityError:
                # Somebody else's transaction with the same key was on its way: now it is there to be found.
                tries -= 1
                if not tries:
                    raise

    def _written(self, connection: Connection, operation: Callable[[Tx], T]) -> tuple[T, Hints]:
        tx = self.store.begin_in(connection)
        # What fails midway leaves nothing of it in a transaction that the caller may still commit.
        with connection.begin_nested():
            answer = operation(tx)
            self.store.announce_in(tx)
        return answer, tx.hints

    async def _checked(self, connection: Any) -> AsyncConnection:
        given = connection if isinstance(connection, AsyncConnection) else await _of_session(connection)
        await self.store.check_same(given)
        return given


def refuse_inside_transaction() -> None:
    """Raises StepwellError inside an open `self.transaction()`: a second writer would wait for the first for ever."""
    attempt = current_attempt.get()
    if attempt is not None and attempt.transaction_ is not None and not attempt.rolled_back:
        raise StepwellError(
            "Inside self.transaction() a runner call needs connection=connection: without it, it would wait for this "
            "very transaction to end."
        )


async def _of_session(given: Any) -> AsyncConnection:
    from sqlalchemy.ext.asyncio import AsyncSession

    if isinstance(given, AsyncSession):
        return await given.connection()
    raise ConfigurationError(f"connection={given!r} is neither an AsyncConnection nor an AsyncSession of SQLAlchemy.")
