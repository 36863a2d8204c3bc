"""What people, dead workers and code that doesn't fit make of a run."""

from __future__ import annotations

from stepwell.definition.model import Definition
from stepwell.engine.begin import deadline
from stepwell.engine.commit import Commit
from stepwell.engine.detours import visits
from stepwell.engine.enter import ended, released, tell
from stepwell.engine.failure import fail
from stepwell.engine.outcome import Fail
from stepwell.engine.retry import storable
from stepwell.engine.run import HistoryRow, Moment, Run, Status
from stepwell.errors import RunFinished


def cancel(run: Run, reason: str | None, executing: str | None, now: Moment) -> Commit | None:
    """The commit that cancels a run at once; None if it is cancelled already. Raises RunFinished if it is completed.

    `executing` names the transition that is being stopped, if one is. What it still produces loses by the fence.
    """
    if run.status == "canceled":
        return None
    if run.status == "completed":
        raise RunFinished(f"Run {run.id} is completed: there is nothing left to cancel.")
    text = storable(f"canceled: {reason}" if reason else "canceled")
    after = ended(
        run, "canceled", now, version=run.version + 1, error=text, bound=None, bound_signal=None, moves_to=None,
        detours=None, deadline=None, finished_at=now,
    )  # fmt: skip
    attempt = run.attempt + (executing is not None)
    history = HistoryRow(
        run.id, after.version, executing, run.place, None, attempt, "canceled", text, None, None, None, now, now
    )
    return Commit(
        run.version, run.claim, after, history, left=visits(run), tell=tell(run, after), ends_children=run.children > 0
    )


def retry(definition: Definition, run: Run, now: Moment) -> Commit:
    """The commit that makes a failed run (or one that waits for its retry) due now, with a full budget.

    Raises RunFinished for a run that has nothing to retry.
    """
    if run.status not in ("failed", "retrying"):
        raise RunFinished(f"Run {run.id} is {run.status}: only a failed or retrying run can be retried.")
    after = released(
        run, "retrying", now, ready_at=now, failing=None, failures=0, automatic=0, takeovers=0,
        deadline=deadline(definition, now),
    )  # fmt: skip
    return Commit(run.version, run.claim, after)


def set_aside(run: Run, due_at: Moment, now: Moment) -> Commit:
    """The commit of a run that the code doesn't fit: looked at again at `due_at`, otherwise as it is."""
    tried = run.moves_to is not None or run.failing is not None
    status: Status = "retrying" if tried else "pending" if run.version == 0 else "waiting"
    return Commit(run.version, run.claim, released(run, status, now, due_at=due_at))


def worn_out(definition: Definition, run: Run, now: Moment) -> Commit:
    """The commit of a run whose workers keep dying at one checkpoint."""
    reason = f"{definition.workflow.__name__}: at {run.place!r}, its worker died {run.takeovers} times here"
    return fail(run, Fail(reason, "LeaseLost"), now, now)
