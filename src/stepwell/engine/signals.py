"""The acceptance of signals: the transitions that take them, and the time when they do.

- A transition that could ever take it must exist, and it mustn't be the callback of a child (rule 50).
- A finished run takes nothing; a failed one takes events and ends of children only (rule 15).
- Accepted where its transition waits it belongs to that stay; otherwise, or with `keep=True`, it is kept (rules 11, 44).
- Of the signals that lead away from a place, one is accepted and the others are refused (rule 44).
- The signal of a person who is asked belongs to its stay also with `keep=True` (rule 57).
- Kept signals have a limit. Signals that the place waits for are accepted in spite of it (rule 43, fault 12).
- A refused signal changes nothing (fault 10).
- Signals that were accepted and not used are void: each leaves a row in the history, with its sender and the reason (rule 44).
  More than ten with the same name and reason share a row. These rows follow that of the commit which left the signals
  behind. Signals that a run keeps when it ends have such rows too, but aren't marked as void themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FunctionType
from typing import Final, Literal, NamedTuple, cast

from stepwell.definition.model import Definition, Transition
from stepwell.engine.choose import DEFAULT_RULES, Rules
from stepwell.engine.commit import Commit
from stepwell.engine.run import MAX_ERROR_CHARS, HistoryRow, Moment, RunRow, SignalRow, names_in
from stepwell.engine.visits import all_bound
from stepwell.errors import AlreadyAnswered, PayloadTooLarge, RunFinished, UnknownTransition


@dataclass(frozen=True, slots=True)
class Arrival:
    """A signal that arrives: validated data as JSON, and its sender."""

    id: str
    name: str
    data: str
    kind: Literal["signal", "event"] = "signal"
    user_id: str | None = None
    idempotency_key: str | None = None


def signal_name(definition: Definition, run: RunRow, given: object) -> str:
    """Return the name of a signal that was given by its name or by the method of its transition.

    Where the method's decorators have several names, the transition that leaves the run's place counts. Raises
    UnknownTransition for a method that isn't of the run's workflow, or that no signal fires.
    """
    if not isinstance(given, FunctionType):
        # Anything but a text isn't a name, and is refused as such.
        return definition.current(given) if isinstance(given, str) else cast("str", given)
    cls = definition.workflow
    own = [t for t in definition.transitions if any(vars(one).get(t.method) is given for one in cls.__mro__)]
    names = dict.fromkeys(t.name for t in own if t.kind == "signal")
    if len(names) > 1:
        names = dict.fromkeys(t.name for t in own if t.kind == "signal" and t.source == run.place) or names
    if len(names) == 1:
        return next(iter(names))
    if names:
        why = f"has the names {', '.join(names)}, and run {run.id} is at {run.place!r}, which none of them leaves"
        raise UnknownTransition(f"The method {given.__qualname__} {why}: give one of these names.")
    why = f"is {_ARTICLES[own[0].kind]} transition" if own else f"isn't a transition of {cls.__name__}"
    methods = sorted({t.method for t in definition.transitions if t.kind == "signal"})
    known = ", ".join(f"{cls.__name__}.{one}" for one in methods) or "none"
    raise UnknownTransition(
        f"The method {given.__qualname__} {why}, so no signal of run {run.id} fires it. "
        f"Methods of {cls.__name__} that may be signalled: {known}."
    )


_ARTICLES = {"automatic": "an automatic", "timer": "a timer", "event": "an event"}


def takers(definition: Definition, name: str, kind: str = "signal") -> tuple[Transition, ...]:
    """Return the transitions that could ever take it. Raises UnknownTransition if there are none."""
    found = tuple(t for t in definition.named(name) if t.kind == kind)
    if not found:
        known = ", ".join(sorted(definition.signals)) or "none"
        raise UnknownTransition(
            f"{definition.workflow.__name__} has no signal transition {name!r}. Those that may be signalled: {known}."
        )
    return found


def refuse_callback(definition: Definition, run: RunRow, name: str) -> None:
    """Raise UnknownTransition where only the ends of the run's children may fire `name` (rule 50)."""
    if name not in names_in(run.callbacks):
        return
    known = ", ".join(sorted(definition.signals - names_in(run.callbacks))) or "none"
    raise UnknownTransition(
        f"{name!r} is the callback of a child of run {run.id}: the child's end fires it, and no signal does. "
        f"Those that may be signalled: {known}.",
        callback=True,
    )


