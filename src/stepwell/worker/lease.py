"""Who is alive: one heartbeat row per process, renewed from a thread, judged by the counter and never by clocks."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from stepwell.errors import StoreUnavailable
from stepwell.execution.clock import Clock
from stepwell.store import workers
from stepwell.store.base import Call
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow
from stepwell.store.writer import Writer

log = logging.getLogger("stepwell.worker")

_BEATS_PER_LEASE = 3
_STUCK_LEASES = 4
"""A loop that has been stuck for this many leases is as good as dead: its heart stops too."""
_A_MOMENT = 0.01
"""Seconds for the answer to a heartbeat once the lease has lapsed: the next turn looks again."""
_SLOW_LOOP = 2.0
"""Seconds after which the watchdog names what blocks the loop."""


class Heart:
    """Beats from a thread, so that a blocked loop can't stop it; stops beating when the loop is stuck for too long."""

    def __init__(
        self,
        writer: Writer,
        worker_id: str,
        lease_seconds: float,
        clock: Clock,
        *,
        on_beat: Callable[[], None],
        on_lapse: Callable[[], None],
        on_removed: Callable[[], None],
    ) -> None:
        self.worker_id = worker_id
        self.beats = 0
        self._writer = writer
        self._lease = lease_seconds
        self._clock = clock
        self._on_beat = on_beat
        self._on_lapse = on_lapse
        self._on_removed = on_removed
        self._stop = threading.Event()
        self._last_beat = time.monotonic()
        self._loop_seen = time.monotonic()
        self._lapsed = False
        self._missed = False
        self._named = False
        self._asked: Future[tuple[bool, float]] | None = None

    @property
    def interval(self) -> float:
        """Seconds between beats."""
        return self._lease / _BEATS_PER_LEASE

    def start(self) -> None:
        """The heart beats. Must be called on the loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._seen()
        self._thread = threading.Thread(target=self._run, name="stepwell-heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """It beats no more."""
        self._stop.set()
        self._ticker.cancel()

    @property
    def lapsed(self) -> bool:
        """True while the lease can't be counted on: nothing may be started."""
        return self._lapsed

    def holds(self) -> bool:
        """Whether the lease can be counted on at this moment, whatever the thread has noticed so far."""
        return not self._lapsed and time.monotonic() - self._last_beat <= self._lease

    def faults(self) -> list[str]:
        """What is wrong with it now."""
        if not self._thread.is_alive():
            return ["the heartbeat of this process has stopped"]
        lapsed = self._lapsed or time.monotonic() - self._last_beat > self._lease
        return ["the lease of this process has lapsed"] if lapsed else []

    def renewed(self) -> bool:
        """The loop has read again what it owns after a lapse: True if the lease still holds, and it may go on."""
        if time.monotonic() - self._last_beat > self._lease:
            return False
        self._lapsed = False
        return True

    def _seen(self) -> None:
        self._loop_seen = time.monotonic()
        self._named = False
        self._ticker = self._loop.call_later(min(0.5, self.interval / 2), self._seen)

    def _run(self) -> None:
        tick = min(0.5, self.interval / 2)
        while not self._stop.wait(tick):
            try:
                self._turn(tick)
            except Exception as error:  # noqa: BLE001 - nobody else would notice that the lease lapses
                self._miss(error)
            self._check()

    def _turn(self, tick: float) -> None:
        now = time.monotonic()
        self._watch(now)
        self._check()
        stuck = now - self._loop_seen > self._lease * _STUCK_LEASES
        if not stuck and now - self._last_beat >= self.interval - tick / 2:
            self._beat(now)

    def _check(self) -> None:
        if time.monotonic() - self._last_beat > self._lease and not self._lapsed:
            self._lapsed = True
            self._tell(self._on_lapse)

    def _beat(self, now: float) -> None:
        if self._asked is None:
            self._asked = self._writer.write_from_thread(Call(self._write))
        asked = self._asked
        try:
            # No longer than the lease lasts: that it has lapsed must be noticed in time.
            alive, at = asked.result(timeout=max(self._last_beat + self._lease - now, _A_MOMENT))
        finally:
            if asked.done():
                self._asked = None
        if not alive:
            self._lapsed = True
            self._tell(self._on_removed)
            return
        self._missed = False
        self._last_beat = at
        self.beats += 1
        self._tell(self._on_beat)

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

    def _watch(self, now: float) -> None:
        behind = now - self._loop_seen
        if behind < _SLOW_LOOP or self._named:
            return
        self._named = True
        frame = sys._current_frames().get(self._loop_thread)
        where = "".join(traceback.format_stack(frame)[-6:]) if frame else "?"
        log.warning("the event loop has been blocked for %.1f s; it is here:\n%s", behind, where)

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:
            self._stop.set()  # the loop is closed


@dataclass(slots=True)
class _Sighting:
    counter: int
    since: float
    beats: int


class Observer:
    """Judges other workers (semantics 31): dead is whose counter stood still for a lease in which we beat twice ourselves."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease = lease_seconds
        self._seen: dict[str, _Sighting] = {}

    def dead(self, rows: Iterable[WorkerRow], me: str, my_beats: int, monotonic: float) -> list[WorkerRow]:
        """Those of `rows` that are dead by now, by this process's own monotonic clock."""
        rows = [row for row in rows if row.id != me]
        self._seen = {row.id: self._sighting(row, my_beats, monotonic) for row in rows}
        return [row for row in rows if self._still(self._seen[row.id], my_beats, monotonic)]

    def _sighting(self, row: WorkerRow, beats: int, monotonic: float) -> _Sighting:
        known = self._seen.get(row.id)
        return known if known and known.counter == row.counter else _Sighting(row.counter, monotonic, beats)

    def _still(self, seen: _Sighting, beats: int, monotonic: float) -> bool:
        return monotonic - seen.since >= self._lease and beats - seen.beats >= 2
