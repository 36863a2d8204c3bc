"""`self.transaction()`: as the method sees it, and as its attempt holds it, from its opening to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from types import TracebackType

from sqlalchemy.ext.asyncio import AsyncConnection

from stepwell.engine.commit import Commit
from stepwell.engine.run import RunRow
from stepwell.execution.storage import OpenTransaction


class Transaction(AbstractAsyncContextManager[AsyncConnection, None]):
    """`async with self.transaction()`. A class: a generator can't carry every exception."""

    __slots__ = ("_break_off", "_open")

    def __init__(
        self, open_: Callable[[], Awaitable[AsyncConnection]], break_off: Callable[[BaseException], Awaitable[None]]
    ) -> None:
        self._open = open_
        self._break_off = break_off

    async def __aenter__(self) -> AsyncConnection:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._break_off(error)


class Held:
    """The one transaction of an attempt, which owns it: it ends with the attempt, whatever comes of that.

    `too_long` is called once it has been open for `seconds`.
    """

    __slots__ = ("_ending", "_opened", "_timer", "_too_long", "database_away", "open")

    def __init__(self, opened: OpenTransaction, seconds: float, too_long: Callable[[], None]) -> None:
        self.open = True
        """True if the checkpoint is to be written in it."""
        self.database_away = False
        """It broke because the database can't be reached: that is no failure of the attempt."""
        self._opened = opened
        self._too_long = too_long
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end, context=Context())
        self._ending: asyncio.Task[None] | None = None

    @property
    def connection(self) -> AsyncConnection:
        """The connection, as the method gets it."""
        return self._opened.connection

    async def commit(self, commit: Commit) -> RunRow:
        """Store the checkpoint with what the method has written. Raises LeaseLost, StoreUnavailable: nothing remains."""
        return await self._opened.commit(commit)

    async def break_off(self, error: BaseException) -> None:
        """End it because of an error in its block: half of a block is never committed, even if the error is caught."""
        self.database_away = self.database_away or self._opened.lost(error)
        await self.close()

    async def close(self) -> None:
        """End it: nothing remains of what wasn't committed."""
        self.open = False
        self.unwatch()
        await self._opened.roll_back()

    def unwatch(self) -> None:
        """Stop the clock: the method, or the transaction, is over."""
        self._timer.cancel()
        if self._ending is not None and self._ending is not asyncio.current_task():
            self._ending.cancel()
        self._too_long = _nothing  # it leads back to the attempt

    def _end(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self._end_for_time())

    async def _end_for_time(self) -> None:
        # Whose fault it is that it lasts so long is found out before it is ended.
        self.database_away = self.database_away or not await self._opened.answers()
        self._too_long()


def _nothing() -> None:
    """Do nothing."""
