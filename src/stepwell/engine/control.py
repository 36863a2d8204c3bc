"""The commits that no attempt makes: a run is created, cancelled, retried, taken, released or given up.

- A new run stands at START, with the state that it was given, and row 0 of its history says so. It listens from its
  creation to the events whose `match` needs its args only (rule 16). One that starts now may be stored as already claimed
  by the worker that starts it (rule 23). One that starts later has no owner, and its run_timeout counts from then.
- A cancel is a commit of its own, at once. It names the transition that was being executed, whose outcome is refused by the
  fence. A completed run can't be cancelled, and a cancelled one stays as it is (rule 26).
- With a place for it, a cancel leads there, and the run is cancelled when it comes to END. What waits is void, and children
  are cancelled at once. A run that is executed stays with its worker, whose attempt is over before it gives the run back
  (rule 62).
- A retry makes a failed or retrying run ready now, with a full budget and a new deadline; attempts count on (rule 7).
- A run that this code doesn't fit is released as it was (rule 34), and so is one that is paused.
- A run whose workers have died too often while they executed nothing else fails, and says why (rules 32, 48).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stepwell.definition.authoring.marks import START
from stepwell.definition.model import Definition
from stepwell.definition.text import storable
from stepwell.engine.choose import Fail
from stepwell.engine.commit import Commit
from stepwell.engine.conflicts import Conflict
from stepwell.engine.groups import Slot, held_back, slots_of
from stepwell.engine.matching import listeners_of
from stepwell.engine.questions import AskedQuestion, ended_questions, questions_of
from stepwell.engine.run import BEGUN, HistoryRow, Moment, RunRow, Status, freed, headstart, microseconds
from stepwell.engine.settle import ended, fail, released, tell
from stepwell.engine.suspicion import suspicion_of
from stepwell.engine.visits import entered, visits
from stepwell.errors import RunFinished


class Request(NamedTuple):
    """A start with everything validated and every id known."""

    id: str
    app_name: str
    user_id: str
    workspace_id: str
    args: str
    state: str
    """Its first state, as JSON."""
    labels: str = "[]"
    priority: int | None = None
    idempotency_key: str | None = None
    due_at: Moment | None = None
    """Not before this moment; None: now."""
    owner: str | None = None
    """The worker that has claimed it from the start, if any."""
    parent_id: str | None = None
    callback: str | None = None
    callback_meta: str | None = None
    on_parent_end: str | None = None
    internal: int = 0
    ageing: Moment = 60_000_000
    """The waiting that a level of priority is worth."""
    behind: Moment = 0
    """By how much it steps back behind others that are ready."""
    group_id: str | None = None
    group_index: int | None = None
    gates: str | None = None
    expires_at: Moment | None = None
    conflicts: tuple[Conflict, ...] = ()
    timers: str | None = None
    """The moments of timers at START, as `engine.timers` writes them."""
    subject: str | None = None
    asked: tuple[AskedQuestion, ...] = ()
    """The questions that are asked at START."""


def begin(definition: Definition, request: Request, now: Moment) -> Commit:
    """Return the commit that creates a run at START, ready at once, later, or owned by the worker that starts it."""
    later = request.due_at if request.due_at is not None and request.due_at > now else None
    owner = request.owner if later is None else None
    priority = definition.priority if request.priority is None else request.priority
    if request.gates is not None:
        owner = None  # its slots have to be taken before a worker executes it
    status: Status = "running" if owner else "pending"
    ready_at = None if owner or later is not None else now
    ends_by = deadline(definition, now if later is None else later)
    ahead = headstart(priority, request.ageing, request.behind)
    # By position: sixty keywords cost more than all else that makes a run.
    run = RunRow(
        request.id, request.app_name, definition.name, definition.version, request.workspace_id, request.user_id,
        request.parent_id, request.callback, request.callback_meta, request.on_parent_end, request.internal,
        request.labels, priority, request.idempotency_key, request.args, now,
        request.group_id, request.group_index, ahead + BEGUN if owner else ahead, request.gates, None, None,
        None if owner else request.expires_at, None, definition.on_cancel,  # held_by to on_cancel
        None, None, None, None, request.subject,  # forked_from to subject
        0, status, START, 0, 1 if owner else 0, owner, request.state, None, None,  # to error
        0, now, 0, None, 0, None, None, None, None,  # visit to detours
        0, 0, ready_at, later, ends_by, 0, None, now,  # automatic to updated_at
        timers=request.timers,
    )  # fmt: skip
    creation = HistoryRow(run.id, 0, None, None, None, 0, "committed", None, None, run.state, None, now, now)
    heard, asked = listeners_of(definition, run), questions_of(run, request.asked) if request.asked else ()
    return Commit(-1, -1, run, creation, listeners=heard, conflicts=request.conflicts, asked=asked)


def begin_member(
    definition: Definition, request: Request, now: Moment, gate: str | None, *, turn: bool, by_clock: bool
) -> tuple[Commit, list[Slot]]:
    """Return the commit that creates a run of a group, held behind the group's gate unless it has its turn; and its slots.

    Without `max_in_flight` there is no gate. The delay of one that is held counts from its turn on.
    """
    if gate is None:
        return begin(definition, request, now), []
    slots = slots_of(gate, request.id, now, request.due_at, turn=turn, by_clock=by_clock)
    if turn:
        return begin(definition, request, now), slots
    commit = begin(definition, request._replace(due_at=None), now)
    return commit._replace(run=held_back(commit.run, gate, request.due_at)), slots


def deadline(definition: Definition, now: Moment) -> Moment | None:
    """Return when the run_timeout of a run that starts (or is retried) at `now` is over."""
    return None if definition.run_timeout is None else now + microseconds(definition.run_timeout)


def cancel(
    run: RunRow, reason: str | None, executing: str | None, now: Moment, clears_at: str | None = None
) -> Commit | None:
    """Return the commit that cancels a run at once, or leads it to the place where it clears up before; None if it is
    cancelled already, or on its way there. Raises RunFinished if it is completed.

    `executing` names the transition that is being stopped, if one is. Its later outcome is refused by the fence.
    """
    if run.status == "canceled" or (run.canceling is not None and clears_at is not None):
        return None
    if run.status == "completed":
        raise RunFinished(f"Run {run.id} is completed: there is nothing left to cancel.")
    text = storable(f"canceled: {reason}" if reason else "canceled")
    changes: dict[str, Any] = {
        "version": run.version + 1, "error": text, "bound": None, "bound_signal": None, "moves_to": None,
        "detours": None, "deadline": None, "suspicion": None,
    }  # fmt: skip
    if clears_at is None:
        after = ended(run, "canceled", now, finished_at=now, **changes)
    else:
        after = _clearing_up(run, clears_at, text, now, changes)
    attempt = run.attempt + (executing is not None)
    history = HistoryRow(
        run.id, after.version, executing, run.place, clears_at, attempt, "canceled", text, None, None, None, now, now
    )
    told = tell(run, after) if clears_at is None else None
    return Commit(
        run.version, run.claim, after, history, left=visits(run), tell=told, ends_children=run.children > 0,
        unasked=ended_questions(run, after),
    )  # fmt: skip


def _clearing_up(run: RunRow, place: str, text: str, now: Moment, changes: dict[str, Any]) -> RunRow:
    ready_at = now if run.owner is None else None  # else its worker gives it back once the attempt there is over
    status: Status = "pending" if run.owner is None else "running"
    after = released(run, status, now, ready_at=ready_at, canceling=text, **changes)
    return entered(after, place, after.version, now)._replace(owner=run.owner, automatic=0, takeovers=0)


def retry(definition: Definition, run: RunRow, now: Moment, state: str | None = None) -> Commit:
    """Return the commit that makes a failed run (or one that waits for its retry) ready now, with a full budget.

    With another state it has a row of the history, which leads nowhere: the run stays at its place, in its visit. Raises
    RunFinished for a run that has nothing to retry.
    """
    if run.status not in ("failed", "retrying"):
        raise RunFinished(f"Run {run.id} is {run.status}: only a failed or retrying run can be retried.")
    after = released(
        run, "retrying", now, ready_at=now, failing=None, failures=0, automatic=0, takeovers=0,
        suspicion=None, deadline=None if run.canceling else deadline(definition, now),
    )  # fmt: skip
    if state is None:
        return Commit(run.version, run.claim, after)
    after = after._replace(version=run.version + 1, state=state)
    row = HistoryRow(
        run.id, after.version, None, run.place, None, run.attempt, "committed", None, None, state, None, now, now
    )
    return Commit(run.version, run.claim, after, row, listeners=listeners_of(definition, after))


def take(definition: Definition, run: RunRow, owner: str, now: Moment) -> Commit:
    """Return the commit by which this worker executes a run at once that is in no other hands; a failed one is retried by it."""
    again = Commit(run.version, run.claim, run._replace(claim=run.claim + 1))
    commit = retry(definition, run, now) if run.status == "failed" else again
    return commit._replace(run=commit.run._replace(owner=owner, status="running", ready_at=None, due_at=None))


def set_aside(run: RunRow, now: Moment) -> Commit:
    """Return the commit of a run that this code doesn't fit: ready for other code, otherwise as it is."""
    tried = run.moves_to is not None or run.failing is not None
    status: Status = "retrying" if tried else "pending" if run.version == 0 else "waiting"
    return Commit(run.version, run.claim, released(run, status, now, ready_at=now))


def handed_back(run: RunRow, now: Moment) -> Commit:
    """Return the commit of a run that its worker gives back at a checkpoint: ready, or when the delay of its retry is over."""
    return Commit(run.version, run.claim, freed(run, now))


def worn_out(definition: Definition, run: RunRow, now: Moment) -> Commit:
    """Return the commit of a run whose workers keep dying at one checkpoint while they execute nothing else."""
    known = suspicion_of(run.suspicion).reason if run.suspicion is not None else None
    died = f"its worker died {run.takeovers} times here"
    reason = f"{definition.workflow.__name__}: at {run.place!r}, {died if known is None else known}"
    return fail(run, Fail(reason, "LeaseLost"), now, now)
