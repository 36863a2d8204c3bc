"""Which ticks fire now: the pure policy for ticks that came due while nobody looked.

The cost is bounded by `limit` and the logarithm of the time slept, never by the number of ticks missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Literal

from stepwell.triggers.cron import Rule

Misfire = Literal["latest", "all", "skip"]

ON_TIME: Final = timedelta(seconds=60)
"""A tick is on time if it is looked at within this span: a busy process or a slow poll is no misfire."""

MOST_AT_ONCE: Final = 1000

_WALK: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """What one look at a schedule decides."""

    fire: tuple[datetime, ...]
    """Ticks to fire now, oldest first, in the rule's timezone, without jitter."""
    skipped: int
    """Ticks that came due and will not fire, counted among the newest `limit`."""
    last: datetime
    """The newest tick that is settled, fired or skipped (UTC): the `last` of the next look."""
    next: datetime
    """The first tick that isn't settled yet, in the rule's timezone."""
    wake: datetime
    """When `next` fires: the tick plus its jitter. Nothing comes due before."""


def due_ticks(
    rule: Rule,
    last: datetime,
    now: datetime,
    misfire: Misfire,
    catch_up: timedelta,
    limit: int = MOST_AT_ONCE,
    *,
    schedule: str = "",
    jitter: timedelta = timedelta(0),
) -> Due:
    """Settles every tick later than `last` that is due at `now`. No later look, at whatever time, settles it again.

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
    oldest = now - (ON_TIME if misfire == "skip" else max(catch_up, ON_TIME))
    recent = tuple(tick for tick in due if fires_at(rule, schedule, tick, jitter) >= oldest)
    fire = recent if misfire == "all" else recent[-1:]
    settled = due[-1].astimezone(UTC) if due else since
    upcoming = rule.after(settled)
    return Due(fire, len(due) - len(fire), settled, upcoming, fires_at(rule, schedule, upcoming, jitter))


def fires_at(rule: Rule, schedule: str, scheduled_at: datetime, jitter: timedelta) -> datetime:
    """When a tick fires: `scheduled_at` plus its share of `jitter`, the same in every process and after every restart.

    The share comes from a hash of the schedule's name and the tick. It never reaches the next tick, so that ticks fire
    in order also if `jitter` is longer than their distance. In the timezone of `scheduled_at`.
    """
    if not jitter:
        return scheduled_at
    exact = scheduled_at.astimezone(UTC)
    room = min(jitter, rule.after(exact).astimezone(UTC) - exact)
    return (exact + room * _share(schedule, exact)).astimezone(scheduled_at.tzinfo)


def _share(schedule: str, tick: datetime) -> float:
    """A number from 0.0 to below 1.0, of 32 bits."""
    digest = sha256(f"{schedule}\0{tick.isoformat()}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def newest(rule: Rule, since: datetime, until: datetime, count: int) -> tuple[datetime, ...]:
    """The newest `count` ticks in (since, until], oldest first, by bisection from the newer end."""
    if count <= 0 or rule.after(since) > until:
        return ()
    if until - since <= _WALK:
        return tuple(_walk(rule, since, until))[-count:]
    middle = since + (until - since) / 2
    newer = newest(rule, middle, until, count)
    return newest(rule, since, middle, count - len(newer)) + newer


def _walk(rule: Rule, since: datetime, until: datetime) -> Iterator[datetime]:
    tick = rule.after(since)
    while tick <= until:
        yield tick
        tick = rule.after(tick)
