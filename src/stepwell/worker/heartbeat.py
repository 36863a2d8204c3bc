"""The heartbeat of this process: one row, renewed from a thread, so that a blocked loop doesn't stop it (rule 31)."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import Context
from types import FrameType
from typing import Any, Protocol, assert_never

from stepwell.engine.commit import Commit
from stepwell.engine.run import RunRow
from stepwell.engine.settle import settle
from stepwell.engine.suspicion import Suspicion, suspicion_of
from stepwell.errors import StoreUnavailable
from stepwell.execution.begun import current_attempt
from stepwell.execution.clock import Clock
from stepwell.execution.drive import Pass
from stepwell.execution.passes import Passes
from stepwell.execution.shared import new_id
from stepwell.store import workers
from stepwell.store.base import Store
from stepwell.store.tx import Call, Tx
from stepwell.store.writing.writer import stepped_by
from stepwell.worker.lease import Lease, Turn

log = logging.getLogger("stepwell.worker")

_A_MOMENT = 0.01
"""Seconds for the answer to a heartbeat once the lease has lapsed: the next turn looks again."""


class HeartbeatListener(Protocol):
    """Acts on what the heartbeat finds out. All of it is called on the loop."""

    def on_beat(self) -> None:
        """React to a heartbeat that was written."""
        ...

    def on_lapse(self) -> None:
        """React to the end of the lease: nothing may begin, and what executes is to be stopped."""
        ...

    def on_removed(self) -> None:
        """React to other workers, which have declared this one dead."""
        ...


class Heartbeat:
    """The heartbeat, from a thread, so that a blocked loop can't stop it; it stops when the loop is stuck for too long."""

    def __init__(
        self,
        store: Store,
        worker_id: str,
        lease_seconds: float,
        clock: Clock,
    ) -> None:
        self.worker_id = worker_id
        self.beats = 0
        self._store = store
        self._lease = Lease(lease_seconds, time.monotonic())
        self._clock = clock
        self._thread = threading.Thread(target=self._run, name="stepwell-heartbeat", daemon=True)
        self.handled_stuck = False
        """True once the blocked loop has been handled."""
        self._stop = threading.Event()
        self._missed = False
        self._asked: Future[tuple[bool, float]] | None = None

    @property
    def interval(self) -> float:
        """Seconds between heartbeats."""
        return self._lease.interval

    def start(self, listener: HeartbeatListener, stuck: Stuck) -> None:
        """Start the heartbeat, of a worker that was registered just now. Must be called on the loop."""
        self._listener = listener
        self._handler = stuck
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._lease.beat(time.monotonic())
        self._note_loop_turn()
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat."""
        self._stop.set()
        self._ticker.cancel()

    @property
    def lapsed(self) -> bool:
        """True while the lease can't be counted on: nothing may be started."""
        return self._lease.lapsed

    def holds(self) -> bool:
        """Return whether the lease holds at this moment, whatever the thread has noticed so far."""
        return self._lease.holds(time.monotonic())

    def faults(self) -> list[str]:
        """Return the current faults of the heartbeat."""
        if not self._thread.is_alive():
            return ["the heartbeat of this process has stopped"]
        return [] if self.holds() else ["the lease of this process has lapsed"]

    def resume_after_lapse(self) -> bool:
        """Note that the loop has read what it owns after a lapse; return True if the lease still holds, and it may continue."""
        return self._lease.resume(time.monotonic())

    def _note_loop_turn(self) -> None:
        self._lease.loop_turned(time.monotonic())
        self.handled_stuck = False
        self._ticker = self._loop.call_later(self._lease.turn_seconds, self._note_loop_turn)

    def _run(self) -> None:
        while True:
            began, busy = time.monotonic(), time.process_time()
            if self._stop.wait(self._lease.turn_seconds):
                return
            now = time.monotonic()
            self._lease.slept(now - began, time.process_time() - busy, now)
            for turn in self._lease.take_due(now):
                try:
                    self._do(turn, now)
                except Exception as error:  # noqa: BLE001 - nothing else would notice that the lease lapses
                    self._miss(error)
            if self._lease.lapse(time.monotonic()):
                self._on_loop(self._listener.on_lapse)

    def _do(self, turn: Turn, now: float) -> None:
        match turn:
            case Turn.NAME_BLOCKER:
                self._name_blocker(now)
            case Turn.LAPSE:
                self._on_loop(self._listener.on_lapse)
            case Turn.GIVE_UP:
                since = self._lease.turned_at
                self._handler.hand_on(self._loop, self._loop_thread, since, lambda: self._lease.stuck(time.monotonic()))
                self.handled_stuck = True
            case Turn.BEAT:
                self._beat(now)
            case _:
                assert_never(turn)

    def _beat(self, now: float) -> None:
        if self._asked is None:
            self._asked = self._store.beats.write_from_thread(Call(self._write))
        asked = self._asked
        try:
            # No longer than the lease lasts: that it has lapsed must be noticed in time.
            alive, at = asked.result(timeout=max(self._lease.beaten_at + self._lease.seconds - now, _A_MOMENT))
        finally:
            if asked.done():
                self._asked = None
        if not alive:
            self._lease.removed()
            self._on_loop(self._listener.on_removed)
            return
        self._missed = False
        self._lease.beat(at)
        self.beats += 1
        self._on_loop(self._listener.on_beat)

    def _write(self, tx: Tx) -> tuple[bool, float]:
        # Others count from when they see it, which is later: the answer may be late, this moment can't be.
        at = time.monotonic()
        return workers.beat(tx, self.worker_id, self._clock.now()), at

    def _miss(self, error: Exception) -> None:
        if self._missed:
            log.debug("the heartbeat of worker %s was not written: %r", self.worker_id, error)
            return
        self._missed = True
        known = isinstance(error, StoreUnavailable | FutureTimeout)
        log.warning(
            "the heartbeat of worker %s was not written: %r", self.worker_id, error, exc_info=None if known else error
        )

    def _name_blocker(self, now: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        where = "".join(traceback.format_stack(frame)[-6:]) if frame else "?"
        log.warning("the event loop has been blocked for %.1f s; it is here:\n%s", self._lease.blocked(now), where)

    def _on_loop(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            self._stop.set()  # the loop is closed


class Stuck:
    """The reaction to an event loop that is blocked by a method for longer than the leases last.

    Nothing can be cancelled then: only the thread of the heartbeat still runs, and the loop stands still with all it owns.
    That thread stores which run it is, hands all other runs on, and lets the heartbeat stop. A run that blocks a second
    process as well fails there, with the reason.
    """

    def __init__(self, store: Store, passes: Passes, lease_seconds: float) -> None:
        self._store = store
        self._passes = passes
        self._lease = lease_seconds

    def hand_on(self, loop: asyncio.AbstractEventLoop, thread: int, since: float, still: Callable[[], bool]) -> None:
        """Hand the runs of this process on, and record the one that blocks its loop, as far as either is possible.

        `since` is the monotonic moment from which the loop has been blocked; `still` says whether it is.
        """
        culprit = self._passes.executed_by(asyncio.current_task(loop))
        if culprit is None:
            # A task of the method's own, as `asyncio.gather` makes them: its context names the run that it works for.
            run = _run_of(sys._current_frames().get(thread))
            culprit = None if run is None else self._passes.executed_id(run.id)
        held = [(run_id, claim) for run_id, claim in self._passes.held if culprit is None or run_id != culprit.run.id]
        if culprit is not None:
            culprit.blocked = lambda: self._text(since)
            log.error("run %s: %s %s", culprit.run.id, culprit.method, self._text(since))
        elif not held:
            return
        now = self._passes.shared.clock.now
        self._write(lambda tx: workers.release(tx, self._passes.worker_id, held, now(), counts=False), still)
        if culprit is not None:
            self._write(lambda tx: self._note(tx, culprit, since), still)

    def _write(self, act: Callable[[Tx], object], still: Callable[[], bool]) -> None:
        def operation(tx: Tx) -> None:
            # It may have had to wait: then the loop is back, and the process has its runs in hand.
            if still():
                act(tx)
                self._store.announce_in(tx)

        self._store.beats.write_from_thread(Call(operation)).result(timeout=self._lease)

    def _note(self, tx: Tx, culprit: Pass, since: float) -> None:
        before = None if culprit.run.suspicion is None else suspicion_of(culprit.run.suspicion)
        commit = self._failure(culprit, since) if before is not None and before.reason is not None else None
        if commit is not None:
            self._store.applier.advance(tx, [commit])
            return
        reason = f"{culprit.method} {self._text(since)}"
        deaths = 0 if before is None else before.deaths
        workers.suspect(tx, culprit.run, str(Suspicion(deaths, new_id(), reason)))

    def _failure(self, culprit: Pass, since: float) -> Commit | None:
        shared = self._passes.shared
        definition = shared.registry.find(culprit.run.app_name, culprit.run.workflow_name)
        if definition is None or culprit.decision is None:
            return None
        raised = culprit.failure_of_blocking(self._text(since))
        return settle(definition, culprit.run, culprit.decision, raised, culprit.inbox, shared.clock.now())

    def _text(self, since: float) -> str:
        seconds = time.monotonic() - since
        return (
            f"blocked the event loop for {seconds:.{0 if seconds >= 10 else 1}f} s, longer than the lease of "
            f"{self._lease:g} s allows: make it a plain def, which runs in a thread, or await the slow call"
        )


def _run_of(frame: FrameType | None) -> RunRow | None:
    while frame is not None:
        context = _stepped_in(frame)
        if context is not None:
            inside = context.get(current_attempt)
            return None if inside is None else inside.attempt.run
        frame = frame.f_back
    return None


def _stepped_in(frame: FrameType) -> Context | None:
    """The context of the task that this frame steps: a handle of the loop does, and so does the writer's reply."""
    handle: Any = frame.f_locals.get("self") if frame.f_code.co_name == "_run" else None
    if isinstance(handle, asyncio.Handle):
        return handle._context  # type: ignore[attr-defined, no-any-return]
    return stepped_by(frame)
