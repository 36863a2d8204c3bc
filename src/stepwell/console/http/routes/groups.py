"""Groups of children: how far they are, and their runs."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from stepwell.console.http.access.caller import Caller, CallerOf
from stepwell.console.http.routes.batches import ItemCursor
from stepwell.console.http.routes.runs import LimitParam, WorkflowId
from stepwell.console.http.schemas import problems
from stepwell.console.reading.groups import Groups
from stepwell.console.reading.views import ChildGroup
from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.run import Status
from stepwell.runner.groups import GroupProgress
from stepwell.runner.models import Page

GroupId = Annotated[str, Path(min_length=1, max_length=64)]


def add_groups(router: APIRouter, caller: CallerOf) -> None:
    """Add `/groups/{id}` with its items, and `/runs/{id}/groups`."""
    ByCaller = Annotated[Caller, Depends(caller)]
    there = problems(404)

    @router.get("/groups/{group_id}", responses=there)
    async def get_group(group_id: GroupId, caller: ByCaller) -> GroupProgress:
        """Return how far a group of children is, counted from its runs."""
        return await caller.reading(Groups).progress(group_id)

    @router.get("/groups/{group_id}/items", responses=there)
    async def list_group_items(
        group_id: GroupId,
        caller: ByCaller,
        status: Status | None = None,
        limit: LimitParam = 100,
        cursor: ItemCursor = None,
    ) -> Page[GroupItem[Any]]:
        """List a page of its runs in the order of the starts, with their results; fewer if they are large."""
        position = caller.cursors.position(cursor)
        return caller.cursors.page(await caller.reading(Groups).items(group_id, status, limit, position))

    @router.get("/runs/{workflow_id}/groups", responses=there)
    async def list_run_groups(workflow_id: WorkflowId, caller: ByCaller) -> Sequence[ChildGroup]:
        """List the groups of children that the run has started, the newest first; at most 100."""
        await caller.run(workflow_id)
        return await caller.reading(Groups).of_run(workflow_id)
