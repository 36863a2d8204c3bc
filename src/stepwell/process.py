"""One open Stepwell: the store, the passes, the heart, the sweep and the triggers, wired by hints.

Everything here belongs to `Stepwell.__aenter__` and `__aexit__`; tests and the testing kit reach the parts through it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from stepwell.engine.run import Run
from stepwell.errors import StoreUnavailable
from stepwell.events.base import News
from stepwell.events.local import Hub
from stepwell.events.tail import Tail
from stepwell.events.watcher import watcher
from stepwell.execution.clock import SystemClock
from stepwell.execution.operations import Operations, accept_event
from stepwell.execution.passes import Passes
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.storage import Durable
from stepwell.queue.chosen import make_queue
from stepwell.queue.foreign import Begun, ForeignStart
from stepwell.runner.core import Core
from stepwell.runner.ends import Ends
from stepwell.runner.handle import RunHandle
from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.store import runs, workers
from stepwell.store.apply import Applier
from stepwell.store.store import store_for
from stepwell.store.tx import Hints, Lane
from stepwell.store.workers import WorkerRow
from stepwell.triggers.scheduler import Scheduler
from stepwell.worker.drain import Drain
from stepwell.worker.lease import Heart
from stepwell.worker.loop import Loop
from stepwell.worker.sweep import Sweep

if TYPE_CHECKING:
    from stepwell.app import App

log = logging.getLogger("stepwell")

Duty = Callable[[], Coroutine[Any, Any, None]]
"""What a process does for as long as it is open."""

_PAUSE = 1.0
"""Seconds before a duty that broke off begins again."""
_TOLD = 10.0
"""Seconds for which a health check tells that it did."""
_CLOCK_EVERY = 60.0
_WRONG = 5_000_000
_LAST = 1.0
_READ_WITHIN = 2.0
"""Seconds for the database to answer a health check."""


class Process:
    """The parts of one process, from `open` to `close`."""

    def __init__(
        self,
        shared: Shared,
        settings: Settings,
        opening: Opening,
        apps: Sequence[App],
        lanes: Sequence[Lane] | None = None,
    ) -> None:
        self.shared = shared
        self.settings = settings
        self.worker_id = new_id()
        self.lanes = list(shared.registry.lanes if lanes is None else lanes)
        self.hub = Hub()
        self.store = store_for(settings, Applier(settings.history_states, accept_event(shared)), self.worker_id)
        self.operations = Operations(shared, self.store.applier)
        self._durable = Durable(shared, self.store)
        self.passes = Passes(shared, self._durable, self.worker_id, settings.worker_concurrency)
        self._opening = opening
        self._apps = apps
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: dict[str, float] = {}
        self._beating: asyncio.Task[None] | None = None
        self._registering: asyncio.Task[None] | None = None
        self._paused = False
        self._ending = False

    async def open(self, *, worker: bool) -> None:
        """The runner works; with `worker`, runs are executed here too. Raises StoreUnavailable, ConfigurationError."""
        await self.store.open()
        try:
            await self._set_clock()
            await self._register(worker)
            self._assemble()
            self._start(worker)
        except BaseException:
            await self.store.close()
            raise

    async def _set_clock(self) -> None:
        clock = self.shared.clock
        if isinstance(clock, SystemClock) and (lag := await self.store.lag(clock.now)):
            level = logging.WARNING if abs(lag) > _WRONG else logging.DEBUG
            log.log(
                level, "this machine's clock is %.2f s behind the database's; moments are the database's", lag / 1e6
            )
            clock.correct(lag)

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_EVERY)
            try:
                await self._set_clock()
            except StoreUnavailable as error:
                log.warning("%s", error)

    async def _register(self, worker: bool) -> None:
        now = self.shared.clock.now()
        takes = json.dumps([list(lane) for lane in self.lanes] if worker else [])
        row = WorkerRow(self.worker_id, 0, socket.gethostname(), os.getpid(), takes, now, now)
        await self.store.writer.call(lambda tx: workers.register(tx, row))
        self._row = row

    def _assemble(self) -> None:
        store, clock = self.store, self.shared.clock
        self.queue = make_queue(self.settings, store, self.worker_id, self.lanes, clock.now, self._start_foreign)
        self.ends = Ends(store)
        self.heart = Heart(
            store.beats,
            self.worker_id,
            self.settings.lease_seconds,
            clock,
            on_beat=self._on_beat,
            on_lapse=self._on_lapse,
            on_removed=self._on_removed,
        )
        self._durable.lease = self.heart.holds
        self.sweep = Sweep(store, self.operations, self.passes, self.queue, self.heart, self.settings.lease_seconds)
        self.loop = Loop(self.queue, self.passes)
        self.watcher = watcher(store, self.hub)
        self.drain = Drain(store, self.passes)
        self.tail = Tail(store, self.hub)
        core = Core(
            self.shared,
            store,
            self.operations,
            self.passes,
            self.queue,
            self.ends,
            self.tail,
            self._perhaps_committed,
        )
        self.scheduler = Scheduler(core, self._apps)
        store.writer.on_commit = self._committed
        self.hub.subscribe(self.ends.heard)
        self.hub.subscribe(self._elsewhere)
        self._opening.open(core)

    async def _start_foreign(self, start: ForeignStart, key: str) -> Begun:
        handle: RunHandle[Any] = await WorkflowRunner(self._opening).run(
            start.workflow,
            start.args,
            app_name=start.app,
            user_id=start.user,
            labels=start.labels,
            priority=start.priority,
            delay=start.later,
            idempotency_key=start.idempotency_key or key,
        )
        return Begun(handle.workflow_id, handle.created)

    def _start(self, worker: bool) -> None:
        self.heart.start()
        duties: list[Duty] = [
            self.watcher.run,
            self.tail.run,
            self._watch_clock,
            self.ends.run,
            self.sweep.watch_lost,
            self.sweep.watch_children,
        ]
        duties += self.queue.duties(worker=worker)
        duties += [self.sweep.watch_due, self.scheduler.watch_old]
        if self.settings.retention is not None:
            duties.append(partial(self.sweep.watch_retention, self.settings.retention.total_seconds()))
        if worker:
            self.passes.accepting = True
            duties += [self.loop.run, self.scheduler.run]
        self._duties = [self._watch(self._for_ever(duty)) for duty in duties]

    async def _for_ever(self, duty: Duty) -> None:
        """The duty is done until it is cancelled, whatever goes wrong with it meanwhile."""
        name = getattr(duty, "__qualname__", repr(duty))
        while True:
            try:
                return await duty()
            except Exception:
                log.exception("the duty %s broke off; it begins again in %g s", name, _PAUSE)
            self._broken[name] = time.monotonic()
            await asyncio.sleep(_PAUSE)

    def _watch(self, duty: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(duty)
        task.add_done_callback(_report)
        self._tasks = [one for one in self._tasks if not one.done()]
        self._tasks.append(task)
        return task

    async def faults(self) -> list[str]:
        """What keeps this process from its work now; empty if it is ready. The log says more."""
        found = ["a duty of this process has ended"] if any(task.done() for task in self._duties) else []
        now = time.monotonic()
        found += [f"the duty {name} broke off" for name, at in self._broken.items() if now - at < _TOLD]
        found += self.heart.faults() + self.store.writer.faults()
        try:
            async with asyncio.timeout(_READ_WITHIN):
                await self.store.read(runs.next_due)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("not ready: %r", error)
            found.append("the database can't be read")
        return found

    # -- hints ----------------------------------------------------------------------------------------------------

    def _committed(self, _answered: int, hints: Hints) -> None:
        self.tail.changed()
        for run in hints.resting:
            self.hub.publish(run)
        if hints.lost:
            self.passes.stop_lost(hints.lost)
        self._announce(hints)
        self.watcher.tell(hints)

    def _announce(self, hints: Hints) -> None:
        if hints.ready or hints.due:
            self.queue.announce(hints.ready, hints.due)
        if hints.due:
            self.sweep.due_changed()
        if hints.children:
            self.sweep.children_marked()

    def _perhaps_committed(self, hints: Hints) -> None:
        """Of the caller's transaction nobody says whether, or when, it was committed: whoever hears of it has to look."""
        self._announce(hints)
        self.hub.publish(News())

    def _elsewhere(self, what: Run | News) -> None:
        if not isinstance(what, News):
            return
        if what.ready:
            self.queue.ring()
        if what.due:
            self.sweep.due_changed()
        if what.lost:
            self.sweep.changed()
        if what.children:
            self.sweep.children_marked()

    # -- the lease ------------------------------------------------------------------------------------------------

    def _on_beat(self) -> None:
        if not self._ending and _over(self._beating):
            self._beating = self._watch(self._beaten())

    async def _beaten(self) -> None:
        paused = self._paused  # what was read before the lapse says nothing
        if await self.sweep.on_beat() and paused and self.heart.renewed():
            self._paused = False
            self.passes.accepting = self._accepts
            self.passes.go_on()
            self.queue.ring()

    _accepts = False

    def _on_lapse(self) -> None:
        log.warning("worker %s could not renew its lease in time: it stops what it executes", self.worker_id)
        self._pause()

    def _on_removed(self) -> None:
        if self._ending or not _over(self._registering):
            return
        log.warning("worker %s was declared dead by another process: it registers again", self.worker_id)
        self._pause()
        self._registering = self._watch(self._register_again())

    def _pause(self) -> None:
        """Nothing is executed until the lease is renewed: what was is stopped, what comes is held back."""
        if self._paused:
            return
        self._paused = True
        self._accepts = self.passes.accepting
        self.passes.accepting = False
        self.passes.hold_back()
        self.passes.stop_all("lost")

    async def _register_again(self) -> None:
        row = self._row._replace(started_at=self.shared.clock.now(), seen_at=self.shared.clock.now())
        await self.store.writer.call(lambda tx: workers.register(tx, row))

    # -- the end --------------------------------------------------------------------------------------------------

    async def close(self, *, hand_over: bool = True) -> None:
        """Transitions have ended or were handed over, what was handed to the writer is durable, and nothing is left behind.

        Without `hand_over` it goes at once and as a dead process would: its runs stay its own until others take them over.
        """
        self._accepts = False  # a heart that recovers meanwhile starts nothing either
        self.passes.finish_all()
        try:
            if hand_over:
                await self.drain.drained(self.settings.drain_seconds)
        finally:
            await self._end(hand_over)

    async def _end(self, hand_over: bool) -> None:
        """What isn't finished is stopped; however often this is interrupted, nothing goes on."""
        self.store.writer.hurry()
        self.passes.stop_all("drain")
        drained = self.drain.drained if hand_over else self.passes.drained
        try:
            if not await drained(self.settings.drain_seconds or 1.0):
                log.warning("runs that don't heed their cancellation are handed over: %s", ", ".join(self.passes.tasks))
        finally:
            self._ending = True
            self.heart.stop()
            for task in self._tasks:
                task.cancel()
            try:
                await asyncio.gather(*self._tasks, return_exceptions=True)
                if hand_over:
                    await self.drain.leave()
                await self.queue.close()
            finally:
                self.ends.close()
                await self._shut()

    async def _shut(self) -> None:
        try:
            await self.store.close()
            await self.passes.drained(_LAST)  # those that waited for the writer have heard from it
        finally:
            self._opening.close()


def _over(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a duty of this process ended", exc_info=task.exception())
