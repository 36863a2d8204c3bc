"""What finds whatever a lost hint, a dead worker or a crash left behind. Every duty may run in every process at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from stepwell.errors import StoreUnavailable
from stepwell.execution.operations import Operations
from stepwell.execution.passes import Passes
from stepwell.queue.base import Queue
from stepwell.store import apply, runs, workers
from stepwell.store.store import Store
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow
from stepwell.worker.lease import Heart, Observer

log = logging.getLogger("stepwell.worker")

_HELD = 0.2
"""Seconds before a due run is looked at again that could not be made ready."""
_LOST_EVERY = 0.25
"""Seconds between looks for runs that were cancelled elsewhere, while others commit and something executes."""
_RETENTION_EVERY = 60.0
_RETENTION_PAUSE = 0.01
"""Seconds between two batches: other processes get the write lock in between."""
_BATCH = 100
"""Runs that are deleted by one transaction."""
_ROWS = 2_000
"""Rows of theirs that are deleted by one transaction: everybody's writes wait for it."""


class Sweep:
    """The duties of one process. `now` and sleeping follow the injected clock, leases the monotonic one."""

    def __init__(
        self, store: Store, operations: Operations, passes: Passes, queue: Queue, heart: Heart, lease_seconds: float
    ) -> None:
        self._store = store
        self._operations = operations
        self._passes = passes
        self._queue = queue
        self._heart = heart
        self._observer = Observer(lease_seconds)
        self._clock = operations.shared.clock
        self._due_changed = asyncio.Event()
        self._children = asyncio.Event()
        self._changed = asyncio.Event()
        self._idle_owned: dict[str, int] = {}

    # -- what becomes due -----------------------------------------------------------------------------------------

    async def watch_due(self) -> None:
        """Runs become ready when their moment comes. Works until it is cancelled."""
        while True:
            due = await self._quietly(self._look)
            if due is not None and due <= self._clock.now():
                if await self._quietly(self.ripen) == 0:
                    await asyncio.sleep(_HELD)  # somebody else has it, or holds its row
                continue
            await self._until(due)

    async def _look(self) -> int | None:
        """When the next run becomes due; rings for ready ones whose bell was lost."""
        lanes = self._queue.lanes if self._passes.free else ()
        due, ready = await self._store.read(lambda tx: runs.outlook(tx, lanes))
        if ready:
            self._queue.remind()
        return due

    async def _until(self, due: int | None) -> None:
        # However far away: what became due elsewhere may have told nobody.
        wake = self._clock.now() + round(self._store.look_every * 1_000_000)
        sleeping = asyncio.ensure_future(self._clock.sleep_until(min(due, wake) if due is not None else wake))
        changed = asyncio.ensure_future(self._due_changed.wait())
        try:
            await asyncio.wait([sleeping, changed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            changed.cancel()
            self._due_changed.clear()

    def due_changed(self) -> None:
        """A hint: something may be due earlier than known."""
        self._due_changed.set()

    async def next_due(self) -> int | None:
        """When the next run becomes due."""
        return await self._store.read(runs.next_due)

    async def ripen(self) -> int:
        """How many runs are ready now because their moment has come."""
        now = self._clock.now()
        return await self._store.writer.call(lambda tx: runs.ripen(tx, now))

    # -- children of ended parents --------------------------------------------------------------------------------

    async def watch_children(self) -> None:
        """Children that end with their parents are cancelled. Works until it is cancelled."""
        while True:
            while await self._quietly(self.end_children):
                pass
            try:
                async with asyncio.timeout(self._heart.interval):
                    await self._children.wait()
            except TimeoutError:
                pass
            self._children.clear()

    def children_marked(self) -> None:
        """A hint: some parent has ended."""
        self._children.set()

    async def end_children(self) -> int:
        """How many children were cancelled, each by a commit of its own."""
        marked = await self._store.read(apply.marked_children)
        for run_id, reason in marked:
            await self._store.writer.call(self._operations.end_child(run_id, reason))
        return len(marked)

    # -- leases ---------------------------------------------------------------------------------------------------

    async def on_beat(self) -> bool:
        """After each own heartbeat: True if what is owned and what is executed agree; and the dead are buried."""
        agreed = await self._quietly(self.reconcile) is not None
        await self._quietly(self.bury)
        return agreed

    async def reconcile(self) -> int:
        """A run that is owned and not executed (seen so twice) is released; one that is executed and not owned is stopped.

        How many were released.
        """
        me = self._passes.worker_id
        owned = await self.stop_lost()
        executing = self._passes.executing
        idle = {run_id: claim for run_id, claim in owned.items() if run_id not in executing}
        lost = [(run_id, claim) for run_id, claim in idle.items() if self._idle_owned.get(run_id) == claim]
        self._idle_owned = idle
        if lost:
            some = ", ".join(run_id for run_id, _ in lost[:10])
            log.warning("releasing %d runs that this worker owns and doesn't execute: %s", len(lost), some)
            now = self._clock.now()
            await self._store.writer.call(lambda tx: runs.release(tx, me, lost, now))
        return len(lost)

    async def stop_lost(self) -> dict[str, int]:
        """What this process owns; whatever it executes and doesn't own any more (cancelled, taken over) is stopped."""
        me = self._passes.worker_id
        before = dict(self._passes.held)
        owned = await self._store.read(lambda tx: runs.owned(tx, me))
        now = dict(self._passes.held)
        for run_id, claim in before.items():
            # Only the same claim, held before and after the look: others have come or gone meanwhile.
            if run_id not in owned and now.get(run_id) == claim:
                self._passes.stop(run_id, "lost")
        return owned

    async def watch_lost(self) -> None:
        """Cancellations by other processes reach what is executed here. Works until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._passes.held:
                await self._quietly_lost()
            await asyncio.sleep(_LOST_EVERY)

    def changed(self) -> None:
        """A hint: somebody has committed something."""
        self._changed.set()

    async def _quietly_lost(self) -> None:
        try:
            await self.stop_lost()
        except StoreUnavailable as error:
            log.warning("%s", error)

    async def bury(self) -> int:
        """The runs of dead workers are ready for others; how many workers were dead."""
        rows, strangers = await self._store.read(workers.seen)
        dead = self._observer.dead(rows, self._passes.worker_id, self._heart.beats, time.monotonic())
        for row in dead:
            await self.take_over(row)
        now = self._clock.now()
        for owner in strangers:
            await self._store.writer.call(_take_over_stranger(owner, now))
        return len(dead)

    async def take_over(self, row: WorkerRow) -> None:
        """The runs of this worker are ready for others, unless it has beaten since the row was read."""
        taken = await self._store.writer.call(_burial(row.id, row.counter, self._clock.now()))
        if taken is not None:
            log.warning("worker %s (pid %d on %s) is dead: took over %d runs", row.id, row.pid, row.host, len(taken))

    # -- retention ------------------------------------------------------------------------------------------------

    async def watch_retention(self, seconds: float) -> None:
        """Finished runs are deleted once they are older than this. Works until it is cancelled."""
        while True:
            while await self._quietly(lambda: self.expire(seconds)):
                await asyncio.sleep(_RETENTION_PAUSE)
            pause = max(1.0, min(_RETENTION_EVERY, seconds))
            await self._clock.sleep_until(self._clock.now() + round(pause * 1_000_000))

    async def expire(self, seconds: float) -> int:
        """How many finished runs were deleted with all they own; a batch at a time."""
        before = self._clock.now() - round(seconds * 1_000_000)

        gone: list[str] = await self._store.read(lambda tx: runs.expired(tx, before, _BATCH))
        # What they own first, some rows at a time: others write in between. A finished run doesn't change any more.
        deleted = 1
        while gone and deleted:
            deleted = await self._store.writer.call(lambda tx: runs.shrink(tx, gone, _ROWS))
            await asyncio.sleep(_RETENTION_PAUSE)
        if gone:
            await self._store.writer.call(lambda tx: runs.delete(tx, gone))
        return len(gone)

    async def _quietly(self, duty: Callable[[], Awaitable[int | None]]) -> int | None:
        """The duty's answer; None if the database can't be reached now: the next round tries again."""
        try:
            return await duty()
        except StoreUnavailable as error:
            log.warning("%s", error)
            await asyncio.sleep(1.0)
            return None


def _burial(worker: str, counter: int, now: int) -> Callable[[Tx], list[str] | None]:
    def operation(tx: Tx) -> list[str] | None:
        # With the counter as a condition: a worker that beat in this very moment is alive.
        if not workers.remove(tx, worker, counter):
            return None
        return runs.take_over(tx, worker, now)

    return operation


def _take_over_stranger(owner: str, now: int) -> Callable[[Tx], list[str]]:
    def operation(tx: Tx) -> list[str]:
        if any(row.id == owner for row in workers.all_of(tx)):
            return []
        return runs.take_over(tx, owner, now)

    return operation
