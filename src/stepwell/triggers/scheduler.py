"""The scheduler: each process looks when one of its ticks is due; the database decides which process fires a tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from stepwell.engine.run import Moment
from stepwell.errors import ScheduleNotFound, StoreUnavailable
from stepwell.execution.clock import FAR, microseconds
from stepwell.faults import AGAIN
from stepwell.runner.core import Core
from stepwell.store import deliveries, schedules
from stepwell.store.schedules import TickRow
from stepwell.store.tx import Tx
from stepwell.triggers.firing import Firing, Looked
from stepwell.triggers.handlers import Triggers
from stepwell.triggers.made_firing import MadeFirings
from stepwell.triggers.made_scheduler import MadeScheduler

log = logging.getLogger("stepwell.triggers")

KEPT: Final = timedelta(days=30)
"""Ticks and deliveries, and the ended runs of their handlers, are deleted after this time."""

_KEPT: Final = microseconds(KEPT)
_CLEAN_EVERY: Final = microseconds(timedelta(hours=1))
_BATCH: Final = 200
_PUT_BACK: Final = 1_000_000
"""Microseconds by which the clock must be earlier than it was, for all schedules to be looked at again."""
_AGAIN: Final = AGAIN
"""Seconds between looks: runs end that ticks are queued behind, faults are mended, a clock is put back."""

_Name = tuple[str, str]


def titled(name: _Name) -> str:
    """Return the name of a schedule in reports of faults."""
    return f"schedule {name[1]!r} of app {name[0]!r}"


class Scheduler:
    """The schedules of one process. All its other state is a hint: the truth of a look is in its transaction."""

    def __init__(self, core: Core, apps: Iterable[Triggers], made: MadeFirings, may_delete: Callable[[], bool]) -> None:
        self._core = core
        self.made = MadeScheduler(core, made)
        """Those that are made at run time."""
        self._clock = core.shared.clock
        self._firings: dict[_Name, Firing] = {
            (app.name, one.name): Firing(app.name, one, core.shared, core.store.applier)
            for app in apps
            for one in app.schedules
        }
        self._faults = core.shared.faults
        self._wakes: dict[_Name, Moment] = {}
        self._queued: set[_Name] = set()
        self._may_delete = may_delete
        """True if the clock is certain enough for deleting what is old by it."""
        self._seen: Moment = 0
        self._apart: set[_Name] = set()
        """Schedules whose last look failed, so that their next tick isn't known."""

    async def run(self) -> None:
        """Fire each tick when it is due, until cancelled."""
        while True:
            try:
                await self._fire_declared()
                if self.made.wanted:
                    await self.made.fire_due()
            except StoreUnavailable as error:
                log.warning("schedules are waiting for the database: %s", error)
                await asyncio.sleep(_AGAIN)
                continue
            await self._sleep()

    async def _sleep(self) -> None:
        if not self._core.shared.registry.apps:
            await asyncio.Event().wait()
        wakes = [*self._wakes.values(), *([] if self.made.next_at is None else [self.made.next_at])]
        try:
            # A clock that is put back ends the sleep too: the next due ticks are worked out again.
            async with asyncio.timeout(_AGAIN):
                await self._clock.sleep_until(min(wakes, default=FAR))
        except TimeoutError:
            pass

    async def next_wake(self) -> Moment | None:
        """Return when the next tick fires; None without schedules. One that is new counts from now on."""
        unknown = [name for name in self._firings if name not in self._wakes and not self._rests(name)]
        for name in [*unknown, *await self._freed()]:
            await self._look_apart(name)
        made = await self.made.next_wake()
        return min([*self._wakes.values(), *([] if made is None else [made])], default=None)

    async def fire_due(self) -> int:
        """Fire all ticks that are due, and those queued behind ended runs, and return their number."""
        return await self._fire_declared() + await self.made.fire_due()

    async def _fire_declared(self) -> int:
        fired = 0
        while names := [*self._due(), *await self._freed()]:
            for name in dict.fromkeys(names):
                fired += await self._look_apart(name)
        return fired

    def _due(self) -> list[_Name]:
        now = self._clock.now()
        if now < self._seen - _PUT_BACK:
            self._wakes.clear()
        self._seen = now
        return [
            name
            for name in self._firings
            if (name not in self._wakes or self._wakes[name] <= now) and not self._rests(name)
        ]

    async def _freed(self) -> list[_Name]:
        """Return the schedules with queued ticks whose last run has ended."""
        if not self._queued:
            return []
        wanted, now = list(self._queued), self._clock.now()
        return await self._core.store.read(
            lambda given: [one for one in wanted if not schedules.busy(given, *one, now)]
        )

    def _rests(self, name: _Name) -> bool:
        return name in self._apart and self._faults.resting(titled(name))

    async def _look_apart(self, name: _Name) -> int:
        """Fire its ticks and return their number; a schedule that can't be evaluated is set apart."""
        with self._faults.apart(titled(name)):
            looked = await self._look(name)
            self._apart.discard(name)
            return looked.fired
        self._apart.add(name)
        self._wakes.pop(name, None)
        self._queued.discard(name)
        return 0

    def fault(self, name: _Name) -> str | None:
        """Return why the schedule fires nothing in this process, if it can't be looked at."""
        return self._faults.of(titled(name))

    async def _look(self, name: _Name) -> Looked:
        looked: Looked = await self._core.write(self._firings[name].look, None)
        self._wakes[name] = looked.wake
        (self._queued.add if looked.queued else self._queued.discard)(name)
        return looked

    async def pause(self, app_name: str, schedule: str, paused: bool = True) -> None:
        """Pause the schedule until it is resumed; ticks of that time aren't caught up. Raises ScheduleNotFound."""
        self._firing(app_name, schedule)
        await self._look((app_name, schedule))
        now = self._clock.now()
        await self._core.write(lambda given: schedules.pause(given, app_name, schedule, paused, now), None)

    async def fire(self, app_name: str, schedule: str, key: str | None = None) -> TickRow:
        """Fire a tick now, or return the one that this key has fired: durable on return. Its workflow may refuse it.

        Raises ScheduleNotFound.
        """
        firing = self._firing(app_name, schedule)
        return await self._core.write(lambda given: firing.fire_now(given, key), None)

    def _firing(self, app_name: str, schedule: str) -> Firing:
        found = self._firings.get((app_name, schedule))
        if found is None:
            raise ScheduleNotFound(f"No schedule {schedule!r} in app {app_name!r} of this process.")
        return found

    @property
    def declared(self) -> Mapping[_Name, Firing]:
        """The schedules of this process."""
        return self._firings

    # -- what is old ----------------------------------------------------------------------------------------------

    async def watch_old(self) -> None:
        """Delete old ticks and deliveries, until cancelled."""
        while True:
            try:
                while self._may_delete() and await self.clean():
                    await asyncio.sleep(0)
            except StoreUnavailable as error:
                log.warning("%s", error)
            await self._clock.sleep_until(self._clock.now() + _CLEAN_EVERY)

    async def clean(self) -> int:
        """Delete ticks and deliveries older than `KEPT`, a batch at a time, and return their number."""
        before = self._clock.now() - _KEPT

        def operation(tx: Tx) -> int:
            return schedules.expire(tx, before, _BATCH) + deliveries.expire(tx, before, _BATCH)

        return await self._core.store.writer.call(operation)
