"""What people, dead workers and closing processes make of a run."""

from __future__ import annotations

from stepwell.definition.model import Definition
from stepwell.engine.begin import deadline
from stepwell.engine.commit import Commit
from stepwell.engine.outcome import Fail
from stepwell.engine.run import HistoryRow, Moment, Run
from stepwell.engine.settle import fail, tell
from stepwell.errors import RunFinished


def cancel(run: Run, reason: str | None, executing: str | None, now: Moment) -> Commit | None:
    """The commit that cancels a run at once; None if it is cancelled already. Raises RunFinished if it is completed.

    `executing` names the transition that is being stopped, if one is. What it still produces loses by the fence.
    """
    if run.status == "canceled":
        return None
    if run.status == "completed":
        raise RunFinished(f"Run {run.id} is completed: there is nothing left to cancel.")
    after = run._replace(
        status="canceled",
        version=run.version + 1,
        claim=run.claim + 1,
        owner=None,
        error=f"canceled: {reason}" if reason else "canceled",
        bound=None,
        bound_signal=None,
        moves_to=None,
        detours=None,
        ready_at=None,
        due_at=None,
        deadline=None,
        updated_at=now,
        finished_at=now,
        told_at=now if run.callback and run.told_at is None else run.told_at,
    )
    history = HistoryRow(
        run.id, run.version + 1, executing, run.place, None, run.attempt + 1 if executing else run.attempt, "canceled",
        after.error, None, None, None, now, now,
    )  # fmt: skip
    return Commit(
        version=run.version,
        claim=run.claim,
        run=after,
        history=history,
        left=run.visit,
        tell=tell(run, after),
        ends_children=run.children > 0,
    )


def retry(definition: Definition, run: Run, now: Moment) -> Commit:
    """The commit that makes a failed run (or one that waits for its retry) due now, with a full budget.

    Raises RunFinished for a run that has nothing to retry.
    """
    if run.status not in ("failed", "retrying"):
        raise RunFinished(f"Run {run.id} is {run.status}: only a failed or retrying run can be retried.")
    after = run._replace(
        status="retrying",
        owner=None,
        claim=run.claim + 1,
        failing=None,
        failures=0,
        automatic=0,
        takeovers=0,
        ready_at=now,
        due_at=None,
        deadline=deadline(definition, now),
        updated_at=now,
    )
    return Commit(version=run.version, claim=run.claim, run=after)


def release(run: Run, now: Moment) -> Commit:
    """The commit by which a worker hands a run on: ready at once, at its last checkpoint."""
    after = run._replace(status="pending", owner=None, claim=run.claim + 1, ready_at=now, due_at=None, updated_at=now)
    return Commit(version=run.version, claim=run.claim, run=after)


def set_aside(run: Run, due_at: Moment, now: Moment) -> Commit:
    """The commit of a run that the code doesn't fit: looked at again at `due_at`, otherwise as it is."""
    after = run._replace(
        status="pending" if run.version == 0 else "waiting",
        owner=None,
        claim=run.claim + 1,
        ready_at=None,
        due_at=due_at,
        updated_at=now,
    )
    return Commit(version=run.version, claim=run.claim, run=after)


def worn_out(definition: Definition, run: Run, now: Moment) -> Commit:
    """The commit of a run whose workers keep dying at one checkpoint."""
    reason = f"{definition.workflow.__name__}: at {run.place!r}, its worker died {run.takeovers} times here"
    return fail(definition, run, Fail(reason, "LeaseLost"), now, now)
