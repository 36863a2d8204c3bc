"""The queue in the database: the index of ready runs, and a bell within the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from stepwell.engine.run import Run
from stepwell.store import history, runs, signals
from stepwell.store.base import Claimed
from stepwell.store.store import Store


class DatabaseQueue:
    """Claims for one worker, from the lanes that it takes."""

    def __init__(self, store: Store, worker_id: str, lanes: Sequence[runs.Lane], now: Callable[[], int]) -> None:
        self._store = store
        self._worker_id = worker_id
        self.lanes = tuple(lanes)
        self._sql = runs.claim_sql(self.lanes) if self.lanes else ""
        self._now = now
        self._bell = asyncio.Event()

    def ring(self) -> None:
        self._bell.set()

    async def claim(self, limit: int) -> list[Claimed]:
        if not self.lanes:
            return []
        return await self._store.writer.call(lambda connection: self._claim(connection, limit))

    def _claim(self, connection: Connection, limit: int) -> list[Claimed]:
        found = runs.claim(connection, self._sql, self.lanes, self._worker_id, limit, self._now())
        return with_inboxes(connection, found) if found else []

    async def wait(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return False
        self._bell.clear()
        return True


def with_inboxes(connection: Connection, found: Sequence[Run]) -> list[Claimed]:
    """The runs with their open signals and what their current visits have journaled."""
    signalled = [run.id for run in found if run.inbox]
    inboxes = signals.inboxes(connection, signalled) if signalled else {}
    again = [run.id for run in found if run.claim > 1]
    journals = history.journals(connection, again) if again else {}
    return [Claimed(run, inboxes.get(run.id, ()), journals.get(run.id, {})) for run in found]
