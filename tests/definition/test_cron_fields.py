"""Cron expressions tick as they are meant, or are refused with what is supported."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell import App
from stepwell.definition.schedules.cron_fields import CRON_FIELDS
from stepwell.definition.schedules.schedule_times import CronRule
from stepwell.errors import DefinitionError

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def days(expression: str, count: int) -> list[str]:
    rule, found = CronRule(expression), [SINCE]
    for _ in range(count):
        found.append(rule.after(found[-1]))
    return [f"{one:%m-%d}" for one in found[1:]]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Of 2026, by the calendar.
        ("0 9 L * *", ["01-31", "02-28", "03-31", "04-30"]),
        ("0 9 LW * *", ["01-30", "02-27", "03-31", "04-30", "05-29"]),
        ("0 9 1,L * *", ["01-01", "01-31", "02-01", "02-28"]),
        ("0 9 * * 5L", ["01-30", "02-27", "03-27", "04-24"]),
        ("0 9 * * 0L", ["01-25", "02-22", "03-29"]),
        ("0 9 * * 7L", ["01-25", "02-22", "03-29"]),
        ("0 9 * * 2#3", ["01-20", "02-17", "03-17"]),
        ("0 9 * * MON#1,FRI#2", ["01-05", "01-09", "02-02", "02-13"]),
        ("0 9 * * 4#5", ["01-29", "04-30", "07-30"]),
        ("0 9 * FEB,APR-MAY SAT", ["02-07", "02-14", "02-21", "02-28", "04-04"]),
        ("0 9 * jan-mar/2 sun", ["01-04", "01-11", "01-18", "01-25", "03-01"]),
        ("0 9 * * MON-FRI/2", ["01-02", "01-05", "01-07", "01-09"]),
        ("0 9 * * */2", ["01-01", "01-03", "01-04", "01-06"]),
        ("0 9 10-20/5 * *", ["01-10", "01-15", "01-20", "02-10"]),
        ("0 9 20/5 * *", ["01-20", "01-25", "01-30", "02-20"]),
        ("0 9 1 */12 *", ["01-01", "01-01"]),
        ("0 9 */31 * *", ["01-01", "02-01", "03-01"]),
    ],
)
def test_days_by_the_calendar(expression: str, expected: list[str]) -> None:
    assert days(expression, len(expected)) == expected


SUPPORTED = {one.name: one.supported for one in CRON_FIELDS}


@pytest.mark.parametrize(
    ("expression", "field", "cure"),
    [
        ("0 9 15W * *", "day-of-month", "nearest to a day (W) isn't supported"),
        ("0 9 1w * *", "day-of-month", "nearest to a day (W) isn't supported"),
        ("0 9 L-3 * *", "day-of-month", "(L-3) aren't supported"),
        ("0 9 L-3W * *", "day-of-month", "isn't supported"),
        ("0 9 ? * MON", "day-of-month", "Write * for `?`"),
        ("0 9 1 * ?", "day-of-week", "Write * for `?`; 1 is Monday here, and Sunday in Quartz"),
        ("? 9 * * *", "minute", "Write * for `?`"),
        ("0 9 C * *", "day-of-month", ""),
        ("0 9 * * L", "day-of-week", ""),
        ("0 9 * * L5", "day-of-week", "Write 5L"),
        ("0 9 * * FRIL", "day-of-week", "Write 5L"),
        ("0 9 * * 6#6", "day-of-week", ""),
        ("0 9 * * 1#", "day-of-week", ""),
        ("0 9 * * FRI-SUN", "day-of-week", "FRI,SAT,SUN"),
        ("0 22-4 * * *", "hour", "22,23,0-4"),
        ("H 9 * * *", "minute", "jitter=..."),
        ("0 L * * *", "hour", ""),
        ("0 9 * LW *", "month", ""),
        ("0 9 MON * *", "day-of-month", ""),
        ("*/ * * * *", "minute", ""),
        ("*/1.5 * * * *", "minute", ""),
        ("-5 * * * *", "minute", ""),
    ],
)
def test_what_other_crons_accept_is_refused_with_what_is_supported(expression: str, field: str, cure: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        CronRule(expression)
    assert f"the {field} " in str(refused.value)
    assert SUPPORTED[field] in str(refused.value)
    assert cure in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "cure"),
    [
        ("*/90 * * * *", "write 0, or use app.schedule(..., every=timedelta(minutes=90))"),
        ("0/90 * * * *", "every=timedelta(minutes=90)"),
        ("*/61 * * * *", "a step of 61 among 60 values"),
        ("0-59/61 * * * *", "a step of 61 among 60 values"),
        ("1-5/10 * * * *", "a step of 10 among 5 values, so it would only ever tick at 1"),
        ("50/15 * * * *", "a step of 15 among 10 values, so it would only ever tick at 50"),
        ("5-5/10 * * * *", "write 5."),
        ("5-5/1 * * * *", "write 5."),
        ("0,*/90 * * * *", "the minute '*/90'"),
        ("0 */25 * * *", "every=timedelta(hours=25)"),
        ("0 */48 * * *", "every=timedelta(hours=48)"),
        ("0 9 */40 * *", "every=timedelta(days=40)"),
        ("0 9 1/32 * *", "a step of 32 among 31 values"),
        ("0 9 */32,1-7 * 2", "such as the first Tuesday, * and 2#1 as the day of the week"),
        ("0 9 1 */13 *", "the month '*/13'"),
        ("0 9 1 JAN-MAR/4 *", "a step of 4 among 3 values"),
        ("0 9 * * */8", "a step of 8 among 7 values"),
        ("0 9 * * MON-FRI/6", "a step of 6 among 5 values"),
        ("0 9 L/2 * *", "a step, which does nothing there: write L."),
        ("0 9 LW/2 * *", "a step, which does nothing there: write LW."),
    ],
)
def test_a_step_that_leads_nowhere_is_refused(expression: str, cure: str) -> None:
    app = App("office")
    for declare in (lambda: CronRule(expression), lambda: app.cron(expression)(lambda tick: None)):
        with pytest.raises(DefinitionError) as refused:
            declare()
        assert cure in str(refused.value)
    with pytest.raises(DefinitionError, match="has a step"):
        app.schedule("s", workflow="w", cron=expression)


def test_all_steps_that_lead_nowhere_are_reported_at_once() -> None:
    with pytest.raises(DefinitionError) as refused:
        CronRule("*/90,5/75 */30 * * *", "Mars/Base")
    assert [text in str(refused.value) for text in ("'*/90'", "'5/75'", "'*/30'", "'Mars/Base'")] == [True] * 4


@pytest.mark.parametrize(
    ("expression", "minutes"),
    [("*/60 * * * *", {0}), ("*/59 * * * *", {0, 59}), ("*/45 * * * *", {0, 45}), ("0/60 * * * *", {0})],
)
def test_the_largest_steps_are_accepted(expression: str, minutes: set[int]) -> None:
    rule, moment, found = CronRule(expression), SINCE, set()
    for _ in range(6):
        moment = rule.after(moment)
        found.add(moment.minute)
    assert found == minutes


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """A field with lists, ranges and steps, as any cron accepts it."""
    number = st.integers(low, high)

    def ranged(pair: tuple[int, int], step: int) -> str:
        first, last = sorted(pair)
        size = last - first + 1
        return f"{first}-{last}" if size < 2 else f"{first}-{last}/{1 + step % size}"

    term = st.one_of(number.map(str), st.builds(ranged, st.tuples(number, number), st.integers(0, high)))
    every = st.integers(1, high - low + 1).map("*/{}".format)
    return st.one_of(st.just("*"), every, st.lists(term, min_size=1, max_size=3).map(",".join))


@settings(max_examples=150, deadline=None)
@given(
    minute=field(0, 59),
    hour=field(0, 23),
    day=st.one_of(field(1, 28).map("{} {{}} *".format), field(0, 6).map("* {{}} {}".format)),
    month=field(1, 12),
    since=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
)
def test_another_library_sees_the_same_ticks(minute: str, hour: str, day: str, month: str, since: datetime) -> None:
    expression = f"{minute} {hour} {day.format(month)}"
    rule, moment = CronRule(expression), since.replace(tzinfo=UTC)
    other = croniter(expression, since)
    for _ in range(5):
        moment = rule.after(moment)
        assert moment == other.get_next(datetime).replace(tzinfo=UTC), expression
