"""Where a failed attempt leads, and what is told of it (semantics 6, 7, 18)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from stepwell.definition.model import Definition, Transition
from stepwell.engine.outcome import Raised
from stepwell.engine.run import Moment, Run, microseconds

MAX_ERROR_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """The way on from a failed attempt."""

    kind: Literal["again", "elsewhere", "stop"]
    tries: dict[str, int]
    """Failed tries of this visit's transitions within their budgets, this one included."""
    place: str = ""
    """`again`: the retry_target to move to after the delay, if there is one; `elsewhere`: the error_place."""
    delay: Moment = 0
    """Microseconds before the next try."""


def route(run: Run, transition: Transition, outcome: Raised) -> Route:
    """Another try while the budget lasts and the error is worth one; else the error place; else a stop."""
    tries: dict[str, int] = {} if run.failing is None else json.loads(run.failing)
    failures = tries[transition.name] = tries.get(transition.name, 0) + 1
    policy = transition.retry
    possible = outcome.repeatable or transition.retry_target is not None
    if policy is not None and possible and failures <= policy.retries and policy.allows(outcome.error):
        delay = policy.wait(failures, outcome.error, outcome.draw)
        return Route("again", tries, transition.retry_target or "", microseconds(delay))
    if transition.error_place is not None:
        return Route("elsewhere", tries, transition.error_place)
    return Route("stop", tries)


def error_text(definition: Definition, transition: Transition, error: BaseException) -> str:
    """`ClassName.method: Type: message`, bounded."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - it is user code, and its failure must not hide the one that it describes
        message = "(its message can't be read: __str__ raises)"
    text = storable(f"{definition.workflow.__name__}.{transition.method}: {type(error).__name__}: {message}")
    return text if len(text) <= MAX_ERROR_CHARS else text[:MAX_ERROR_CHARS] + " ... (cut)"


def storable(text: str) -> str:
    """The text, with what no database takes (lone surrogates, NUL) written out as an escape."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
