"""The queue in the database: the index of ready runs, and a bell within the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from stepwell.engine.run import Run
from stepwell.store import history, runs, signals
from stepwell.store.base import Claimed
from stepwell.store.store import Store
from stepwell.store.tx import Bell, Lane, Tx


class DatabaseQueue:
    """Claims for one worker, from the lanes that it takes."""

    def __init__(self, store: Store, worker_id: str, lanes: Sequence[Lane], now: Callable[[], int]) -> None:
        self._store = store
        self._worker_id = worker_id
        self.lanes = tuple(lanes)
        self._now = now
        self._bell = asyncio.Event()

    def duties(self, *, worker: bool) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        return ()

    async def close(self) -> None:
        return  # the database is the store's

    def ring(self) -> None:
        self._bell.set()

    def remind(self) -> None:
        self._bell.set()

    def announce(self, ready: Sequence[Bell], due: Sequence[Bell]) -> None:
        if ready:
            self._bell.set()

    async def claim(self, limit: int) -> list[Claimed]:
        if not self.lanes:
            return []
        return await self._store.writer.call(lambda tx: self._claim(tx, limit))

    def _claim(self, tx: Tx, limit: int) -> list[Claimed]:
        found = runs.claim(tx, self.lanes, self._worker_id, limit, self._now())
        return with_inboxes(tx, found) if found else []

    async def wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return False
        self._bell.clear()
        return True


def with_inboxes(tx: Tx, found: Sequence[Run]) -> list[Claimed]:
    """The runs with their open signals and what their current visits have journaled."""
    signalled = [run.id for run in found if run.inbox]
    inboxes = signals.inboxes(tx, signalled) if signalled else {}
    again = [run.id for run in found if run.claim > 1]
    journals = history.journals(tx, again) if again else {}
    return [Claimed(run, inboxes.get(run.id, ()), journals.get(run.id, {})) for run in found]