class First(NamedTuple):
    """The first open signal that a run's stay is going to take."""

    name: str
    kind: str
    by: str | None
    accepted_at: Moment


class Kept(NamedTuple):
    """The open signals of a run, when another one arrives; ends of children left out."""

    open: int
    same: int
    """Those of its name that the run's visit could take."""
    size: int = 0
    """Bytes of all of them."""
    first: First | None = None
    """The first of its `rivals`."""


NOTHING_KEPT = Kept(0, 0)


def rivals(definition: Definition, run: RunRow, arrival: Arrival) -> tuple[tuple[str, str], ...]:
    """Return (kind, name) of the signals that lead away from the place where this one is to be taken: the first one wins.

    There are none for a signal that is kept for later, as early ones and those of transitions with `keep` are.
    """
    here = _waits_here(definition, run, arrival)
    if here is None or here.keep or arrival.kind != "signal":
        return ()
    called = names_in(run.callbacks)
    kinds = {"event": "event", "signal": "signal"}
    return tuple(
        ("child" if t.name in called and t.kind == "signal" else kinds[t.kind], name)
        for t in definition.places[run.place].waiting
        if t.kind in kinds and t.target != run.place
        for name in (t.name, *t.was)
    )


def accept(
    definition: Definition, run: RunRow, arrival: Arrival, kept: Kept, now: Moment, rules: Rules = DEFAULT_RULES
) -> SignalRow:
    """Return the signal as it is stored; a run that waits becomes ready by it.

    The limits are those of kept signals: a signal that the run's place waits for is accepted, once, in spite of them.

    Raises RunFinished, UnknownTransition, AlreadyAnswered or PayloadTooLarge; the run is untouched then.
    """
    takers(definition, arrival.name, arrival.kind)
    if arrival.kind == "signal":
        refuse_callback(definition, run, arrival.name)
    _refuse_ended(run, arrival)
    if kept.first is not None:
        raise _answered(run, arrival, kept.first)
    here, size = _waits_here(definition, run, arrival), len(arrival.data.encode())
    if here is None or kept.same:
        _refuse_too_much(run, kept, size, rules)
    # What a person answers is never kept for a later question.
    answers = here is not None and here.ask is not None and arrival.user_id is not None
    visit = run.arrived if here is not None and (answers or not here.keep) else None
    return SignalRow(
        arrival.id, run.id, arrival.name, arrival.kind, arrival.data, "completed", None, run.id, arrival.user_id, None,
        arrival.idempotency_key, visit, now, "open", None, size,
    )  # fmt: skip


def _answered(run: RunRow, arrival: Arrival, first: First) -> AlreadyAnswered:
    at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=first.accepted_at)
    what = {"signal": "the signal", "event": "an event for", "child": "the end of a child for"}[first.kind]
    whose = "" if first.by is None else f" by {first.by}"
    return AlreadyAnswered(
        f"Run {run.id} has been answered at {run.place!r} already: {what} {first.name!r}{whose}, at "
        f"{at.isoformat(timespec='seconds')}. The signal {arrival.name!r} came too late, and wasn't stored.",
        by=first.by,
        at=at,
    )


def _refuse_too_much(run: RunRow, kept: Kept, size: int, rules: Rules) -> None:
    if kept.open >= rules.max_kept_signals:
        raise PayloadTooLarge(
            f"Run {run.id} keeps {kept.open} signals that no transition has taken yet, which is the limit "
            f"({rules.max_kept_signals})."
        )
    if kept.size + size > rules.max_kept_bytes:
        raise PayloadTooLarge(
            f"Run {run.id} keeps signals of {kept.size:,} bytes that no transition has taken yet. With this one of "
            f"{size:,} they would be over the limit (max_kept_bytes is {rules.max_kept_bytes:,})."
        )


def _waits_here(definition: Definition, run: RunRow, arrival: Arrival) -> Transition | None:
    place = definition.places.get(run.place)
    waiting = place.waiting if place is not None else ()
    return next((t for t in waiting if t.name == arrival.name and t.kind == arrival.kind), None)


