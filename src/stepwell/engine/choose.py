"""The choice of the transition that fires next, and the next decision as a value.

- A decision never calls anything: a guard is asked for (`AskGuards`, rule 1), a method is named (`Execute`).
- Code never continues a run whose version, place, bound transition or inbox it doesn't know. That is a decision
  too, and no failure (`Unfit`, rules 34, 46). A run of an earlier version stands where its migrations say (rule 56), and
  what it holds of renamed transitions counts by their present names.
- A run past its deadline fails, whatever else could happen.
- A waiting transition that is being retried holds the place: nothing else fires (rules 12, 13).
- Automatic transitions go before waiting ones, in their order. One guard is asked at a time, and only when its turn has
  come (rule 1).
- Of the waiting ones the earliest moment wins, then the one declared first (rule 12). A signal fires only in the stay that
  it belongs to, or in any visit if it was kept (rules 11, 44). Only the end of a child fires a callback (rule 50).
- The moments of timers that a method works out are asked for (`AskTimers`) before anything is chosen among waiting ones.
- Nothing can fire: the run parks if something waits here, otherwise it fails (rule 2).
- Automatic transitions and timers count one each, and a run that makes too many in a row fails. The limit is checked last,
  since one that isn't chosen doesn't count (rule 3).
- A signal, an event or the end of a child is input and resets the count. So does a timer that ended a wait, since the run
  was parked. A timer that was due before the run could park (one of no length, in a loop) counts (rule 45).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from stepwell.definition.model import Definition, Place, Transition
from stepwell.engine.run import Inbox, Moment, RunRow, SignalRow, names_in
from stepwell.engine.timers import moment_of, untimed, wakes_at
from stepwell.engine.visits import reserved


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits of the engine, from the settings."""

    max_transitions: int = 1000
    max_takeovers: int = 10
    max_kept_signals: int = 1000
    max_kept_bytes: int = 64 * 1024 * 1024
    ageing: Moment = 60_000_000
    """The waiting that a level of priority is worth, in microseconds."""


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class AskGuards:
    """The verdict of this transition's guard is needed first."""

    transition: Transition


@dataclass(frozen=True, slots=True)
class AskTimers:
    """The moments of this place's timers are to be worked out first."""

    place: Place


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
    """The run can't continue from here by itself."""

    reason: str
    kind: str = "TransitionFailed"


@dataclass(frozen=True, slots=True)
class Unfit:
    """The code lacks the place or the transition: leave the run as it is until the code fits (rule 34)."""

    reason: str


Decision = AskGuards | AskTimers | Execute | Move | Park | Fail | Unfit


Verdicts = Mapping[int, bool]
"""The answers of guards, by the order number of their transition."""

UNASKED: Final = frozenset({"automatic", "timer"})
"""Kinds of transitions that fire by themselves."""

PARKED: Final = -1
"""The count of a run that has parked."""


def decide(
    definition: Definition, run: RunRow, inbox: Inbox, verdicts: Verdicts, now: Moment, rules: Rules = DEFAULT_RULES
) -> Decision:
    """Return the next decision for a run that its worker holds. It asks for one guard at a time, and only for needed ones."""
    place = definition.places.get(run.place)
    if place is None:
        return Unfit(_no_place(definition, run))
    if inbox and (stranger := stranger_in(definition, inbox)) is not None:
        return Unfit(stranger)
    if run.deadline is not None and now >= run.deadline:
        limit = f" of {definition.run_timeout.total_seconds():g} s" if definition.run_timeout is not None else ""
        return Fail(f"{definition.workflow.__name__}: run_timeout{limit} is over", "TransitionTimeout")
    if run.moves_to is not None:
        return Move(run.moves_to) if run.moves_to in definition.places else Unfit(_no_way(definition, run.moves_to))
    if run.bound is not None:
        return _bound(place, run, inbox)
    chosen = _automatic(place, verdicts) if place.automatic else None
    if chosen is None and place.waiting:
        if place.timed and untimed(place, run):
            return AskTimers(place)
        chosen = fires(place, run, inbox, now)
    if chosen is None:
        return Park(wakes_at(place, run)) if place.waiting else _stuck(definition, place)
    if run.automatic >= rules.max_transitions and run.automatic + _counts(chosen) > rules.max_transitions:
        return Fail(
            f"{definition.workflow.__name__}: {run.automatic} automatic transitions in a row without parking "
            f"(at {run.place!r}; max_transitions_per_pass is {rules.max_transitions})"
        )
    return chosen


def _counts(chosen: AskGuards | Execute) -> bool:
    # Timers count too: one of no length, in a circle, never parks either. A guard may say no, so that it is asked at the
    # limit; beyond it a guard has raised already, and asking again could go on forever.
    return isinstance(chosen, Execute) and chosen.transition.kind in UNASKED


