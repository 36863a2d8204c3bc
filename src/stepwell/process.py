"""One open Stepwell: the store, the passes, the heart, the sweep and the triggers, wired by hints.

Everything here belongs to `Stepwell.__aenter__` and `__aexit__`; tests and the testing kit reach the parts through it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from stepwell.engine.run import Run
from stepwell.errors import StoreUnavailable
from stepwell.events.local import Hub
from stepwell.events.pulse import Pulse
from stepwell.execution.operations import Operations, accept_event
from stepwell.execution.passes import Passes
from stepwell.execution.shared import Shared, new_id
from stepwell.execution.storage import Durable
from stepwell.queue.database import DatabaseQueue
from stepwell.runner.core import Core
from stepwell.runner.ends import Ends
from stepwell.runner.opening import Opening
from stepwell.settings import Settings
from stepwell.store import runs, workers
from stepwell.store.base import Advance, Begin, Item
from stepwell.store.store import Store
from stepwell.store.workers import WorkerRow
from stepwell.triggers.scheduler import Scheduler
from stepwell.worker.lease import Heart
from stepwell.worker.loop import Loop
from stepwell.worker.sweep import Sweep

if TYPE_CHECKING:
    from stepwell.app import App

log = logging.getLogger("stepwell")

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
        lanes: Sequence[runs.Lane] | None = None,
    ) -> None:
        self.shared = shared
        self.settings = settings
        self.worker_id = new_id()
        self.lanes = list(shared.registry.lanes if lanes is None else lanes)
        self.hub = Hub()
        self.store = Store(settings, accept_event(shared))
        self.operations = Operations(shared, self.store.applier)
        self.passes = Passes(shared, Durable(shared, self.store), self.worker_id, settings.worker_concurrency)
        self._opening = opening
        self._apps = apps
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, *, worker: bool) -> None:
        """The runner works; with `worker`, runs are executed here too. Raises StoreUnavailable, ConfigurationError."""
        await self.store.open()
        try:
            await self._register(worker)
            self._assemble()
            self._start(worker)
        except BaseException:
            await self.store.close()
            raise

    async def _register(self, worker: bool) -> None:
        now = self.shared.clock.now()
        takes = json.dumps([list(lane) for lane in self.lanes] if worker else [])
        row = WorkerRow(self.worker_id, 0, socket.gethostname(), os.getpid(), takes, now, now)
        await self.store.writer.call(lambda connection: workers.register(connection, row))
        self._row = row

    def _assemble(self) -> None:
        store, clock = self.store, self.shared.clock
        self.queue = DatabaseQueue(store, self.worker_id, self.lanes, clock.now)
        self.ends = Ends(store)
        self.heart = Heart(
            store.writer,
            self.worker_id,
            self.settings.lease_seconds,
            clock,
            on_beat=self._on_beat,
            on_lapse=self._on_lapse,
            on_removed=self._on_removed,
        )
        self.sweep = Sweep(store, self.operations, self.passes, self.queue, self.heart, self.settings.lease_seconds)
        self.loop = Loop(self.queue, self.passes)
        core = Core(
            self.shared,
            store,
            self.operations,
            self.passes,
            self.queue,
            self.ends,
            self.sweep.due_changed,
            self.sweep.children_marked,
        )
        self.scheduler = Scheduler(core, self._apps)
        store.writer.on_commit = self._committed
        self.hub.subscribe(self.ends.heard)
        self.hub.subscribe(self._somebody_else)
        self._opening.open(core)

    def _start(self, worker: bool) -> None:
        self.heart.start()
        pulse = Pulse(self.store, self.hub)
        duties = [pulse.run(), self.ends.run(), self.sweep.watch_lost(), self.sweep.watch_children()]
        duties += [self.sweep.watch_due(), self.scheduler.watch_old()]
        if self.settings.retention is not None:
            duties.append(self.sweep.watch_retention(self.settings.retention.total_seconds()))
        if worker:
            self.passes.accepting = True
            duties += [self.loop.run(), self.scheduler.run()]
        self._duties = [self._watch(duty) for duty in duties]

    def _watch(self, duty: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(duty)
        task.add_done_callback(_report)
        self._tasks.append(task)
        return task

    async def faults(self) -> list[str]:
        """What keeps this process from its work now; empty if it is ready. The log says more."""
        found = ["a duty of this process has ended"] if any(task.done() for task in self._duties) else []
        found += ["the lease of this process has lapsed"] if self.heart.lapsed else []
        try:
            async with asyncio.timeout(_READ_WITHIN):
                await self.store.read(runs.next_due)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning("not ready: %r", error)
            found.append("the database can't be read")
        return found

    # -- hints ----------------------------------------------------------------------------------------------------

    def _committed(self, answered: Sequence[tuple[Item, Any]]) -> None:
        ready = due = children = False
        for item, answer in answered:
            if isinstance(item, Advance) and isinstance(answer, Run):
                if item.commit.parks:
                    self.hub.publish(answer)
                    due = due or answer.due_at is not None
                ready = ready or answer.ready_at is not None or item.commit.tell is not None
                effects = item.commit.effects
                ready = ready or bool(effects.children or effects.emissions)
                children = children or item.commit.ends_children
            elif isinstance(item, Begin) and isinstance(answer, list):
                ready = ready or any(one.run.ready_at is not None for one in answer)
                due = due or any(one.run.due_at is not None for one in answer)
        if ready:
            self.queue.ring()
        if due:
            self.sweep.due_changed()
        if children:
            self.sweep.children_marked()

    def _somebody_else(self, run: Run | None) -> None:
        if run is None:
            self.queue.ring()
            self.sweep.changed()

    # -- the lease ------------------------------------------------------------------------------------------------

    def _on_beat(self) -> None:
        self._watch_once(self._beaten())

    async def _beaten(self) -> None:
        await self.sweep.on_beat()
        if self.heart.lapsed:
            self.heart.renewed()
            self.passes.accepting = self._accepts
            self.queue.ring()

    _accepts = False

    def _on_lapse(self) -> None:
        log.warning("worker %s could not renew its lease in time: it stops what it executes", self.worker_id)
        self._accepts = self._accepts or self.passes.accepting
        self.passes.accepting = False
        self.passes.stop_all("lost")

    def _on_removed(self) -> None:
        log.warning("worker %s was declared dead by another process: it registers again", self.worker_id)
        self._accepts = self._accepts or self.passes.accepting
        self.passes.accepting = False
        self.passes.stop_all("lost")
        self._watch_once(self._register_again())

    async def _register_again(self) -> None:
        row = self._row._replace(started_at=self.shared.clock.now(), seen_at=self.shared.clock.now())
        await self.store.writer.call(lambda connection: workers.register(connection, row))
        await self._beaten()
        self.passes.accepting = self._accepts

    def _watch_once(self, duty: Coroutine[Any, Any, None]) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._watch(duty)

    # -- the end --------------------------------------------------------------------------------------------------

    async def close(self, *, hand_over: bool = True) -> None:
        """Transitions have ended or were handed over, what was handed to the writer is durable, and nothing is left behind.

        Without `hand_over` it goes at once and as a dead process would: its runs stay its own until others take them over.
        """
        self.passes.accepting = self._accepts = False  # a heart that recovers meanwhile starts nothing either
        self.passes.finish_all()
        if not hand_over or not await self.passes.drained(self.settings.drain_seconds):
            self.passes.stop_all("drain")
            await self.passes.drained(self.settings.drain_seconds or 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.heart.stop()
        if hand_over:
            await self._leave()
        self._opening.close()
        await self.store.close()

    async def _leave(self) -> None:
        now = self.shared.clock.now()
        me = self.worker_id

        def operation(connection: Any) -> None:
            runs.take_over(connection, me, now, counts=False)
            workers.remove(connection, me)

        try:
            await self.store.writer.call(operation)
        except Exception:
            log.exception("worker %s could not hand its runs over; they are taken over within a lease", me)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a duty of this process ended", exc_info=task.exception())
