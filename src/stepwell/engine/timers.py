"""The moments of a place's timers.

- A timer fires a fixed time after its place was entered, or at the moment that a method has worked out for this visit
  (rule 60).
- What was worked out is kept in the run's row with the visit that it belongs to, so that it is never another one's: code
  that doesn't know these timers leaves it where it is.
- A duration is kept as it is, and counts from the entry of the place; a moment is kept as a moment.
- A timer that wasn't worked out yet (the place was entered by a failure, a cancel, or by code without this timer) has no
  moment. It is worked out before the run parks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stepwell.definition.model import Place, Transition
from stepwell.engine.questions import AskedQuestion, asked_here
from stepwell.engine.run import Moment, RunRow, microseconds


class WorkedOut(NamedTuple):
    """The durations and the moments of timers, by the names of their transitions; and the questions that are asked."""

    after: Mapping[str, Moment]
    at: Mapping[str, Moment]
    asked: Sequence[AskedQuestion] = ()


_NONE = WorkedOut({}, {})


def timers_json(visit: int, found: WorkedOut) -> str:
    """Return the timers of a visit as the run keeps them."""
    kept: dict[str, Any] = {"visit": visit, "after": dict(found.after), "at": dict(found.at)}
    if found.asked:
        kept["asked"] = {one.transition: one.mark for one in found.asked}
    return json.dumps(kept, ensure_ascii=False)


def worked_out(run: RunRow) -> WorkedOut:
    """Return what is kept for the visit that the run is in; nothing if a person has written something else there."""
    if run.timers is None:
        return _NONE
    try:
        kept = json.loads(run.timers)
        after, at = _moments(kept["after"]), _moments(kept["at"])
        return WorkedOut(after, at) if kept["visit"] == run.visit else _NONE
    except (ValueError, TypeError, LookupError, AttributeError):
        return _NONE


def _moments(given: Any) -> dict[str, Moment]:
    return {name: int(moment) for name, moment in given.items()}


def moment_of(transition: Transition, run: RunRow) -> Moment | None:
    """Return when the timer is due; None if that isn't worked out yet."""
    if transition.after is not None:
        return run.entered_at + microseconds(transition.after)
    found = worked_out(run)
    known = found.after.get(transition.name)
    return found.at.get(transition.name) if known is None else run.entered_at + known


def untimed(place: Place, run: RunRow) -> bool:
    """Return whether moments of the place's timers, or questions, are still to be worked out."""
    asked = asked_here(run)
    return any(t.name not in asked if t.due is None else moment_of(t, run) is None for t in place.timed)


def wakes_at(place: Place, run: RunRow) -> Moment | None:
    """Return the first timer of the place or the run's deadline, whichever comes first."""
    timers = [moment_of(t, run) for t in place.waiting if t.kind == "timer"]
    return min((moment for moment in (*timers, run.deadline) if moment is not None), default=None)
