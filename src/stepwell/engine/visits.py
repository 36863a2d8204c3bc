"""Detours to a retry_target (rule 7), and the visits that a run leaves.

- A detour interrupts a visit. The places on the way have visits of their own; when the run comes back, the interrupted
  visit continues with its attempts, its budget and its bound signal.
- Moving to the retry_target writes no history row.
- A signal that an interrupted visit is bound to is taken by no other visit (rule 13).
- Leaving a place for another one ends the stay there, and with it the signals accepted for it; a transition back to the same
  place ends nothing (rules 11, 44).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from stepwell.engine.run import FINISHED, Moment, RunRow

_VISIT: Final = (
    "place",
    "visit",
    "entered_at",
    "attempt",
    "failing",
    "failures",
    "bound",
    "bound_signal",
    "stay",
    "timers",
)
"""The fields of a visit. `Run.detours` holds these values of each interrupted one, outermost first."""
_NUMBER: Final = _VISIT.index("visit")
_STAY: Final = _VISIT.index("stay")
_TIMERS: Final = _VISIT.index("timers")
_BOUND_SIGNAL: Final = _VISIT.index("bound_signal")


def moved(run: RunRow, place: str, now: Moment) -> RunRow:
    """Return the run at the retry_target, without a history row: in a new visit, or back in the one interrupted there."""
    run = run._replace(status="running", moves_to=None, due_at=None, updated_at=now)
    if place == run.place:
        return run
    back = resumed(run, place)
    if back is not None:
        return back
    # Unique among visits: the failed attempt before it had this version, and entered no place.
    detours = json.dumps([*_interrupted(run), [getattr(run, field) for field in _VISIT]])
    return entered(run, place, run.version, now)._replace(detours=detours)


def entered(run: RunRow, place: str, visit: int, now: Moment) -> RunRow:
    """Return the run at the beginning of a visit to this place."""
    return run._replace(
        place=place, visit=visit, entered_at=now, attempt=0, failing=None, failures=0, bound=None, bound_signal=None,
        stay=None, timers=None,
    )  # fmt: skip


def resumed(run: RunRow, place: str) -> RunRow | None:
    """Return the run in the visit that was interrupted at `place`, if one was; those interrupted after it are given up."""
    visits = _interrupted(run)
    for outer, visit in enumerate(visits):
        if visit[0] == place:
            return run._replace(
                **dict(zip(_VISIT, visit, strict=True)), detours=json.dumps(visits[:outer]) if outer else None
            )
    return None


def visits(run: RunRow) -> tuple[int, ...]:
    """Return the visits to which the run's signals belong: those in which it came to its place, and to interrupted ones."""
    if run.detours is None:
        return (run.arrived,)
    interrupted = ((visit[_STAY], visit[_NUMBER]) for visit in _interrupted(run))
    return (run.arrived, *(number if stay is None else stay for stay, number in interrupted))


def left(before: RunRow, after: RunRow) -> tuple[int, ...]:
    """Return the visits that ended on the way from one place to the next: all to which the run doesn't come back.

    A transition back to the same place ends none: signals accepted there stay for it.
    """
    if before.detours is None and after.detours is None:
        if after.stay is not None and after.status not in FINISHED:
            return ()
        return (before.visit if before.stay is None else before.stay,)
    if after.finished:
        return visits(before)
    remaining = visits(after)
    return tuple(visit for visit in visits(before) if visit not in remaining)


def reserved(run: RunRow) -> Sequence[str]:
    """Return the ids of signals that interrupted visits are to be retried with: no other visit takes them."""
    if run.detours is None:
        return ()
    return [visit[_BOUND_SIGNAL] for visit in _interrupted(run) if visit[_BOUND_SIGNAL] is not None]


def interrupted_timers(run: RunRow) -> list[tuple[int, str | None]]:
    """Return the interrupted visits, each with what was worked out for it."""
    return [(visit[_NUMBER], visit[_TIMERS]) for visit in _interrupted(run)]


def all_bound(run: RunRow) -> list[str]:
    """Return the ids of the signals that its visit and the interrupted ones are bound to."""
    return [*reserved(run), *([] if run.bound_signal is None else [run.bound_signal])]


def _interrupted(run: RunRow) -> list[list[Any]]:
    visits: list[list[Any]] = json.loads(run.detours) if run.detours is not None else []
    return [[*visit, *[None] * (len(_VISIT) - len(visit))] for visit in visits]  # earlier versions knew fewer fields
