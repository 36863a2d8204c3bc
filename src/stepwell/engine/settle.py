"""The effects of an attempt on a run, and the three commits without one: a run parks, moves or fails.

- A checkpoint is one commit: state, result, documents, children, events and the signal that it consumed (fault 4). It
  clears the error of the transition before (rule 7). The first child with a callback closes that callback to signals from
  outside (rule 50). A changed state may let the run listen to further events (rule 16).
- Each attempt, whatever its outcome, adds one to the version and one row to the history. Parking and moving to a
  retry_target do neither.
- Each entry is a new visit, named by its version. Attempts, failures and suspicion start over (rules 7, 48). A run
  that comes back from a detour resumes the interrupted visit instead.
- A run parks in the commit that leads to its place, if nothing can fire there without a guard being asked (rule 3a).
  Parking resets the count of transitions in a row (rule 3).
- Nothing that a failed attempt asked for is kept. It leaves one history row and one ErrorDocument (rule 6, fault 17). The
  error begins with `ClassName.method: ` and has a bounded length (fault 12).
- There is another try while the budget lasts and the policy allows this error, by way of the retry_target if there is one;
  else the error_place, which the row names as its target; else the run stops. The budget is counted for each transition
  within a visit (rule 7). An attempt whose repetition can't help is tried again only by way of a retry_target (rule 18).
- A signal stays bound while its transition may be tried again. It is used up when the run goes to the error_place, or when
  trying again with it can't help (rules 13, 18).
- Giving up a run increments its claim: later commits of its worker are refused by the fence (rule 29).
- A run that clears up because it was cancelled is cancelled where another would be completed (rule 62).
- A parent is told of the first end of a child, and of no other (rule 17). A run that fails for good keeps its children.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from stepwell.definition.authoring.marks import END
from stepwell.definition.model import Definition, Transition
from stepwell.definition.text import kind_of, storable, told
from stepwell.engine.choose import PARKED, Execute, Fail, Park, counted, fires
from stepwell.engine.commit import Commit, DocumentWrite, Effects, Outcome, Raised
from stepwell.engine.matching import listeners_of
from stepwell.engine.questions import asked_here, ended_questions, outdated, questions_of
from stepwell.engine.run import (
    CREATED_FIELDS,
    MAX_ERROR_CHARS,
    HistoryRow,
    Inbox,
    Moment,
    RunRow,
    SignalRow,
    Status,
    microseconds,
    names_in,
    with_callbacks,
    without,
)
from stepwell.engine.timers import WorkedOut, timers_json, untimed, wakes_at
from stepwell.engine.visits import left, moved, resumed


def settle(
    definition: Definition,
    run: RunRow,
    decision: Execute,
    outcome: Outcome,
    inbox: Inbox,
    now: Moment,
    *,
    hold: bool = False,
) -> Commit:
    """Return the commit that `outcome` makes of the decided transition: version + 1 and one history row, whatever it was.

    `hold` keeps the run with its worker through the delay of a retry (run_sync waits it out).
    """
    if type(outcome) is Raised:
        return _failed(definition, run, decision, outcome, inbox, now, hold)
    transition, signal, effects = decision.transition, decision.signal, outcome.effects
    called: tuple[str, ...] = ()
    if effects.children or effects.groups:  # their callbacks, as far as the run hadn't any child for them before
        asked = (*(child.run.callback for child in effects.children), *(new.row.callback for new in effects.groups))
        callbacks = {callback for callback in asked if callback is not None}
        called = tuple(sorted(callbacks - names_in(run.callbacks)))
    if called:
        run = run._replace(callbacks=with_callbacks(run, called))
    after = enter(
        definition,
        run,
        transition.target,
        inbox if signal is None else without(inbox, signal),
        now,
        state=run.state if outcome.state is None else outcome.state,
        result=run.result if outcome.result is None else outcome.result,
        error=None,
        automatic=counted(run, transition),
        children=run.children + len(effects.children) if effects.children else run.children,
        timers=outcome.timers,
    )
    ended = after.finished
    taken = None if signal is None else signal.id
    history = HistoryRow(
        run.id, after.version, transition.name, run.place, transition.target, run.attempt + 1, "committed", None, None,
        outcome.state, taken, outcome.started_at, now,
    )  # fmt: skip
    return Commit(
        run.version,
        run.claim,
        after,
        history,
        effects,
        taken,
        left=left(run, after),
        closed=definition.all_names(called) if called else called,
        tell=tell(run, after) if ended else None,
        listeners=listeners_of(definition, after) if not ended and outcome.state is not None else None,
        ends_children=ended and after.children > 0,
        asked=() if outcome.timers is None else questions_of(after, outcome.timers.asked),
        unasked=() if run.timers is None and run.detours is None else ended_questions(run, after),
        outdated=() if run.timers is None else definition.all_names(outdated(run, after)),
    )


def park(run: RunRow, decision: Park, now: Moment) -> Commit:
    """Return the commit of a run that waits, without a history row.

    If a signal has come meanwhile, the run is stored as ready instead (rule 3a).
    """
    return Commit(run.version, run.claim, parked(run, decision, now))


def move(run: RunRow, place: str, now: Moment) -> Commit:
    """Return the commit of a detour to `place`; without a history row."""
    after = moved(run, place, now)
    gone = left(run, after) if run.detours is not None else ()
    return Commit(run.version, run.claim, after, left=gone, unasked=ended_questions(run, after))


def _failed(
    definition: Definition, run: RunRow, decision: Execute, outcome: Raised, inbox: Inbox, now: Moment, hold: bool
) -> Commit:
    """Return the commit of an attempt that failed: only its trace, and nothing that it asked for."""
    transition, signal = decision.transition, decision.signal
    text = f"{storable(definition.workflow.__name__)}.{transition.method}: {told(outcome.error)}"
    if len(text) > MAX_ERROR_CHARS:
        text = text[:MAX_ERROR_CHARS] + " ... (cut)"
    way = route(run, transition, outcome)
    leaves = way.kind == "elsewhere"
    # A signal stays bound while its transition may be tried again; a detour that brings a new one has used it up.
    spent = leaves or (way.kind == "again" and not outcome.repeatable)
    if leaves:
        after = enter(
            definition, run, way.place, without(inbox, signal), now,
            state=run.state, result=run.result, error=text, automatic=counted(run, transition), children=run.children,
        )  # fmt: skip
    else:
        after = _stay(run, decision, way, spent, text, now, hold)
    signal_id = None if signal is None else signal.id
    history = HistoryRow(
        run.id, after.version, transition.name, run.place, way.place if leaves else None, run.attempt + 1, "failed", text,
        None if outcome.trace is None else storable(outcome.trace), None, signal_id, outcome.started_at, now,
    )  # fmt: skip
    return Commit(
        run.version,
        run.claim,
        after,
        history,
        _error_document(history, kind_of(outcome.error)),
        taken=signal_id if spent else None,
        left=left(run, after) if leaves else (),
        tell=tell(run, after) if way.kind == "stop" else None,
        unasked=ended_questions(run, after) if leaves else (),
        outdated=definition.all_names(outdated(run, after)) if leaves else (),
        reasked=spent and not leaves and bool(asked_here(run)),
    )


def _stay(run: RunRow, decision: Execute, way: Route, spent: bool, text: str, now: Moment, hold: bool) -> RunRow:
    transition, signal = decision.transition, None if spent else decision.signal
    changes: dict[str, Any] = {
        "version": run.version + 1,
        "attempt": run.attempt + 1,
        "failing": json.dumps(way.tries),
        "failures": way.tries[transition.name],
        "bound": None if spent or transition.kind == "automatic" else transition.name,
        "bound_signal": None if signal is None else signal.id,
        "error": text,
        "takeovers": 0,
        "suspicion": None,
    }
    if way.kind == "stop":
        return ended(run, "failed", now, **changes)
    changes["moves_to"] = way.place or None
    due_at = now + way.delay if run.deadline is None else min(now + way.delay, run.deadline)
    if hold:
        return run._replace(status="retrying", due_at=due_at, updated_at=now, **changes)
    return released(run, "retrying", now, due_at=due_at, **changes)


def fail(run: RunRow, decision: Fail, started_at: Moment, now: Moment, executing: str | None = None) -> Commit:
    """Return the commit of a run that can't continue: a history row, an ErrorDocument, and the message to the parent.

    `executing` is the transition that was stopped because of it; None if there was none.
    """
    text = storable(decision.reason)
    after = ended(
        run, "failed", now, version=run.version + 1, attempt=run.attempt + 1, error=text, takeovers=0, suspicion=None
    )
    history = HistoryRow(
        run.id, after.version, executing, run.place, None, after.attempt, "failed", text, None, None, None, started_at, now
    )  # fmt: skip
    document = _error_document(history, decision.kind)
    return Commit(run.version, run.claim, after, history, document, tell=tell(run, after))


def _error_document(failed: HistoryRow, kind: str) -> Effects:
    """Return the one document that remains of a failed attempt."""
    content = {"message": failed.error, "transition": failed.transition, "attempt": failed.attempt, "type": kind}
    return Effects((DocumentWrite("error", None, json.dumps(content), '["error"]', None, None, 0, failed.transition),))


@dataclass(frozen=True, slots=True)
class Route:
    """The way on from a failed attempt."""

    kind: Literal["again", "elsewhere", "stop"]
    tries: dict[str, int]
    """Failed tries of this visit's transitions within their budgets, this one included."""
    place: str = ""
    """`again`: the retry_target to move to after the delay, if there is one; `elsewhere`: the error_place."""
    delay: Moment = 0
    """Microseconds before the next try."""


