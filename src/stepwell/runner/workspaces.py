"""The verbs of `runner.workspaces`: the workspaces of users, those that they make and the first one of each app."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict

from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.errors import InvalidArgs, WorkflowNotFound, WorkspaceNotFound
from stepwell.execution.clock import to_datetime
from stepwell.execution.shared import new_id
from stepwell.runner.arguments import check_limit, check_user, checked_text, cursor_of, id_of
from stepwell.runner.models import Page
from stepwell.store import workspaces
from stepwell.store.reading import overview
from stepwell.store.tables import moment
from stepwell.store.tx import Tx
from stepwell.store.workspaces import WorkspaceRow

if TYPE_CHECKING:
    from stepwell.runner.core import Core
    from stepwell.runner.steering import Steering

MAX_TITLE: Final = 200


class Workspace(BaseModel):
    """A workspace: runs of one user that belong together."""

    model_config = ConfigDict(frozen=True)

    workspace_id: str
    app_name: str
    user_id: str
    title: str | None
    """None for the first one of an app and a user, unless it was renamed."""
    created_at: datetime


def workspace_fields(row: WorkspaceRow) -> dict[str, Any]:
    """Return the fields of the model of a row."""
    return {
        "workspace_id": row.id,
        "app_name": row.app_name,
        "user_id": row.user_id,
        "title": row.title,
        "created_at": to_datetime(moment(row.created_at) or 0),
    }


class RunnerWorkspaces:
    """The workspaces of users. A restricted runner has its user's only: others' don't exist for it."""

    def __init__(
        self, runner: Steering, only: Callable[[str | None], str | None], key: Callable[..., str | None]
    ) -> None:
        self._runner = runner
        self._only = only
        self._derived_key = key

    @property
    def _core(self) -> Core:
        return self._runner.core

    async def create(self, app_name: str, user_id: str, title: str) -> Workspace:
        """Store a further workspace of this user durably, and return it: `workspace_id=` of a start takes it.

        A title may occur twice. Raises UnknownApp, InvalidArgs, WorkspaceNotFound for another user in a restricted runner,
        StoreUnavailable; nothing is stored then.
        """
        core = self._core
        self._restricted(user_id)
        check_user(user_id)
        name = checked_title(title)
        core.shared.registry.check_app(app_name)
        made = workspaces.made_id(self._derived_key("workspace", app_name, user_id, name)) or new_id()
        row = WorkspaceRow(made, app_name, user_id, core.shared.clock.now(), name)
        return _workspace(await core.write(lambda tx: workspaces.make(tx, row), None))

    async def get(self, workspace_id: str, *, user_id: str | None = None) -> Workspace:
        """Return the workspace. Raises WorkspaceNotFound."""
        return _workspace(await self._runner.read(self._found(workspace_id, user_id)))

    async def list(
        self, *, app_name: str | None = None, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Workspace]:
        """Return a page of workspaces, in the order of their ids. `limit` is 1 to 1,000.

        The first one of an app and a user is among them once a run has been started in it.
        """
        check_limit(limit)
        only, app, after = self._restricted(user_id), checked_text("app_name", app_name), cursor_of(cursor)
        if "\0" in f"{app}{only}":
            return Page(items=(), next_cursor=None)

        def query(tx: Tx) -> builtins.list[WorkspaceRow]:
            return overview.list_workspaces(tx, app, only, None, limit + 1, after)

        found = await self._runner.read(query)
        more = found[limit - 1].id if len(found) > limit else None
        return Page(items=tuple(map(_workspace, found[:limit])), next_cursor=more)

    async def rename(self, workspace_id: str, title: str, *, user_id: str | None = None) -> Workspace:
        """Give the workspace another title, and return it. Raises WorkspaceNotFound, InvalidArgs, StoreUnavailable."""
        find, name = self._found(workspace_id, user_id), checked_title(title)

        def change(tx: Tx) -> WorkspaceRow:
            row = find(tx)
            workspaces.rename(tx, row.id, name)
            return row._replace(title=name)

        return _workspace(await self._core.write(change, None))

    def _found(self, workspace_id: str, user_id: str | None) -> Callable[[Tx], WorkspaceRow]:
        """Return a query of the workspace. It raises WorkspaceNotFound."""
        only, wanted = self._restricted(user_id), id_of(workspace_id)
        whose = "" if only is None else f" of user {only!r}"

        def find(tx: Tx) -> WorkspaceRow:
            row = None if wanted is None else workspaces.load(tx, wanted)
            if row is None or only not in (None, row.user_id):
                raise WorkspaceNotFound(f"No workspace {shown(workspace_id)}{whose}.")
            return row

        return find

    def _restricted(self, user_id: str | None) -> str | None:
        """Return the user to restrict to. Raises WorkspaceNotFound for another user in a restricted runner."""
        try:
            return self._only(user_id)
        except WorkflowNotFound as error:
            raise WorkspaceNotFound(str(error)) from None


def checked_title(title: object) -> str:
    """Return the title if it is valid. Raises InvalidArgs."""
    if isinstance(title, str) and is_text(title, MAX_TITLE):
        return title
    raise InvalidArgs(f"title={shown(title)}: give a text of 1 to {MAX_TITLE} characters, without NUL.")


def _workspace(row: WorkspaceRow) -> Workspace:
    return Workspace(**workspace_fields(row))
