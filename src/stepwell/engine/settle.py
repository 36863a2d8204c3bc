"""What an attempt makes of a run, and the two commits of a run that executes nothing."""

from __future__ import annotations

from stepwell.definition.model import Definition
from stepwell.engine.commit import Commit
from stepwell.engine.detours import left, moved
from stepwell.engine.enter import enter, parked, tell
from stepwell.engine.failure import fail, failed_attempt
from stepwell.engine.matching import listeners_of
from stepwell.engine.outcome import UNASKED, Execute, Outcome, Park, Returned
from stepwell.engine.run import HistoryRow, Inbox, Moment, Run, without

__all__ = ["fail", "move", "park", "settle"]


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
        return _checkpoint(definition, run, decision, outcome, inbox, now)
    return failed_attempt(definition, run, decision, outcome, inbox, now, hold)


def _checkpoint(
    definition: Definition, run: Run, decision: Execute, outcome: Returned, inbox: Inbox, now: Moment
) -> Commit:
    transition, signal, effects = decision.transition, decision.signal, outcome.effects
    after = enter(
        definition,
        run,
        transition.target,
        without(inbox, signal),
        now,
        state=run.state if outcome.state is None else outcome.state,
        result=run.result if outcome.result is None else outcome.result,
        error=None,
        automatic=run.automatic + (transition.kind in UNASKED),
        children=run.children + len(effects.children),
    )
    ended = after.status == "completed"
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
        tell=tell(run, after) if ended else None,
        listeners=listeners_of(definition, after) if not ended and outcome.state is not None else None,
        ends_children=ended and after.children > 0,
    )


def park(run: Run, decision: Park, now: Moment) -> Commit:
    """The commit of a run that waits: no history row, no version; a signal that came meanwhile leaves it due."""
    return Commit(run.version, run.claim, parked(run, decision, now))


def move(run: Run, place: str, now: Moment) -> Commit:
    """The commit of a detour to `place`; without a history row."""
    after = moved(run, place, now)
    return Commit(run.version, run.claim, after, left=left(run, after) if run.detours is not None else ())
