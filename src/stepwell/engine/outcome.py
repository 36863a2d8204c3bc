"""What user code did, as a value, and what is to be done next, as a value.

What every transition makes is a named tuple: it takes half the time of a frozen dataclass to make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from stepwell.definition.model import Transition
from stepwell.engine.commit import NOTHING, Effects
from stepwell.engine.run import Moment, SignalRow


class Returned(NamedTuple):
    """The method came to its end, and what it left was valid."""

    started_at: Moment
    state: str | None = None
    """None: untouched."""
    result: str | None = None
    effects: Effects = NOTHING


@dataclass(frozen=True, slots=True)
class Raised:
    """The attempt failed: an exception, a timeout, a state or result that breaks its type, a child that failed."""

    started_at: Moment
    error: BaseException
    trace: str | None = None
    draw: float = 0.0
    """The chance for the jitter, 0.0 to 1.0."""
    repeatable: bool = True
    """False: trying the same again can't help (semantics 18): only retry_target or error_place can."""


Outcome = Returned | Raised


@dataclass(frozen=True, slots=True)
class Ask:
    """The verdict of this transition's guard is needed first."""

    transition: Transition


class Execute(NamedTuple):
    """Call the method of this transition, with this signal."""

    transition: Transition
    signal: SignalRow | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """The delay is over: go to the retry_target, without a history row."""

    place: str


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing can fire now: wait for signals, events, and the timer that comes first."""

    due_at: Moment | None


@dataclass(frozen=True, slots=True)
class Fail:
    """The run can't go on from here by itself."""

    reason: str
    kind: str = "TransitionFailed"


@dataclass(frozen=True, slots=True)
class Unfit:
    """The code lacks the place or the transition: leave the run as it is until the code fits (semantics 34)."""

    reason: str


Decision = Ask | Execute | Move | Park | Fail | Unfit


UNASKED: Final = frozenset({"automatic", "timer"})
"""Kinds of transitions that fire by themselves: how many may follow each other without parking is limited."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of the engine, from the settings."""

    max_transitions: int = 1000
    max_takeovers: int = 10
    max_kept_signals: int = 1000


DEFAULT_RULES = Rules()
