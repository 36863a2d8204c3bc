"""The ticks of schedules: pure time arithmetic, without clock and I/O.

A rule is a fixed set of moments, endless but for `OnceRule`. `after` depends on nothing but the moment it is given, so
that every process, and the same process after a restart, sees the same ticks. Cron expressions are evaluated by
`cronsim`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from difflib import get_close_matches
from hashlib import sha256
from typing import Final, Literal, Protocol
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from stepwell.definition.schedules.cron_fields import CRON_FIELDS, idle_steps, unreadable
from stepwell.definition.values.misfit import shown
from stepwell.errors import DefinitionError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEVER: Final = datetime.max.replace(tzinfo=UTC)
"""The tick after the last one of a rule that ends."""
SHORTEST_INTERVAL: Final = timedelta(seconds=1)
LONGEST_INTERVAL: Final = timedelta(days=366)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class TickRule(Protocol):
    """A fixed set of moments."""

    def after(self, moment: datetime) -> datetime:
        """Return the first tick later than `moment` (aware), in the rule's timezone; `NEVER` after the last one.

        The same for the same moment.
        """
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
        """Return the first tick later than `moment`, aware, in the rule's timezone."""
        since = _aware(moment)
        for tick in CronSim(_five_fields(self.expression), since.astimezone(self.zone)):
            # Inside the repeated hour cronsim may answer with the first passage, which is over: compare in UTC.
            exact = tick.astimezone(UTC)
            if exact > since:
                return self._unskipped(since, exact).astimezone(self.zone)
        raise DefinitionError(f"The cron schedule {self.expression!r}", [_never(self.expression)])

    def _unskipped(self, since: datetime, tick: datetime) -> datetime:
        """Return the tick, or an earlier one that cronsim skips in hours where clocks change by a part of an hour."""
        fields = _five_fields(self.expression).split()
        change = _odd_change(self.zone, max(since - _HOUR, tick - _DAY), tick)
        if change is None or not any(one.startswith("*") for one in fields[:2]):
            return tick
        # From there on, by the new offset alone: nothing changes before the tick.
        offset = change.astimezone(self.zone).utcoffset() or timedelta(0)
        before = max(change - timedelta(seconds=1), since).astimezone(timezone(offset))
        return min(next(CronSim(" ".join(fields), before)).astimezone(UTC), tick)


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
        """Return the first tick later than `moment`, in UTC."""
        anchor = self.anchor.astimezone(UTC)
        return anchor + ((_aware(moment) - anchor) // self.every + 1) * self.every


@dataclass(frozen=True, slots=True)
class OnceRule:
    """One tick, at a moment; after it comes `NEVER`."""

    at: datetime

    def after(self, moment: datetime) -> datetime:
        """Return the tick, in UTC, or `NEVER` if it isn't later than `moment`."""
        at = _aware(self.at)
        return at if _aware(moment) < at else NEVER


def described(rule: TickRule) -> str:
    """Return the rule in one line, as the database keeps it: another text is another rule."""
    match rule:
        case CronRule(expression, timezone):
            return f"{expression} ({timezone})"
        case IntervalRule(every, anchor):
            return f"every {every} from {anchor.isoformat()}"
        case OnceRule(at):
            return f"at {at.isoformat()}"
        case _:
            return repr(rule)


def cron_faults(expression: object, timezone: object) -> list[str]:
    """Return all faults of a cron expression and its timezone; empty if `CronRule` takes them."""
    zone = _timezone_fault(timezone)
    return [*_expression_faults(expression), *([zone] if zone else ())]


def interval_faults(every: object, anchor: object = EPOCH) -> list[str]:
    """Return all faults of an interval and its anchor; empty if `IntervalRule` takes them."""
    faults = []
    if not isinstance(every, timedelta) or not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL:
        faults.append(f"every={every!r} must be a timedelta from 1 second to 366 days, as in timedelta(hours=6).")
    if not isinstance(anchor, datetime) or anchor.tzinfo is None:
        faults.append(f"anchor={anchor!r} must be an aware datetime, as in datetime(2026, 1, 1, tzinfo=UTC).")
    return faults


def _expression_faults(expression: object) -> list[str]:
    if not isinstance(expression, str):
        return [f"{shown(expression)} must be a string, as in '0 9 * * *'."]
    if expression.strip().startswith("@") and expression.strip().lower() not in ALIASES:
        return [f"{shown(expression)} is unknown: use one of {', '.join(ALIASES)}, or five fields as in '0 9 * * *'."]
    fields = _five_fields(expression).split()
    if len(fields) != len(CRON_FIELDS):
        names = " ".join(one.name for one in CRON_FIELDS)
        return [f"{shown(expression)} has {len(fields)} fields: use the five of {names}, as in '0 9 * * *'."]
    try:
        cron = CronSim(" ".join(fields), datetime(2000, 1, 1))
    except (CronSimError, ValueError) as error:
        name = str(error).removeprefix("Bad ")
        if all(one.name != name for one in CRON_FIELDS):
            return [f"{shown(expression)} can't be read ({error}): use five fields, as in '0 9 * * *'."]
        return [unreadable(expression, fields, name)]
    return [*idle_steps(expression, fields)] or ([] if next(cron, None) else [_never(expression)])


def _timezone_fault(timezone: object) -> str | None:
    if not isinstance(timezone, str):
        return f"the timezone {shown(timezone)} must be the name of one, as in 'Europe/Berlin' or 'UTC'."
    try:
        ZoneInfo(timezone)
    except (LookupError, ValueError, OSError):
        near = get_close_matches(timezone, available_timezones(), n=3)
        cure = f"did you mean {' or '.join(near)}?" if near else "use an IANA name, as in 'Europe/Berlin' or 'UTC'."
        return f"the timezone {shown(timezone)} is unknown: {cure}"
    return None


def _never(expression: str) -> str:
    return f"{expression!r} matches no day within 50 years: correct its day-of-month, month or day-of-week."


def _odd_change(zone: ZoneInfo, since: datetime, until: datetime) -> datetime | None:
    """Return the moment after `since` when the zone's clocks changed by other than whole hours (as on Lord Howe Island)."""
    before, after = (moment.astimezone(zone).utcoffset() or timedelta(0) for moment in (since, until))
    if not (after - before) % _HOUR:
        return None
    while until - since > timedelta(seconds=1):
        middle = since + (until - since) // 2
        if middle.astimezone(zone).utcoffset() == before:
            since = middle
        else:
            until = middle
    return until.replace(microsecond=0)


def _five_fields(expression: str) -> str:
    return ALIASES.get(expression.strip().lower(), expression)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no timezone: give an aware datetime.")
    return moment.astimezone(UTC)


Misfire = Literal["latest", "all", "skip"]

ON_TIME: Final = timedelta(seconds=60)
"""The lateness up to which a tick is on time: a busy process or a slow poll isn't a misfire."""

MOST_AT_ONCE: Final = 1000

_WALK: Final = timedelta(hours=1)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """The decision of one look at a schedule."""

    fire: tuple[datetime, ...]
    """Ticks to fire now, oldest first, in the rule's timezone, without jitter."""
    skipped: int
    """Ticks that came due and will not fire, counted among the newest `limit`."""
    last: datetime
    """The newest tick that is settled, fired or skipped (UTC): the `last` of the next look."""
    next: datetime
    """The first tick that isn't settled yet, in the rule's timezone."""
    wake: datetime
    """The moment at which `next` fires: the tick plus its jitter. Nothing comes due before."""


def due_ticks(
    rule: TickRule,
    last: datetime,
    now: datetime,
    misfire: Misfire,
    catch_up: timedelta,
    limit: int = MOST_AT_ONCE,
    *,
    schedule: str = "",
    jitter: timedelta = timedelta(0),
) -> Due:
    """Settle every tick later than `last` that is due at `now`. No later look, at any time, settles it again.

    `last` is the newest tick settled before, or the moment at which the schedule was seen first.

    - "latest": the newest tick fires, if it is at most `catch_up` late.
    - "all": every tick that is at most `catch_up` late fires, the newest `limit` of them.
    - "skip": the newest tick fires if it is on time (at most `ON_TIME`, 60 s, late).

    A tick that is on time is never too old, however small `catch_up`. A clock that was set back settles nothing.
    """
    since, now = last.astimezone(UTC), now.astimezone(UTC)
    due = newest(rule, since, now, limit + 1)
    if due and fires_at(rule, schedule, due[-1], jitter) > now:
        due = due[:-1]
    due = due[-limit:]
    span = ON_TIME if misfire == "skip" else max(catch_up, ON_TIME)
    oldest = now - span if span < now - _FIRST else _FIRST  # the earliest possible moment, where it reaches beyond
    recent = tuple(tick for tick in due if fires_at(rule, schedule, tick, jitter) >= oldest)
    fire = recent if misfire == "all" else recent[-1:]
    settled = due[-1].astimezone(UTC) if due else since
    upcoming = rule.after(settled)
    return Due(fire, len(due) - len(fire), settled, upcoming, fires_at(rule, schedule, upcoming, jitter))


def fires_at(rule: TickRule, schedule: str, scheduled_at: datetime, jitter: timedelta) -> datetime:
    """Return when a tick fires: `scheduled_at` plus its share of `jitter`, the same in every process and after restarts.

    The share comes from a hash of the schedule's name and the tick. It never reaches the next tick, so that ticks fire
    in order also if `jitter` is longer than their distance. In the timezone of `scheduled_at`.
    """
    if not jitter:
        return scheduled_at
    exact = scheduled_at.astimezone(UTC)
    room = min(jitter, rule.after(exact).astimezone(UTC) - exact)
    digest = sha256(f"{schedule}\0{exact.isoformat()}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32  # from 0.0 to below 1.0
    return (exact + room * share).astimezone(scheduled_at.tzinfo)


def newest(rule: TickRule, since: datetime, until: datetime, count: int) -> tuple[datetime, ...]:
    """Return the newest `count` ticks in (since, until], oldest first, by bisection from the newer end."""
    if count <= 0 or rule.after(since) > until:
        return ()
    if until - since <= _WALK:
        return tuple(_walk(rule, since, until))[-count:]
    middle = since + (until - since) / 2
    newer = newest(rule, middle, until, count)
    return newest(rule, since, middle, count - len(newer)) + newer


def _walk(rule: TickRule, since: datetime, until: datetime) -> Iterator[datetime]:
    tick = rule.after(since)
    while tick <= until:
        yield tick
        tick = rule.after(tick)
