"""The seam between executing a run and storing it: the same pass runs durable and stateless."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.groups import Member
from stepwell.engine.run import RunRow, SignalRow
from stepwell.errors import StoreUnavailable
from stepwell.store.documents import DocumentRow, WantedDocuments
from stepwell.store.inbox import Seen
from stepwell.store.journal import JournalRow

log = logging.getLogger("stepwell.execution")

T = TypeVar("T")
Journal = dict[tuple[str, str], str | None]
"""The values of a visit's steps, by (transition, step); None: it may not run again, and has no value."""


class OpenTransaction(Protocol):
    """`self.transaction()` of one attempt."""

    connection: AsyncConnection

    async def commit(self, commit: Commit) -> RunRow:
        """Make the commit and the user's writes durable, together. Raises LeaseLost, StoreUnavailable."""
        ...

    async def roll_back(self) -> None:
        """Roll everything back."""
        ...

    def lost(self, error: BaseException) -> bool:
        """Return whether an error means that the database can't be reached, not that the statement is wrong."""
        ...

    async def answers(self) -> bool:
        """Return whether the database answers now."""
        ...


class Storage(Protocol):
    """The seam to the place of a run's checkpoints."""

    durable: bool

    def holds(self) -> bool:
        """Return whether this process may begin something: past its lease, others may have its runs (rule 31)."""
        ...

    def commit(self, commit: Commit) -> Awaitable[RunRow]:
        """Commit, and return the run as stored. Raises LeaseLost, StoreUnavailable. Awaited at once, by one task."""
        ...

    async def give_back(self, run: RunRow) -> None:
        """Release the run if a cancel has left it with this process until its attempt is over, which it is now."""
        ...

    async def documents(self, run_id: str, wanted: WantedDocuments | None = None) -> list[DocumentRow]:
        """Return the current documents of the run, in order; only these, if some are `wanted`."""
        ...

    async def record(self, run: RunRow, row: JournalRow, journal: Journal) -> None:
        """Journal a step, or that it was undone, and note it in `journal`. Durable on return. Raises LeaseLost."""
        ...

    async def undoable(self, run_id: str) -> list[JournalRow]:
        """Return steps of the run that have an undo and weren't undone, newest first; empty if there are no more."""
        ...

    async def journal(self, run_id: str) -> Journal:
        """Return what the run's current visit has journaled."""
        ...

    async def inbox(self, run: RunRow) -> Seen:
        """Return what is in the run's inbox now."""
        ...

    async def signal(self, signal_id: str) -> SignalRow | None:
        """Return the signal with its data; None if it isn't open any more."""
        ...

    async def keyed(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], RunRow]:
        """Return the runs of these (app, user, idempotency key)."""
        ...

    async def members(
        self, group_id: str, user_id: str, after: int, limit: int, most_bytes: int
    ) -> list[Member] | None:
        """Return runs of a group of this user, those behind an index; None if the user has no such group."""
        ...

    async def transaction(self, run: RunRow) -> OpenTransaction:
        """Return an open transaction that holds the run's fence."""
        ...


async def patiently(
    act: Callable[[], Awaitable[T]],
    what: str,
    stopped: Callable[[], bool] = lambda: False,
    first: StoreUnavailable | None = None,
) -> T:
    """Return the answer, once the database can be reached again: an outage isn't a failure of the run.

    `first` is what a first try raised. Raises StoreUnavailable where it is `stopped` before.
    """
    pause, error = 0.05, first
    while True:
        if error is not None:
            log.warning("%s waits for the database: %s", what, error)
            if stopped():
                raise error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
        try:
            return await act()
        except StoreUnavailable as again:
            error = again