def _refuse_ended(run: RunRow, arrival: Arrival) -> None:
    if run.finished:
        raise RunFinished(f"Run {run.id} is {run.status}: it takes no {arrival.kind} {arrival.name!r} any more.")
    if run.status == "failed" and arrival.kind == "signal":
        raise RunFinished(
            f"Run {run.id} failed at {run.place!r} and takes no signal {arrival.name!r} until it is retried "
            f"(runner.retry({run.id!r})). Its error: {run.error}",
            failed=True,
        )


_ONE_BY_ONE: Final = 10
"""Signals of one name and reason that have a row each; if there are more, all of them share one, with their senders."""
_SENDERS: Final = 20
"""Senders that such a row names."""


class Unused(NamedTuple):
    """A signal that no transition takes any more."""

    id: str
    run_id: str
    name: str
    kind: str
    user_id: str | None
    sender: str
    accepted_at: Moment


def is_void(commit: Commit, signal: SignalRow) -> bool:
    """Return whether the commit marks this open signal as void. (Those that a run keeps when it ends aren't marked.)"""
    if signal.visit in commit.left:
        return True
    answers = signal.name in commit.outdated and signal.user_id is not None and signal.visit == commit.run.arrived
    ends = answers or signal.name in commit.closed
    return signal.kind == "signal" and ends and signal.id not in all_bound(commit.run)


def traces(commit: Commit, unused: Sequence[Unused]) -> list[HistoryRow]:
    """Return the rows that follow the commit's own: these signals, oldest first, with the reasons."""
    row, run = commit.history, commit.run
    place = run.place if row is None or row.source is None else row.source
    return _rows(run, place, unused, lambda signal: _why(commit, place, signal))


def late(run: RunRow, ends: Sequence[Unused]) -> list[HistoryRow]:
    """Return the rows of ends of children that came after the end of their parent."""
    return _rows(run, run.place, ends, lambda _: f"the run was {_ENDED[run.status]} before")


_ENDED: Final = {"completed": "completed", "canceled": "cancelled"}


def _why(commit: Commit, place: str, signal: Unused) -> str:
    row, run = commit.history, commit.run
    if run.finished:
        return f"the run was {_ENDED[run.status]} first"
    if signal.kind == "signal" and signal.name in commit.closed:
        return f"it is the callback of a child since version {run.version}, which the child's end alone fires"
    if row is None or row.transition is None:
        return f"{place!r} was left first"
    return f"{row.transition!r} left {place!r} first"


def _rows(run: RunRow, place: str, unused: Sequence[Unused], why: Callable[[Unused], str]) -> list[HistoryRow]:
    named: dict[tuple[str, str, str], list[Unused]] = {}
    for signal in unused:
        named.setdefault((signal.kind, signal.name, why(signal)), []).append(signal)
    groups = [
        (why_not, part)
        for (_, _, why_not), alike in named.items()
        for part in ([alike] if len(alike) > _ONE_BY_ONE else [[one] for one in alike])
    ]
    groups.sort(key=lambda group: group[1][0].accepted_at)
    return [_row(run, run.version + n, place, part, why_not) for n, (why_not, part) in enumerate(groups, start=1)]


def _row(run: RunRow, version: int, place: str, alike: Sequence[Unused], why: str) -> HistoryRow:
    first, now = alike[0], run.updated_at
    return HistoryRow(
        run.id, version, first.name, place, None, 0, "void", f"{_what(alike)} not used: {why}"[:MAX_ERROR_CHARS],
        None, None, first.id, first.accepted_at, now,
    )  # fmt: skip


def _what(alike: Sequence[Unused]) -> str:
    first = alike[0]
    one, many = {"signal": ("The signal", "signals"), "event": ("The event for", "events for")}.get(
        first.kind, ("The end of a child for", "ends of children for")
    )
    senders = Counter(_sender(signal) for signal in alike)
    if len(alike) == 1:
        return f"{one} {first.name!r} of {_sender(first)} was"
    told = ", ".join(f"{name} ({number})" for name, number in senders.most_common(_SENDERS))
    rest = f" and {len(senders) - _SENDERS} others" if len(senders) > _SENDERS else ""
    return f"{len(alike)} {many} {first.name!r} of {told}{rest} were"


def _sender(signal: Unused) -> str:
    if signal.kind == "child":
        return "its group" if signal.sender == signal.run_id else f"run {signal.sender}"
    return signal.user_id or "the system"
