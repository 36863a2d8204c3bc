"""The worker from its first claim to its last run: while slots are free, claim what is ready; in the end, hand all on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterable
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.passes import Passes
from stepwell.queue.base import Queue
from stepwell.store import workers
from stepwell.store.base import Store
from stepwell.store.inbox import Claimed
from stepwell.store.tx import Lane, Tx
from stepwell.store.workers import WorkerRow
from stepwell.worker.duties import Duties
from stepwell.worker.heartbeat import Heartbeat
from stepwell.worker.sweep import Sweep

log = logging.getLogger("stepwell.worker")
_process_log = logging.getLogger("stepwell")
"""The logger for what concerns the whole process."""

_MAX_CLAIM: Final = 200
_POLL: Final = 1.0
_LEAVE: Final = 10.0
_LOOK: Final = 0.2
"""Seconds between looks for runs that a closing process can hand on already."""


class Loop:
    """The loop that claims runs in batches, one claim at a time."""

    def __init__(self, queue: Queue, passes: Passes) -> None:
        self._queue = queue
        self._passes = passes
        passes.backlog = True
        self.idle = asyncio.Event()
        """Set while the last claim found nothing and there has been no wake-up since."""

    async def run(self) -> None:
        """Claim and execute until cancelled."""
        self._passes.on_end = self._slot_free
        while True:
            wanted = self._passes.reserve_up_to(_MAX_CLAIM) if self._passes.backlog else 0
            if wanted:
                self._passes.backlog = await self._claim(wanted)
                continue
            self.idle.set()
            woken = await self._queue.wait(_POLL)
            self.idle.clear()
            self._passes.backlog = self._passes.backlog or woken

    async def _claim(self, wanted: int) -> bool:
        """Claim up to `wanted` runs, and return whether there may be more."""
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
            with self._passes.shared.faults.apart(f"run {one.run.id}"):
                self._passes.launch(one, reserved=True)
        return len(claimed) == wanted

    def _slot_free(self) -> None:
        # Only a loop that waits needs a wake-up: its own claim gives slots back too, and would wake it forever.
        if self._passes.backlog and self.idle.is_set():
            self._queue.wake()


class Shutdown:
    """The release of the runs of a process that begins nothing any more."""

    def __init__(self, store: Store, passes: Passes) -> None:
        self._store = store
        self._passes = passes
        self._clock = passes.shared.clock

    async def drained(self, seconds: float) -> bool:
        """Return whether every pass ended within this time. Runs whose passes have ended are released meanwhile."""
        deadline = time.monotonic() + seconds
        while (tasks := self._passes.tasks) and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):  # the database can't be reached
                async with asyncio.timeout(left):
                    await self._hand_on(set(tasks))
            left = max(deadline - time.monotonic(), 0)
            await asyncio.wait(tasks.values(), timeout=min(left, _LOOK), return_when=asyncio.FIRST_COMPLETED)
        return not self._passes.tasks

    async def _hand_on(self, executing: set[str]) -> None:
        me = self._passes.worker_id

        def operation(tx: Tx) -> None:
            # Nothing begins here any more: what is ours and not executed now never will be.
            idle = [(run_id, claim) for run_id, claim in workers.owned(tx, me).items() if run_id not in executing]
            workers.release(tx, me, idle, self._clock.now(), counts=False)

        try:
            await self._store.writer.call(operation)
        except StoreUnavailable as error:
            log.warning("%s", error)  # `deregister` tries again

    async def deregister(self) -> None:
        """Release all runs that the process still owns and delete its row; otherwise others find out within a lease."""
        me, now = self._passes.worker_id, self._clock.now()

        def operation(tx: Tx) -> None:
            workers.take_over(tx, me, now, counts=False)
            workers.remove(tx, me)
            self._store.announce_in(tx)  # with the commit: no later notification comes from here

        try:
            async with asyncio.timeout(_LEAVE):
                await self._store.writer.call(operation)
        except Exception:
            log.exception("worker %s could not release its runs; they are taken over when its lease has expired", me)


class Membership:
    """This process among the workers of its database: registered, and executing only while its lease holds."""

    def __init__(
        self, store: Store, passes: Passes, queue: Queue, sweep: Sweep, heartbeat: Heartbeat, duties: Duties
    ) -> None:
        self._store = store
        self._passes = passes
        self._queue = queue
        self._sweep = sweep
        self._heartbeat = heartbeat
        self._duties = duties
        self._takes = "[]"
        self._beating: asyncio.Task[None] | None = None
        self.registering: asyncio.Task[None] | None = None
        self.paused = False
        self._accepted = False
        """True if a worker was paused that took runs."""
        self._ending = False

    async def register(self, lanes: Iterable[Lane]) -> None:
        """Store that this process is a worker, for these lanes. Raises StoreUnavailable."""
        self._takes = json.dumps([list(lane) for lane in lanes])
        await self._register()

    async def _register(self) -> None:
        now = self._passes.shared.clock.now()
        row = WorkerRow(self._passes.worker_id, 0, socket.gethostname(), os.getpid(), self._takes, now, now)
        await self._store.writer.call(lambda tx: workers.register(tx, row))

    def on_beat(self) -> None:
        if not self._ending and (self._beating is None or self._beating.done()):
            self._beating = self._duties.once(self._reconcile())

    async def _reconcile(self) -> None:
        paused = self.paused  # rows read before the lapse are out of date
        if await self._sweep.on_beat() and paused and self._heartbeat.resume_after_lapse():
            self.paused = False
            self._passes.accepting = self._accepted and not self._passes.closing
            self._passes.go_on()
            self._queue.wake()

    def on_lapse(self) -> None:
        _process_log.warning(
            "worker %s could not renew its lease in time: it stops what it executes", self._passes.worker_id
        )
        self._pause()

    def on_removed(self) -> None:
        if self._ending or not (self.registering is None or self.registering.done()):
            return
        _process_log.warning(
            "worker %s was declared dead by another process: it registers again", self._passes.worker_id
        )
        self._pause()
        self.registering = self._duties.once(self._register())

    def _pause(self) -> None:
        """Pause execution until the lease is renewed: stop running transitions, and hold new ones back."""
        if self.paused:
            return
        self.paused = True
        self._accepted = self._passes.accepting
        self._passes.accepting = False
        self._passes.hold_back()
        self._passes.stop_all("lost")

    def end(self) -> None:
        """Reconcile and register no more: the process is closing."""
        self._ending = True
