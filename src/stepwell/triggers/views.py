"""Schedules and deliveries as people look at them and steer them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stepwell.engine.run import Run, Status
from stepwell.errors import DeliveryNotFound, InvalidArgs, RunFinished, ScheduleNotFound
from stepwell.execution.clock import to_datetime, to_moment
from stepwell.runner.core import Core
from stepwell.runner.models import Page
from stepwell.runner.start import checked_key
from stepwell.store import deliveries, runs, schedules
from stepwell.store.deliveries import Handled, Mark
from stepwell.store.schedules import ScheduleRow, TickRow
from stepwell.store.tx import Tx
from stepwell.triggers.declare import StartWorkflow
from stepwell.triggers.due import newest
from stepwell.triggers.firing import Firing, described
from stepwell.triggers.handlers import Triggers
from stepwell.triggers.keyed import TOLD
from stepwell.triggers.scheduler import Scheduler

_NEXT: Final = 10
_TICKS: Final = 50
_Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]
_MARK: Final = TypeAdapter[Mark](tuple[Annotated[int, Field(ge=-(2**63), lt=2**63)], _Text, _Text, _Text])

_Started = Mapping[str, Sequence[str]]
"""By the run of a handler, the runs that it started."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class TickView(_View):
    """What became of a tick. `missed`: nothing fired, for the schedule was paused, busy, or nobody was there."""

    scheduled_at: datetime
    fired_at: datetime | None
    outcome: Literal["fired", "queued", "refused", "missed"]
    workflow_id: str | None
    """What it started; null: nothing, or what its handler decided."""
    status: Status | None
    """Of its run, or of its handler."""


class ScheduleView(_View):
    """A schedule, whether this process declares it or another."""

    app_name: str
    name: str
    rule: str
    timezone: str | None
    """In which the rule is read; null: it has none, or isn't declared here."""
    workflow: str | None
    """What it starts; null: its handler decides."""
    overlap: str | None
    misfire: str | None
    paused: bool
    here: bool
    """This process declares it: only such a one can be steered here."""
    next: tuple[datetime, ...]
    last: TickView | None


class ScheduleDetail(ScheduleView):
    """A schedule with its newest ticks, newest first."""

    ticks: tuple[TickView, ...]


