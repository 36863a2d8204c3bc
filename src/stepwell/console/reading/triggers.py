"""Schedules and deliveries: views of them, and actions on them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stepwell.engine.run import RunRow, Status
from stepwell.errors import DeliveryNotFound, InvalidArgs, RunFinished, ScheduleNotFound
from stepwell.execution.clock import to_datetime, to_moment
from stepwell.runner.arguments import checked_key
from stepwell.runner.core import Core
from stepwell.runner.models import Page
from stepwell.runner.query import Reader
from stepwell.store import deliveries, runs, schedules
from stepwell.store.deliveries import DeliveryPosition, Handled
from stepwell.store.schedules import ScheduleRow, TickRow
from stepwell.store.tx import Tx
from stepwell.triggers.declare import StartWorkflow
from stepwell.triggers.firing import Firing, described
from stepwell.triggers.handler_runner import TOLD
from stepwell.triggers.handlers import Triggers, retry_of
from stepwell.triggers.schedule_times import newest
from stepwell.triggers.scheduler import Scheduler, titled

_NEXT: Final = 10
_TICKS: Final = 50
_Text = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00]*$")]
_MARK: Final = TypeAdapter[DeliveryPosition](tuple[Annotated[int, Field(ge=-(2**63), lt=2**63)], _Text, _Text, _Text])

_Started = Mapping[str, Sequence[str]]
"""The runs that the run of a handler started, by its id."""


class _TriggerView(BaseModel):
    model_config = ConfigDict(frozen=True)


class TickView(_TriggerView):
    """The outcome of a tick. `missed`: nothing fired, as the schedule was paused or busy, or no process was running."""

    scheduled_at: datetime
    fired_at: datetime | None
    outcome: Literal["fired", "queued", "refused", "missed"]
    workflow_id: str | None
    """The run that it started; null: none, or its handler decided."""
    status: Status | None
    """The status of its run, or of its handler."""


class ScheduleView(_TriggerView):
    """A schedule, declared by this process or by another one."""

    app_name: str
    name: str
    rule: str
    timezone: str | None
    """The time zone of the rule; null: it has none, or the schedule isn't declared in this process."""
    workflow: str | None
    """The workflow that it starts; null: its handler decides."""
    overlap: str | None
    misfire: str | None
    retries: int | None = None
    """The number of retries of its handler; null: it has no handler in this process."""
    timeout: float | None = None
    """The seconds that one attempt of its handler may take; 0: no limit; null: the server's setting, or no handler."""
    paused: bool
    here: bool
    """This process declares it: only such a schedule can be changed through this process."""
    next: tuple[datetime, ...]
    last: TickView | None
    error: str | None = None
    """The reason why it fires nothing in this process although it should; null: it fires."""


class ScheduleDetail(ScheduleView):
    """A schedule with its newest ticks, newest first."""

    ticks: tuple[TickView, ...]


