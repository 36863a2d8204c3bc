"""The rules of the graph: small pure functions over the collected transitions. Each names class, method, place, cure.

`error_place`, `retry_target` and `on_cancel` count as ways into a place (rule 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import groupby

from stepwell.definition.authoring.marks import END, START
from stepwell.definition.model import Place, Transition

Places = Mapping[str, Place]


def graph_faults(
    owner: str, transitions: Sequence[Transition], places: Places, on_cancel: object = None
) -> Iterator[str]:
    """Yield all faults in the graph of the class named `owner`."""
    yield from cancel_route(owner, transitions, places, on_cancel)
    if START not in places:
        yield f"{owner}: no transition leaves 'start'; leave out the source of the first one, or give it as START."
    yield from dead_ends(owner, transitions, places)
    yield from unknown_routes(owner, transitions, places)
    yield from unreachable(owner, transitions, places, on_cancel)
    for place in places.values():
        yield from same_names(owner, place)
        yield from two_unguarded(owner, place)
        yield from shadowed(owner, place)


def in_order(transitions: Sequence[Transition]) -> tuple[Transition, ...]:
    """Return automatic transitions as they are tried: higher priority first, then those without one, each as declared."""
    return tuple(sorted(transitions, key=lambda t: (t.priority is None, -(t.priority or 0), t.order)))


def dead_ends(owner: str, transitions: Sequence[Transition], places: Places) -> Iterator[str]:
    """Yield a fault for each target that is neither the end nor a place that a transition leaves."""
    for t in transitions:
        if t.target not in places:
            yield (
                f"{owner}.{t.method}: nothing leaves its target '{t.target}'; "
                f"add a transition from '{t.target}', or use target=END."
            )


def unknown_routes(owner: str, transitions: Sequence[Transition], places: Places) -> Iterator[str]:
    """Yield a fault for each `error_place` and `retry_target` that isn't a place with a way out."""
    targets = {t.target for t in transitions}
    for t in transitions:
        for option, place in (("error_place", t.error_place), ("retry_target", t.retry_target)):
            if place is not None and (why := _no_way_on(place, places, targets)) is not None:
                yield f"{owner}.{t.method}: its {option} '{place}' {why}; name a place that a transition leaves."


def _no_way_on(place: str, places: Places, targets: Set[str]) -> str | None:
    """Return why a run can't be led to this place; None if it can."""
    if place in places and place != END:
        return None
    if place == END:
        return "is the end, which has no way out"
    return "has no way out" if place in targets else "isn't a place of the workflow"


def cancel_route(owner: str, transitions: Sequence[Transition], places: Places, on_cancel: object) -> Iterator[str]:
    """Yield a fault for an `on_cancel` that isn't a place with a way out."""
    if on_cancel is None:
        return
    if not isinstance(on_cancel, str) or not on_cancel:
        yield f"{owner}: on_cancel={on_cancel!r} isn't the name of a place; give a string."
        return
    why = _no_way_on(on_cancel, places, {t.target for t in transitions})
    if why is not None:
        yield f"{owner}: its on_cancel '{on_cancel}' {why}; name a place that a transition leaves."


def unreachable(
    owner: str, transitions: Sequence[Transition], places: Places, on_cancel: object = None
) -> Iterator[str]:
    """Yield a fault for each place that can't be reached from the start."""
    if START not in places:
        return
    reached = _reached(places, [on_cancel] if isinstance(on_cancel, str) else [])
    stranded = [t for t in transitions if t.source not in reached]
    for place, leaving in groupby(sorted(stranded, key=lambda t: t.source), key=lambda t: t.source):
        methods = list(dict.fromkeys(t.method for t in leaving))
        yield (
            f"{owner}.{methods[0]}: its source '{place}' can't be reached; "
            f"lead a transition to '{place}', or remove {' and '.join(methods)}."
        )


def _reached(places: Places, further: Sequence[str]) -> set[str]:
    reached: set[str] = set()
    ahead = [START, *further]
    while ahead:
        name = ahead.pop()
        if name in reached or name not in places:
            continue
        reached.add(name)
        for t in (*places[name].automatic, *places[name].waiting):
            ahead.extend(to for to in (t.target, t.error_place, t.retry_target) if to is not None)
    return reached


def same_names(owner: str, place: Place) -> Iterator[str]:
    """Yield a fault for each name that two transitions of one place share."""
    taken: dict[str, Transition] = {}
    for t in sorted((*place.automatic, *place.waiting), key=lambda t: t.order):
        first = taken.setdefault(t.name, t)
        if first is not t:
            yield (
                f"{owner}.{t.method}: two transitions named '{t.name}' leave '{place.name}' "
                f"({first.method} and {t.method}); give one of them another name=."
            )


def two_unguarded(owner: str, place: Place) -> Iterator[str]:
    """Yield a fault for each automatic transition without a guard after another one: it could never fire."""
    unguarded = [t for t in place.automatic if t.guard is None]
    for t in unguarded[1:]:
        yield (
            f"{owner}.{t.method}: at '{place.name}' both {unguarded[0].method} and {t.method} are automatic without "
            f"when=, so {t.method} never fires; give {unguarded[0].method} a when=."
        )


def shadowed(owner: str, place: Place) -> Iterator[str]:
    """Yield a fault for each transition behind an automatic one without a guard: it never fires.

    Waiting transitions come after all automatic ones.
    """
    first = next((i for i, t in enumerate(place.automatic) if t.guard is None), None)
    if first is None:
        return
    blocker = place.automatic[first]
    guarded = [t for t in place.automatic[first + 1 :] if t.guard is not None]
    for t in guarded:
        yield (
            f"{owner}.{t.method}: at '{place.name}' {blocker.method} is tried before it and has no when=, so "
            f"{t.method} never fires; give {t.method} a higher priority=, or {blocker.method} a when=."
        )
    for t in place.waiting:
        yield (
            f"{owner}.{t.method}: at '{place.name}' {blocker.method} is automatic without when=, so the run never "
            f"waits there for {t.method}; give {blocker.method} a when=."
        )
