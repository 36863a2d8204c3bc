"""Which transition fires next (semantics 1 to 3, 11, 12)."""

from __future__ import annotations

from collections.abc import Mapping

from stepwell.definition.model import Definition, Place, Transition
from stepwell.engine.outcome import (
    DEFAULT_RULES,
    Ask,
    Decision,
    Execute,
    Fail,
    Move,
    Park,
    Rules,
    Unfit,
)
from stepwell.engine.run import Inbox, Moment, Run, SignalRow

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
        return Fail(timed_out(definition), "TransitionTimeout")
    if run.moves_to is not None:
        return _move(definition, run)
    if run.bound is not None:
        return _bound(place, run, inbox)
    return (
        _automatic(definition, place, run, verdicts, rules)
        or _waiting(place, run, inbox, now)
        or _stuck(definition, place, run)
    )


def _move(definition: Definition, run: Run) -> Decision:
    if run.moves_to not in definition.places:
        return Unfit(
            f"the place {run.moves_to!r} that it is to move to isn't in {definition.workflow.__name__} any more"
        )
    return Move(run.moves_to)


def _bound(place: Place, run: Run, inbox: Inbox) -> Decision:
    transition = next((t for t in place.waiting if t.name == run.bound), None)
    if transition is None:
        return Unfit(f"the transition {run.bound!r} that it is to retry doesn't leave {run.place!r} any more")
    signal = next((s for s in inbox if s.id == run.bound_signal), None)
    return Execute(transition, signal)


def _automatic(definition: Definition, place: Place, run: Run, verdicts: Verdicts, rules: Rules) -> Decision | None:
    for transition in place.automatic:
        verdict = True if transition.guard is None else verdicts.get(transition.order)
        if verdict is False:
            continue
        if run.automatic >= rules.max_transitions:
            return Fail(
                f"{definition.workflow.__name__}: {run.automatic} automatic transitions in a row without parking "
                f"(at {run.place!r}; max_transitions_per_pass is {rules.max_transitions})"
            )
        return Ask(transition) if verdict is None else Execute(transition)
    return None


def _waiting(place: Place, run: Run, inbox: Inbox, now: Moment) -> Decision | None:
    if not place.waiting:
        return None
    return fires(place, run, inbox, now) or Park(wakes_at(place, run))


def _stuck(definition: Definition, place: Place, run: Run) -> Decision:
    guards = ", ".join(t.guard_name or t.name for t in place.automatic)
    return Fail(
        f"{definition.workflow.__name__}: at {run.place!r} no guard is true ({guards}) and nothing waits there; "
        "retry evaluates them again"
    )


def fires(place: Place, run: Run, inbox: Inbox, now: Moment) -> Execute | None:
    """The waiting transition whose moment came first; then the order of declaration, then of acceptance."""
    best: tuple[Moment, int, int, Execute] | None = None
    for transition in place.waiting:
        for moment, sequence, signal in _moments(transition, run, inbox, now):
            if best is None or (moment, transition.order, sequence) < best[:3]:
                best = (moment, transition.order, sequence, Execute(transition, signal))
    return best[3] if best else None


def _moments(transition: Transition, run: Run, inbox: Inbox, now: Moment) -> list[tuple[Moment, int, SignalRow | None]]:
    if transition.kind == "timer":
        due = _timer(transition, run)
        return [(due, 0, None)] if due <= now else []
    return [
        (max(signal.accepted_at, run.entered_at), sequence, signal)
        for sequence, signal in enumerate(inbox)
        if signal.name == transition.name and signal.visit in (None, run.visit)
    ][:1]


def _timer(transition: Transition, run: Run) -> Moment:
    assert transition.after is not None  # a timer is what has an `after`
    return run.entered_at + round(transition.after.total_seconds() * 1_000_000)


def wakes_at(place: Place, run: Run) -> Moment | None:
    """The first timer of the place or the run's deadline, whichever comes first."""
    moments = [_timer(t, run) for t in place.waiting if t.kind == "timer"]
    if run.deadline is not None:
        moments.append(run.deadline)
    return min(moments, default=None)


def timed_out(definition: Definition) -> str:
    """The text of a run whose run_timeout is over."""
    assert definition.run_timeout is not None  # only such runs have a deadline
    return f"{definition.workflow.__name__}: run_timeout of {definition.run_timeout.total_seconds():g} s is over"
