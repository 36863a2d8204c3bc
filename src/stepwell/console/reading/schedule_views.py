"""Models of schedules as people see them, and how they are made: of declared ones, and of those made at run time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from stepwell.definition.schedules.schedule_times import NEVER, TickRule, described, newest
from stepwell.engine.run import Moment
from stepwell.errors import DefinitionError
from stepwell.execution.clock import to_datetime
from stepwell.runner.made_rules import rule_of
from stepwell.runner.readable import parsed
from stepwell.runner.schedule_models import TickView
from stepwell.store.made_schedules import MadeSchedule
from stepwell.store.schedules import ScheduleRow
from stepwell.triggers.declare import DeclaredSchedule, StartWorkflow
from stepwell.triggers.handlers import retry_of

_NEXT: Final = 10
MOST_TICKS: Final = 50
_SECOND: Final = 1_000_000


class ScheduleView(BaseModel):
    """A schedule, declared by this process or by another one, or made at run time."""

    model_config = ConfigDict(frozen=True)

    app_name: str
    name: str
    declared: bool = True
    """False: it was made at run time, and can be changed and deleted."""
    user_id: str | None = None
    """The user whose schedule it is; null: it is declared."""
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
    """This process declares it, or knows its workflow: only such a declared schedule can be changed through this process."""
    next: tuple[datetime, ...]
    last: TickView | None
    error: str | None = None
    """The reason why it fires nothing in this process although it should; null: it fires."""


class ScheduleDetail(ScheduleView):
    """A schedule with its newest ticks, newest first. Only of one that was made at run time it has the fields after those."""

    ticks: tuple[TickView, ...]
    args: Any = None
    cron: str | None = None
    """One of `cron`, `every` and `at` is its rule."""
    every: float | None = None
    """Seconds."""
    at: datetime | None = None
    catch_up: float | None = None
    """Seconds."""
    jitter: float | None = None
    """Seconds."""
    created_at: datetime | None = None


def declared_view(
    name: tuple[str, str],
    schedule: DeclaredSchedule | None,
    row: ScheduleRow | None,
    last: TickView | None,
    now: Moment,
    fault: str | None,
) -> ScheduleView:
    """Return the view of a declared schedule; without `schedule`, of one that only other processes declare."""
    action = None if schedule is None else schedule.action
    retry = None if schedule is None else retry_of(schedule)
    ahead, error = ((), None) if schedule is None else _next(schedule.rule, now)
    return ScheduleView(
        app_name=name[0],
        name=name[1],
        rule=described(schedule.rule) if schedule is not None else row.rule if row is not None else "",
        timezone=None if schedule is None else getattr(schedule.rule, "timezone", None),
        workflow=_workflow_name(action.workflow) if isinstance(action, StartWorkflow) else None,
        overlap=None if schedule is None else schedule.overlap,
        misfire=None if schedule is None else schedule.misfire,
        retries=None if retry is None else retry.retries,
        timeout=None if schedule is None or schedule.timeout is None else schedule.timeout.total_seconds(),
        paused=row is not None and bool(row.paused),
        here=schedule is not None,
        next=ahead,
        last=last,
        error=fault or error,
    )


def made_view(row: MadeSchedule, last: TickView | None, now: Moment, *, here: bool, fault: str | None) -> ScheduleView:
    """Return the view of a schedule that was made at run time."""
    try:
        rule: TickRule | None = rule_of(row)
    except DefinitionError as error:
        rule, fault = None, str(error)
    ahead, error_ = ((), None) if rule is None else _next(rule, now)
    return ScheduleView(
        app_name=row.app_name,
        name=row.name,
        declared=False,
        user_id=row.user_id,
        rule=row.cron or "" if rule is None else described(rule),
        timezone=row.timezone if row.cron is not None else None,
        workflow=row.workflow_name,
        overlap=row.overlap,
        misfire=row.misfire,
        paused=bool(row.paused),
        here=here,
        next=ahead,
        last=last,
        error=fault or error_,
    )


def made_detail(view: ScheduleView, row: MadeSchedule, ticks: Sequence[TickView]) -> ScheduleDetail:
    """Return all that is known of a schedule that was made at run time."""
    return ScheduleDetail(
        **dict(view),
        ticks=tuple(ticks),
        args=parsed(row.args),
        cron=row.cron,
        every=None if row.every is None else row.every / _SECOND,
        at=None if row.once is None else to_datetime(row.once),
        catch_up=row.catch_up / _SECOND,
        jitter=row.jitter / _SECOND,
        created_at=to_datetime(row.created_at),
    )


def _next(rule: TickRule, now: Moment) -> tuple[tuple[datetime, ...], str | None]:
    """Return the next ticks, and the reason if they can't be computed."""
    coming: list[datetime] = []
    tick = to_datetime(now)
    try:
        while len(coming) < _NEXT and (tick := rule.after(tick)) != NEVER:
            coming.append(tick.astimezone(UTC))
    except Exception as error:  # noqa: BLE001 - a rule may be the application's code: others must stay visible
        return tuple(coming), f"{type(error).__name__}: {error}"
    return tuple(coming), None


def with_missed(ticks: Sequence[TickView], rule: TickRule, since: Moment) -> Sequence[TickView]:
    """Return the ticks, newest first, with the missed ones between the oldest of them and what is settled."""
    if not ticks:
        return ticks
    known = {tick.scheduled_at for tick in ticks}
    due = newest(rule, min(known), to_datetime(since), MOST_TICKS)
    missed = [
        TickView(scheduled_at=one.astimezone(UTC), fired_at=None, outcome="missed", workflow_id=None, status=None)
        for one in due
        if one not in known
    ]
    return sorted([*ticks, *missed], key=lambda tick: tick.scheduled_at, reverse=True)[:MOST_TICKS]


def _workflow_name(workflow: object) -> str:
    if isinstance(workflow, str):
        return workflow
    name: str = workflow.stepwell_definition.name  # type: ignore[attr-defined]
    return name
