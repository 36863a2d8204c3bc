"""Entering a place and leaving a worker: where a run goes on, parks or ends, and who is told of it."""

from __future__ import annotations

from typing import Any, Literal

from stepwell.definition.model import END, Definition
from stepwell.engine.choose import fires, wakes_at
from stepwell.engine.detours import resumed
from stepwell.engine.outcome import Park
from stepwell.engine.run import Inbox, Moment, Run, SignalRow, Status


def enter(definition: Definition, run: Run, place: str, inbox: Inbox, now: Moment, **changes: Any) -> Run:
    """The run at its next place, by the history row `version + 1`: it goes on, parks, or is completed.

    `changes` are made on the way, in the one copy of the row that a step in the middle of a run takes.
    """
    version = run.version + 1
    run = run._replace(
        status="running", place=place, version=version, visit=version, entered_at=now, attempt=0, failing=None, failures=0,
        bound=None, bound_signal=None, moves_to=None, takeovers=0, due_at=None, updated_at=now, **changes,
    )  # fmt: skip
    if place == END:
        return ended(run, "completed", now, deadline=None, detours=None, finished_at=now)
    if run.detours is not None:
        run = resumed(run, place) or run
    here = definition.places[place]
    # Parked at once, if nothing can fire without a guard being asked first (semantics 3a).
    if here.automatic or run.bound is not None or fires(here, run, inbox, now):
        return run
    return parked(run, Park(wakes_at(here, run)), now)


def parked(run: Run, decision: Park, now: Moment) -> Run:
    """Released until a signal, an event or its timer; the count of transitions that nobody asked for begins anew."""
    return released(run, "waiting", now, due_at=decision.due_at, automatic=0)


def ended(run: Run, status: Literal["completed", "failed", "canceled"], now: Moment, **changes: Any) -> Run:
    """Released for good (or until a person retries it). A parent that waits for it counts as told from now on."""
    told_at = now if run.callback is not None and run.told_at is None else run.told_at
    return released(run, status, now, told_at=told_at, **changes)


def released(
    run: Run,
    status: Status,
    now: Moment,
    *,
    ready_at: Moment | None = None,
    due_at: Moment | None = None,
    **changes: Any,
) -> Run:
    """In nobody's hands: what its worker still commits loses by the fence (semantics 29)."""
    return run._replace(
        status=status, owner=None, claim=run.claim + 1, ready_at=ready_at, due_at=due_at, updated_at=now, **changes
    )


def tell(before: Run, after: Run) -> SignalRow | None:
    """What the parent learns of the first end of a child that has a callback (semantics 17)."""
    if before.told_at is not None or after.callback is None or after.parent_id is None:
        return None
    completed = after.status == "completed"
    return SignalRow(
        id=f"{after.id}:end",  # one id for one end: a second telling can't be stored
        run_id=after.parent_id,
        name=after.callback,
        kind="child",
        data=(after.result or "null") if completed else "null",
        status="completed" if completed else "failed" if after.status == "failed" else "canceled",
        error=None if completed else after.error,
        sender=after.id,
        user_id=None,
        meta=after.callback_meta,
        idempotency_key=None,
        visit=None,
        accepted_at=after.updated_at,
        state="open",
        version=None,
    )