def route(run: RunRow, transition: Transition, outcome: Raised) -> Route:
    """Return another try while the budget lasts and the error is worth one; else the error place; else a stop."""
    tries: dict[str, int] = {} if run.failing is None else json.loads(run.failing)
    failures = tries[transition.name] = tries.get(transition.name, 0) + 1
    policy = transition.retry
    possible = outcome.repeatable or transition.retry_target is not None
    if policy is not None and possible and failures <= policy.retries and policy.allows(outcome.error):
        delay = policy.wait(failures, outcome.error, outcome.draw)
        return Route("again", tries, transition.retry_target or "", microseconds(delay))
    if transition.error_place is not None:
        return Route("elsewhere", tries, transition.error_place)
    return Route("stop", tries)


def enter(
    definition: Definition, run: RunRow, place: str, inbox: Inbox, now: Moment, *,
    state: str, result: str | None, error: str | None, automatic: int, children: int, timers: WorkedOut | None = None,
) -> RunRow:  # fmt: skip
    """Return the run at its next place, by the history row `version + 1`: it continues, parks, or is completed."""
    version, ends = run.version + 1, place == END
    # Every step makes such a row, so it is made in one go: `_replace` would cost more than the rest of the step.
    after = tuple.__new__(
        RunRow,
        (
            *run[:CREATED_FIELDS],
            ("completed" if run.canceling is None else "canceled") if ends else "running", place,
            version, run.claim + 1 if ends else run.claim,
            None if ends else run.owner,
            state, result, (ends and run.canceling) or error, version, now,  # visit, entered_at
            0, None, 0, None, None, None,  # attempt, failing, failures, bound, bound_signal, moves_to
            None if ends else run.detours, automatic, 0,  # takeovers
            None if ends else run.ready_at, None, None if ends else run.deadline,  # due_at between them
            children, _told_at(run, now) if ends else run.told_at, now, now if ends else run.finished_at,
            None, run.callbacks,  # suspicion before them
            None if place != run.place else run.visit if run.stay is None else run.stay,
            None if timers is None else timers_json(version, timers), run.canceling,
        ),
    )  # fmt: skip
    if ends:
        return after
    if after.detours is not None:
        after = resumed(after, place) or after
    here = definition.places[place]
    # Parked at once, if nothing can fire without a guard being asked first (rule 3a).
    if here.automatic or after.bound is not None or fires(here, after, inbox, now):
        return after
    if here.timed and untimed(here, after):
        return after
    return parked(after, Park(wakes_at(here, after)), now)


