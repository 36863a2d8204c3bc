"""How a worker leaves: what it doesn't execute any more goes on elsewhere at once, and in the end all that it owned."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.passes import Passes
from stepwell.store import runs, workers
from stepwell.store.store import Store
from stepwell.store.tx import Tx

log = logging.getLogger("stepwell.worker")

_LEAVE: Final = 10.0
_LOOK: Final = 0.2
"""Seconds between looks for runs that a closing process can hand on already."""


class Drain:
    """Hands on the runs of a process that begins nothing any more."""

    def __init__(self, store: Store, passes: Passes) -> None:
        self._store = store
        self._passes = passes
        self._clock = passes.shared.clock

    async def drained(self, seconds: float) -> bool:
        """True if every pass came to its end within this time. Runs go on elsewhere while others still have time."""
        deadline = time.monotonic() + seconds
        while (tasks := self._passes.tasks) and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):  # the database is away
                async with asyncio.timeout(left):
                    await self._hand_on(set(tasks))
            left = max(deadline - time.monotonic(), 0)
            await asyncio.wait(tasks.values(), timeout=min(left, _LOOK), return_when=asyncio.FIRST_COMPLETED)
        return not self._passes.tasks

    async def _hand_on(self, executing: set[str]) -> None:
        me = self._passes.worker_id

        def operation(tx: Tx) -> None:
            # Nothing begins here any more: what is ours and not executed now never will be.
            idle = [(run_id, claim) for run_id, claim in runs.owned(tx, me).items() if run_id not in executing]
            runs.release(tx, me, idle, self._clock.now(), counts=False)

        try:
            await self._store.writer.call(operation)
        except StoreUnavailable as error:
            log.warning("%s", error)  # `leave` tries again

    async def leave(self) -> None:
        """All that the process still owned is ready for others, and its row is gone; or others find out within a lease."""
        me, now = self._passes.worker_id, self._clock.now()

        def operation(tx: Tx) -> None:
            runs.take_over(tx, me, now, counts=False)
            workers.remove(tx, me)
            self._store.announce_in(tx)  # with the commit: nobody here will tell it afterwards

        try:
            async with asyncio.timeout(_LEAVE):
                await self._store.writer.call(operation)
        except Exception:
            log.exception("worker %s could not hand its runs over; they are taken over within a lease", me)
