"""The clock of a process: moments are the database's, and setting a machine's clock changes nothing.

The time comes from two clocks: the machine's, and the database's if it has one of its own (PostgreSQL). Between two readings
the process goes by a monotonic clock. A jump of either clock is reported in the log and by the health checks; it is followed
when both agree, or when it has lasted for some minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stepwell.errors import StoreUnavailable
from stepwell.execution.clock import SystemClock
from stepwell.faults import Faults
from stepwell.store import workers
from stepwell.store.base import Store

log = logging.getLogger("stepwell.worker")

_EVERY: Final = 2.0
"""Seconds between looks at the machine's clock."""
_SYNCHRONISED: Final = 60.0
"""Seconds after which the database is asked again, while nothing jumps."""
_JUMP: Final = 1_000_000
"""Microseconds: less is a drift, and followed at once."""
_LASTING: Final = 300.0
"""Seconds for which a clock must have kept its new time, before it is followed without confirmation."""
_LONG: Final = 86_400_000_000
"""Microseconds without a trace in the database, or ahead of it, after which the machine's clock isn't trusted at once."""
_NO_DELETING: Final = 600.0
"""Seconds for which nothing is deleted after that."""
_BEAT: Final = 0.2
"""Seconds between looks for another process' heartbeat."""
_SUBJECT: Final = "the clock of this machine"
_SERVER: Final = "the clock of the database"


@dataclass(slots=True)
class Jump:
    """A jump of a clock, and the time since when it has lasted."""

    by: int
    since: float

    def lasts(self, by: int, at: float) -> float:
        """Return the seconds for which it has been there; start over if it is elsewhere now."""
        if abs(by - self.by) >= _JUMP:
            self.by, self.since = by, at
        return at - self.since


