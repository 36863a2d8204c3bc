"""Groups of children: how far they are."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from stepwell.console.http.access.caller import Caller, CallerOf
from stepwell.console.http.schemas import problems
from stepwell.console.reading.groups import VisibleGroups
from stepwell.runner.groups import GroupProgress

GroupId = Annotated[str, Path(min_length=1, max_length=64)]


def add_groups(router: APIRouter, caller: CallerOf) -> None:
    """Add `/groups/{group_id}`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    @router.get("/groups/{group_id}", responses=problems(404))
    async def get_group(group_id: GroupId, caller: ByCaller) -> GroupProgress:
        """Return how far a group of children is, counted from its runs."""
        return await caller.reading(VisibleGroups).progress(group_id)
