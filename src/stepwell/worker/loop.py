"""The worker's loop: while slots are free, claim what is ready and execute it."""

from __future__ import annotations

import asyncio
import logging

from stepwell.errors import StoreUnavailable
from stepwell.execution.passes import Passes
from stepwell.queue.base import Queue

log = logging.getLogger("stepwell.worker")

_MAX_CLAIM = 200
_POLL = 1.0


class Loop:
    """Claims in batches; one claim is under way at a time."""

    def __init__(self, queue: Queue, passes: Passes) -> None:
        self._queue = queue
        self._passes = passes
        self._more = True
        self.idle = asyncio.Event()
        """Set while the last claim found nothing and nothing has rung since."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        self._passes.on_end = self._slot_free
        while True:
            free = self._passes.free
            if free > 0 and self._more:
                self._more = await self._claim(min(free, _MAX_CLAIM))
                continue
            self.idle.set()
            rang = await self._queue.wait(_POLL)
            self.idle.clear()
            self._more = self._more or rang

    async def _claim(self, limit: int) -> bool:
        """True if there may be more."""
        try:
            claimed = await self._queue.claim(limit)
        except StoreUnavailable as error:
            log.warning("claiming failed, trying again: %s", error)
            await asyncio.sleep(_POLL)
            return True
        for one in claimed:
            self._passes.launch(one)
        return len(claimed) >= limit

    def _slot_free(self) -> None:
        if self._more:
            self._queue.ring()
