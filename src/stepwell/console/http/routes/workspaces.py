"""Workspaces: the first one of each app and user, and those that users make."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from stepwell.console.http.access.caller import Caller, CallerOf, CursorParam
from stepwell.console.http.routes.actions import user_of
from stepwell.console.http.routes.runs import LimitParam
from stepwell.console.http.schemas import NO_NUL, NameParam, problems
from stepwell.console.reading.overview import Machines
from stepwell.console.reading.views import WorkspaceView, view_of
from stepwell.errors import WorkspaceNotFound
from stepwell.runner.models import Page
from stepwell.runner.workspaces import MAX_TITLE

WorkspaceId = Annotated[str, Path(max_length=100, description="The id of a workspace")]


class WorkspaceChange(BaseModel):
    """The new title of a workspace."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=MAX_TITLE, pattern=NO_NUL)]


class WorkspaceRequest(WorkspaceChange):
    """A workspace to make."""

    app_name: NameParam
    user_id: NameParam | None = None
    """Another user, for callers with access to all users' runs. Default: the caller."""


def add_workspaces(router: APIRouter, caller: CallerOf) -> None:
    """Add `/workspaces`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    @router.get("/workspaces", responses=problems(404))
    async def list_workspaces(
        caller: ByCaller,
        app_name: NameParam | None = None,
        user_id: NameParam | None = None,
        limit: LimitParam = 50,
        cursor: CursorParam = None,
    ) -> Page[WorkspaceView]:
        """List the workspaces, ordered by id."""
        position = caller.cursors.position(cursor)
        page = await caller.reading(Machines).workspaces(
            app_name=app_name, user_id=user_id, limit=limit, cursor=position
        )
        return caller.cursors.page(page)

    @router.post("/workspaces", status_code=201, responses=problems(404))
    async def create_workspace(request: WorkspaceRequest, caller: ByCaller) -> WorkspaceView:
        """Make a further workspace of a user: `workspace_id` of a start takes it. It is stored durably."""
        caller.may_act()
        caller.app(request.app_name)
        user = user_of(request.user_id, caller)
        return view_of(await caller.runner.workspaces.create(request.app_name, user, request.title))

    @router.get("/workspaces/{workspace_id}", responses=problems(404))
    async def get_workspace(workspace_id: WorkspaceId, caller: ByCaller) -> WorkspaceView:
        """Return a workspace."""
        return await _seen(caller, workspace_id)

    @router.patch("/workspaces/{workspace_id}", responses=problems(404))
    async def rename_workspace(workspace_id: WorkspaceId, request: WorkspaceChange, caller: ByCaller) -> WorkspaceView:
        """Give a workspace another title."""
        caller.may_act()
        found = await _seen(caller, workspace_id)
        return view_of(await caller.runner.workspaces.rename(found.id, request.title))


async def _seen(caller: Caller, workspace_id: str) -> WorkspaceView:
    """Return the workspace, if it is visible to the caller. Raises WorkspaceNotFound."""
    found = await caller.runner.workspaces.get(workspace_id)
    if not caller.principal.sees(found.app_name):
        raise WorkspaceNotFound(f"No workspace {workspace_id!r}.")
    return view_of(found)