class DeliveryView(_TriggerView):
    """A delivery to a webhook, and its outcome."""

    app_name: str
    route: str
    path: str | None
    """The path at which it is served; null: not by this process."""
    delivery_id: str
    received_at: datetime
    status: Status | None
    """The status of its handler; null: the handler ended long ago."""
    attempt: int | None
    error: str | None
    started: tuple[str, ...]
    """The runs that its handler started, in any attempt, or found by a key: the first 100, as long as they are kept."""


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules of some apps (None: of all)."""

    reader: Reader
    scheduler: Scheduler
    apps: frozenset[str] | None = None

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError unless the Stepwell is open."""
        return self.reader.core

    async def list(self) -> Sequence[ScheduleView]:
        """Return all schedules that any process has declared, by app and name."""

        def query(tx: Tx) -> tuple[dict[tuple[str, str], ScheduleRow], dict[tuple[str, str], TickView | None]]:
            rows = {(row.app_name, row.name): row for row in schedules.every(tx)}
            names = [name for name in rows.keys() | self.scheduler.declared.keys() if self._sees(name[0])]
            return rows, {name: next(iter(self._ticks(tx, *name, 1)), None) for name in names}

        rows, last = await self.reader.read(query)
        return [self._view(name, rows.get(name), last[name]) for name in sorted(last)]

    async def get(self, app_name: str, name: str) -> ScheduleDetail:
        """Return one schedule with its newest ticks. Raises ScheduleNotFound."""

        def query(tx: Tx) -> tuple[ScheduleRow | None, Sequence[TickView]]:
            rows = [row for row in schedules.every(tx) if (row.app_name, row.name) == (app_name, name)]
            return (rows[0] if rows else None), self._ticks(tx, app_name, name, _TICKS)

        self._check(app_name, name)
        row, ticks = await self.reader.read(query)
        firing = self.scheduler.declared.get((app_name, name))
        if row is None and firing is None:
            raise _not_there(app_name, name)
        view = self._view((app_name, name), row, ticks[0] if ticks else None)
        if row is not None and firing is not None and view.error is None:
            with self.core.shared.faults.apart(titled((app_name, name))):
                ticks = with_missed(ticks, firing, row)
        return ScheduleDetail(**dict(view), ticks=tuple(ticks))

    async def pause(self, app_name: str, name: str, paused: bool) -> ScheduleView:
        """Pause or resume a schedule, and return it. Raises ScheduleNotFound."""
        self._check(app_name, name)
        await self.scheduler.pause(app_name, name, paused)
        detail = await self.get(app_name, name)
        return ScheduleView(**{field: getattr(detail, field) for field in ScheduleView.model_fields})

    async def fire(self, app_name: str, name: str, key: str | None = None) -> TickView:
        """Fire the schedule now, and return the tick, fired or refused.

        With a key that has fired before, return that tick. Raises ScheduleNotFound, InvalidArgs.
        """
        self._check(app_name, name)
        row = await self.scheduler.fire(app_name, name, checked_key(key))
        return await self.reader.read(lambda tx: _tick(row, runs.load(tx, _ids([row]))))

    async def retry(self, app_name: str, name: str, scheduled_at: datetime) -> TickView:
        """Run the failed handler of a tick again, or the failed run that the tick started.

        Raises ScheduleNotFound, RunFinished if nothing of it has failed, WorkflowNotFound if its run is deleted.
        """
        self._check(app_name, name)
        wanted = TickRow(app_name, name, to_moment(scheduled_at), 0, "fired", None)
        row = await self.reader.read(lambda tx: schedules.tick(tx, wanted))
        if row is None:
            raise ScheduleNotFound(
                f"Schedule {name!r} of app {app_name!r} has no tick of {scheduled_at.isoformat()} that fired."
            )
        if row.run_id is None:
            raise RunFinished(f"The tick of {scheduled_at.isoformat()} is {row.outcome}: it has no failure to retry.")
        run = await self.core.write(self.core.operations.retry(row.run_id, None), None)
        return _tick(row, {run.id: run})

    def _sees(self, app_name: str) -> bool:
        return self.apps is None or app_name in self.apps

    def _check(self, app_name: str, name: str) -> None:
        if not self._sees(app_name):
            raise _not_there(app_name, name)

    def _ticks(self, tx: Tx, app_name: str, name: str, limit: int) -> Sequence[TickView]:
        """Return the newest ticks; a tick whose row can't be read is left out."""
        found = schedules.ticks_of(tx, app_name, name, limit)
        started = runs.load(tx, _ids(found))
        views = []
        for row in found:
            with self.core.shared.faults.apart(f"a tick of {titled((app_name, name))}"):
                views.append(_tick(row, started))
        return views

    def _view(self, name: tuple[str, str], row: ScheduleRow | None, last: TickView | None) -> ScheduleView:
        firing = self.scheduler.declared.get(name)
        schedule = None if firing is None else firing.schedule
        action = None if schedule is None else schedule.action
        zone = None if schedule is None else getattr(schedule.rule, "timezone", None)
        retry = None if schedule is None else retry_of(schedule)
        coming, error = self._next(firing)
        return ScheduleView(
            app_name=name[0],
            name=name[1],
            rule=described(schedule.rule) if schedule is not None else row.rule if row is not None else "",
            timezone=zone,
            workflow=_workflow_name(action.workflow) if isinstance(action, StartWorkflow) else None,
            overlap=None if schedule is None else schedule.overlap,
            misfire=None if schedule is None else schedule.misfire,
            retries=None if retry is None else retry.retries,
            timeout=None if schedule is None or schedule.timeout is None else schedule.timeout.total_seconds(),
            paused=row is not None and bool(row.paused),
            here=firing is not None,
            next=coming,
            last=last,
            error=self.scheduler.fault(name) or error,
        )

    def _next(self, firing: Firing | None) -> tuple[tuple[datetime, ...], str | None]:
        """Return the next ticks, and the reason if they can't be computed."""
        coming: list[datetime] = []
        if firing is None:
            return (), None
        tick = to_datetime(self.core.shared.clock.now())
        try:
            for _ in range(_NEXT):
                tick = firing.schedule.rule.after(tick)
                coming.append(tick.astimezone(UTC))
        except Exception as error:  # noqa: BLE001 - a rule may be the application's code: others must stay visible
            return tuple(coming), f"{type(error).__name__}: {error}"
        return tuple(coming), None


