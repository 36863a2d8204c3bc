"""The queue in the database: the index of ready runs, and a wake-up within the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from stepwell.engine.run import RunRow
from stepwell.queue.claims import Claims
from stepwell.store.inbox import Claimed
from stepwell.store.tx import Lane, WakeUp

_CONTENDED: Final = 0.01
"""Seconds before runs are claimed again whose limits another process was deciding about."""


class DatabaseQueue:
    """Claims for one worker, from the lanes that it takes."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.lanes = claims.lanes
        self._woken = asyncio.Event()

    def duties(self, *, worker: bool) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        return ()

    async def close(self) -> None:
        return  # the database is the store's

    def wake(self) -> None:
        self._woken.set()

    def remind(self) -> None:
        self._woken.set()

    def resumed(self) -> None:
        self._woken.set()

    def announce(self, ready: Sequence[WakeUp], due: Sequence[WakeUp]) -> None:
        if ready:
            self._woken.set()

    async def claim(self, limit: int) -> list[Claimed]:
        if not self.lanes:
            return []
        found = await self.claims.claim(limit)
        if self.claims.more:
            self.wake()
        elif self.claims.contended:
            asyncio.get_running_loop().call_later(_CONTENDED, self.wake)
        return found

    async def claim_one(self, run: RunRow) -> Claimed | None:
        return await self.claims.claim_one(run)

    def mark_unfit(self, run: RunRow, reason: str) -> None:
        self.claims.mark_unfit(run, reason)

    def is_unfit(self, run: RunRow) -> bool:
        return self.claims.is_unfit(run)

    def has_unfit(self, lane: Lane) -> bool:
        return self.claims.has_unfit(lane)

    async def wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True
