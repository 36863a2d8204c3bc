"""Operations on the runs of a batch, a step of some hundred at a time: each step is a transaction of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stepwell.engine.groups import GroupRow
from stepwell.engine.run import ENDED, Moment
from stepwell.errors import UnknownWorkflow
from stepwell.execution.operations import Operations
from stepwell.store import batches, endings, runs
from stepwell.store.tx import Tx

_STEP: Final = 500


@dataclass(frozen=True, slots=True)
class MemberOperations:
    """Steps of what is done to the runs of a batch, whose row is held."""

    operations: Operations

    def retry(self, tx: Tx, batch: GroupRow, before: Moment) -> int:
        """Retry some of the runs that failed before a moment, and return their number; 0: none is left.

        The batch is running again with the first of them, whatever becomes of the steps that follow. If it is stopped again
        meanwhile, the others stay failed.
        """
        if batch.outcome is not None and (batch.decided_at or 0) > before:
            return 0
        found = runs.hold_all(tx, batches.failed(tx, batch.id, before, _STEP)).values()
        commits = [self.operations.retrying(tx, run) for run in found if run.status == "failed"]
        if commits:
            if batch.outcome is not None:
                batches.reopen(tx, batch.id, before)
            self.operations.applier.advance(tx, commits)
        return len(commits)

    def check(self, tx: Tx, batch: GroupRow, before: Moment) -> None:
        """Raise UnknownWorkflow if the code lacks the workflow of a run that failed before a moment."""
        for app_name, name in batches.failed_kinds(tx, batch.id, before):
            if self.operations.shared.registry.find(app_name, name) is None:
                raise UnknownWorkflow(
                    f"Batch {batch.id} has failed runs of {app_name}/{name}, which isn't registered in this process: none of "
                    "its runs was retried."
                )

    def begin_cancel(self, tx: Tx, batch: GroupRow, reason: str | None) -> int:
        """Mark all runs that haven't ended: whatever happens next, they will be cancelled, and none of them begins.

        Return the number of runs that were cancelled before.
        """
        now = self.operations.shared.clock.now()
        if batches.unended(tx, batch.id, 1):
            if batch.outcome is None:
                batches.decide(tx, batch.id, "canceled", now)
            endings.mark_group(tx, batch.id, reason or "", now)
            # The steps that follow are much quicker than the sweep, which cancels one after the other: it may come later.
            tx.hints.children = False
        return batches.canceled(tx, batch.id)

    def cancel(self, tx: Tx, batch: GroupRow, reason: str | None) -> int:
        """Cancel some of the runs that haven't ended, and return their number; 0: none is left."""
        found = runs.hold_all(tx, batches.unended(tx, batch.id, _STEP)).values()
        made = [self.operations.cancelling(tx, run, reason) for run in found if run.status not in ENDED]
        commits = [commit for commit in made if commit is not None]
        if commits:
            self.operations.applier.advance(tx, commits)
            endings.unmark_all(tx, [commit.run.id for commit in commits])
        return len(commits)