class Timekeeper:
    """Keeps the clock of one process. `on_back` is called when it was put back."""

    def __init__(
        self,
        store: Store,
        clock: SystemClock,
        faults: Faults,
        worker_id: str,
        patience: float,
        on_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults
        self._worker_id = worker_id
        self._patience = patience
        self._on_back = on_back
        self._known = 0
        """Microseconds by which the machine's clock is known to be ahead of the time."""
        self._jump: Jump | None = None
        self._machine: Jump | None = None
        self._asked = 0.0
        self._deletes_from = 0.0
        self.confirmed = asyncio.Event()
        """Set once the time may be acted on: timers fire, schedules tick."""

    async def begin(self) -> None:
        """Set the clock to the database's time, or the machine's. Raises StoreUnavailable."""
        self._clock.restart()
        if self._store.keeps_time:
            await self._synchronise()
        now = self._clock.now()
        last = await self._store.read(lambda tx: workers.last_trace(tx, now))
        # How long ago the database was used last; negative for a future moment.
        gap = 0 if last is None else now - last
        if abs(gap) >= _LONG:
            self._deletes_from = self._clock.passed() + _NO_DELETING
        if abs(gap) < _LONG or self._store.keeps_time:
            self.confirmed.set()
            return
        log.warning(
            "by this machine's clock, the database was last used %.1f days %s: timers and schedules wait for up to %g s until "
            "it is clear that the clock is right",
            abs(gap) / _LONG,
            "ago" if gap > 0 else "from now",
            self._patience,
        )

    async def _synchronise(self) -> None:
        if lag := await self._store.lag(self._clock.now):
            level = logging.WARNING if abs(lag) > 5 * _JUMP else logging.DEBUG
            text = "this machine's clock is %.2f s behind the database's; moments are the database's"
            log.log(level, text, lag / 1e6)
            self._clock.correct(lag)
        self._known = self._clock.machine() - self._clock.now()
        self._asked = self._clock.passed()

    def may_delete(self) -> bool:
        """Return whether old rows may be deleted by this clock: not while it isn't certain that the clock is right."""
        return (
            self.confirmed.is_set()
            and self._jump is None
            and self._machine is None
            and self._clock.passed() >= self._deletes_from
        )

    async def run(self) -> None:
        """Look for as long as the process is open."""
        if not self.confirmed.is_set():
            await self._confirm()
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("%s", error)

    # -- at the beginning -----------------------------------------------------------------------------------------

    async def _confirm(self) -> None:
        """Confirm the time with another living process; without one, trust the machine after a while.

        Only an earlier time is adopted: an action that comes too late can be corrected, one that comes too early can't.
        """
        until = self._clock.passed() + self._patience
        seen: dict[str, int] = {}
        while self._clock.passed() < until:
            try:
                rows = await self._store.read(workers.all_of)
            except StoreUnavailable as error:
                log.warning("%s", error)
                rows = []
            now = self._clock.now()
            alive = [row for row in rows if row.id != self._worker_id and seen.get(row.id, row.counter) != row.counter]
            if alive:
                lag = min(alive[0].seen_at - now, 0)
                if lag <= -_JUMP:
                    text = "this machine's clock is %.0f s ahead of the other processes': their time is used"
                    log.warning(text, -lag / 1e6)
                    self._correct(lag)
                break
            seen = {row.id: row.counter for row in rows}
            await asyncio.sleep(_BEAT)
        self.confirmed.set()

    # -- later ----------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Follow a drift; report a jump, and follow it if it lasts. Raises StoreUnavailable."""
        if self._store.keeps_time:
            await self._look_at_both()
        else:
            self._judge(self._ahead(), agreed=False)

    async def _look_at_both(self) -> None:
        ahead = self._ahead()
        due = self._clock.passed() - self._asked >= _SYNCHRONISED
        if due or self._jump is not None or (abs(ahead) >= _JUMP and self._machine is None):
            lag = await self._store.lag(self._clock.now)
            self._asked = self._clock.passed()
            self._judge(lag, agreed=abs(lag - self._ahead()) < _JUMP)
        self._watch_machine()

    def _ahead(self) -> int:
        """Return by how much the machine's clock has jumped since the last look."""
        return self._clock.machine() - self._clock.now() - self._known

    def _judge(self, by: int, *, agreed: bool) -> None:
        """Judge a jump: `by` is the leading clock's distance from the time as this process counts it."""
        if abs(by) < _JUMP:
            if self._jump is not None:
                self._jump = None
                self._faults.mended(self._leading)
            self._follow(by)
            return
        if self._jump is None:
            self._jump = Jump(by, self._clock.passed())
        lasted = self._jump.lasts(by, self._clock.passed())
        self._faults.report(self._leading, f"it jumped by {by / 1e6:+,.0f} s; timers and schedules don't follow it yet")
        if agreed or lasted >= _LASTING:
            log.warning(
                "%s has stayed where it jumped to: it is followed from now on, by %+.0f s", self._leading, by / 1e6
            )
            self._jump = None
            self._faults.mended(self._leading)
            self._follow(by)

    @property
    def _leading(self) -> str:
        return _SERVER if self._store.keeps_time else _SUBJECT

    def _follow(self, by: int) -> None:
        if by:
            self._correct(by)
        if self._store.keeps_time and (abs(by) >= _JUMP or abs(self._ahead()) < _JUMP):
            self._known = self._clock.machine() - self._clock.now()

    def _correct(self, by: int) -> None:
        self._clock.correct(by)
        if by <= -_JUMP:
            self._on_back()

    def _watch_machine(self) -> None:
        """Report a jump of the machine's clock where the database keeps the time: it changes nothing there."""
        ahead = self._ahead()
        if abs(ahead) < _JUMP:
            if self._machine is not None:
                self._machine = None
                self._faults.mended(_SUBJECT)
            return
        if self._machine is None:
            self._machine = Jump(ahead, self._clock.passed())
        self._faults.report(
            _SUBJECT,
            f"it jumped by {ahead / 1e6:+,.0f} s; timers and schedules go by the database's clock, which didn't",
        )
        if self._machine.lasts(ahead, self._clock.passed()) >= _LASTING:
            self._machine = None
            self._known += ahead
            self._faults.mended(_SUBJECT)
