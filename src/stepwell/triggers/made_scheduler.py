"""The ticks of schedules made at run time: the database says which are due, and which process fires each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from stepwell.definition.text import is_handler
from stepwell.engine.run import Moment
from stepwell.execution.clock import microseconds
from stepwell.runner.core import Core
from stepwell.store import made_schedules, workers
from stepwell.store.made_schedules import DueSchedule, MadeSchedule, NextTick
from stepwell.store.tx import Lane, Tx
from stepwell.triggers.firing import Looked
from stepwell.triggers.made_firing import MadeFirings

_BATCH: Final = 200
_AT_ONCE: Final = 50
"""Looks of one flush of the writer."""
_FOR_OTHERS: Final = microseconds(timedelta(seconds=60))
"""Microseconds for which a tick is left to processes that know its workflow, where this one doesn't."""
_AHEAD: Final = 2_000_000
"""Microseconds by which processes may disagree about the time."""
_HEAL_EVERY: Final = microseconds(timedelta(minutes=1))


class _Found(NamedTuple):
    """The schedules to look at, and the moment at which the next one is due."""

    due: Sequence[DueSchedule]
    next: Moment | None


class MadeScheduler:
    """Looks at the schedules made at run time. It remembers none of them: there may be very many."""

    def __init__(self, core: Core, firings: MadeFirings) -> None:
        self._core = core
        self._clock = core.shared.clock
        self._faults = core.shared.faults
        self._firings = firings
        self._lanes: list[Lane] = [lane for lane in core.shared.registry.lanes if not is_handler(lane[1])]
        self._apps = core.shared.registry.apps
        self._began: Moment | None = None
        self._healed: Moment | None = None
        self._apart: dict[str, str] = {}
        """The titles of schedules whose last look failed, by id."""
        self.next_at: Moment | None = None
        """The moment at which the next one is due, as last seen."""
        self._queued = False

    def told(self, ticks: NextTick) -> None:
        """Take what the sweep has just read: so an idle process asks the database nothing more for them."""
        self.next_at, self._queued = ticks

    @property
    def wanted(self) -> bool:
        """True if there may be ticks to fire, or if those that no process knows haven't been looked for lately."""
        due = self.next_at is not None and self.next_at <= self._clock.now()
        return due or self._queued or bool(self._apart) or self._rested()

    async def fire_due(self) -> int:
        """Fire all ticks that are due, and those queued behind ended runs, and return their number."""
        if not self._apps:
            return 0
        fired, seen = 0, set[str]()
        while True:
            # Each is looked at once: one that another process has in hand stays due until that is done.
            but = {*seen, *self._resting()}
            found = await self._core.store.read(lambda tx: self._find(tx, but))  # noqa: B023 - awaited at once
            self.next_at = found.next
            if not found.due:
                return fired
            for start in range(0, len(found.due), _AT_ONCE):
                looks = [self._look(one) for one in found.due[start : start + _AT_ONCE]]
                fired += sum(await asyncio.gather(*looks))
            seen |= {one.id for one in found.due}

    async def next_wake(self) -> Moment | None:
        """Return when the next tick after now fires, or is refused because no process knows its workflow."""
        if not self._apps:
            return None
        now = self._clock.now()

        def query(tx: Tx) -> list[Moment | None]:
            late = made_schedules.next_unknown(tx, self._apps, self._lanes, now - _FOR_OTHERS)
            refused = None if late is None else max(late, self._began or late) + _FOR_OTHERS
            return [made_schedules.next_due(tx, self._lanes, now), refused]

        return min((one for one in await self._core.store.read(query) if one is not None), default=None)

    def fault(self, row: MadeSchedule) -> str | None:
        """Return why the schedule fires nothing in this process, if it can't be looked at."""
        return self._faults.of(made_schedules.title_of(row))

    # -- which ones -----------------------------------------------------------------------------------------------

    def _find(self, tx: Tx, but: Iterable[str]) -> _Found:
        now = self._clock.now()
        found = made_schedules.due(tx, self._lanes, now, _BATCH, but)
        found += made_schedules.freed(tx, self._lanes, _BATCH, but)
        found += self._left_by_all(tx, now, but)
        if self._rested():
            self._healed = now
            found += made_schedules.ahead(tx, self._lanes, now + _AHEAD, _BATCH)
        return _Found(list(dict.fromkeys(found)), made_schedules.next_due(tx, self._lanes, now))

    def _rested(self) -> bool:
        return self._healed is None or abs(self._clock.now() - self._healed) >= _HEAL_EVERY

    def _left_by_all(self, tx: Tx, now: Moment, but: Iterable[str]) -> list[DueSchedule]:
        """Return those of this process's apps whose workflow it lacks, where no other process has it either.

        A deployment may be under way: the tick is left to others for a while, counted from the opening of this process.
        """
        if self._began is None or self._began > now:
            self._began = now
        if now < self._began + _FOR_OTHERS:
            return []
        late = made_schedules.unknown(tx, self._apps, self._lanes, now - _FOR_OTHERS, _BATCH, but)
        if not late:
            return []
        taken = {(app, workflow) for worker in workers.all_of(tx) for app, workflow in workers.lanes_of(worker)}
        return [one for one, workflow in late if (one.app_name, workflow) not in taken]

    def _resting(self) -> list[str]:
        """Return the schedules that could not be looked at a moment ago."""
        self._apart = {one: title for one, title in self._apart.items() if self._faults.of(title) is not None}
        return [one for one, title in self._apart.items() if self._faults.resting(title)]

    # -- a look ---------------------------------------------------------------------------------------------------

    async def _look(self, one: DueSchedule) -> int:
        """Fire its ticks and return their number; a schedule that can't be evaluated is set apart."""
        title = made_schedules.title_of(one)
        with self._faults.apart(title):
            looked: Looked | None = await self._core.write(lambda tx: self._firings.look(tx, one.id), None)
            self._apart.pop(one.id, None)
            return 0 if looked is None else looked.fired
        self._apart[one.id] = title
        return 0
