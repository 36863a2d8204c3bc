"""Operations on groups: what follows from the ends of their runs, in one commit under a lock on the group's row (rule 53)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stepwell.engine.groups import (
    MOST_RESULTS,
    GroupEnds,
    GroupRow,
    Member,
    Verdict,
    decisive,
    end_of,
    verdict,
    why_stopped,
)
from stepwell.engine.run import Moment
from stepwell.execution.shared import Shared
from stepwell.store import deciding, endings, groups, runs, signals
from stepwell.store.tx import Tx
from stepwell.store.writing.apply import Applier


@dataclass(frozen=True, slots=True)
class Deciding:
    """Looks at groups without writing, and takes the step that is due."""

    shared: Shared
    applier: Applier

    def due(self, tx: Tx, group_id: str) -> bool:
        """Return whether something is to be done for the group. Reads a few rows."""
        group = groups.load(tx, group_id)
        if group is None or group.finished_at is not None:
            return False
        ends = deciding.ends(tx, group)
        if not ends.unended or verdict(group, ends) is not None:
            return True
        return _has_turns(group) and deciding.has_turn(tx, group)

    def step(self, group_id: str) -> Callable[[Tx], bool]:
        """Return whether more may be to do, after the group was decided, or the next of its runs were let through."""

        def operation(tx: Tx) -> bool:
            group = groups.hold(tx, group_id)
            if group is None or group.finished_at is not None:
                return False
            now = self.shared.clock.now()
            ends = deciding.ends(tx, group)
            decided = verdict(group, ends)
            if decided is not None:
                self._decide(tx, group, decided, now, stops=ends.unended)
            elif _has_turns(group):
                return deciding.let_through(tx, group, now) == deciding.TURN or self._finish(tx, group, ends, now)
            return self._finish(tx, group, ends, now)

        return operation

    def _finish(self, tx: Tx, group: GroupRow, ends: GroupEnds, now: Moment) -> bool:
        if not ends.unended:
            deciding.mark_finished(tx, group, now)
        return False

    def _decide(self, tx: Tx, group: GroupRow, decided: Verdict, now: Moment, *, stops: bool) -> None:
        """Store the decision with all that follows from it: the parent is told, and what hasn't ended is stopped."""
        statuses, first = decisive(group, decided)
        decider = deciding.decider(tx, group, statuses, first=first)
        if group.callback is not None and group.parent_id is not None:
            self._tell(tx, group, decided, decider, now)
        if stops:
            endings.mark_group(tx, group.id, why_stopped(group, decider), now)
        deciding.store_decision(tx, group, decided, None if decider is None else decider.id, now)

    def _tell(self, tx: Tx, group: GroupRow, decided: Verdict, decider: Member | None, now: Moment) -> None:
        parent = runs.hold(tx, group.parent_id or "")
        if parent is None:
            return
        limit = self.shared.limits.payload
        members: Sequence[Member] | None = None
        if group.total <= MOST_RESULTS and deciding.result_bytes(tx, group) <= limit:
            members = groups.members(tx, group.id, limit=MOST_RESULTS)
            by_status = [member.status for member in members]
            ends = by_status.count("completed"), by_status.count("failed")
        else:
            ends = deciding.end_counts(tx, group)
        if parent.finished and sum(ends) < group.total:
            return  # children that were cancelled because their parent had ended leave no trace there
        end = end_of(group, decided, ends, decider, members, now, limit)
        signals.tell(tx, [end], self.applier.keep_states)


def _has_turns(group: GroupRow) -> bool:
    """Return whether held runs of the group may be let through: also those that were retried after the decision."""
    return group.max_in_flight is not None
