"""Which transition fires next (semantics 1 to 3, 11, 12)."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.definition.model import Definition, Place, Transition
from stepwell.engine.detours import reserved
from stepwell.engine.outcome import DEFAULT_RULES, UNASKED, Ask, Decision, Execute, Fail, Move, Park, Rules, Unfit
from stepwell.engine.run import Inbox, Moment, Run, SignalRow, microseconds

Verdicts = Mapping[int, bool]
"""What guards said, by the order number of their transition."""


def decide(
    definition: Definition, run: Run, inbox: Inbox, verdicts: Verdicts, now: Moment, rules: Rules = DEFAULT_RULES
) -> Decision:
    """What to do next with a run that its worker holds. Asks for one guard at a time, and only for those it needs."""
    place = definition.places.get(run.place)
    if place is None:
        return Unfit(f"its place {run.place!r} isn't in {definition.workflow.__name__} any more")
    if run.deadline is not None and now >= run.deadline:
        return _timed_out(definition)
    if run.moves_to is not None:
        return _move(definition, run.moves_to)
    if run.bound is not None:
        return _bound(place, run, inbox)
    chosen = _automatic(place, verdicts) or fires(place, run, inbox, now)
    if chosen is None:
        return Park(wakes_at(place, run)) if place.waiting else _stuck(definition, place)
    if run.automatic + _counts(chosen) > rules.max_transitions:
        return Fail(
            f"{definition.workflow.__name__}: {run.automatic} automatic transitions in a row without parking "
            f"(at {run.place!r}; max_transitions_per_pass is {rules.max_transitions})"
        )
    return chosen


def _counts(chosen: Ask | Execute) -> bool:
    # Timers count too: one of no length, in a circle, never parks either. A guard may say no, so that it is asked at the
    # limit; beyond it a guard has raised already, and asking again could go on for ever.
    return isinstance(chosen, Execute) and chosen.transition.kind in UNASKED


def _timed_out(definition: Definition) -> Fail:
    limit = f" of {definition.run_timeout.total_seconds():g} s" if definition.run_timeout is not None else ""
    return Fail(f"{definition.workflow.__name__}: run_timeout{limit} is over", "TransitionTimeout")


def _move(definition: Definition, place: str) -> Decision:
    if place in definition.places:
        return Move(place)
    return Unfit(f"the place {place!r} that it is to move to isn't in {definition.workflow.__name__} any more")


def _bound(place: Place, run: Run, inbox: Inbox) -> Decision:
    transition = next((t for t in place.waiting if t.name == run.bound), None)
    if transition is None:
        return Unfit(f"the transition {run.bound!r} that it is to retry doesn't leave {run.place!r} any more")
    if run.bound_signal is None:
        return Execute(transition)
    signal = next((s for s in inbox if s.id == run.bound_signal), None)
    if signal is None:
        return Unfit(f"the signal that {run.bound!r} is to retry with isn't in its inbox any more")
    return Execute(transition, signal)


def _automatic(place: Place, verdicts: Verdicts) -> Ask | Execute | None:
    for transition in place.automatic:
        verdict = True if transition.guard is None else verdicts.get(transition.order)
        if verdict is None:
            return Ask(transition)
        if verdict:
            return Execute(transition)
    return None


def _stuck(definition: Definition, place: Place) -> Fail:
    guards = ", ".join(t.guard_name or t.name for t in place.automatic)
    return Fail(
        f"{definition.workflow.__name__}: at {place.name!r} no guard is true ({guards}) and nothing waits there; "
        "retry evaluates them again"
    )


def fires(place: Place, run: Run, inbox: Inbox, now: Moment) -> Execute | None:
    """The waiting transition whose moment came first, then the one declared first; with its oldest signal."""
    offers = [offer for t in place.waiting if (offer := _offer(t, run, inbox, now)) is not None]
    return min(offers, key=_moment_and_order)[1] if offers else None


def _moment_and_order(offer: tuple[Moment, Execute]) -> tuple[Moment, int]:
    return offer[0], offer[1].transition.order


def _offer(transition: Transition, run: Run, inbox: Inbox, now: Moment) -> tuple[Moment, Execute] | None:
    if transition.kind == "timer":
        due = _timer(transition, run)
        return (due, Execute(transition)) if due <= now else None
    for signal in inbox:
        if signal.visit in (None, run.visit) and _fits(transition, signal) and signal.id not in reserved(run):
            return max(signal.accepted_at, run.entered_at), Execute(transition, signal)
    return None


def _fits(transition: Transition, signal: SignalRow) -> bool:
    return signal.name == transition.name and (signal.kind == "event") == (transition.kind == "event")


def _timer(transition: Transition, run: Run) -> Moment:
    assert transition.after is not None  # a timer is what has an `after`
    return run.entered_at + microseconds(transition.after)


def wakes_at(place: Place, run: Run) -> Moment | None:
    """The first timer of the place or the run's deadline, whichever comes first."""
    moments = [_timer(t, run) for t in place.waiting if t.kind == "timer"]
    return min(moments if run.deadline is None else [*moments, run.deadline], default=None)