class DeliveryView(_View):
    """A delivery of a webhook and what became of it."""

    app_name: str
    route: str
    path: str | None
    """Where it is served; null: not by this process."""
    delivery_id: str
    received_at: datetime
    status: Status | None
    """Of its handler; null: it ended long ago."""
    attempt: int | None
    error: str | None
    started: tuple[str, ...]
    """The runs that its handler started, in every attempt, or was led to by a key: the first 100, as long as they are kept."""


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of some apps (None: of all)."""

    core: Core
    scheduler: Scheduler
    apps: frozenset[str] | None = None

    async def list(self) -> list[ScheduleView]:
        """All schedules that any process has declared, by app and name."""

        def query(tx: Tx) -> tuple[dict[tuple[str, str], ScheduleRow], dict[tuple[str, str], TickView | None]]:
            rows = {(row.app_name, row.name): row for row in schedules.every(tx)}
            names = [name for name in rows.keys() | self.scheduler.declared.keys() if self._sees(name[0])]
            return rows, {name: next(iter(_ticks(tx, *name, 1)), None) for name in names}

        rows, last = await self.core.store.read(query)
        return [self._view(name, rows.get(name), last[name]) for name in sorted(last)]

    async def get(self, app_name: str, name: str) -> ScheduleDetail:
        """One schedule with its newest ticks. Raises ScheduleNotFound."""

        def query(tx: Tx) -> tuple[ScheduleRow | None, list[TickView]]:
            rows = [row for row in schedules.every(tx) if (row.app_name, row.name) == (app_name, name)]
            return (rows[0] if rows else None), _ticks(tx, app_name, name, _TICKS)

        self._check(app_name, name)
        row, ticks = await self.core.store.read(query)
        firing = self.scheduler.declared.get((app_name, name))
        if row is None and firing is None:
            raise _not_there(app_name, name)
        view = self._view((app_name, name), row, ticks[0] if ticks else None)
        if row is not None and firing is not None:
            ticks = with_missed(ticks, firing, row)
        return ScheduleDetail(**dict(view), ticks=tuple(ticks))

    async def pause(self, app_name: str, name: str, paused: bool) -> ScheduleView:
        """The schedule as it is then. Raises ScheduleNotFound."""
        self._check(app_name, name)
        await self.scheduler.pause(app_name, name, paused)
        detail = await self.get(app_name, name)
        return ScheduleView(**{field: getattr(detail, field) for field in ScheduleView.model_fields})

    async def fire(self, app_name: str, name: str, key: str | None = None) -> TickView:
        """The tick of now, fired or refused, or the one that this key has fired. Raises ScheduleNotFound, InvalidArgs."""
        self._check(app_name, name)
        row = await self.scheduler.fire(app_name, name, checked_key(key))
        return await self.core.store.read(lambda tx: _tick(row, runs.load(tx, _ids([row]))))

    async def retry(self, app_name: str, name: str, scheduled_at: datetime) -> TickView:
        """The handler of a tick that failed runs again, or the run that the tick started.

        Raises ScheduleNotFound, RunFinished if nothing of it has failed, WorkflowNotFound if its run is deleted.
        """
        self._check(app_name, name)
        wanted = TickRow(app_name, name, to_moment(scheduled_at), 0, "fired", None)
        row = await self.core.store.read(lambda tx: schedules.tick(tx, wanted))
        if row is None:
            raise ScheduleNotFound(
                f"Schedule {name!r} of app {app_name!r} has no tick of {scheduled_at.isoformat()} that fired."
            )
        if row.run_id is None:
            raise RunFinished(f"The tick of {scheduled_at.isoformat()} is {row.outcome}: nothing of it has failed.")
        run = await self.core.write(self.core.operations.retry(row.run_id, None), None)
        return _tick(row, {run.id: run})

    def _sees(self, app_name: str) -> bool:
        return self.apps is None or app_name in self.apps

    def _check(self, app_name: str, name: str) -> None:
        if not self._sees(app_name):
            raise _not_there(app_name, name)

    def _view(self, name: tuple[str, str], row: ScheduleRow | None, last: TickView | None) -> ScheduleView:
        firing = self.scheduler.declared.get(name)
        schedule = None if firing is None else firing.schedule
        action = None if schedule is None else schedule.action
        zone = None if schedule is None else getattr(schedule.rule, "timezone", None)
        return ScheduleView(
            app_name=name[0],
            name=name[1],
            rule=described(schedule.rule) if schedule is not None else row.rule if row is not None else "",
            timezone=zone,
            workflow=_workflow_name(action.workflow) if isinstance(action, StartWorkflow) else None,
            overlap=None if schedule is None else schedule.overlap,
            misfire=None if schedule is None else schedule.misfire,
            paused=row is not None and bool(row.paused),
            here=firing is not None,
            next=tuple(self._next(firing)),
            last=last,
        )

    def _next(self, firing: Firing | None) -> Iterator[datetime]:
        if firing is None:
            return
        tick = to_datetime(self.core.shared.clock.now())
        for _ in range(_NEXT):
            tick = firing.schedule.rule.after(tick)
            yield tick.astimezone(UTC)


def with_missed(ticks: list[TickView], firing: Firing, row: ScheduleRow) -> list[TickView]:
    """The ticks, newest first, with those that the rule had between the oldest of them and what is settled."""
    if not ticks:
        return ticks
    known = {tick.scheduled_at for tick in ticks}
    due = newest(firing.schedule.rule, min(known), to_datetime(row.since), _TICKS)
    missed = [
        TickView(scheduled_at=one.astimezone(UTC), fired_at=None, outcome="missed", workflow_id=None, status=None)
        for one in due
        if one not in known
    ]
    return sorted([*ticks, *missed], key=lambda tick: tick.scheduled_at, reverse=True)[:_TICKS]


def _ticks(tx: Tx, app_name: str, name: str, limit: int) -> list[TickView]:
    found = schedules.ticks_of(tx, app_name, name, limit)
    started = runs.load(tx, _ids(found))
    return [_tick(row, started) for row in found]


def _tick(row: TickRow, started: Mapping[str, Run]) -> TickView:
    run = started.get(row.run_id or "")
    return TickView(
        scheduled_at=to_datetime(row.scheduled_at),
        fired_at=to_datetime(row.fired_at),
        outcome=row.outcome,
        workflow_id=None if run is not None and run.internal else row.run_id,
        status=None if run is None else run.status,
    )


def _ids(found: list[TickRow]) -> list[str]:
    return [row.run_id for row in found if row.run_id is not None]


def _workflow_name(workflow: object) -> str:
    if isinstance(workflow, str):
        return workflow
    name: str = workflow.stepwell_definition.name  # type: ignore[attr-defined]
    return name


def _not_there(app_name: str, name: str) -> ScheduleNotFound:
    return ScheduleNotFound(f"No schedule {name!r} in app {app_name!r}.")


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The deliveries to the webhooks of some apps (None: of all)."""

    core: Core
    declared: Mapping[str, Triggers]
    apps: frozenset[str] | None = None

    async def list(
        self,
        *,
        app_name: str | None = None,
        route: str | None = None,
        status: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[DeliveryView]:
        """A page of deliveries, the newest first. Raises InvalidArgs for a cursor that is none."""
        before = None if cursor is None else _mark(cursor)
        apps = self.apps if app_name is None else {app_name} & ({app_name} if self.apps is None else self.apps)

        def query(tx: Tx) -> tuple[Sequence[Handled], Mark | None, _Started]:
            listed = None if apps is None else sorted(apps)
            found, mark = deliveries.newest(tx, limit, before, apps=listed, route=route, status=status)
            return found, mark, self._started(tx, [one.run_id for one in found])

        found, mark, started = await self.core.store.read(query)
        items = tuple(self._view(one, started) for one in found)
        return Page(items=items, next_cursor=None if mark is None else _cursor(mark))

    async def redrive(self, app_name: str, route: str, delivery_id: str) -> DeliveryView:
        """The handler of a delivery that failed runs again. Raises DeliveryNotFound, RunFinished."""
        known = await self.core.store.read(lambda tx: deliveries.find(tx, app_name, route, delivery_id))
        if known is None or (self.apps is not None and app_name not in self.apps):
            raise DeliveryNotFound(f"No delivery {delivery_id!r} of webhook {route!r} in app {app_name!r}.")
        run = await self.core.write(self.core.operations.retry(known.run_id, None), None)
        started = await self.core.store.read(lambda tx: self._started(tx, [run.id]))
        return self._view(Handled(*known, run.status, run.attempt, run.error), started)

    def _started(self, tx: Tx, handlers: Sequence[str]) -> _Started:
        return deliveries.started(tx, handlers, None if self.apps is None else sorted(self.apps), TOLD)

    def _view(self, one: Handled, started: _Started) -> DeliveryView:
        app = self.declared.get(one.app_name)
        paths = [route.path for route in app.webhooks if route.name == one.route] if app is not None else []
        return DeliveryView(
            app_name=one.app_name,
            route=one.route,
            path=paths[0] if paths else None,
            delivery_id=one.delivery_id,
            received_at=to_datetime(one.received_at),
            status=one.status,
            attempt=one.attempt,
            error=one.error,
            started=tuple(started.get(one.run_id, ())),
        )


def _cursor(mark: Mark) -> str:
    return urlsafe_b64encode(json.dumps(mark).encode()).decode()


def _mark(cursor: str) -> Mark:
    try:
        return _MARK.validate_json(urlsafe_b64decode(cursor))
    except ValueError as error:
        raise InvalidArgs(
            f"cursor={cursor[:80]!r}: give the next_cursor of the page before, or leave it out."
        ) from error
