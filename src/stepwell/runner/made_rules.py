"""The arguments of schedules made at run time: checked before anything is stored, and in the form in which they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypedDict

from stepwell.definition.schedules import policy
from stepwell.definition.schedules.policy import CATCH_UP, NO_JITTER, Overlap, late_faults
from stepwell.definition.schedules.schedule_times import (
    NEVER,
    CronRule,
    IntervalRule,
    Misfire,
    OnceRule,
    TickRule,
    cron_faults,
    fires_at,
    interval_faults,
)
from stepwell.definition.values.misfit import shown
from stepwell.engine.run import Moment
from stepwell.errors import DefinitionError, InvalidArgs
from stepwell.execution.clock import microseconds, to_datetime, to_moment
from stepwell.store.made_schedules import MadeSchedule

LONGEST_SPAN: Final = timedelta(days=366 * 1000)
"""The longest `catch_up` and `jitter`: not far beyond it there is no date."""
RULES: Final = ("cron", "every", "at")

Fault = tuple[str, str]
"""The parameter, and what is wrong with it."""


class ScheduleChanges(TypedDict, total=False):
    """The keywords of `runner.schedules.update`."""

    workflow: Any
    args: Any
    cron: str | None
    every: timedelta | None
    at: datetime | None
    timezone: str
    overlap: Overlap
    misfire: Misfire
    catch_up: timedelta | None
    jitter: timedelta
    paused: bool


# -- what is given ----------------------------------------------------------------------------------------------------


def refuse(name: object, faults: Iterable[Fault]) -> None:
    """Raise InvalidArgs if there are faults."""
    found = list(faults)
    if found:
        text = "; ".join(message.rstrip(".") for _, message in found)
        errors = [{"loc": (where,), "msg": message, "type": "schedule"} for where, message in found]
        raise InvalidArgs(f"The schedule {shown(name)} can't be stored: {text}.", errors)


def name_faults(name: object) -> list[Fault]:
    """Return what is wrong with the name of a schedule."""
    return [("name", fault) for fault in policy.name_faults(name)]


def rule_faults(given: Mapping[str, Any], now: Moment) -> list[Fault]:
    """Return what is wrong with the rule: exactly one of `cron`, `every` and `at`, and `timezone` with `cron` only."""
    chosen = [one for one in RULES if given.get(one) is not None]
    if len(chosen) != 1:
        those = " and ".join(f"{one}=" for one in chosen) or "none of them"
        return [(chosen[-1] if chosen else "cron", f"give one of cron=, every= and at=, not {those}.")]
    timezone = given.get("timezone", "UTC")
    if chosen == ["cron"]:
        return [
            ("cron" if "timezone" not in fault else "timezone", fault) for fault in cron_faults(given["cron"], timezone)
        ]
    faults = [("every", fault) for fault in interval_faults(given["every"])] if chosen == ["every"] else []
    faults += _at_faults(given["at"], now) if chosen == ["at"] else []
    if timezone != "UTC":
        faults.append(
            ("timezone", f"timezone={timezone!r} does nothing with {chosen[0]}=: leave it out, or give cron=.")
        )
    return faults


def _at_faults(at: object, now: Moment) -> list[Fault]:
    if not isinstance(at, datetime) or at.tzinfo is None:
        return [("at", f"at={at!r} must be an aware datetime, as in datetime.now(UTC) + timedelta(hours=1).")]
    if to_moment(at) <= now:
        return [("at", f"at={at.isoformat()} is in the past: it is {to_datetime(now).isoformat()}.")]
    return []


def option_faults(given: Mapping[str, Any]) -> list[Fault]:
    """Return what is wrong with the options that every rule takes."""
    catch_up, jitter = given.get("catch_up"), given.get("jitter", NO_JITTER)
    texts = late_faults(given.get("overlap", "skip"), given.get("misfire", "latest"), catch_up, jitter)
    faults = [(text.partition("=")[0], text) for text in texts]
    faults += [
        (name, f"{name}={value!r} must be at most {LONGEST_SPAN.days} days.")
        for name, value in (("catch_up", catch_up), ("jitter", jitter))
        if isinstance(value, timedelta) and value > LONGEST_SPAN
    ]
    if not isinstance(paused := given.get("paused", False), bool):
        faults.append(("paused", f"paused={paused!r} is neither True nor False."))
    return faults


# -- as it is stored --------------------------------------------------------------------------------------------------


def rule_columns(given: Mapping[str, Any], now: Moment) -> dict[str, Any]:
    """Return the columns of a rule that has no faults; it counts from now."""
    every, at = given.get("every"), given.get("at")
    return {
        "cron": given.get("cron"),
        "every": None if every is None else microseconds(every),
        "anchor": None if every is None else now,
        "once": None if at is None else to_moment(at),
        "timezone": given.get("timezone", "UTC"),
        "since": now,
    }


def changed_rule(before: MadeSchedule, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rule that a change asks for; empty if it leaves the rule as it is."""
    rule = {name: given[name] for name in (*RULES, "timezone") if name in given}
    if all(rule.get(one) is None for one in RULES):
        if any(one in rule for one in RULES):
            return rule  # a rule can't be taken away: that is said where it is checked
        if rule.get("timezone", before.timezone) == before.timezone:
            return {}
        every = None if before.every is None else timedelta(microseconds=before.every)
        rule |= {"cron": before.cron, "every": every, "at": None if before.once is None else to_datetime(before.once)}
    if rule.get("cron") is not None and before.cron is not None:
        rule.setdefault("timezone", before.timezone)
    return rule


def option_columns(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of those options that are given, and have no faults."""
    columns: dict[str, Any] = {name: given[name] for name in ("overlap", "misfire") if name in given}
    if "catch_up" in given:
        columns["catch_up"] = microseconds(CATCH_UP if given["catch_up"] is None else given["catch_up"])
    if "jitter" in given:
        columns["jitter"] = microseconds(given["jitter"])
    return columns


@lru_cache(maxsize=4096)
def _cron(expression: str, timezone: str) -> CronRule:
    return CronRule(expression, timezone)


def rule_of(row: MadeSchedule) -> TickRule:
    """Return the rule of a stored schedule. Raises DefinitionError if it isn't valid (any more)."""
    if row.cron is not None:
        return _cron(row.cron, row.timezone)
    if row.every is not None:
        return IntervalRule(timedelta(microseconds=row.every), to_datetime(row.anchor or 0))
    return OnceRule(to_datetime(row.once or 0))


def timed(row: MadeSchedule) -> MadeSchedule:
    """Return the row with the moment at which its next tick fires; as it is, if its rule isn't valid (any more)."""
    try:
        rule = rule_of(row)
    except DefinitionError:
        return row
    tick = rule.after(to_datetime(row.since))
    if tick == NEVER:
        return row._replace(next_at=None)
    fires = fires_at(rule, f"{row.app_name}:{row.id}", tick, timedelta(microseconds=row.jitter))
    return row._replace(next_at=to_moment(fires))
