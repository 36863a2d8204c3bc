"""What an attempt makes of a run: the checkpoint of a success, the trace of a failure, and where the run goes from there."""

from __future__ import annotations

import json
from typing import Any

from stepwell.definition.model import END, Definition, Transition
from stepwell.engine.choose import fires, wakes_at
from stepwell.engine.commit import NOTHING, Commit, DocumentWrite, Effects
from stepwell.engine.matching import listeners_of
from stepwell.engine.outcome import Execute, Fail, Outcome, Park, Raised, Returned
from stepwell.engine.retry import Route, error_text, route
from stepwell.engine.run import HistoryRow, Inbox, Moment, Run, SignalRow


def settle(
    definition: Definition,
    run: Run,
    decision: Execute,
    outcome: Outcome,
    inbox: Inbox,
    now: Moment,
    *,
    hold: bool = False,
) -> Commit:
    """The commit that `outcome` makes of the decided transition: version + 1 and one history row, whatever it was.

    `hold` keeps the run with its worker through the delay of a retry (run_sync waits it out).
    """
    if isinstance(outcome, Returned):
        return _committed(definition, run, decision, outcome, inbox, now)
    return _failed(definition, run, decision, outcome, inbox, now, hold)


def _committed(
    definition: Definition, run: Run, decision: Execute, outcome: Returned, inbox: Inbox, now: Moment
) -> Commit:
    transition = decision.transition
    history = HistoryRow(
        run.id,
        run.version + 1,
        transition.name,
        run.place,
        transition.target,
        run.attempt + 1,
        "committed",
        None,
        None,
        outcome.state,
        decision.signal.id if decision.signal else None,
        outcome.started_at,
        now,
    )
    after = run._replace(
        state=run.state if outcome.state is None else outcome.state,
        result=run.result if outcome.result is None else outcome.result,
        error=None,
        automatic=run.automatic + (transition.kind == "automatic"),
        children=run.children + len(outcome.effects.children),
    )
    rest = tuple(s for s in inbox if s is not decision.signal) if inbox else inbox
    return _commit(
        definition, run, enter(definition, after, transition.target, rest, now), history, outcome.effects, decision
    )


def _commit(
    definition: Definition, run: Run, after: Run, history: HistoryRow, effects: Effects, decision: Execute
) -> Commit:
    ended = after.status == "completed"
    return Commit(
        version=run.version,
        claim=run.claim,
        run=after,
        history=history,
        effects=effects,
        taken=decision.signal.id if decision.signal else None,
        left=run.visit,
        tell=tell(run, after) if ended else None,
        listeners=() if ended or history.state is None else listeners_of(definition, after, False),
        ends_children=ended and after.children > 0,
    )


def enter(definition: Definition, run: Run, place: str, inbox: Inbox, now: Moment) -> Run:
    """The run at its next place, by the history row `version + 1`: it goes on, parks, or is completed."""
    run = run._replace(
        place=place,
        version=run.version + 1,
        visit=run.version + 1,
        entered_at=now,
        attempt=0,
        failing=None,
        failures=0,
        bound=None,
        bound_signal=None,
        moves_to=None,
        takeovers=0,
        updated_at=now,
    )
    if place == END:
        return _completed(run, now)
    if run.detours is not None:
        run = _come_back(run)
    return rest_or_go_on(definition, run, inbox, now)


def rest_or_go_on(definition: Definition, run: Run, inbox: Inbox, now: Moment) -> Run:
    """Parked, if nothing can fire without a guard being asked first; else the same run, still with its worker."""
    place = definition.places[run.place]
    if place.automatic or run.bound is not None or fires(place, run, inbox, now):
        return run._replace(status="running")
    return parked(run, Park(wakes_at(place, run)), now)


def parked(run: Run, decision: Park, now: Moment) -> Run:
    """Released: nobody executes it until a signal, an event or its timer. Writes no history row."""
    return run._replace(
        status="waiting",
        owner=None,
        claim=run.claim + 1,
        automatic=0,
        ready_at=None,
        due_at=decision.due_at,
        updated_at=now,
    )


def _completed(run: Run, now: Moment) -> Run:
    return run._replace(
        status="completed",
        owner=None,
        claim=run.claim + 1,
        ready_at=None,
        due_at=None,
        deadline=None,
        detours=None,
        finished_at=now,
        told_at=now if run.callback and run.told_at is None else run.told_at,
    )


def moved(run: Run, place: str, now: Moment) -> Run:
    """At the retry_target, in a visit of its own; the origin's visit waits to be resumed. Writes no history row."""
    frames = json.loads(run.detours) if run.detours else []
    frames = [frame for frame in frames if frame[0] not in (run.place, place)]
    frames.append(
        [run.place, run.visit, run.entered_at, run.attempt, run.failing, run.failures, run.bound, run.bound_signal]
    )
    return run._replace(
        place=place,
        # Unique among visits: the failed attempt before it had this version, and no place was entered by it.
        visit=run.version,
        entered_at=now,
        attempt=0,
        bound=None,
        bound_signal=None,
        moves_to=None,
        detours=json.dumps(frames),
        updated_at=now,
    )


