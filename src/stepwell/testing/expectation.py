"""The expected end of a run, so that comparisons with it prove something; and the differences of two JSON values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from inspect import isawaitable, iscoroutine, iscoroutinefunction
from typing import Any, get_args

from stepwell.definition.values.misfit import shown
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs
from stepwell.runner.models import Run

Expectation = str | Callable[[Run], object]
"""A status, a place where the run neither failed nor was cancelled, or a function that returns true for the run."""
_CURE = (
    "Crashes of a run that doesn't end as it should prove nothing. Fix the workflow, its args or `signals=`; or say with"
    " `expect=` how the run has to end: a status, a place, or a callable of the run."
)
_LONGEST = 200
_MISSING = object()


def checked_expectation(expect: object) -> None:
    """Raise InvalidArgs for what is no status, place or callable."""
    if not callable(expect) and not isinstance(expect, str):
        raise InvalidArgs(f"expect={shown(expect)}: give a status, a place, or a callable of the run.")
    if iscoroutinefunction(expect):
        raise InvalidArgs(
            f"expect={shown(expect)}: its answer is never awaited, so it would always be true; give a plain def."
        )


def check(run: Run, expect: Expectation, why: Sequence[str]) -> None:
    """Raise AssertionError, with the run's actual end and the reasons, unless it is as expected."""
    found = _compared(run, expect)
    if found is None:
        return
    error = f" with {run.error}" if run.error else "".join(f"\n  {line}" for line in why)
    raise AssertionError(
        f"The undisturbed run of {run.workflow_name!r} ended as {run.status!r} at {run.place!r}{error}\n{found} {_CURE}"
    )


def _compared(run: Run, expect: Expectation) -> str | None:
    """Return the unmet expectation; None if it is met."""
    if callable(expect):
        answer = expect(run)
        if isawaitable(answer):
            if iscoroutine(answer):
                answer.close()
            raise InvalidArgs(
                f"expect={shown(expect)} returned an awaitable, which is never awaited; return true or false."
            )
        return None if answer else f"expect={getattr(expect, '__qualname__', expect)} returned {answer!r}."
    if expect in get_args(Status):
        return None if run.status == expect else f"It was expected to be {expect!r}."
    at_rest = run.status not in ("failed", "canceled")
    return (
        None
        if run.place == expect and at_rest
        else f"It was expected to be at {expect!r}, neither failed nor canceled."
    )


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield a line per place where `found` isn't as `expected`."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in dict.fromkeys([*expected, *found]):
            where = f"{path}.{key}" if path else str(key)
            yield from differences(expected.get(key, _MISSING), found.get(key, _MISSING), where)
    elif isinstance(expected, list) and isinstance(found, list):
        for index in range(max(len(expected), len(found))):
            ours, theirs = (side[index] if index < len(side) else _MISSING for side in (expected, found))
            yield from differences(ours, theirs, f"{path}[{index}]")
    elif expected is _MISSING or found is _MISSING or _differ(expected, found):
        yield f"{path or 'the value'}: {_shown(expected)} undisturbed, {_shown(found)} after the crash"


def _differ(expected: Any, found: Any) -> bool:
    """Return whether they differ as JSON: to Python true is 1, and 1 is 1.0."""
    return json.dumps(expected, sort_keys=True) != json.dumps(found, sort_keys=True)


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
