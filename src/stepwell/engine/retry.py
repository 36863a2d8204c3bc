"""Where a failed attempt leads: to another try, to an error place, or to a stop (semantics 6, 7, 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stepwell.definition.model import Definition, Transition
from stepwell.engine.outcome import Raised
from stepwell.engine.run import Run

MAX_ERROR_CHARS = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """The way on from a failed attempt."""

    kind: Literal["again", "elsewhere", "stop"]
    failures: int
    """Failed tries of this transition within its budget, this one included."""
    delay: int = 0
    """Microseconds before the next try."""
    place: str | None = None
    """`again`: the retry_target to move to after the delay; `elsewhere`: the error_place."""
    keeps_signal: bool = True


def route(run: Run, transition: Transition, outcome: Raised) -> Route:
    """Another try while the budget lasts and the error is worth one; else the error place; else a stop."""
    failures = 1 + (run.failures if run.failing == transition.name else 0)
    policy = transition.retry
    possible = outcome.repeatable or transition.retry_target is not None
    if policy and possible and failures <= policy.retries and policy.allows(outcome.error):
        delay = policy.wait(failures, outcome.error, outcome.draw)
        return Route(
            "again", failures, round(delay.total_seconds() * 1_000_000), transition.retry_target, outcome.repeatable
        )
    if transition.error_place is not None:
        return Route("elsewhere", 0, place=transition.error_place)
    return Route("stop", failures, keeps_signal=outcome.repeatable)


def error_text(definition: Definition, transition: Transition, error: BaseException) -> str:
    """`ClassName.method: Type: message`, bounded."""
    text = f"{definition.workflow.__name__}.{transition.method}: {type(error).__name__}: {error}"
    return text if len(text) <= MAX_ERROR_CHARS else text[:MAX_ERROR_CHARS] + " ... (cut)"
