"""What the verbs share: the store, the passes of this process, and the hints that follow a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.errors import ConfigurationError, StepwellError, StoreUnavailable
from stepwell.execution.attempt import current_attempt
from stepwell.execution.operations import Operations
from stepwell.execution.passes import Passes
from stepwell.execution.shared import Shared
from stepwell.queue.base import Queue
from stepwell.runner.ends import Ends
from stepwell.store.sqlite import lock
from stepwell.store.store import Store

T = TypeVar("T")

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
    due_changed: Callable[[], None]
    children_marked: Callable[[], None]

    async def write(self, operation: Callable[[Connection], T], connection: Any) -> T:
        """What the operation returned: durable, or written in the caller's transaction. Raises StoreUnavailable."""
        if connection is None:
            refuse_inside_transaction()
            answer = await self.store.writer.call(operation)
            self.hint()
            return answer
        return await self.in_callers(operation, connection)

    async def in_callers(self, operation: Callable[[Connection], T], connection: Any) -> T:
        """The operation, written in the caller's transaction and true exactly if that commits."""
        given = await self._checked(connection)
        try:
            answer = await given.run_sync(_locked, operation)
        except DBAPIError as error:
            raise StoreUnavailable(f"The database can't be written: {error.orig}. Nothing was stored.") from error
        loop = asyncio.get_running_loop()
        for delay in _RINGS:
            loop.call_later(delay, self.hint)
            loop.call_later(delay, self.children_marked)
        return answer

    def hint(self) -> None:
        """Something may be ready or due."""
        self.queue.ring()
        self.due_changed()

    async def _checked(self, connection: Any) -> AsyncConnection:
        given = connection if isinstance(connection, AsyncConnection) else await _of_session(connection)
        if given.dialect.name != "sqlite" or not _same_file(given.engine.url.database, self.store.path):
            raise ConfigurationError(
                f"connection= is on {given.engine.url.render_as_string()!r}, not on Stepwell's database "
                f"({self.store.path!r}): what it writes could not commit together."
            )
        return given


def refuse_inside_transaction() -> None:
    """Raises StepwellError inside an open `self.transaction()`: a second writer would wait for the first for ever."""
    attempt = current_attempt.get()
    if attempt is not None and attempt.transaction_ is not None and not attempt.rolled_back:
        raise StepwellError(
            "Inside self.transaction() a runner call needs connection=connection: without it, it would wait for this "
            "very transaction to end."
        )


def _locked(connection: Connection, operation: Callable[[Connection], T]) -> T:
    lock(connection)
    # What fails midway leaves nothing of it in a transaction that the caller may still commit.
    with connection.begin_nested():
        return operation(connection)


async def _of_session(given: Any) -> AsyncConnection:
    from sqlalchemy.ext.asyncio import AsyncSession

    if isinstance(given, AsyncSession):
        return await given.connection()
    raise ConfigurationError(f"connection={given!r} is neither an AsyncConnection nor an AsyncSession of SQLAlchemy.")


def _same_file(database: str | None, path: str) -> bool:
    return database is not None and Path(database).expanduser().resolve() == Path(path).resolve()