def parked(run: RunRow, decision: Park, now: Moment) -> RunRow:
    """Return the run released until a signal, an event or its timer; its count of automatic transitions starts over."""
    return released(run, "waiting", now, due_at=decision.due_at, automatic=PARKED, suspicion=None)


def ended(run: RunRow, status: Literal["completed", "failed", "canceled"], now: Moment, **changes: Any) -> RunRow:
    """Return the run released for good (or until a person retries it). A parent that waits for it counts as told."""
    return released(run, status, now, told_at=_told_at(run, now), **changes)


def _told_at(run: RunRow, now: Moment) -> Moment | None:
    return now if run.callback is not None and run.told_at is None else run.told_at


def released(
    run: RunRow,
    status: Status,
    now: Moment,
    *,
    ready_at: Moment | None = None,
    due_at: Moment | None = None,
    **changes: Any,
) -> RunRow:
    """Return the run released by its worker, whose later commits are refused by the fence (rule 29)."""
    return run._replace(
        status=status, owner=None, claim=run.claim + 1, ready_at=ready_at, due_at=due_at, updated_at=now, **changes
    )


def tell(before: RunRow, after: RunRow) -> SignalRow | None:
    """Return the message to the parent at the first end of a child that has a callback (rule 17)."""
    if before.told_at is not None or after.callback is None or after.parent_id is None:
        return None
    completed = after.status == "completed"
    data = (after.result or "null") if completed else "null"
    error = None if completed else after.error
    return SignalRow(
        id=f"{after.id}:end",  # one id for one end: a second message can't be stored
        run_id=after.parent_id,
        name=after.callback,
        kind="child",
        data=data,
        status="completed" if completed else "failed" if after.status == "failed" else "canceled",
        error=error,
        sender=after.id,
        user_id=None,
        meta=after.callback_meta,
        idempotency_key=None,
        visit=None,
        accepted_at=after.updated_at,
        state="open",
        version=None,
        size=sum(len(text.encode()) for text in (data, error, after.callback_meta) if text),
    )
