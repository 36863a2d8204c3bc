"""The five fields of a cron expression: which of them `cronsim` reads as they are meant, and what is wrong with the others.

`cronsim` accepts some steps that do nothing or something else: those are refused here. What other crons accept and this
one doesn't (`15W`, `L-3`, `?`) is refused with what is supported instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from stepwell.definition.values.misfit import shown


class CronField(NamedTuple):
    """One field: its values, its names for them, and what else it takes."""

    name: str
    low: int
    high: int
    supported: str
    names: tuple[str, ...] = ()
    unit: str = ""
    """The argument of `timedelta` in which its steps can be longer."""

    def number(self, text: str) -> int:
        """Return the value that `text` stands for. Raises ValueError."""
        return self.names.index(text.upper()) + self.low if text.upper() in self.names else int(text)


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

CRON_FIELDS: Final = (
    CronField("minute", 0, 59, "0-59", unit="minutes"),
    CronField("hour", 0, 23, "0-23", unit="hours"),
    CronField(
        "day-of-month", 1, 31, "1-31 and a day that one of its months has, L (the last day), LW (the last weekday)",
        unit="days",
    ),
    CronField("month", 1, 12, "1-12 or JAN-DEC", _MONTHS),
    CronField(
        "day-of-week", 0, 7, "0-7 (0 and 7 are Sunday) or SUN-SAT, 5L (the last Friday), 2#3 (the third Tuesday)", _DAYS,
        unit="days",
    ),
)  # fmt: skip
_BY_NAME: Final = {one.name: one for one in CRON_FIELDS}

_ELSEWHERE: Final = (
    (r"\?", "Write * for `?`; 1 is Monday here, and Sunday in Quartz."),
    (r"^(?!LW$).*W", "The weekday nearest to a day (W) isn't supported."),
    (r"L-\d", "Days before the last one (L-3) aren't supported."),
    (r"^L\d|[A-Z]{3}L", "Write 5L for the last Friday of a month."),
    (r"[A-Z]{3}-[A-Z]{3}|\d-\d", "A range rises: write FRI,SAT,SUN for FRI-SUN, and 22,23,0-4 for 22-4."),
    (r"H", "`H` isn't supported: jitter=... spreads ticks."),
)
"""Patterns of what other crons accept, with the cure here."""


def unreadable(expression: str, fields: list[str], name: str) -> str:
    """Return why the field of this name can't be read, and what it takes."""
    field, value = _BY_NAME[name], fields[[one.name for one in CRON_FIELDS].index(name)]
    cure = next((f" {cure}" for pattern, cure in _ELSEWHERE if re.search(pattern, value.upper())), "")
    return (
        f"the {name} {shown(value)} of {shown(expression)} must be {field.supported}, *, a range a-b, a list a,b or a step */n."
        f"{cure}"
    )


def idle_steps(expression: str, fields: list[str]) -> Iterator[str]:
    """Yield a fault for each step that never leads to another value, in fields that `cronsim` accepts."""
    for field, value in zip(CRON_FIELDS, fields, strict=True):
        for term in value.split(","):
            base, slash, step = term.partition("/")
            if slash and (fault := _step_fault(field, base, int(step))):
                yield f"the {field.name} {shown(term)} of {shown(expression)} {fault}"


def _step_fault(field: CronField, base: str, step: int) -> str | None:
    if base.upper() in ("L", "LW"):
        return f"has a step, which does nothing there: write {base}."
    first, _, last = base.partition("-")
    start = field.low if base == "*" else field.number(first)
    size = (field.number(last) if last else field.high) - start + 1
    if base == "*" and field.name == "day-of-week":
        size = 7  # Sunday has two numbers
    if last and size == 1:
        return f"has a step in a range of one value: write {first}."
    if step <= size:
        return None
    longer = f", or use app.schedule(..., every=timedelta({field.unit}={step}))" if field.unit else ""
    values = f"{size} values" if size > 1 else "one value"
    if base == "*" and field.name == "day-of-month":  # with a day of the week, `*` and a number mean different things
        longer += ", or for a day of a week, such as the first Tuesday, * and 2#1 as the day of the week"
    return f"has a step of {step} among {values}, so it would only ever tick at {start}: write {start}{longer}."
