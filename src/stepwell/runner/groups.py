"""Models of groups of runs: their progress, and their items."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.groups import Member, Progress
from stepwell.execution.clock import to_datetime
from stepwell.runner.models import Page
from stepwell.runner.readable import value_of
from stepwell.store import groups
from stepwell.store.tx import Tx

_PAGE_BYTES: Final = 16 * 1024 * 1024


class GroupProgress(BaseModel):
    """The progress of a group of children, or of a batch, counted from its runs: the eight counts add up to `total`."""

    model_config = ConfigDict(frozen=True)

    group_id: str
    total: int
    held: int
    """Not begun yet, because of `max_in_flight`. A held run's own status is `pending`."""
    pending: int
    running: int
    waiting: int
    retrying: int
    completed: int
    failed: int
    canceled: int
    started_at: datetime
    finished_at: datetime | None
    """The time at which the last run ended; None while some haven't."""
    rate: float
    """Runs that ended per second, over the last minute."""
    eta: datetime | None
    """The time at which the last run would end at that rate; None where nothing says so."""


def progress_of(found: Progress) -> GroupProgress:
    """Return the model of a progress."""
    group = found.group
    return GroupProgress(
        group_id=group.id,
        total=group.total,
        **found.counts._asdict(),
        started_at=to_datetime(group.created_at),
        finished_at=None if found.ended_at is None else to_datetime(found.ended_at),
        rate=found.rate,
        eta=None if found.eta is None else to_datetime(found.eta),
    )


def members_query(
    group_id: str, after: int, limit: int, status: str | None
) -> Callable[[Tx], tuple[list[Member], bool]]:
    """Return the query for a page of a group's runs behind the index `after`, and whether there are more."""

    def query(tx: Tx) -> tuple[list[Member], bool]:
        found = groups.members(tx, group_id, after=after, limit=limit, status=status, most_bytes=_PAGE_BYTES)
        return found, bool(found and groups.members(tx, group_id, after=found[-1].position, limit=1, status=status))

    return query


def item_page(found: Sequence[Member], more: bool, apps: Collection[str] | None = None) -> Page[GroupItem[Any]]:
    """Return the page of these runs, without those of other apps; None: of all."""
    items = tuple(item_of(member) for member in found if apps is None or member.app_name in apps)
    return Page(items=items, next_cursor=str(found[-1].position) if more else None)


def item_of(member: Member) -> GroupItem[Any]:
    """Return the model of a run of a group, with its result as a JSON value: None where that can't be read."""
    result = value_of(member.result) if member.status == "completed" else None
    return GroupItem(
        index=member.position, workflow_id=member.id, status=member.status, result=result, error=member.error
    )
