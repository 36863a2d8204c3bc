"""Runs that wait for a slot, a rate or a pause, and are executed in this process as soon as they may be: `run_sync` waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextvars import Context
from typing import Final

from stepwell.engine.run import RunRow
from stepwell.errors import StoreUnavailable
from stepwell.execution.passes import Passes
from stepwell.queue.base import Queue
from stepwell.store import runs
from stepwell.store.base import Store
from stepwell.store.inbox import Claimed
from stepwell.store.tx import WakeUp

log = logging.getLogger("stepwell.runner")

_FALLBACK: Final = 1.0
"""Seconds after which a run is looked at without any hint."""
_STILL: Final = frozenset({"completed", "failed", "canceled", "waiting"})


class Here:
    """Claims such runs one by one, whether or not this process has a worker; each until it ends or parks."""

    def __init__(self, store: Store, passes: Passes, queue: Queue) -> None:
        self._store = store
        self._passes = passes
        self._queue = queue
        self.awaited: dict[str, asyncio.Event] = {}
        """The runs that are attended to here, each with what tells that it may be ready."""
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, ready: Iterable[WakeUp]) -> None:
        """Take a hint: these runs are ready."""
        for wake_up in ready:
            if wake_up.run_id in self.awaited:
                self.awaited[wake_up.run_id].set()

    def look(self) -> None:
        """Take a hint: runs may be ready."""
        for event in self.awaited.values():
            event.set()

    def take(self, run: RunRow, context: Context) -> None:
        """Execute the run here as soon as it may be, in this context; a worker may be quicker."""
        self.awaited[run.id] = asyncio.Event()
        self._passes.contexts[run.id] = context
        task = asyncio.get_running_loop().create_task(self._attend(run, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, run: RunRow, context: Context) -> None:
        try:
            while not self._passes.closing:
                ready = self.awaited[run.id]
                ready.clear()
                if await self._over(run, context):
                    return
                try:
                    async with asyncio.timeout(_FALLBACK):
                        await ready.wait()
                except TimeoutError:
                    pass
        finally:
            self.awaited.pop(run.id, None)
            self._passes.contexts.pop(run.id, None)

    async def _over(self, run: RunRow, context: Context) -> bool:
        """Return whether the run has ended or parked, after executing it here if it was ready."""
        try:
            found = await self._store.read(lambda tx: runs.load_one(tx, run.id))
            if found is None or (found.status in _STILL and found.ready_at is None and found.held_by is None):
                return True
            if found.ready_at is None or (claimed := await self._queue.claim_one(found)) is None:
                return False
        except StoreUnavailable as error:
            log.warning("%s", error)
            return False
        await self._executed(claimed, context)
        self.awaited[run.id].set()
        return False

    async def _executed(self, claimed: Claimed, context: Context) -> None:
        # Through the delay of a retry it holds no slot, and so no worker holds it either.
        hold = claimed.run.gates is None
        task = self._passes.launch(claimed, extra=True, hold=hold, context=context)
        if task is not None:
            await asyncio.wait([task])

    async def close(self) -> None:
        """Attend to no run any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
