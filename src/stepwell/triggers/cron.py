"""When a schedule ticks: pure time arithmetic, without clock and I/O.

A rule is a fixed set of moments. `after` depends on nothing but the moment it is given, so that every process, and the
same process after a restart, sees the same ticks. Cron expressions are evaluated by `cronsim`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final, Protocol
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from stepwell.errors import DefinitionError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SHORTEST_INTERVAL: Final = timedelta(seconds=1)
LONGEST_INTERVAL: Final = timedelta(days=366)

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_FIELDS: Final = {
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31 or L and a day that one of its months has",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT",
}


class Rule(Protocol):
    """A fixed, endless set of moments."""

    def after(self, moment: datetime) -> datetime:
        """The first tick later than `moment` (aware), in the rule's timezone. Equal arguments give equal answers."""
        ...


@dataclass(frozen=True, slots=True)
class CronRule:
    """The ticks of five cron fields, or of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, in a timezone.

    Daylight saving time is treated as Debian's cron treats it:

    - An expression that names its minutes and hours (neither field begins with `*`) ticks at each of them once a day.
      A time that doesn't exist, because the clocks go forward over it, ticks at the first moment that does
      (`30 2 * * *` in Europe/Berlin ticks at 03:00 on that day); several such times become one tick. A time that exists
      twice, because the clocks go back, ticks the first time only.
    - An expression with `*` or `*/n` in the minute or the hour follows the clock as it goes: what the clock skips
      doesn't tick, and what it shows twice ticks twice (`*/15 * * * *` ticks every 15 minutes of real time).

    As in Debian's cron, day-of-month and day-of-week must both match if one of them begins with `*`; else either does.
    Raises DefinitionError with all that is wrong.
    """

    expression: str
    timezone: str = "UTC"
    zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        faults = cron_faults(self.expression, self.timezone)
        if faults:
            raise DefinitionError(f"The cron schedule {self.expression!r}", faults)
        object.__setattr__(self, "zone", ZoneInfo(self.timezone))

    def after(self, moment: datetime) -> datetime:
        """The first tick later than `moment`, aware, in the rule's timezone."""
        since = _aware(moment)
        for tick in CronSim(_five_fields(self.expression), since.astimezone(self.zone)):
            # Inside the repeated hour cronsim may answer with the first passage, which is over: compare in UTC.
            exact = tick.astimezone(UTC)
            if exact > since:
                return exact.astimezone(self.zone)
        raise DefinitionError(f"The cron schedule {self.expression!r}", [_never(self.expression)])


@dataclass(frozen=True, slots=True)
class IntervalRule:
    """A tick every `every`, counted from `anchor` (default: 1970-01-01T00:00Z) and never from the start of a process.

    Real time, whatever a timezone's clocks do; ticks are in UTC. Raises DefinitionError.
    """

    every: timedelta
    anchor: datetime = EPOCH

    def __post_init__(self) -> None:
        faults = interval_faults(self.every, self.anchor)
        if faults:
            raise DefinitionError(f"The interval schedule every={self.every!r}", faults)

    def after(self, moment: datetime) -> datetime:
        """The first tick later than `moment`, in UTC."""
        anchor = self.anchor.astimezone(UTC)
        return anchor + ((_aware(moment) - anchor) // self.every + 1) * self.every


def cron_faults(expression: object, timezone: object) -> list[str]:
    """All that is wrong with a cron expression and its timezone; empty if `CronRule` takes them."""
    return [fault for fault in (_expression_fault(expression), _timezone_fault(timezone)) if fault]


def interval_faults(every: object, anchor: object = EPOCH) -> list[str]:
    """All that is wrong with an interval and its anchor; empty if `IntervalRule` takes them."""
    faults = []
    if not isinstance(every, timedelta) or not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
        faults.append(f"every={every!r} must be a timedelta from 1 second to 366 days, as in timedelta(hours=6).")
    if not isinstance(anchor, datetime) or anchor.tzinfo is None:
        faults.append(f"anchor={anchor!r} must be an aware datetime, as in datetime(2026, 1, 1, tzinfo=UTC).")
    return faults


def _expression_fault(expression: object) -> str | None:
    if not isinstance(expression, str):
        return f"{expression!r} must be a string, as in '0 9 * * *'."
    if expression.strip().startswith("@") and expression.strip().lower() not in ALIASES:
        return f"{expression!r} is unknown: use one of {', '.join(ALIASES)}, or five fields as in '0 9 * * *'."
    fields = _five_fields(expression).split()
    if len(fields) != len(_FIELDS):
        return f"{expression!r} has {len(fields)} fields: use the five of {' '.join(_FIELDS)}, as in '0 9 * * *'."
    try:
        next(CronSim(" ".join(fields), datetime(2000, 1, 1)))
    except StopIteration:
        return _never(expression)
    except (CronSimError, ValueError) as error:
        return _field_fault(expression, str(error))
    return None


def _field_fault(expression: str, message: str) -> str:
    name = message.removeprefix("Bad ")
    if name not in _FIELDS:
        return f"{expression!r} can't be read ({message}): use five fields, as in '0 9 * * *'."
    value = _five_fields(expression).split()[list(_FIELDS).index(name)]
    return f"the {name} {value!r} of {expression!r} must be {_FIELDS[name]}, *, a range a-b, a list a,b or a step */n."


def _timezone_fault(timezone: object) -> str | None:
    if not isinstance(timezone, str):
        return f"the timezone {timezone!r} must be the name of one, as in 'Europe/Berlin' or 'UTC'."
    try:
        ZoneInfo(timezone)
    except (LookupError, ValueError, OSError):
        near = get_close_matches(timezone, available_timezones(), n=3)
        cure = f"did you mean {' or '.join(near)}?" if near else "use an IANA name, as in 'Europe/Berlin' or 'UTC'."
        return f"the timezone {timezone!r} is unknown: {cure}"
    return None


def _never(expression: str) -> str:
    return f"{expression!r} matches no day in 50 years: correct its day-of-month, month or day-of-week."


def _five_fields(expression: str) -> str:
    return ALIASES.get(expression.strip().lower(), expression)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no timezone: give an aware datetime.")
    return moment.astimezone(UTC)