def with_missed(ticks: Sequence[TickView], firing: Firing, row: ScheduleRow) -> Sequence[TickView]:
    """Return the ticks, newest first, with the missed ones between the oldest of them and what is settled."""
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


def _tick(row: TickRow, started: Mapping[str, RunRow]) -> TickView:
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

    reader: Reader
    declared: Mapping[str, Triggers]
    apps: frozenset[str] | None = None

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError unless the Stepwell is open."""
        return self.reader.core

    async def list(
        self,
        *,
        app_name: str | None = None,
        route: str | None = None,
        status: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[DeliveryView]:
        """Return a page of deliveries, the newest first. Raises InvalidArgs for an invalid cursor."""
        before = None if cursor is None else _mark(cursor)
        apps = self.apps if app_name is None else {app_name} & ({app_name} if self.apps is None else self.apps)

        def query(tx: Tx) -> tuple[Sequence[Handled], DeliveryPosition | None, _Started]:
            listed = None if apps is None else sorted(apps)
            found, mark = deliveries.newest(tx, limit, before, apps=listed, route=route, status=status)
            return found, mark, self._started(tx, [one.run_id for one in found])

        found, mark, started = await self.reader.read(query)
        cursor = None if mark is None else urlsafe_b64encode(json.dumps(mark).encode()).decode()
        items = []
        for one in found:
            with self.core.shared.faults.apart(f"delivery {one.delivery_id!r} of webhook {one.route!r}"):
                items.append(self._view(one, started))
        return Page(items=tuple(items), next_cursor=cursor)

    async def redrive(self, app_name: str, route: str, delivery_id: str) -> DeliveryView:
        """Run the handler of a failed delivery again. Raises DeliveryNotFound, RunFinished."""
        known = await self.reader.read(lambda tx: deliveries.find(tx, app_name, route, delivery_id))
        if known is None or (self.apps is not None and app_name not in self.apps):
            raise DeliveryNotFound(f"No delivery {delivery_id!r} of webhook {route!r} in app {app_name!r}.")
        run = await self.core.write(self.core.operations.retry(known.run_id, None), None)
        started = await self.reader.read(lambda tx: self._started(tx, [run.id]))
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


def _mark(cursor: str) -> DeliveryPosition:
    try:
        return _MARK.validate_json(urlsafe_b64decode(cursor))
    except ValueError as error:
        raise InvalidArgs(
            f"cursor={cursor[:80]!r} isn't a valid cursor: give the next_cursor of the previous page, or leave it out."
        ) from error
