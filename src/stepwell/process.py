"""One open Stepwell: the store, the passes, the heartbeat, the sweep and the triggers, wired by hints.

`Stepwell.__aenter__` opens a `Process`, and `__aexit__` closes it. Tests and the testing kit reach the parts by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from functools import partial, wraps
from typing import Final

from stepwell.engine.gates import RuleLimits
from stepwell.engine.run import RunRow
from stepwell.errors import StoreUnavailable
from stepwell.execution.clock import SystemClock
from stepwell.execution.deciding import Deciding
from stepwell.execution.durable import Durable
from stepwell.execution.operations import Operations, accept_event, executed
from stepwell.execution.passes import Passes
from stepwell.execution.shared import Shared, new_id
from stepwell.faults import Condition
from stepwell.hints.notifications import Hub, RemoteChanges, notifier_for
from stepwell.hints.tail import Tail
from stepwell.queue.base import make_queue
from stepwell.runner.core import Core
from stepwell.runner.ends import Ends
from stepwell.runner.here import Here
from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.store.gates import Gates
from stepwell.store.opening import store_for
from stepwell.store.tx import Hints, Lane
from stepwell.store.writing.apply import Applier
from stepwell.triggers.handlers import Triggers
from stepwell.triggers.made_firing import MadeFirings
from stepwell.triggers.scheduler import Scheduler
from stepwell.worker.duties import Duties, Duty
from stepwell.worker.gatekeeper import Gatekeeper
from stepwell.worker.groups import GroupDuty
from stepwell.worker.heartbeat import Heartbeat, Stuck
from stepwell.worker.journal_retention import JournalRetention
from stepwell.worker.late_questions import LateQuestions
from stepwell.worker.loop import Loop, Membership, Shutdown
from stepwell.worker.pausing import PauseWatch
from stepwell.worker.sweep import Sweep
from stepwell.worker.timekeeper import Timekeeper

log = logging.getLogger("stepwell")

_CONFIRMED_WITHIN: Final = 30.0
"""Seconds after which a clock that no other clock confirms is trusted."""
_LAST: Final = 1.0
"""Seconds for the passes to end that waited for the writer, once it has answered or refused everything."""
_READ_WITHIN: Final = 2.0
"""Seconds for the database to answer a health check."""


class Process:
    """The parts of one process, from `open` to `close`. Made on the loop; raises ConfigurationError."""

    def __init__(
        self,
        shared: Shared,
        settings: Settings,
        opening: Opening,
        apps: Sequence[Triggers],
        lanes: Sequence[Lane] | None = None,
    ) -> None:
        lease, clock, faults = settings.lease_seconds, shared.clock, shared.faults
        self.shared = shared
        self.settings = settings
        self.worker_id = new_id()
        self.lanes = list(shared.registry.lanes if lanes is None else lanes)
        self._opening = opening
        # What keeps the runs, and what tells of them.
        gates = Gates(RuleLimits(lambda: shared.registry.limits), clock.now)
        applier = Applier(settings.history_states, accept_event(shared), gates, partial(executed, shared))
        self.store = store_for(settings, applier, self.worker_id)
        self.hub = Hub()
        self.watcher = notifier_for(self.store, self.hub)
        self.tail = Tail(self.store, self.hub)
        self.ends = Ends(self.store)
        # What executes them.
        self.duties = Duties()
        self.heartbeat = Heartbeat(self.store, self.worker_id, lease, clock)
        storage = Durable(shared, self.store, self.heartbeat.holds)
        self.passes = Passes(shared, storage, self.worker_id, settings.worker_concurrency, lease)
        start = WorkflowRunner(opening).run
        self.queue = make_queue(
            settings, self.store, shared.registry, self.worker_id, self.lanes, clock.now, start, faults
        )
        self.passes.on_unfit = self.queue.mark_unfit
        self.loop = Loop(self.queue, self.passes)
        self.drain = Shutdown(self.store, self.passes)
        # What finds what was lost, and what comes by time.
        self.operations = Operations(shared, self.store.applier)
        self.gatekeeper = Gatekeeper(self.store, shared, self._may_delete)
        self.sweep = Sweep(self.store, self.operations, self.passes, self.queue, self.heartbeat, self.gatekeeper, lease)
        self.journal_retention = JournalRetention(self.store, clock, faults)
        self.groups = GroupDuty(self.store, Deciding(shared, self.store.applier), self.heartbeat.interval)
        self.late_questions = LateQuestions(self.store, self.operations.shared)
        self.membership = Membership(self.store, self.passes, self.queue, self.sweep, self.heartbeat, self.duties)
        self.pauses = PauseWatch(self.store, self.passes, self._resumed, self.heartbeat.interval)
        self.timekeeper: Timekeeper | None = None
        """None with a clock that isn't the machine's."""
        if isinstance(clock, SystemClock):
            patience = min(lease, _CONFIRMED_WITHIN)
            self.timekeeper = Timekeeper(self.store, clock, faults, self.worker_id, patience, self.sweep.put_back)
        made = MadeFirings.of(shared, self.store.applier, apps)
        self.here = Here(self.store, self.passes, self.queue)
        self._core = Core(
            shared,
            self.store,
            self.operations,
            self.passes,
            self.queue,
            self.ends,
            self.tail,
            self.here,
            self._perhaps_committed,
            made,
        )
        self.scheduler = Scheduler(self._core, apps, made, self._may_delete)
        self.sweep.on_ticks = self.scheduler.made.told

    # -- opening --------------------------------------------------------------------------------------------------

    async def open(self, *, worker: bool) -> None:
        """Open the runner; with `worker`, execute runs here too. Raises StoreUnavailable, ConfigurationError."""
        await self.store.open()
        try:
            if self.timekeeper is not None:
                await self.timekeeper.begin()
            await self.membership.register(self.lanes if worker else ())
            self.store.writer.on_commit = self._committed
            self.hub.subscribe(self.ends.notify)
            self.hub.subscribe(self._changed_elsewhere)
            self._opening.open(self._core)
            self.heartbeat.start(self.membership, Stuck(self.store, self.passes, self.settings.lease_seconds))
            self.passes.accepting = worker
            self.duties.begin([*self._duties(worker), *map(self._once_confirmed, self._duties_by_time(worker))])
        except BaseException:
            await self.store.close()
            raise

    def _duties(self, worker: bool) -> Iterable[Duty]:
        yield self.watcher.run
        yield self.tail.run
        yield self.ends.run
        yield self.sweep.watch_lost
        yield self.sweep.watch_children
        yield self.late_questions.watch
        yield self.groups.watch
        yield self.groups.watch_all
        yield self.pauses.watch
        yield self.gatekeeper.watch_held
        yield self.gatekeeper.watch_all
        yield from self.queue.duties(worker=worker)
        if self.timekeeper is not None:
            yield self.timekeeper.run
        if worker:
            yield self.loop.run

    def _duties_by_time(self, worker: bool) -> Iterable[Duty]:
        yield self.sweep.watch_due
        yield self.scheduler.watch_old
        if self.timekeeper is not None:
            yield self.sweep.watch_ahead
        if self.settings.retention is not None:
            yield partial(self.sweep.watch_retention, self.settings.retention.total_seconds(), self._may_delete)
        if (kept := self.settings.journal_retention) is not None:
            yield partial(self.journal_retention.watch, kept.total_seconds(), self._may_delete)
        if worker:
            yield self.scheduler.run

    def _may_delete(self) -> bool:
        """Return whether the clock is certain enough for deleting what is old by it."""
        return self.timekeeper is None or self.timekeeper.may_delete()

    def _once_confirmed(self, duty: Duty) -> Duty:
        """Return the duty delayed until the clock is known to be right: its effects can't be undone."""
        if self.timekeeper is None:
            return duty
        confirmed = self.timekeeper.confirmed

        @wraps(duty)
        async def later() -> None:
            await confirmed.wait()
            await duty()

        return later

    # -- health ---------------------------------------------------------------------------------------------------

    async def condition(self, *, brief: bool = False) -> Condition:
        """Return whether this process is ready for work, and all faults. Items set apart don't make it unready.

        `brief`: without the texts of errors.
        """
        unready = await self.faults()
        faults = (*unready, *self.shared.faults.listed(brief=brief))
        return Condition(not unready, faults, len(self.pauses.known))

    async def faults(self) -> list[str]:
        """Return the faults that keep this process from its work; empty if it is ready. The log says more."""
        found = self.duties.faults() + self.heartbeat.faults() + self.store.faults() + self.shared.threads.faults()
        try:
            async with asyncio.timeout(_READ_WITHIN):
                await self.store.probe()
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
        if hints.pauses:
            self.pauses.note(hints.pauses)
        if hints.paused:
            self.pauses.met(hints.paused)
            self.here.look()
        self._announce(hints)
        self.watcher.tell(hints)

    def _announce(self, hints: Hints) -> None:
        if self.here.awaited:
            self.here.announce(hints.ready)
        if hints.ready or hints.due:
            self.queue.announce(hints.ready, hints.due)
        if hints.due or hints.schedules:
            self.sweep.due_changed()
        if hints.children:
            self.sweep.children_marked()
        if hints.gates:
            self.gatekeeper.changed(hints.gates)
        if hints.groups:
            self.groups.changed(hints.groups)

    def _resumed(self) -> None:
        self.queue.resumed()
        self.here.look()
        self.sweep.due_changed()  # limits are to be looked at

    def _perhaps_committed(self, hints: Hints) -> None:
        """Hint that the caller's transaction may be committed soon: when, or whether, isn't known, so listeners look."""
        self.gatekeeper.perhaps_changed(hints.gates)
        self._announce(hints)
        self.hub.publish(RemoteChanges())

    def _changed_elsewhere(self, what: RunRow | RemoteChanges) -> None:
        if not isinstance(what, RemoteChanges):
            return
        if what.ready:
            self.queue.wake()
            self.here.look()
        if what.due or what.schedules:
            self.sweep.due_changed()
        if what.lost:
            self.sweep.changed()
        if what.children:
            self.sweep.children_marked()
        if what.gates:
            self.gatekeeper.committed()
        if what.pauses:
            self.pauses.changed()
            self.here.look()

    # -- closing --------------------------------------------------------------------------------------------------

    async def close(self, *, hand_over: bool = True) -> None:
        """End or hand over all transitions, make handed-over writes durable, and release everything.

        Without `hand_over` it ends at once, as if it had died: its runs stay its own until other workers take them over.
        All of it is closed, even if this is cancelled meanwhile.
        """
        self.passes.finish_all()
        await _each_of(
            lambda: self._let_end(hand_over),
            lambda: self._stop(hand_over),
            lambda: self._leave_workers(hand_over),
            self._close_store,
        )

    async def _let_end(self, hand_over: bool) -> None:
        if hand_over:
            await self.drain.drained(self.settings.drain_seconds)

    async def _stop(self, hand_over: bool) -> None:
        self.store.writer.hurry()
        self.passes.stop_all("drain")
        drained = self.drain.drained if hand_over else self.passes.drained
        if not await drained(self.settings.drain_seconds or 1.0):
            log.warning("runs that ignore their cancellation are handed over: %s", ", ".join(self.passes.tasks))

    async def _leave_workers(self, hand_over: bool) -> None:
        self.membership.end()
        self.heartbeat.stop()
        await self.duties.end()
        await self.here.close()
        if hand_over:
            await self.drain.deregister()
        await self.queue.close()

    async def _close_store(self) -> None:
        self.ends.close()
        try:
            await self.store.close()
            await self.passes.drained(_LAST)  # those that waited for the writer have their answers
        finally:
            self._opening.close()


async def _each_of(*steps: Callable[[], Awaitable[None]]) -> None:
    """Do these steps one after another; those after a step that raises are done too."""
    async with AsyncExitStack() as stack:
        for step in reversed(steps):
            stack.push_async_callback(step)
