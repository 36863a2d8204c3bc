"""Operations on the runs of a batch, a step of some hundred at a time: each step is a transaction of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stepwell.engine.groups import GroupRow
from stepwell.engine.run import ENDED, Moment
from stepwell.execution.operations import Operations
from stepwell.store import batches, runs
from stepwell.store.tx import Tx

_STEP: Final = 200


@dataclass(frozen=True, slots=True)
class MemberOperations:
    """Each returns how many runs the step changed; None if nothing was left to do. The batch's row is held."""

    operations: Operations

    def retry(self, tx: Tx, batch: GroupRow, before: Moment) -> int | None:
        """Retry runs that failed before a moment. Raises UnknownWorkflow where the code lacks one."""
        found = runs.hold_all(tx, batches.failed(tx, batch.id, before, _STEP)).values()
        commits = [self.operations.retrying(tx, run) for run in found if run.status == "failed"]
        if not commits:
            return None
        self.operations.applier.advance(tx, commits)
        batches.reopen(tx, batch.id)
        return len(commits)

    def cancel(self, tx: Tx, batch: GroupRow, reason: str | None) -> int | None:
        """Cancel runs that haven't ended; from the first step on, none that is held back is let through."""
        if batch.decided_at is None:
            batches.decide(tx, batch.id, "canceled", None, self.operations.shared.clock.now())
        found = runs.hold_all(tx, batches.unended(tx, batch.id, _STEP)).values()
        made = (self.operations.cancelling(tx, run, reason) for run in found if run.status not in ENDED)
        commits = [commit for commit in made if commit is not None]
        if not commits:
            return None
        self.operations.applier.advance(tx, commits)
        return len(commits)
