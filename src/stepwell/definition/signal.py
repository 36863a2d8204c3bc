"""The envelope of what resumes a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signal(Generic[T]):
    """Annotate a payload `Signal[Model]` to get who sent it and how it ended, besides the validated `data`."""

    data: T
    """None when `failed`."""
    status: Literal["completed", "failed", "canceled"]
    """How the sender ended; always `completed` for signals of people and code."""
    error: str | None
    workflow_id: str
    """Who sent it: the child, or the run itself."""
    user_id: str | None
    """Who answered; None for the system."""
    meta: dict[str, Any] | None
    """For a child: the `meta` given to `self.start`."""

    @property
    def failed(self) -> bool:
        """True if the child failed or was cancelled."""
        return self.status != "completed"
