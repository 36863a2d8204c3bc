"""The sweep, which finds the traces of lost hints, dead workers and crashes. Its duties may run in all processes at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from stepwell.definition.text import is_handler
from stepwell.errors import StoreUnavailable
from stepwell.execution.operations import Operations
from stepwell.execution.passes import Passes
from stepwell.queue.base import Queue
from stepwell.store import deciding, endings, outlook, runs, workers
from stepwell.store.base import Store
from stepwell.store.made_schedules import NextTick
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow
from stepwell.store.writing import expiry
from stepwell.worker.gatekeeper import Gatekeeper
from stepwell.worker.heartbeat import Heartbeat
from stepwell.worker.lease import Observer

log = logging.getLogger("stepwell.worker")

_HELD = 0.2
"""Seconds before a due run is looked at again that could not be made ready."""
_LOST_EVERY = 0.25
"""Seconds between looks for runs that were cancelled elsewhere, while others commit and something executes."""
_RETENTION_EVERY = 60.0
_RETENTION_PAUSE = 0.01
"""Seconds between two batches: other processes get the write lock in between."""
_RETENTION_AGAIN = 600.0
"""Seconds before a run is tried again that could not be deleted."""
_AHEAD = 60_000_000
"""Microseconds by which a row may have been stored ahead of the time, before its moments are corrected."""
_BRING_BACK_EVERY = 3600.0
_ENDED = 500
"""Children that are cancelled by one transaction, where there are many."""
_FEW = 20
"""Children up to which each is cancelled by a transaction of its own."""
_BATCH = 100
"""Runs that are deleted by one transaction."""
_ROWS = 2_000
"""Rows of theirs that are deleted by one transaction: all other writes wait for it."""


class Sweep:
    """The duties of one process. `now` and sleeping follow the injected clock, leases the monotonic one."""

    def __init__(
        self,
        store: Store,
        operations: Operations,
        passes: Passes,
        queue: Queue,
        heartbeat: Heartbeat,
        gatekeeper: Gatekeeper,
        lease_seconds: float,
    ) -> None:
        self._store = store
        self._operations = operations
        self._passes = passes
        self._queue = queue
        self._heartbeat = heartbeat
        self._gatekeeper = gatekeeper
        self._opening: int | None = None
        """The moment at which the next gate is to be looked at, as last seen."""
        self._scheduled = [lane for lane in operations.shared.registry.lanes if not is_handler(lane[1])]
        self.on_ticks: Callable[[NextTick], None] = lambda _: None
        """Called with the next tick of schedules made at run time, after each look."""
        self._observer = Observer(lease_seconds)
        self._clock = operations.shared.clock
        self._due_changed = asyncio.Event()
        self._children = asyncio.Event()
        self._changed = asyncio.Event()
        self._idle_owned: dict[str, int] = {}
        self._faults = operations.shared.faults
        self._back = asyncio.Event()
        self._undeletable: set[str] = set()
        self._unending: set[str] = set()

    # -- due runs -------------------------------------------------------------------------------------------------

    async def watch_due(self) -> None:
        """Make runs ready when their moment comes, until cancelled."""
        while True:
            due = await self._quietly(self._look)
            if due is not None and due <= self._clock.now():
                if await self._quietly(self._act) == 0:
                    await asyncio.sleep(_HELD)  # another process has it, or holds its row
                continue
            await self._until(due)

    async def _look(self) -> int | None:
        """Return when something becomes due; wake a worker for ready runs whose wake-up was lost."""
        lanes = self._queue.lanes if self._passes.free else ()
        found = await self._store.read(lambda tx: outlook.look(tx, lanes, self._scheduled))
        if found.ready:
            self._queue.remind()
        self._opening = found.opening
        self.on_ticks(found.ticks)
        return min((moment for moment in (found.due, found.opening) if moment is not None), default=None)

    async def _act(self) -> int:
        opens = self._opening is not None and self._opening <= self._clock.now()
        return await self.ripen() + (await self._gatekeeper.open_due() if opens else 0)

    async def _until(self, due: int | None) -> None:
        # However far away: a run that became due elsewhere may have been announced to no process.
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
        """Take a hint: something may be due earlier than known."""
        self._due_changed.set()

    async def next_due(self) -> int | None:
        """Return when the next run becomes due."""
        return await self._store.read(outlook.next_due)

    async def ripen(self) -> int:
        """Make due runs ready, cancel those that haven't begun in time, and return their number."""
        return await self._ripen() + await self.expire_unbegun()

    async def _ripen(self) -> int:
        now = self._clock.now()
        try:
            return await self._store.writer.call(lambda tx: runs.ripen(tx, now))
        except StoreUnavailable as error:
            if not error.refused:
                raise
        return await self._ripen_each(now)

    async def _ripen_each(self, now: int) -> int:
        """Make due runs ready one at a time, because the database refuses one of them together with the others."""
        ripened = 0
        for run_id in await self._store.read(lambda tx: runs.ripe(tx, now)):
            with self._faults.apart(f"run {run_id}, which is due"):
                ripened += await self._store.writer.call(lambda tx: runs.ripen(tx, now, only=run_id))  # noqa: B023
        return ripened

    async def expire_unbegun(self) -> int:
        """Cancel runs that haven't begun in time, and return their number; one that can't be is set apart."""
        now, applier = self._clock.now(), self._store.applier
        late = await self._store.read(lambda tx: expiry.overdue(tx, now, _BATCH))
        if not late:
            return 0
        try:
            return await self._store.writer.call(lambda tx: expiry.expire(applier, tx, late, now))
        except StoreUnavailable as error:
            if not error.refused:
                raise
        expired = 0
        for run_id in late:
            with self._faults.apart(f"run {run_id}, which has expired"):
                expired += await self._store.writer.call(lambda tx: expiry.expire(applier, tx, [run_id], now))  # noqa: B023
        return expired

    # -- traces of a wrong clock ----------------------------------------------------------------------------------

    async def watch_ahead(self) -> None:
        """Correct moments that were counted from a future time, until cancelled."""
        while True:
            await self._quietly(self.bring_back)
            try:
                async with asyncio.timeout(_BRING_BACK_EVERY):
                    await self._back.wait()
            except TimeoutError:
                pass
            self._back.clear()

    def put_back(self) -> None:
        """Take a hint: the clock of this process was ahead, and is put back."""
        self._back.set()
        self.due_changed()

    async def bring_back(self) -> int:
        """Correct timers, retries and delays that a clock that was ahead has set too late; return their runs' number."""
        now = self._clock.now()
        found = await self._store.read(lambda tx: runs.ahead(tx, now + _AHEAD))
        if not found:
            return 0
        brought = await self._store.writer.call(lambda tx: runs.bring_back(tx, now, _AHEAD))
        log.warning("%d runs were stored by a clock that was ahead: their moments are counted from now", brought)
        self.due_changed()
        return brought

    # -- children of ended parents --------------------------------------------------------------------------------

    async def watch_children(self) -> None:
        """Cancel children that end with their parents, until cancelled."""
        while True:
            while await self._quietly(self.end_children):
                pass
            try:
                async with asyncio.timeout(self._heartbeat.interval):
                    await self._children.wait()
            except TimeoutError:
                pass
            self._children.clear()

    def children_marked(self) -> None:
        """Take a hint: a parent has ended."""
        self._children.set()

    async def end_children(self) -> int:
        """Cancel children, each by a commit of its own, and return their number; very many of them some at a time."""
        marked = await self._store.read(lambda tx: endings.marked(tx, _ENDED + len(self._unending)))
        self._unending &= {run_id for run_id, _ in marked}
        many = [one for one in marked if one[0] not in self._unending]
        if len(many) > _FEW:
            try:
                return await self._store.writer.call(self._operations.end_children(many))
            except Exception as error:
                if isinstance(error, StoreUnavailable) and not error.refused:
                    raise
                log.warning("ending %d children together failed, so each is ended by itself: %s", len(many), error)
        return sum(await asyncio.gather(*(self._end_child(run_id, reason) for run_id, reason in marked)))

    async def _end_child(self, run_id: str, reason: str) -> int:
        """Cancel a child and return 1, also if it had ended; set it apart if that fails."""
        name = f"child {run_id}, which is to end with its parent"
        if self._faults.resting(name):
            return 0
        with self._faults.apart(name, again=self._heartbeat.interval):
            await self._store.writer.call(self._operations.end_child(run_id, reason))
            self._unending.discard(run_id)
            return 1
        self._unending.add(run_id)
        return 0

    # -- leases ---------------------------------------------------------------------------------------------------

    async def on_beat(self) -> bool:
        """Reconcile runs after each own heartbeat, and bury dead workers; return True if owned and executed runs agree."""
        agreed = await self._quietly(self.reconcile) is not None
        await self._quietly(self.bury)
        return agreed

    async def reconcile(self) -> int:
        """Release runs that are owned and not executed (seen so twice), and stop those that are executed and not owned.

        Return the number of released runs.
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
            # Only a run whose pass broke is to blame for that; others were stopped with their process's lease.
            broken = [one for one in lost if one[0] in self._passes.broken]
            stopped = [one for one in lost if one not in broken]

            def operation(tx: Tx) -> int:
                return workers.release(tx, me, broken, now) + workers.release(tx, me, stopped, now, counts=False)

            await self._store.writer.call(operation)
            self._passes.broken.difference_update(run_id for run_id, _ in broken)
        return len(lost)

    async def stop_lost(self) -> dict[str, int]:
        """Return the runs that this process owns; stop executed ones that it doesn't own any more (cancelled, taken over)."""
        me = self._passes.worker_id
        before = dict(self._passes.held)
        owned = await self._store.read(lambda tx: workers.owned(tx, me))
        now = dict(self._passes.held)
        for run_id, claim in before.items():
            # Only the same claim, held before and after the look: others have come or gone meanwhile.
            if owned.get(run_id) != claim and now.get(run_id) == claim:
                self._passes.stop(run_id, "lost")
        return owned

    async def watch_lost(self) -> None:
        """Stop runs that other processes have cancelled, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._passes.held:
                try:
                    await self.stop_lost()
                except StoreUnavailable as error:
                    log.warning("%s", error)
            await asyncio.sleep(_LOST_EVERY)

    def changed(self) -> None:
        """Take a hint: another process has committed something."""
        self._changed.set()

    async def bury(self) -> int:
        """Release the runs of dead workers, and return the number of these workers."""
        rows, strangers = await self._store.read(workers.seen)
        dead = self._observer.dead(rows, self._passes.worker_id, self._heartbeat.beats, time.monotonic())
        for row in dead:
            with self._faults.apart(f"worker {row.id}, which is dead"):
                await self.take_over(row)
        now = self._clock.now()
        for owner in strangers:
            with self._faults.apart(f"worker {owner}, which has no row"):
                await self._store.writer.call(_take_over_stranger(owner, now))
        return len(dead)

    async def take_over(self, row: WorkerRow) -> None:
        """Release the runs of this worker, unless its heartbeat has moved since the row was read."""
        now = self._clock.now()

        def operation(tx: Tx) -> list[str] | None:
            # With the counter as a condition: a worker with a heartbeat at this very moment is alive.
            return workers.take_over(tx, row.id, now) if workers.remove(tx, row.id, row.counter) else None

        taken = await self._store.writer.call(operation)
        if taken is not None:
            log.warning("worker %s (pid %s on %s) is dead: took over %d runs", row.id, row.pid, row.host, len(taken))

    # -- retention ------------------------------------------------------------------------------------------------

    async def watch_retention(self, seconds: float, may_delete: Callable[[], bool]) -> None:
        """Delete finished runs once they are older than this, until cancelled.

        `may_delete` says whether the clock is certain enough for deleting what is old by it.
        """
        while True:
            while may_delete() and await self._quietly(lambda: self.expire(seconds)):
                await asyncio.sleep(_RETENTION_PAUSE)
            pause = max(1.0, min(_RETENTION_EVERY, seconds))
            await self._clock.sleep_until(self._clock.now() + round(pause * 1_000_000))

    async def expire(self, seconds: float) -> int:
        """Delete finished runs with all they own, a batch at a time, then groups without runs; return their number."""
        before = self._clock.now() - round(seconds * 1_000_000)

        found = await self._store.read(lambda tx: runs.expired(tx, before, _BATCH + len(self._undeletable)))
        self._undeletable &= set(found)
        gone = [run_id for run_id in found if not self._faults.resting(_old(run_id))]
        if not gone:
            return await self._store.writer.call(lambda tx: deciding.forget(tx, before, _BATCH))
        try:
            await self._delete(gone)
        except StoreUnavailable as error:
            if not error.refused:
                raise
            return await self._delete_each(gone)
        for run_id in self._undeletable.intersection(gone):
            self._faults.mended(_old(run_id))
        return len(gone)

    async def _delete(self, gone: list[str]) -> None:
        # What they own first, some rows at a time: others write in between. A finished run doesn't change any more.
        deleted = 1
        while gone and deleted:
            deleted = await self._store.writer.call(lambda tx: runs.shrink(tx, gone, _ROWS))
            await asyncio.sleep(_RETENTION_PAUSE)
        if gone:
            await self._store.writer.call(lambda tx: runs.delete(tx, gone))

    async def _delete_each(self, gone: list[str]) -> int:
        """Delete runs one at a time, where one of them can't be deleted (a table of the application refers to it)."""
        deleted = 0
        for run_id in gone:
            self._undeletable.add(run_id)
            with self._faults.apart(_old(run_id), again=_RETENTION_AGAIN):
                await self._delete([run_id])
                self._undeletable.discard(run_id)
                deleted += 1
        return deleted

    async def _quietly(self, duty: Callable[[], Awaitable[int | None]]) -> int | None:
        """Return the duty's result; None if the database can't be reached now: the next round tries again."""
        try:
            return await duty()
        except StoreUnavailable as error:
            log.warning("%s", error)
            await asyncio.sleep(1.0)
            return None


def _old(run_id: str) -> str:
    return f"run {run_id}, which is to be deleted"


def _take_over_stranger(owner: str, now: int) -> Callable[[Tx], list[str]]:
    def operation(tx: Tx) -> list[str]:
        if any(row.id == owner for row in workers.all_of(tx)):
            return []
        return workers.take_over(tx, owner, now, whole=False)

    return operation