def _come_back(run: Run) -> Run:
    frames: list[list[Any]] = json.loads(run.detours or "[]")
    index = next((i for i, frame in enumerate(frames) if frame[0] == run.place), None)
    if index is None:
        return run
    _, visit, entered_at, attempt, failing, failures, bound, bound_signal = frames[index]
    return run._replace(
        visit=visit,
        entered_at=entered_at,
        attempt=attempt,
        failing=failing,
        failures=failures,
        bound=bound,
        bound_signal=bound_signal,
        detours=json.dumps(frames[:index]) if index else None,
    )


def _failed(
    definition: Definition, run: Run, decision: Execute, outcome: Raised, inbox: Inbox, now: Moment, hold: bool
) -> Commit:
    transition, signal = decision.transition, decision.signal
    text = error_text(definition, transition, outcome.error)
    way = route(run, transition, outcome)
    history = HistoryRow(
        run.id,
        run.version + 1,
        transition.name,
        run.place,
        way.place if way.kind == "elsewhere" else None,
        run.attempt + 1,
        "failed",
        text,
        outcome.trace,
        None,
        signal.id if signal else None,
        outcome.started_at,
        now,
    )
    # What can't be repeated is used up: the retry_target brings a new one. Else it stays bound through the retries.
    spent = signal is not None and (way.kind == "elsewhere" or not outcome.repeatable)
    rest = tuple(s for s in inbox if s is not signal) if spent else inbox
    after = _after_failure(definition, run, transition, way, None if spent else signal, text, rest, now, hold)
    failed = after.status == "failed"
    return Commit(
        version=run.version,
        claim=run.claim,
        run=after,
        history=history,
        effects=Effects(documents=(error_document(transition.name, run.attempt + 1, outcome.error, text),)),
        taken=signal.id if signal is not None and spent else None,
        left=run.visit if way.kind == "elsewhere" else None,
        tell=tell(run, after) if failed else None,
    )


def _after_failure(
    definition: Definition,
    run: Run,
    transition: Transition,
    way: Route,
    signal: SignalRow | None,
    text: str,
    inbox: Inbox,
    now: Moment,
    hold: bool,
) -> Run:
    if way.kind == "elsewhere":
        return enter(definition, run._replace(error=text), way.place or "", inbox, now)
    waits = transition.kind != "automatic" and way.keeps_signal
    after = run._replace(
        version=run.version + 1,
        attempt=run.attempt + 1,
        failing=transition.name,
        failures=way.failures,
        bound=transition.name if waits else None,
        bound_signal=signal.id if signal and waits else None,
        error=text,
        takeovers=0,
        updated_at=now,
    )
    if way.kind == "stop":
        return failed(after, now)
    due = now + way.delay
    if hold:
        return after._replace(status="retrying", moves_to=way.place, due_at=due)
    return after._replace(
        status="retrying", moves_to=way.place, owner=None, claim=run.claim + 1, ready_at=None, due_at=due
    )


def failed(run: Run, now: Moment) -> Run:
    """Failed at its place: nobody executes it, its timers sleep, a person may retry it."""
    return run._replace(
        status="failed",
        owner=None,
        claim=run.claim + 1,
        ready_at=None,
        due_at=None,
        updated_at=now,
        told_at=now if run.callback and run.told_at is None else run.told_at,
    )


def fail(definition: Definition, run: Run, decision: Fail, started_at: Moment, now: Moment) -> Commit:
    """The commit of a run that can't go on: a history row without a transition, an ErrorDocument, and the parent told."""
    after = failed(run._replace(version=run.version + 1, error=decision.reason, takeovers=0), now)
    document = DocumentWrite(
        "error",
        None,
        _error_content(decision.reason, None, run.attempt + 1, decision.kind),
        '["error"]',
        None,
        None,
        0,
        None,
    )
    history = HistoryRow(
        run.id, run.version + 1, None, run.place, None, run.attempt + 1, "failed", decision.reason, None, None, None,
        started_at, now,
    )  # fmt: skip
    return Commit(
        version=run.version,
        claim=run.claim,
        run=after,
        history=history,
        effects=Effects(documents=(document,)),
        tell=tell(run, after),
    )


def park(run: Run, decision: Park, now: Moment) -> Commit:
    """The commit of a run that waits: no history row, no version; a signal that came meanwhile leaves it due."""
    return Commit(version=run.version, claim=run.claim, run=parked(run, decision, now), effects=NOTHING)


def move(run: Run, place: str, now: Moment) -> Commit:
    """The commit of a detour to `place`; without a history row."""
    return Commit(version=run.version, claim=run.claim, run=moved(run, place, now)._replace(status="running"))


def tell(before: Run, after: Run) -> SignalRow | None:
    """What the parent learns of the first end of a child that has a callback."""
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


def error_document(transition: str, attempt: int, error: BaseException, text: str) -> DocumentWrite:
    """The one document that remains of a failed attempt."""
    content = _error_content(text, transition, attempt, type(error).__name__)
    return DocumentWrite("error", None, content, '["error"]', None, None, 0, transition)


def _error_content(message: str, transition: str | None, attempt: int, type_: str) -> str:
    return json.dumps({"message": message, "transition": transition, "attempt": attempt, "type": type_})
