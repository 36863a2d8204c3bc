"""Accepting a signal: who takes it, and when (semantics 11, 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from stepwell.definition.model import Definition, Transition
from stepwell.engine.outcome import DEFAULT_RULES, Rules
from stepwell.engine.run import Moment, Run, SignalRow
from stepwell.errors import PayloadTooLarge, RunFinished, UnknownTransition


@dataclass(frozen=True, slots=True)
class Arrival:
    """A signal at the door: validated data as JSON, and who it is from."""

    id: str
    name: str
    data: str
    kind: Literal["signal", "event"] = "signal"
    user_id: str | None = None
    idempotency_key: str | None = None


def takers(definition: Definition, name: str, kind: str = "signal") -> tuple[Transition, ...]:
    """The transitions that could ever take it. Raises UnknownTransition if there are none."""
    found = tuple(t for t in definition.named(name) if t.kind == kind)
    if not found:
        known = ", ".join(sorted(definition.signals)) or "none"
        raise UnknownTransition(
            f"{definition.workflow.__name__} has no signal transition {name!r}. Those that may be signalled: {known}."
        )
    return found


class Kept(NamedTuple):
    """The open signals of a run, when another one arrives."""

    open: int
    same: int
    """Those of its name that the run's visit could take."""


NOTHING_KEPT = Kept(0, 0)


def accept(
    definition: Definition, run: Run, arrival: Arrival, kept: Kept, now: Moment, rules: Rules = DEFAULT_RULES
) -> SignalRow:
    """The signal as it is stored; a run that waits becomes ready by it.

    The limit is one of what is kept for later: what the run's place waits for is accepted, once, whatever is kept.

    Raises RunFinished, UnknownTransition or PayloadTooLarge; the run is untouched then.
    """
    takers(definition, arrival.name, arrival.kind)
    _refuse_ended(run, arrival)
    here = _waits_here(definition, run, arrival)
    if kept.open >= rules.max_kept_signals and (here is None or kept.same):
        raise PayloadTooLarge(
            f"Run {run.id} keeps {kept.open} signals that no transition has taken yet, which is the limit "
            f"({rules.max_kept_signals})."
        )
    visit = run.visit if here is not None and not here.keep else None
    return SignalRow(
        arrival.id, run.id, arrival.name, arrival.kind, arrival.data, "completed", None, run.id, arrival.user_id, None,
        arrival.idempotency_key, visit, now, "open", None,
    )  # fmt: skip


def _waits_here(definition: Definition, run: Run, arrival: Arrival) -> Transition | None:
    place = definition.places.get(run.place)
    waiting = place.waiting if place is not None else ()
    return next((t for t in waiting if t.name == arrival.name and t.kind == arrival.kind), None)


def _refuse_ended(run: Run, arrival: Arrival) -> None:
    if run.finished:
        raise RunFinished(f"Run {run.id} is {run.status}: it takes no {arrival.kind} {arrival.name!r} any more.")
    if run.status == "failed" and arrival.kind == "signal":
        raise RunFinished(
            f"Run {run.id} failed at {run.place!r} and takes no signal {arrival.name!r} until it is retried "
            f"(runner.retry({run.id!r})). Its error: {run.error}"
        )
