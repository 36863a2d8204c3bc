"""Detours to a retry_target: a visit is interrupted, and resumed when the run comes back to its place (semantics 7)."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any, Final

from stepwell.engine.run import Moment, Run

_VISIT: Final = ("place", "visit", "entered_at", "attempt", "failing", "failures", "bound", "bound_signal")
"""What makes up a visit. `Run.detours` holds these values of each interrupted one, outermost first."""
_NUMBER: Final = _VISIT.index("visit")
_BOUND_SIGNAL: Final = _VISIT.index("bound_signal")


def moved(run: Run, place: str, now: Moment) -> Run:
    """At the retry_target, by no history row: in a visit of its own, or back in the one interrupted there."""
    run = run._replace(status="running", moves_to=None, due_at=None, updated_at=now)
    if place == run.place:
        return run
    back = resumed(run, place)
    if back is not None:
        return back
    return run._replace(
        place=place,
        # Unique among visits: the failed attempt before it had this version, and entered no place.
        visit=run.version,
        entered_at=now,
        attempt=0,
        failing=None,
        failures=0,
        bound=None,
        bound_signal=None,
        detours=json.dumps([*_interrupted(run), [getattr(run, field) for field in _VISIT]]),
    )


def resumed(run: Run, place: str) -> Run | None:
    """Back in the visit that was interrupted at `place`, if one was; those interrupted after it are given up."""
    visits = _interrupted(run)
    for outer, visit in enumerate(visits):
        if visit[0] == place:
            return run._replace(
                **dict(zip(_VISIT, visit, strict=True)), detours=json.dumps(visits[:outer]) if outer else None
            )
    return None


def visits(run: Run) -> tuple[int, ...]:
    """The visit that the run is in, and those that it has interrupted."""
    if run.detours is None:
        return (run.visit,)
    return (run.visit, *(visit[_NUMBER] for visit in _interrupted(run)))


def left(before: Run, after: Run) -> tuple[int, ...]:
    """The visits that ended on the way from one place to the next: all that the run doesn't come back to."""
    if after.finished:
        return visits(before)
    if before.detours is None and after.detours is None:
        return (before.visit,)
    remaining = visits(after)
    return tuple(visit for visit in visits(before) if visit not in remaining)


def reserved(run: Run) -> Container[str]:
    """The ids of signals that interrupted visits are to be retried with: no other visit takes them."""
    return [visit[_BOUND_SIGNAL] for visit in _interrupted(run)] if run.detours is not None else ()


def _interrupted(run: Run) -> list[list[Any]]:
    visits: list[list[Any]] = json.loads(run.detours) if run.detours is not None else []
    return visits
