"""The worker's loop: while slots are free, claim what is ready and execute it."""

from __future__ import annotations

import asyncio
import logging

from stepwell.errors import StoreUnavailable
from stepwell.execution.passes import Passes
from stepwell.queue.base import Queue
from stepwell.store.base import Claimed

log = logging.getLogger("stepwell.worker")

_MAX_CLAIM = 200
_POLL = 1.0


class Loop:
    """Claims in batches; one claim is under way at a time."""

    def __init__(self, queue: Queue, passes: Passes) -> None:
        self._queue = queue
        self._passes = passes
        passes.backlog = True
        self.idle = asyncio.Event()
        """Set while the last claim found nothing and nothing has rung since."""

    async def run(self) -> None:
        """Works until it is cancelled."""
        self._passes.on_end = self._slot_free
        while True:
            wanted = self._passes.reserve_up_to(_MAX_CLAIM) if self._passes.backlog else 0
            if wanted:
                self._passes.backlog = await self._claim(wanted)
                continue
            self.idle.set()
            rang = await self._queue.wait(_POLL)
            self.idle.clear()
            self._passes.backlog = self._passes.backlog or rang

    async def _claim(self, wanted: int) -> bool:
        """True if there may be more."""
        claimed: list[Claimed] = []
        try:
            claimed = await self._queue.claim(wanted)
        except StoreUnavailable as error:
            log.warning("claiming failed, trying again: %s", error)
            await asyncio.sleep(_POLL)
            return True
        finally:
            self._passes.unreserve(wanted - len(claimed))
        for one in claimed:
            self._passes.launch(one, reserved=True)
        return len(claimed) == wanted

    def _slot_free(self) -> None:
        # Only a loop that waits needs the bell: its own claim gives slots back too, and would ring for ever.
        if self._passes.backlog and self.idle.is_set():
            self._queue.ring()
