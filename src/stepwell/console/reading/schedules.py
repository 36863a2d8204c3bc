"""Schedules, declared and made at run time: reading them, and actions on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from stepwell.console.reading.schedule_views import (
    MOST_TICKS,
    ScheduleDetail,
    ScheduleView,
    declared_view,
    made_detail,
    made_view,
    with_missed,
)
from stepwell.engine.run import Moment
from stepwell.errors import NoAccess, RunFinished, ScheduleNotFound
from stepwell.execution.clock import to_moment
from stepwell.runner.arguments import check_limit, checked_key, cursor_of
from stepwell.runner.core import Core
from stepwell.runner.made_rules import rule_of
from stepwell.runner.models import Page
from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.schedule_models import TickView, tick_of
from stepwell.store import made_schedules, schedules, workers
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.schedules import MADE, ScheduleRow, TickRow
from stepwell.store.tx import Tx
from stepwell.triggers.scheduler import Scheduler, titled

MOST: Final = 1000

_Name = tuple[str, str]


class _Listed(NamedTuple):
    """The schedules of a page."""

    declared: dict[_Name, ScheduleRow | None]
    made: list[MadeSchedule]
    mark: str | None
    last: dict[_Name, TickView]
    taken: set[_Name]
    """(app, workflow) that live workers take."""


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of some apps (None: of all). With a runner of one user, those that this user made, and no others."""

    runner: WorkflowRunner
    scheduler: Scheduler
    apps: frozenset[str] | None = None

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError unless the Stepwell is open."""
        return self.runner.core

    async def page(
        self,
        *,
        app_name: str | None = None,
        name: str | None = None,
        user_id: str | None = None,
        limit: int = 200,
        cursor: str | None = None,
    ) -> Page[ScheduleView]:
        """Return a page: first all that any process has declared, by app and name; then those made at run time, the newest first.

        With `user_id` only those made for that user. `limit` counts those made at run time.
        """
        check_limit(limit)
        only, after = self.runner.only, cursor_of(cursor)
        user = only or user_id
        nothing = only is not None and user_id not in (None, only)
        apps = None if self.apps is None else set(self.apps)
        apps = apps if app_name is None else {app_name} & ({app_name} if apps is None else apps)

        def query(tx: Tx) -> _Listed:
            declared = {} if user is not None or after is not None else self._declared(tx, apps, name)
            before = None if after is None else MADE + after
            made, mark = made_schedules.page(tx, limit, before, apps=apps, user_id=user, name=name, brief=True)
            last = schedules.newest_ticks(tx, [*declared, *((one.app_name, one.id) for one in made)])
            started = schedules.runs_of(tx, last.values())
            views = {}
            for key, tick in last.items():
                with self.core.shared.faults.apart(f"the last tick of {titled(key)}"):
                    views[key] = tick_of(tick, started)
            return _Listed(declared, made, mark, views, self._taken(tx, made))

        found = _Listed({}, [], None, {}, set()) if nothing else await self.runner.read(query)
        views = [self._of_declared(one, row, found.last.get(one)) for one, row in sorted(found.declared.items())]
        for one in found.made:
            with self.core.shared.faults.apart(made_schedules.title_of(one)):
                views.append(self._of_made(one, found.last.get((one.app_name, one.id)), found.taken))
        return Page(items=tuple(views), next_cursor=None if found.mark is None else found.mark.removeprefix(MADE))

    async def get(self, app_name: str, name: str, user_id: str | None = None) -> ScheduleDetail:
        """Return one schedule with its newest ticks: that of the user if one is named, else the declared one.

        Without both, the only one of that name. Raises ScheduleNotFound, InvalidArgs where several users have one, NoAccess for
        a declared one with a runner of one user.
        """
        made = await self._made(app_name, name, user_id)
        return await (self._declared_detail(app_name, name) if made is None else self._made_detail(made))

    async def pause(self, app_name: str, name: str, paused: bool, user_id: str | None = None) -> ScheduleView:
        """Pause or resume a schedule, and return it. Raises as `get`."""
        made = await self._made(app_name, name, user_id)
        if made is None:
            await self.scheduler.pause(app_name, name, paused)
        else:
            own = self.runner.schedules
            await (own.pause if paused else own.resume)(name, app_name=app_name, user_id=made.user_id)
        return await self.view(app_name, name, user_id)

    async def view(self, app_name: str, name: str, user_id: str | None = None) -> ScheduleView:
        """Return the schedule as lists have it. Raises as `get`."""
        detail = await self.get(app_name, name, user_id)
        return ScheduleView(**{field: getattr(detail, field) for field in ScheduleView.model_fields})

    async def fire(self, app_name: str, name: str, key: str | None = None, user_id: str | None = None) -> TickView:
        """Fire the schedule now, and return the tick, fired or refused.

        With a key that has fired before, return that tick. Raises as `get`.
        """
        made = await self._made(app_name, name, user_id)
        if made is not None:
            own = self.runner.schedules
            return await own.fire(name, app_name=app_name, user_id=made.user_id, idempotency_key=key)
        row = await self.scheduler.fire(app_name, name, checked_key(key))
        return await self.runner.read(lambda tx: tick_of(row, schedules.runs_of(tx, [row])))

    async def retry(self, app_name: str, name: str, scheduled_at: datetime, user_id: str | None = None) -> TickView:
        """Run the failed handler of a tick again, or the failed run that the tick started.

        Raises as `get`, RunFinished if nothing of it has failed, WorkflowNotFound if its run is deleted.
        """
        made = await self._made(app_name, name, user_id)
        key = name if made is None else made.id
        wanted = TickRow(app_name, key, to_moment(scheduled_at), 0, "fired", None)
        row = await self.runner.read(lambda tx: schedules.tick(tx, wanted))
        if row is None:
            raise ScheduleNotFound(
                f"Schedule {name!r} of app {app_name!r} has no tick of {scheduled_at.isoformat()} that fired."
            )
        if row.run_id is None:
            raise RunFinished(f"The tick of {scheduled_at.isoformat()} is {row.outcome}: it has no failure to retry.")
        run = await self.core.write(self.core.operations.retry(row.run_id, None), None)
        return tick_of(row, {run.id: schedules.TickRun(run.id, run.internal, run.status)})

    async def made(self, app_name: str, name: str, user_id: str | None = None) -> MadeSchedule:
        """Return a schedule that was made at run time. Raises ScheduleNotFound, InvalidArgs where several users have one."""
        self._check(app_name, name)
        return await self.runner.schedules.row(name, app_name=app_name, user_id=user_id)

    # -- which one --------------------------------------------------------------------------------------------------

    async def _made(self, app_name: str, name: str, user_id: str | None) -> MadeSchedule | None:
        """Return the schedule if it was made at run time; None: a declared one is meant. Raises as `get`."""
        self._check(app_name, name)
        known = user_id is None and await self.runner.read(lambda tx: bool(self._declared(tx, {app_name}, name)))
        if known and self.runner.only is None:
            return None
        try:
            return await self.made(app_name, name, user_id)
        except ScheduleNotFound:
            if known:
                raise NoAccess(
                    f"Schedule {name!r} of app {app_name!r} is declared in its code: it needs access to all users' runs."
                ) from None
            raise

    def _declared(self, tx: Tx, apps: set[str] | None, name: str | None) -> dict[_Name, ScheduleRow | None]:
        """Return those that any process has declared, with their rows."""
        rows: dict[_Name, ScheduleRow | None] = dict.fromkeys(self.scheduler.declared)
        rows |= {(row.app_name, row.name): row for row in schedules.every(tx)}
        return {key: row for key, row in rows.items() if (apps is None or key[0] in apps) and name in (None, key[1])}

    def _check(self, app_name: str, name: str) -> None:
        if self.apps is not None and app_name not in self.apps:
            raise ScheduleNotFound(f"No schedule {name!r} in app {app_name!r}.")

    # -- what is told of it -----------------------------------------------------------------------------------------

    async def _declared_detail(self, app_name: str, name: str) -> ScheduleDetail:
        def query(tx: Tx) -> tuple[ScheduleRow | None, Sequence[TickView]]:
            row = self._declared(tx, {app_name}, name).get((app_name, name))
            return row, self._ticks(tx, (app_name, name), titled((app_name, name)))

        row, ticks = await self.runner.read(query)
        firing = self.scheduler.declared.get((app_name, name))
        view = self._of_declared((app_name, name), row, ticks[0] if ticks else None)
        if row is not None and firing is not None and view.error is None:
            with self.core.shared.faults.apart(titled((app_name, name))):
                ticks = with_missed(ticks, firing.schedule.rule, row.since)
        return ScheduleDetail(**dict(view), ticks=tuple(ticks))

    async def _made_detail(self, made: MadeSchedule) -> ScheduleDetail:
        title = made_schedules.title_of(made)

        def query(tx: Tx) -> tuple[Sequence[TickView], set[_Name]]:
            return self._ticks(tx, (made.app_name, made.id), title), self._taken(tx, [made])

        ticks, taken = await self.runner.read(query)
        view = self._of_made(made, ticks[0] if ticks else None, taken)
        if view.error is None:
            ticks = with_missed(ticks, rule_of(made), made.since)
        return made_detail(view, made, ticks)

    def _ticks(self, tx: Tx, key: _Name, title: str) -> Sequence[TickView]:
        """Return the newest ticks; a tick whose row can't be read is left out."""
        found = schedules.ticks_of(tx, *key, MOST_TICKS)
        started = schedules.runs_of(tx, found)
        views = []
        for row in found:
            with self.core.shared.faults.apart(f"a tick of {title}"):
                views.append(tick_of(row, started))
        return views

    def _of_declared(self, name: _Name, row: ScheduleRow | None, last: TickView | None) -> ScheduleView:
        firing = self.scheduler.declared.get(name)
        schedule = None if firing is None else firing.schedule
        return declared_view(name, schedule, row, last, self._now, self.scheduler.fault(name))

    def _of_made(self, made: MadeSchedule, last: TickView | None, taken: set[_Name]) -> ScheduleView:
        lane = (made.app_name, made.workflow_name)
        here = self._knows(lane)
        lost = None if here or lane in taken else _LOST.format(*reversed(lane))
        fault = self.scheduler.made.fault(made) or lost
        return made_view(made, last, self._now, here=here, fault=fault)

    def _knows(self, lane: _Name) -> bool:
        return self.core.shared.registry.find(*lane) is not None

    def _taken(self, tx: Tx, made: Sequence[MadeSchedule]) -> set[_Name]:
        """Return what live workers take, if a workflow of these isn't known here."""
        if all(self._knows((one.app_name, one.workflow_name)) for one in made):
            return set()
        return {(app, workflow) for worker in workers.all_of(tx) for app, workflow in workers.lanes_of(worker)}

    @property
    def _now(self) -> Moment:
        return self.core.shared.clock.now()


_LOST: Final = (
    "No process that works here or elsewhere has the workflow {0!r} of app {1!r}: start one that has it, or change or delete "
    "the schedule."
)
