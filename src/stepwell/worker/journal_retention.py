"""The duty that deletes journal rows of visits that are left (rule 42). It may run in all processes at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.clock import Clock
from stepwell.faults import Faults
from stepwell.store import old_steps
from stepwell.store.base import Store
from stepwell.store.old_steps import FIRST, StepKey, Stretch
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.worker")

_PAGE: Final = 2_000
"""Keys that are read at a time."""
_ROWS: Final = 1_000
"""Rows that are deleted by one transaction: all other writes wait for it."""
_PAUSE: Final = 0.01
"""Seconds between two pages, and between two batches: other processes get the write lock in between."""
_MOST: Final = 3600.0
"""Seconds between two walks, at most."""
_AGAIN: Final = 600.0
"""Seconds before rows are tried again that could not be deleted."""


class JournalRetention:
    """Walks over the journal, a page at a time, and deletes what is old."""

    def __init__(self, store: Store, clock: Clock, faults: Faults) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults

    async def watch(self, seconds: float, may_delete: Callable[[], bool]) -> None:
        """Delete rows once they are older than this, until cancelled.

        `may_delete` says whether the clock is certain enough for deleting what is old by it.
        """
        while True:
            try:
                if may_delete():
                    await self.walk(seconds)
            except StoreUnavailable as error:
                log.warning("%s", error)
            pause = max(1.0, min(_MOST, seconds))
            await self._clock.sleep_until(self._clock.now() + round(pause * 1_000_000))

    async def walk(self, seconds: float) -> int:
        """Look at the whole journal once, and return how many rows were deleted."""
        before, after, deleted = self._clock.now() - round(seconds * 1_000_000), FIRST, 0
        while page := await self._page(after):
            deleted += await self._delete_apart(after, page, before)
            after = page[-1]
            await asyncio.sleep(_PAUSE)
        return deleted

    async def _page(self, after: StepKey) -> list[StepKey]:
        return await self._store.read(lambda tx: old_steps.keys(tx, after, _PAGE))

    async def _delete_apart(self, after: StepKey, page: list[StepKey], before: int) -> int:
        """Delete what is old among these; run by run, where the database refuses that of one of them."""
        runs = dict.fromkeys(key.run_id for key in page)
        if not any(self._faults.resting(_name(run_id)) for run_id in runs):
            try:
                return await self._delete(after, page[-1], [*runs], before)
            except StoreUnavailable as error:
                if not error.refused:
                    raise
        deleted = 0
        for run_id in runs:
            own = [key for key in page if key.run_id == run_id]
            if not self._faults.resting(_name(run_id)):
                with self._faults.apart(_name(run_id), again=_AGAIN):
                    deleted += await self._delete(own[0]._replace(name=""), own[-1], [run_id], before)
        return deleted

    async def _delete(self, after: StepKey, last: StepKey, runs: list[str], before: int) -> int:
        def look(tx: Tx) -> Stretch | None:
            part = old_steps.stretch(tx, after, last, runs)
            return part if old_steps.any_before(tx, part, before) else None

        part = await self._store.read(look)
        deleted = 0
        while part is not None and (some := await self._batch(part, before)):
            deleted += some
            await asyncio.sleep(_PAUSE)
        return deleted

    async def _batch(self, part: Stretch, before: int) -> int:
        return await self._store.writer.call(lambda tx: old_steps.delete(tx, part, before, _ROWS))


def _name(run_id: str) -> str:
    return f"the journal of run {run_id}, of which old rows are to be deleted"
