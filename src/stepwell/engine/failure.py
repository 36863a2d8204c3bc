"""What a failure makes of a run: its trace, and another try, an error place or a stop (semantics 6, 7, 13, 18)."""

from __future__ import annotations

import json
from typing import Any

from stepwell.definition.model import Definition
from stepwell.engine.commit import Commit, DocumentWrite, Effects
from stepwell.engine.detours import left
from stepwell.engine.enter import ended, enter, released, tell
from stepwell.engine.outcome import UNASKED, Execute, Fail, Raised
from stepwell.engine.retry import Route, error_text, route, storable
from stepwell.engine.run import HistoryRow, Inbox, Moment, Run, without


def failed_attempt(
    definition: Definition, run: Run, decision: Execute, outcome: Raised, inbox: Inbox, now: Moment, hold: bool
) -> Commit:
    """The commit of an attempt that failed: of what it asked for nothing, only its trace."""
    transition, signal = decision.transition, decision.signal
    text = error_text(definition, transition, outcome.error)
    way = route(run, transition, outcome)
    leaves = way.kind == "elsewhere"
    # A signal stays bound while its transition may be tried again; a detour that brings a new one has used it up.
    spent = leaves or (way.kind == "again" and not outcome.repeatable)
    if leaves:
        automatic = run.automatic + (transition.kind in UNASKED)
        rest = without(inbox, signal)
        after = enter(definition, run, way.place, rest, now, error=text, automatic=automatic)
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
        _error_document(history, type(outcome.error).__name__),
        taken=signal_id if spent else None,
        left=left(run, after) if leaves else (),
        tell=tell(run, after) if way.kind == "stop" else None,
    )


def _stay(run: Run, decision: Execute, way: Route, spent: bool, text: str, now: Moment, hold: bool) -> Run:
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
    }
    if way.kind == "stop":
        return ended(run, "failed", now, **changes)
    changes["moves_to"] = way.place or None
    due_at = now + way.delay if run.deadline is None else min(now + way.delay, run.deadline)
    if hold:
        return run._replace(status="retrying", due_at=due_at, updated_at=now, **changes)
    return released(run, "retrying", now, due_at=due_at, **changes)


def fail(run: Run, decision: Fail, started_at: Moment, now: Moment, executing: str | None = None) -> Commit:
    """The commit of a run that can't go on: a history row, an ErrorDocument, and the parent told.

    `executing` is the transition that was stopped because of it; None if there was none.
    """
    text = storable(decision.reason)
    after = ended(run, "failed", now, version=run.version + 1, attempt=run.attempt + 1, error=text, takeovers=0)
    history = HistoryRow(
        run.id,
        after.version,
        executing,
        run.place,
        None,
        after.attempt,
        "failed",
        text,
        None,
        None,
        None,
        started_at,
        now,
    )
    return Commit(
        run.version, run.claim, after, history, _error_document(history, decision.kind), tell=tell(run, after)
    )


def _error_document(failed: HistoryRow, kind: str) -> Effects:
    """The one document that remains of a failed attempt."""
    content = {"message": failed.error, "transition": failed.transition, "attempt": failed.attempt, "type": kind}
    return Effects((DocumentWrite("error", None, json.dumps(content), '["error"]', None, None, 0, failed.transition),))
