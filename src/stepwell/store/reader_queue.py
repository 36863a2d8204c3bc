"""The queue for readers of the database: each user may hold a share of them, and those that wait are served in rotation.

A user whose reads take long delays their own further reads. However many of them wait, the next read of another user
waits for one reader at most.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from stepwell.errors import TooManyReads

MOST_WAITING: Final = 500
"""Reads of one user that may wait, at most."""
_RETRY_AFTER: Final = 2


class ReaderQueue:
    """So many reads at once, and of one user at most a share of them. Used on one event loop."""

    def __init__(self, readers: int) -> None:
        self._free = readers
        self._share = (readers + 1) // 2
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, user: str) -> AsyncIterator[None]:
        """Hold a reader inside the block, after waiting for it. Raises TooManyReads."""
        await self._take(user)
        try:
            yield
        finally:
            self._give_back(user)

    def _give_back(self, user: str) -> None:
        self._held[user] -= 1
        if not self._held[user]:
            del self._held[user]
        self._free += 1
        self._pass_on()

    async def _take(self, user: str) -> None:
        queue = self._waiting.setdefault(user, deque())
        if len(queue) >= MOST_WAITING:
            raise TooManyReads(
                f"{MOST_WAITING} of your reads are waiting here already. Wait for their answers before you ask for more.",
                retry_after=_RETRY_AFTER,
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._pass_on()
        try:
            await turn
        except asyncio.CancelledError:
            self._withdraw(user, turn)
            raise

    def _withdraw(self, user: str, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():  # it had just been given a reader
            self._give_back(user)
        elif turn in (queue := self._waiting.get(user, deque())):
            queue.remove(turn)
            if not queue:
                del self._waiting[user]

    def _pass_on(self) -> None:
        """Give free readers to those that wait, one user after the other."""
        while self._free and (user := self._next()) is not None:
            queue = self._waiting.pop(user)
            turn = queue.popleft()
            if queue:
                self._waiting[user] = queue  # behind all others
            if not turn.done():
                self._held[user] += 1
                self._free -= 1
                turn.set_result(None)

    def _next(self) -> str | None:
        for user in self._waiting:
            if self._held[user] < self._share:
                return user
        return None
