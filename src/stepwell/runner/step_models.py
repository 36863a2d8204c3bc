"""The journaled steps of a run, as readers see them, and the cursor of their pages."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from stepwell.errors import InvalidArgs
from stepwell.execution.clock import to_datetime
from stepwell.runner.readable import value_of
from stepwell.store.history import StepPosition, position_of
from stepwell.store.journal import JournalRow
from stepwell.store.tables import moment

_POSITION: TypeAdapter[tuple[int, int, str, str]] = TypeAdapter(tuple[int, int, str, str])


class StepRow(BaseModel):
    """A step of a run, once it has been journaled. A plain step has a row when it has completed."""

    model_config = ConfigDict(frozen=True)

    name: str
    transition: str
    visit: int
    """The version of the run by which its place was entered."""
    attempts: int
    """Tries in the attempt of the transition that ended it."""
    status: Literal["started", "completed", "failed", "unknown"]
    """`started`: a step with `once` has begun; `unknown`: it ended without a value, and isn't run again in its visit."""
    value: Any
    error: str | None
    undo: str | None
    """The method that undoes it."""
    undone_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    """None while it is `started`."""


def step_row_of(row: JournalRow) -> StepRow:
    """Return the model of a row; what a person has spoilt in it is left out."""
    recorded = moment(row.recorded_at) or 0
    started = moment(row.started_at)
    undone = moment(row.undone_at)
    known = row.status in ("started", "failed", "unknown")
    return StepRow(
        name=row.name,
        transition=row.transition,
        visit=row.visit,
        attempts=row.attempts if isinstance(row.attempts, int) else 1,
        status=row.status if known and row.status is not None else "completed",
        value=None if known else value_of(row.value),
        error=row.error,
        undo=row.undo,
        undone_at=None if undone is None else to_datetime(undone),
        started_at=to_datetime(recorded if started is None else started),
        finished_at=None if row.status == "started" else to_datetime(recorded),
    )


def step_cursor(row: JournalRow) -> str:
    """Return the cursor of the page behind this row."""
    return urlsafe_b64encode(to_json(position_of(row))).decode().rstrip("=")


def step_position(cursor: Any) -> StepPosition | None:
    """Return the position behind which a page begins. Raises InvalidArgs."""
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found = _POSITION.validate_json(text)
        if not all(abs(number) < 2**63 for number in found[:2]):
            raise ValueError(found)
        if any("\0" in text for text in found[2:]):
            raise ValueError(found)
        return StepPosition(*found)
    except (ValueError, TypeError, ValidationError):
        raise InvalidArgs(f"cursor={cursor!r}: give the next_cursor of the page before, or leave it out.") from None
