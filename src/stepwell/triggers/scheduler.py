"""Fires ticks: each process looks at its own schedules when one of them is due, and the database decides who fires."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from stepwell.engine.run import Moment
from stepwell.errors import ScheduleNotFound, StoreUnavailable
from stepwell.execution.clock import microseconds
from stepwell.runner.core import Core
from stepwell.store import deliveries, schedules
from stepwell.store.schedules import TickRow
from stepwell.store.tx import Tx
from stepwell.triggers.firing import Firing, Looked
from stepwell.triggers.handlers import Triggers

log = logging.getLogger("stepwell.triggers")

KEPT: Final = timedelta(days=30)
"""Ticks and deliveries, and the ended runs of their handlers, are deleted after this time."""

_KEPT: Final = microseconds(KEPT)
_CLEAN_EVERY: Final = microseconds(timedelta(hours=1))
_BATCH: Final = 200
_AGAIN: Final = 1.0
"""Seconds between looks while ticks are queued behind a run, or while the database can't be reached."""

_Name = tuple[str, str]


class Scheduler:
    """The schedules of one process. Everything it knows beyond them is a hint: the truth of a look is in its transaction."""

    def __init__(self, core: Core, apps: Iterable[Triggers]) -> None:
        self._core = core
        self._clock = core.shared.clock
        self._firings: dict[_Name, Firing] = {
            (app.name, one.name): Firing(app.name, one, core.shared, core.store.applier)
            for app in apps
            for one in app.schedules
        }
        self._wakes: dict[_Name, Moment] = {}
        self._queued: set[_Name] = set()

    async def run(self) -> None:
        """Fires each tick when it is due. Works until it is cancelled."""
        while True:
            try:
                await self.fire_due()
            except StoreUnavailable as error:
                log.warning("schedules wait for the database: %s", error)
                await asyncio.sleep(_AGAIN)
                continue
            except Exception:
                log.exception("looking at the schedules failed; trying again")
                await asyncio.sleep(_AGAIN)
                continue
            await self._sleep()

    async def _sleep(self) -> None:
        if not self._wakes:
            await asyncio.Event().wait()
        try:
            async with asyncio.timeout(_AGAIN if self._queued else None):
                await self._clock.sleep_until(min(self._wakes.values()))
        except TimeoutError:
            pass

    async def next_wake(self) -> Moment | None:
        """When the next tick fires; None without schedules. One that is seen for the first time counts from now on."""
        for name in [*(self._firings.keys() - self._wakes.keys()), *await self._freed()]:
            await self._look(name)
        return min(self._wakes.values(), default=None)

    async def fire_due(self) -> int:
        """How many ticks were fired: all that are due now, and those queued behind runs that have ended."""
        fired = 0
        while names := [*self._due(), *await self._freed()]:
            for name in dict.fromkeys(names):
                fired += (await self._look(name)).fired
        return fired

    def _due(self) -> list[_Name]:
        now = self._clock.now()
        return [name for name in self._firings if name not in self._wakes or self._wakes[name] <= now]

    async def _freed(self) -> list[_Name]:
        """Schedules with queued ticks whose last run has ended."""
        if not self._queued:
            return []
        wanted = list(self._queued)
        return await self._core.store.read(lambda given: [one for one in wanted if not schedules.busy(given, *one)])

    async def _look(self, name: _Name) -> Looked:
        looked: Looked = await self._core.write(self._firings[name].look, None)
        self._wakes[name] = looked.wake
        (self._queued.add if looked.queued else self._queued.discard)(name)
        return looked

    async def pause(self, app_name: str, schedule: str, paused: bool = True) -> None:
        """The schedule fires nothing until it is resumed, and nothing of that time is caught up. Raises ScheduleNotFound."""
        self._firing(app_name, schedule)
        await self._look((app_name, schedule))
        now = self._clock.now()
        await self._core.write(lambda given: schedules.pause(given, app_name, schedule, paused, now), None)

    async def fire(self, app_name: str, schedule: str, key: str | None = None) -> TickRow:
        """A tick of now, fired (or refused by its workflow), or the one that this key fired: durable on return.

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
        """Old ticks and deliveries are deleted. Works until it is cancelled."""
        while True:
            try:
                while await self.clean():
                    await asyncio.sleep(0)
            except StoreUnavailable as error:
                log.warning("%s", error)
            await self._clock.sleep_until(self._clock.now() + _CLEAN_EVERY)

    async def clean(self) -> int:
        """How many ticks and deliveries older than `KEPT` were deleted; a batch at a time."""
        before = self._clock.now() - _KEPT

        def operation(tx: Tx) -> int:
            return schedules.expire(tx, before, _BATCH) + deliveries.expire(tx, before, _BATCH)

        return await self._core.store.writer.call(operation)