def stranger_in(definition: Definition, inbox: Inbox) -> str | None:
    """Return why this code can't continue with such an inbox; None if it knows everything in it (rule 46)."""
    for signal in inbox:
        if not any(_bears(transition, signal) for transition in definition.transitions):
            what = {"signal": "signal", "event": "event for", "child": "end of a child for"}[signal.kind]
            return (
                f"its inbox holds the {what} {signal.name!r}, and {definition.workflow.__name__} has no such transition: "
                "a version of the code that has it takes the run on"
            )
    return None


def _bears(transition: Transition, signal: SignalRow) -> bool:
    kind = "event" if signal.kind == "event" else "signal"
    return signal.name == transition.name and transition.kind == kind


def _bound(place: Place, run: RunRow, inbox: Inbox) -> Decision:
    transition = next((t for t in place.waiting if t.name == run.bound), None)
    if transition is None:
        return Unfit(_no_retry(run))
    if run.bound_signal is None:
        return Execute(transition)
    signal = next((s for s in inbox if s.id == run.bound_signal), None)
    if signal is None:
        return Unfit(f"the signal that {run.bound!r} is to retry with isn't in its inbox any more")
    return Execute(transition, signal)


def _automatic(place: Place, verdicts: Verdicts) -> AskGuards | Execute | None:
    for transition in place.automatic:
        verdict = True if transition.guard is None else verdicts.get(transition.order)
        if verdict is None:
            return AskGuards(transition)
        if verdict:
            return Execute(transition)
    return None


def _stuck(definition: Definition, place: Place) -> Fail:
    guards = ", ".join(t.guard_name or t.name for t in place.automatic)
    return Fail(
        f"{definition.workflow.__name__}: at {place.name!r} no guard is true ({guards}) and nothing waits there; "
        "retry evaluates them again"
    )


def fires(place: Place, run: RunRow, inbox: Inbox, now: Moment) -> Execute | None:
    """Return the waiting transition whose moment came first, then the one declared first; with its oldest signal."""
    offers = [offer for t in place.waiting if (offer := _offer(t, run, inbox, now)) is not None]
    return min(offers, key=lambda offer: (offer[0], offer[1].transition.order))[1] if offers else None


def _offer(transition: Transition, run: RunRow, inbox: Inbox, now: Moment) -> tuple[Moment, Execute] | None:
    if transition.kind == "timer":
        due = moment_of(transition, run)
        return (due, Execute(transition)) if due is not None and due <= now else None
    for signal in inbox:
        if signal.visit in (None, run.arrived) and _fits(transition, signal, run) and signal.id not in reserved(run):
            # Where transitions lead back to the place, signals accepted meanwhile are taken in the order in which they came.
            back = run.stay is not None
            moment = signal.accepted_at if back else max(signal.accepted_at, run.entered_at)
            return moment, Execute(transition, signal)
    return None


def _fits(transition: Transition, signal: SignalRow, run: RunRow) -> bool:
    if not _bears(transition, signal):
        return False
    # A callback is fired by ends of children only, whatever signals were kept before there was a child (rule 50).
    return signal.kind != "signal" or run.callbacks is None or signal.name not in names_in(run.callbacks)


def counted(run: RunRow, transition: Transition) -> int:
    """Return the count once this transition has been made."""
    return run.automatic + 1 if transition.kind in UNASKED else 0


class Standing(Protocol):
    """The position of a run: its row, or the part of it that decides."""

    @property
    def workflow_version(self) -> int: ...
    @property
    def place(self) -> str: ...
    @property
    def bound(self) -> str | None: ...
    @property
    def moves_to(self) -> str | None: ...


def misfit(definition: Definition | None, run: Standing) -> str | None:
    """Return why this code can't execute the run; None if nothing in its row says so."""
    if definition is None:
        return "no such workflow is registered"
    if run.workflow_version > definition.version:
        name = definition.workflow.__name__
        return f"it is of version {run.workflow_version}, and this code has version {definition.version} of {name}"
    if definition.migrations and run.workflow_version < definition.version:
        return no_link(definition, run)  # where it then is, its migrations say
    place = definition.places.get(run.place)
    if place is None:
        return _no_place(definition, run)
    if run.moves_to is not None:
        return None if run.moves_to in definition.places else _no_way(definition, run.moves_to)
    if run.bound is not None and not any(t.name == definition.current(run.bound) for t in place.waiting):
        return _no_retry(run)
    return None


def no_link(definition: Definition, run: Standing) -> str | None:
    """Return why no migrations lead from the run's version to the code's; None if they do, or none are needed."""
    version, missing = run.workflow_version, definition.missing_link(run.workflow_version)
    if missing is None:
        return None
    return (
        f"it is of version {version}, this code has version {definition.version} of {definition.workflow.__name__}, and no "
        f"@migrate(from_version={missing}) leads from version {missing} to {missing + 1}"
    )


def _no_place(definition: Definition, run: Standing) -> str:
    return f"its place {run.place!r} isn't in {definition.workflow.__name__} any more"


def _no_way(definition: Definition, place: str) -> str:
    return f"the place {place!r} that it is to move to isn't in {definition.workflow.__name__} any more"


def _no_retry(run: Standing) -> str:
    return f"the transition {run.bound!r} that it is to retry doesn't leave {run.place!r} any more"
