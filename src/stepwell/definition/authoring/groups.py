"""The payload of a group's callback, and its items: the ends of many runs that were started together."""

from __future__ import annotations

from typing import Generic, Literal

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeVar

T = TypeVar("T", default=object)

RunStatus = Literal["pending", "running", "waiting", "retrying", "completed", "failed", "canceled"]


class GroupItem(BaseModel, Generic[T]):
    """One run of a group of children, or of a batch, as it stood when it was read."""

    model_config = ConfigDict(frozen=True)

    index: int
    """Its place in the starts, counted from 0."""
    workflow_id: str
    status: RunStatus
    result: T | None
    """None unless it completed."""
    error: str | None


class Group(BaseModel, Generic[T]):
    """The end of a group of children, for the callback of `self.start_many`; T is the children's result.

    The counts are those at the decision: a child that was stopped by it counts as canceled.
    """

    model_config = ConfigDict(frozen=True)

    group_id: str
    total: int
    completed: int
    failed: int
    canceled: int
    results: tuple[GroupItem[T], ...]
    """In the order of the starts; empty if there are more than 1,000 children, or if they are over the payload limit."""
    truncated: bool
    """True if `results` was left out for its size: `self.children(group_id)` reads them all."""
