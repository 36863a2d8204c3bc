"""A rule is a fixed set of moments: the same for every process, whatever moment it looks from."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.definition.schedules.schedule_times import ALIASES, CronRule, IntervalRule, TickRule
from stepwell.errors import DefinitionError

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"

ZONES = st.sampled_from([BERLIN, NEW_YORK, "UTC", "Asia/Kathmandu", "Europe/London"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
# The nights in which the clocks of Berlin and New York change, and the hours around them.
NIGHTS = st.builds(
    lambda night, seconds: night + timedelta(seconds=seconds),
    st.sampled_from(
        [
            datetime(2026, 3, 29, 1, tzinfo=UTC),
            datetime(2026, 10, 25, 1, tzinfo=UTC),
            datetime(2026, 3, 8, 7, tzinfo=UTC),
            datetime(2026, 11, 1, 6, tzinfo=UTC),
        ]
    ),
    st.integers(-4 * 3600, 4 * 3600),
)


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.integers(2, high).map("*/{}".format),
        st.lists(numbers, min_size=1, max_size=4).map(lambda values: ",".join(map(str, values))),
        st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    )


CRON = st.builds(
    "{} {} {} {} {}".format,
    cron_field(0, 59),
    cron_field(0, 23),
    cron_field(1, 28),
    cron_field(1, 12),
    cron_field(0, 6),
)
NIGHTLY = st.builds("{} {} * * *".format, cron_field(0, 59), cron_field(0, 4))
INTERVALS = st.timedeltas(timedelta(seconds=1), timedelta(days=40))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def ticks(rule: TickRule, since: datetime, until: datetime) -> list[datetime]:
    """In UTC: two datetimes of one zone are compared by what the clock shows, not by when it is."""
    found = []
    tick = rule.after(since).astimezone(UTC)
    while tick <= until:
        found.append(tick)
        tick = rule.after(tick).astimezone(UTC)
    return found


def clock(moments: list[datetime], zone: str) -> list[str]:
    return [moment.astimezone(ZoneInfo(zone)).strftime("%H:%M%z")[:8] for moment in moments]


@settings(max_examples=40)
@given(expression=CRON, zone=ZONES, moment=st.one_of(MOMENTS, NIGHTS))
def test_a_tick_is_later_than_the_moment_asked_from(expression: str, zone: str, moment: datetime) -> None:
    tick = CronRule(expression, zone).after(moment)
    assert tick.astimezone(UTC) > moment
    assert tick.tzinfo == ZoneInfo(zone)


@settings(max_examples=40)
@given(
    expression=NIGHTLY,
    zone=st.sampled_from([BERLIN, NEW_YORK]),
    moment=NIGHTS,
    later=st.timedeltas(timedelta(0), timedelta(hours=4)),
)
def test_whoever_looks_from_whenever_sees_the_same_ticks(
    expression: str, zone: str, moment: datetime, later: timedelta
) -> None:
    rule = CronRule(expression, zone)
    first, second = moment, moment + later
    expected = [tick for tick in ticks(rule, first, second + timedelta(hours=2)) if tick > second]
    assert ticks(rule, second, second + timedelta(hours=2)) == expected


@settings(max_examples=40)
@given(expression=CRON, zone=ZONES, moment=MOMENTS)
def test_a_rule_made_anew_agrees_with_the_one_before_the_restart(expression: str, zone: str, moment: datetime) -> None:
    tick = CronRule(expression, zone).after(moment)
    assert CronRule(expression, zone).after(moment) == tick
    middle = moment + (tick.astimezone(UTC) - moment) / 2
    assert CronRule(expression, zone).after(middle) == tick


@settings(max_examples=40)
@given(expression=NIGHTLY, zone=st.sampled_from([BERLIN, NEW_YORK]), night=NIGHTS)
def test_every_tick_exists_on_the_clock(expression: str, zone: str, night: datetime) -> None:
    for tick in ticks(CronRule(expression, zone), night, night + timedelta(hours=3)):
        local = tick.astimezone(ZoneInfo(zone))
        assert local.astimezone(UTC) == tick
        assert local.second == local.microsecond == 0


@pytest.mark.parametrize(
    ("zone", "day", "expression", "expected"),
    [
        # Berlin, 2026-03-29: after 01:59 comes 03:00.
        (BERLIN, utc(2026, 3, 29), "30 2 * * *", ["03:00+02"]),
        (BERLIN, utc(2026, 3, 29), "0,30 2 * * *", ["03:00+02"]),
        (BERLIN, utc(2026, 3, 29), "30 2,3 * * *", ["03:00+02", "03:30+02"]),
        (BERLIN, utc(2026, 3, 29), "30 3 * * *", ["03:30+02"]),
        (BERLIN, utc(2026, 3, 29), "*/30 1-3 * * *", ["01:00+01", "01:30+01", "03:00+02", "03:30+02"]),
        (BERLIN, utc(2026, 3, 29), "*/30 2 * * *", []),
        # Berlin, 2026-10-25: after 02:59 comes 02:00 again.
        (BERLIN, utc(2026, 10, 25), "30 2 * * *", ["02:30+02"]),
        (BERLIN, utc(2026, 10, 25), "0 2,3 * * *", ["02:00+02", "03:00+01"]),
        (BERLIN, utc(2026, 10, 25), "*/30 2 * * *", ["02:00+02", "02:30+02", "02:00+01", "02:30+01"]),
        # New York, 2026-03-08 and 2026-11-01, at two o'clock.
        (NEW_YORK, utc(2026, 3, 8, 5), "15 2 * * *", ["03:00-04"]),
        (NEW_YORK, utc(2026, 3, 8, 5), "*/20 2 * * *", []),
        (NEW_YORK, utc(2026, 11, 1, 4), "15 1 * * *", ["01:15-04"]),
        (NEW_YORK, utc(2026, 11, 1, 4), "*/30 1 * * *", ["01:00-04", "01:30-04", "01:00-05", "01:30-05"]),
    ],
)
def test_the_night_in_which_the_clocks_change(zone: str, day: datetime, expression: str, expected: list[str]) -> None:
    since = day - timedelta(hours=1)
    found = [
        text[:5] + text[5:8] for text in clock(ticks(CronRule(expression, zone), since, day + timedelta(hours=9)), zone)
    ]
    assert found == expected


def sees(field: str, low: int, high: int) -> set[int]:
    step = int(field.removeprefix("*/")) if "/" in field else 1
    return set(range(low, high + 1, step)) if field.startswith("*") else {int(one) for one in field.split(",")}


@pytest.mark.parametrize(
    "expression", ["* *", "*/30 *", "30 *", "0 *", "45 *", "0 */2", "0 */3", "*/10 2", "*/20 1", "15 *"]
)
@pytest.mark.parametrize("day", [utc(2024, 4, 6), utc(2024, 10, 5)], ids=["back", "forward"])
def test_clocks_that_change_by_half_an_hour(expression: str, day: datetime) -> None:
    # Lord Howe Island: from 02:00 (+11) back to 01:30, from 02:00 (+10:30) on to 02:30.
    minutes, hours = (sees(one, 0, high) for one, high in zip(expression.split(), (59, 23), strict=True))
    walked = [day + timedelta(minutes=n) for n in range(1, 48 * 60)]
    local = [moment.astimezone(ZoneInfo("Australia/Lord_Howe")) for moment in walked]
    expected = [moment for moment, at in zip(walked, local, strict=True) if at.minute in minutes and at.hour in hours]
    rule = CronRule(f"{expression} * * *", "Australia/Lord_Howe")
    assert ticks(rule, day, walked[-1]) == expected
    for since in walked[60 : 18 * 60 : 7]:
        assert rule.after(since).astimezone(UTC) == next((one for one in expected if one > since), None)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_a_daily_time_ticks_once_on_each_day_of_the_year(zone: str) -> None:
    for expression in ("30 2 * * *", "30 1 * * *", "0 0 * * *"):
        found = ticks(CronRule(expression, zone), utc(2026, 1, 1, 12), utc(2027, 1, 1, 12))
        assert len({moment.astimezone(ZoneInfo(zone)).date() for moment in found}) == len(found) == 365


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_every_quarter_of_an_hour_is_a_quarter_of_real_time(zone: str) -> None:
    found = ticks(CronRule("*/15 * * * *", zone), utc(2026, 10, 24), utc(2026, 11, 2))
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=15)}


@pytest.mark.parametrize(("alias", "expression"), ALIASES.items())
def test_an_alias_is_its_expression(alias: str, expression: str) -> None:
    moment = utc(2026, 5, 17, 12, 34)
    assert CronRule(alias, BERLIN).after(moment) == CronRule(expression, BERLIN).after(moment)
    assert CronRule(f" {alias.upper()} ").after(moment) == CronRule(expression).after(moment)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * MON-FRI", utc(2026, 1, 5, 9)),
        ("0 9 L * *", utc(2026, 1, 31, 9)),
        ("0 9 LW * *", utc(2026, 1, 30, 9)),
        ("0 9 * * 1#2", utc(2026, 1, 12, 9)),
        ("0 9 13 * 5", utc(2026, 1, 9, 9)),
        ("0 9 */13 * 5", utc(2026, 2, 27, 9)),
        ("0 0 29 2 *", utc(2028, 2, 29)),
    ],
)
def test_days(expression: str, expected: datetime) -> None:
    """2026-01-03 was a Saturday. Day and weekday: either will do, unless one of the fields begins with a star."""
    assert CronRule(expression).after(utc(2026, 1, 3, 12)) == expected


@pytest.mark.parametrize(
    ("expression", "timezone", "texts"),
    [
        ("61 * * * *", "UTC", ["the minute '61' of '61 * * * *' must be 0-59"]),
        ("0 24 * * *", "UTC", ["the hour '24'"]),
        ("0 0 * 13 *", "UTC", ["the month '13'"]),
        ("0 0 * * 8", "UTC", ["the day-of-week '8'"]),
        ("0 0 31 2 *", "UTC", ["the day-of-month '31'", "a day that one of its months has"]),
        ("*/0 * * * *", "UTC", ["the minute '*/0'"]),
        ("* * * *", "UTC", ["has 4 fields"]),
        ("0 * * * * *", "UTC", ["has 6 fields"]),
        ("", "UTC", ["has 0 fields"]),
        ("@reboot", "UTC", ["'@reboot' is unknown", "@daily"]),
        ("* * */20 * 1L", "UTC", ["matches no day within 50 years"]),
        ("0 9 * * *", "Europe/Berlni", ["'Europe/Berlni' is unknown", "did you mean Europe/Berlin"]),
        ("0 9 * * *", "../etc/passwd", ["is unknown"]),
        ("0 9 * * *", "", ["is unknown"]),
        ("x 9 * * *", "Mars/Base", ["the minute 'x'", "'Mars/Base' is unknown"]),
        (None, None, ["None must be a string", "None must be the name of one"]),
    ],
)
def test_what_is_wrong_is_said_all_at_once(expression: str, timezone: str, texts: list[str]) -> None:
    with pytest.raises(DefinitionError) as caught:
        CronRule(expression, timezone)
    assert all(text in str(caught.value) for text in texts), str(caught.value)


@settings(max_examples=40)
@given(expression=st.text(alphabet="0123456789*/-,#@LWMON? ²x", max_size=30), timezone=st.text(max_size=12))
def test_no_text_raises_anything_else(expression: str, timezone: str) -> None:
    with suppress(DefinitionError):
        CronRule(expression, timezone)


def test_a_naive_moment_is_refused() -> None:
    for rule in (CronRule("* * * * *"), IntervalRule(timedelta(hours=1))):
        with pytest.raises(ValueError, match="has no timezone"):
            rule.after(datetime(2026, 1, 1))


@settings(max_examples=40)
@given(every=INTERVALS, moment=MOMENTS)
def test_intervals_are_counted_from_the_epoch(every: timedelta, moment: datetime) -> None:
    tick = IntervalRule(every).after(moment)
    assert moment < tick <= moment + every
    assert (tick - utc(1970, 1, 1)) % every == timedelta(0)
    assert IntervalRule(every).after(tick) == tick + every


def test_an_interval_can_have_another_anchor() -> None:
    rule = IntervalRule(timedelta(days=7), anchor=datetime(2026, 1, 5, 9, tzinfo=ZoneInfo(BERLIN)))
    assert rule.after(utc(2025, 12, 31)) == utc(2026, 1, 5, 8)
    assert rule.after(utc(2026, 1, 5, 8)) == utc(2026, 1, 12, 8)


@pytest.mark.parametrize(
    "every", [timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=10), timedelta(days=400), 60]
)
def test_an_interval_is_from_a_second_to_a_year(every: timedelta) -> None:
    with pytest.raises(DefinitionError, match="from 1 second to 366 days"):
        IntervalRule(every)


def test_an_anchor_is_aware() -> None:
    with pytest.raises(DefinitionError, match="aware datetime"):
        IntervalRule(timedelta(hours=1), anchor=datetime(2026, 1, 1))
