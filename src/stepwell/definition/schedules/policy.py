"""The options of every schedule for ticks that are late or overlap, and what is wrong with the values given for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, get_args

from stepwell.definition.schedules.schedule_times import Misfire
from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.nearest import nearest

Overlap = Literal["skip", "queue", "allow"]
"""While the run of the last tick hasn't ended: don't fire ("skip"), fire when it has ("queue"), fire ("allow")."""

CATCH_UP: Final = timedelta(days=1)
NO_JITTER: Final = timedelta(0)
LONGEST_NAME: Final = 200
LONGEST_USER: Final = 256


def name_faults(name: object) -> list[str]:
    """Return what is wrong with the name of a trigger."""
    if is_text(name, LONGEST_NAME) and name.strip():
        return []
    return [f"name={shown(name)} must be text of 1 to {LONGEST_NAME} characters, as in name='nightly-cleanup'."]


def late_faults(overlap: object, misfire: object, catch_up: object, jitter: object) -> list[str]:
    """Return what is wrong with the options for ticks that are late or overlap. `catch_up` may be None: the default."""
    return [
        *_choice_faults("overlap", overlap, get_args(Overlap)),
        *_choice_faults("misfire", misfire, get_args(Misfire)),
        *([] if catch_up is None else _span_faults("catch_up", catch_up)),
        *_span_faults("jitter", jitter),
    ]


def _choice_faults(parameter: str, value: object, choices: tuple[str, ...]) -> list[str]:
    if isinstance(value, str) and value in choices:
        return []
    near = nearest(value, choices) if isinstance(value, str) else None
    cure = f" Did you mean {near!r}?" if near else ""
    return [f"{parameter}={shown(value)} must be one of {', '.join(map(repr, choices))}.{cure}"]


def _span_faults(parameter: str, value: object) -> list[str]:
    if isinstance(value, timedelta) and value >= timedelta(0):
        return []
    return [f"{parameter}={shown(value)} must be a timedelta of zero or more."]
