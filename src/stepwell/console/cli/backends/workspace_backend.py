"""The interface of commands to workspaces."""

from __future__ import annotations

from typing import Protocol

from stepwell.console.reading.views import WorkspaceView
from stepwell.runner.models import Page


class WorkspaceBackend(Protocol):
    """The workspaces of users, wherever they are."""

    async def workspaces(
        self, app_name: str | None, user: str | None, limit: int, cursor: str | None
    ) -> Page[WorkspaceView]:
        """Return a page of workspaces, in the order of their ids."""
        ...

    async def create_workspace(self, app_name: str, user: str | None, title: str) -> WorkspaceView:
        """Make a workspace of this user, and return it. Default user: the caller."""
        ...

    async def rename_workspace(self, workspace_id: str, title: str) -> WorkspaceView: ...
