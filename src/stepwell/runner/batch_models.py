"""The model of a batch."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from stepwell.engine.groups import Progress
from stepwell.execution.clock import to_datetime
from stepwell.runner.groups import GroupProgress, progress_of

BatchStatus = Literal["running", "ended", "stopped"]


class Batch(BaseModel):
    """A batch as it stood when it was read; its progress is counted from its runs."""

    model_config = ConfigDict(frozen=True)

    batch_id: str
    label: str | None
    app_name: str
    user_id: str
    workflow_name: str | None
    """The workflow, if all of its runs have the same."""
    status: BatchStatus
    """`stopped`: more runs have failed than `stop_after_failures` tolerates, and the rest is cancelled."""
    created_at: datetime
    progress: GroupProgress


def batch_of(found: Progress) -> Batch:
    """Return the model of a batch."""
    row = found.group
    return Batch(
        batch_id=row.id,
        label=row.label,
        app_name=row.app_name,
        user_id=row.user_id,
        workflow_name=row.workflow_name,
        status=status_of(found),
        created_at=to_datetime(row.created_at),
        progress=progress_of(found),
    )


def status_of(found: Progress) -> BatchStatus:
    """Return where a batch stands: worked out from its runs, so that it can't contradict them."""
    row, counts = found.group, found.counts
    runs_again = row.outcome is None and row.decided_at is not None  # what failed before its retry counts no more
    if row.stop_after is not None and counts.failed > row.stop_after and not runs_again:
        return "stopped"
    return "ended" if counts.ended >= row.total else "running"
