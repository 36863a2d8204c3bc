"""Groups of children, and batches: runs that were started together, and the one decision that follows from their ends.

- The progress of a group is counted from its runs. Its own row holds only its purpose, and what was decided (rule 53).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from stepwell.engine.run import Moment, Status


class GroupRow(NamedTuple):
    """A group of children, or a batch."""

    id: str
    kind: Literal["group", "batch"]
    app_name: str
    user_id: str
    parent_id: str | None
    callback: str | None
    callback_meta: str | None
    until: str
    total: int
    max_in_flight: int | None
    stop_after: int | None
    """Of a batch: more failed runs than this stop it."""
    label: str | None
    workflow_name: str | None
    idempotency_key: str | None
    fingerprint: str | None
    created_at: Moment
    status: str
    """`running` until it is decided."""
    outcome: str | None
    decided_by: str | None
    decided_at: Moment | None
    finished_at: Moment | None
    """The moment at which nothing was left to do for it; None while its runs are looked at."""


class GroupCounts(NamedTuple):
    """The runs of a group by status; those held back by `max_in_flight` are counted apart from other pending ones."""

    held: int
    pending: int
    running: int
    waiting: int
    retrying: int
    completed: int
    failed: int
    canceled: int

    @property
    def ended(self) -> int:
        """Those that have ended, however."""
        return self.completed + self.failed + self.canceled


class Progress(NamedTuple):
    """The progress of a group at a moment."""

    group: GroupRow
    counts: GroupCounts
    at: Moment
    ended_at: Moment | None
    """The moment at which the last one ended; None while some haven't."""
    rate: float
    """Ends per second over the last minute."""

    @property
    def eta(self) -> Moment | None:
        """The moment at which the last one would end at this rate; None if nothing says so."""
        left = self.group.total - self.counts.ended
        return self.at + round(left / self.rate * 1_000_000) if left > 0 and self.rate > 0 else None


class Member(NamedTuple):
    """A run of a group, as far as its item shows it."""

    position: int
    id: str
    app_name: str
    workflow_name: str
    status: Status
    result: str | None
    error: str | None
