"""The models of schedules made at run time and of ticks: frozen, with JSON values inside and aware datetimes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from stepwell.definition.schedules.schedule_times import NEVER, TickRule, described
from stepwell.engine.run import Moment, Status
from stepwell.errors import DefinitionError
from stepwell.execution.clock import to_datetime
from stepwell.runner.made_rules import rule_of
from stepwell.runner.readable import parsed
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.schedules import TickRow, TickRun


class _ScheduleModel(BaseModel):
    model_config = ConfigDict(frozen=True)


class Schedule(_ScheduleModel):
    """A schedule made at run time, as it stood when it was read."""

    name: str
    """Unique among the schedules of its app and user."""
    app_name: str
    user_id: str
    """The user of the runs that it starts."""
    workflow_name: str
    args: Any
    rule: str
    """In words, as in "0 9 * * * (Europe/Berlin)"."""
    timezone: str
    overlap: str
    misfire: str
    catch_up: timedelta
    jitter: timedelta
    paused: bool
    next: datetime | None
    """The next tick, if it isn't paused meanwhile; None: there is none any more."""
    last: datetime | None
    """The newest tick that has fired, is queued or was refused; None without one."""
    created_at: datetime
    updated_at: datetime


class TickView(_ScheduleModel):
    """The outcome of a tick. `missed`: nothing fired, as the schedule was paused or busy, or no process was running."""

    scheduled_at: datetime
    fired_at: datetime | None
    outcome: Literal["fired", "queued", "refused", "missed"]
    workflow_id: str | None
    """The run that it started; null: none, or its handler decided."""
    status: Status | None
    """The status of its run, or of its handler."""


def schedule_of(row: MadeSchedule, last: TickRow | None, now: Moment) -> Schedule:
    """Return the model of a row. Raises ValueError for one that can't be read."""
    try:
        rule = rule_of(row)
    except DefinitionError:
        rule = None  # it was edited by hand, or its timezone is gone: health checks report that
    return Schedule(
        name=row.name,
        app_name=row.app_name,
        user_id=row.user_id,
        workflow_name=row.workflow_name,
        args=parsed(row.args),
        rule=described(rule) if rule is not None else row.cron or "",
        timezone=row.timezone,
        overlap=row.overlap,
        misfire=row.misfire,
        catch_up=timedelta(microseconds=row.catch_up),
        jitter=timedelta(microseconds=row.jitter),
        paused=bool(row.paused),
        next=None if rule is None else _coming(row, rule, now),
        last=None if last is None else to_datetime(last.scheduled_at),
        created_at=to_datetime(row.created_at),
        updated_at=to_datetime(row.updated_at),
    )


def _coming(row: MadeSchedule, rule: TickRule, now: Moment) -> datetime | None:
    # Jitter may delay a tick that is due by the rule: it is still the next one.
    pending = row.next_at is not None and row.next_at > now
    tick = rule.after(to_datetime(row.since if pending else now))
    return None if tick == NEVER else tick.astimezone(UTC)


def tick_of(row: TickRow, started: Mapping[str, TickRun]) -> TickView:
    """Return the model of a tick, with the status of its run if that is among these."""
    run = started.get(row.run_id or "")
    return TickView(
        scheduled_at=to_datetime(row.scheduled_at),
        fired_at=to_datetime(row.fired_at),
        outcome=row.outcome,
        workflow_id=None if run is not None and run.internal else row.run_id,
        status=None if run is None else run.status,
    )
