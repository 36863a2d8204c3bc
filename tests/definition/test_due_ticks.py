"""Which ticks fire: once each, never too old, and at a cost that doesn't grow with the time slept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.definition.schedules.schedule_times import (
    MOST_AT_ONCE,
    ON_TIME,
    CronRule,
    Due,
    IntervalRule,
    Misfire,
    TickRule,
    due_ticks,
    fires_at,
)

MINUTELY = CronRule("* * * * *")
HOURLY = CronRule("0 * * * *", "Europe/Berlin")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

POLICIES = st.sampled_from(get_args(Misfire))
RULES = st.one_of(
    st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *"]).map(
        lambda text: CronRule(text, "Europe/Berlin")
    ),
    st.timedeltas(timedelta(seconds=20), timedelta(hours=3)).map(IntervalRule),
)
GAPS = st.lists(st.timedeltas(timedelta(0), timedelta(hours=5)), min_size=1, max_size=4)


@dataclass
class Counted:
    """A rule that counts how often it was asked."""

    rule: TickRule
    asked: int = field(default=0)

    def after(self, moment: datetime) -> datetime:
        self.asked += 1
        return self.rule.after(moment)


def minutes(due: Due) -> list[int]:
    return [round((tick - NOON) / MINUTE) for tick in due.fire]


def test_nothing_is_due_before_its_time() -> None:
    due = due_ticks(HOURLY, NOON, NOON + 59 * MINUTE, "latest", DAY)
    assert (due.fire, due.skipped, due.last) == ((), 0, NOON)
    assert due.next == due.wake == NOON + 60 * MINUTE


def test_a_tick_is_due_at_its_moment_and_then_settled() -> None:
    due = due_ticks(HOURLY, NOON, NOON + 60 * MINUTE, "latest", DAY)
    assert due.fire == (NOON + 60 * MINUTE,)
    assert due.last == NOON + 60 * MINUTE
    assert str(due.fire[0].tzinfo) == "Europe/Berlin"
    assert due_ticks(HOURLY, due.last, NOON + 60 * MINUTE, "latest", DAY).fire == ()


@pytest.mark.parametrize(
    ("misfire", "late", "catch_up", "fired", "skipped"),
    [
        ("latest", timedelta(minutes=5), DAY, [5], 4),
        ("latest", timedelta(minutes=5, seconds=50), timedelta(0), [5], 4),
        ("all", timedelta(minutes=5), DAY, [1, 2, 3, 4, 5], 0),
        ("all", timedelta(minutes=5), timedelta(minutes=2), [3, 4, 5], 2),
        ("all", timedelta(minutes=5, seconds=30), timedelta(0), [5], 4),
        ("skip", timedelta(minutes=5, seconds=30), DAY, [5], 4),
    ],
)
def test_ticks_missed_while_nobody_looked(
    misfire: Misfire, late: timedelta, catch_up: timedelta, fired: list[int], skipped: int
) -> None:
    due = due_ticks(MINUTELY, NOON, NOON + late, misfire, catch_up)
    assert (minutes(due), due.skipped) == (fired, skipped)
    assert due.next == NOON + 6 * MINUTE


@pytest.mark.parametrize(
    ("misfire", "late", "fires"),
    [
        ("latest", timedelta(hours=2), True),
        ("latest", timedelta(hours=2, seconds=1), False),
        ("all", timedelta(hours=2), True),
        ("all", timedelta(hours=2, seconds=1), False),
        ("skip", ON_TIME, True),
        ("skip", ON_TIME + SECOND, False),
    ],
)
def test_how_late_a_tick_may_be(misfire: Misfire, late: timedelta, fires: bool) -> None:
    daily = CronRule("0 12 * * *")
    due = due_ticks(daily, NOON - DAY, NOON + late, misfire, timedelta(hours=2))
    assert due.fire == ((NOON,) if fires else ())
    assert due.skipped == (0 if fires else 1)
    assert (due.last, due.next) == (NOON, NOON + DAY)


def test_all_is_bounded_and_drops_the_oldest() -> None:
    due = due_ticks(MINUTELY, NOON, NOON + 10 * MINUTE, "all", DAY, limit=3)
    assert minutes(due) == [8, 9, 10]
    assert due_ticks(MINUTELY, NOON, NOON + 30 * DAY, "all", 30 * DAY).fire[-1] == NOON + 30 * DAY
    assert len(due_ticks(MINUTELY, NOON, NOON + 30 * DAY, "all", 30 * DAY).fire) == MOST_AT_ONCE


@pytest.mark.parametrize("misfire", get_args(Misfire))
@pytest.mark.parametrize("slept", [30 * DAY, 3650 * DAY])
@pytest.mark.parametrize("rule", [MINUTELY, IntervalRule(SECOND), CronRule("* * 1 1 *"), CronRule("0 0 29 2 *")])
def test_the_work_after_a_long_sleep_is_bounded(misfire: Misfire, slept: timedelta, rule: TickRule) -> None:
    counted = Counted(rule)
    due_ticks(counted, NOON - slept, NOON, misfire, slept, jitter=MINUTE)
    assert counted.asked < 8 * MOST_AT_ONCE


def test_a_clock_that_was_set_back_fires_nothing_twice() -> None:
    due = due_ticks(HOURLY, NOON, NOON - 5 * timedelta(hours=1), "all", DAY)
    assert (due.fire, due.last, due.next) == ((), NOON, NOON + 60 * MINUTE)


@settings(max_examples=40)
@given(rule=RULES, gaps=GAPS, misfire=POLICIES, jitter=st.timedeltas(timedelta(0), timedelta(hours=2)))
def test_each_tick_is_settled_once_and_in_order(
    rule: TickRule, gaps: list[timedelta], misfire: Misfire, jitter: timedelta
) -> None:
    last, now = NOON, NOON
    fired: list[datetime] = []
    settled = 0
    for gap in gaps:
        now += gap
        due = due_ticks(rule, last, now, misfire, DAY, 100_000, schedule="s", jitter=jitter)
        assert all(fires_at(rule, "s", tick, jitter) <= now < due.wake for tick in due.fire)
        assert due.last >= last
        last = due.last
        fired += [tick.astimezone(UTC) for tick in due.fire]
        settled += len(due.fire) + due.skipped
    assert fired == sorted(set(fired))
    expected = due_ticks(rule, NOON, last, "all", DAY, 100_000)
    assert settled == len(expected.fire)


@settings(max_examples=40)
@given(rule=RULES, gaps=GAPS)
def test_all_with_time_enough_fires_every_tick(rule: TickRule, gaps: list[timedelta]) -> None:
    """However the looks are spread, as after restarts, the same ticks fire."""
    last, now = NOON, NOON
    fired: list[datetime] = []
    for gap in gaps:
        now += gap
        due = due_ticks(rule, last, now, "all", DAY, 100_000)
        last = due.last
        fired += due.fire
    assert tuple(fired) == due_ticks(rule, NOON, now, "all", DAY, 100_000).fire


@settings(max_examples=40)
@given(rule=RULES, moment=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
def test_jitter_delays_a_tick_and_never_reaches_the_next(rule: TickRule, moment: datetime) -> None:
    tick = rule.after(moment)
    for jitter in (timedelta(0), SECOND, timedelta(hours=30)):
        fires = fires_at(rule, "nightly", tick, jitter).astimezone(UTC)
        assert tick.astimezone(UTC) <= fires <= tick.astimezone(UTC) + jitter
        assert fires < rule.after(tick).astimezone(UTC)


def test_jitter_is_the_same_everywhere_and_differs_between_schedules_and_ticks() -> None:
    hour = timedelta(hours=1)
    first = fires_at(HOURLY, "a", NOON, hour)
    assert first == fires_at(CronRule("0 * * * *"), "a", NOON, hour)
    assert len({fires_at(HOURLY, name, NOON, hour) for name in "abcdefgh"}) == 8
    assert len({fires_at(HOURLY, "a", NOON + n * hour, hour) - n * hour for n in range(8)}) == 8


def test_a_tick_with_jitter_is_due_when_its_delay_is_over() -> None:
    jitter = timedelta(minutes=30)
    fires = fires_at(HOURLY, "a", NOON, jitter)
    early = due_ticks(
        HOURLY, NOON - SECOND, fires - timedelta(microseconds=1), "skip", DAY, schedule="a", jitter=jitter
    )
    assert (early.fire, early.next, early.wake) == ((), NOON, fires)
    on_time = due_ticks(HOURLY, early.last, fires + ON_TIME, "skip", DAY, schedule="a", jitter=jitter)
    assert on_time.fire == (NOON,)
    late = due_ticks(HOURLY, early.last, fires + ON_TIME + SECOND, "skip", DAY, schedule="a", jitter=jitter)
    assert (late.fire, late.skipped) == ((), 1)
