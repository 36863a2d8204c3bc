"""The caller with what is visible to them: every route reads and acts through this, and through nothing else.

Cursors of their pages say where a page ended, and for whom. A position reveals nothing of other users, since what
follows it is read anew for the caller. The mark in front of it says whose page it was: a cursor works only for callers
with the same visibility.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Query

from stepwell.console.http.access.access import Access, Identity, Served
from stepwell.console.http.access.principal import Principal, permit
from stepwell.console.reading.groups import Groups
from stepwell.console.reading.overview import Machines
from stepwell.console.reading.views import Reading
from stepwell.definition.authoring.groups import GroupItem
from stepwell.definition.model import Definition
from stepwell.definition.text import is_handler
from stepwell.engine.run import Status
from stepwell.errors import (
    BatchNotFound,
    CursorNotFound,
    NoAccess,
    UnknownApp,
    UnknownWorkflow,
    WorkflowNotFound,
    WorkspaceNotFound,
)
from stepwell.execution.answering import Person
from stepwell.runner.batch_handle import BatchHandle
from stepwell.runner.batch_models import Batch
from stepwell.runner.models import Page, Run
from stepwell.runner.query import Filter
from stepwell.runner.runner import WorkflowRunner

S = TypeVar("S", bound=Reading)
CallerOf = Callable[..., Awaitable["Caller"]]
T = TypeVar("T")
_MARK: Final = 12
"""Hexadecimal digits of the mark, enough to tell the users of one service apart. It is no secret: it confirms a guessed
owner.
"""
MARK: Final = rf"[0-9a-f]{{{_MARK}}}\."
UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PATTERN: Final = rf"^{MARK}{UUID}$"
"""The pattern of a cursor whose position is an id."""
CursorParam = Annotated[str | None, Query(pattern=PATTERN, description="The next_cursor of the page before")]


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal of a request, and a runner restricted to what is visible to them."""

    principal: Principal
    runner: WorkflowRunner
    identity: Identity

    def reading(self, kind: type[S]) -> S:
        """Return a view of what they may see beyond single runs: an Overview, Questions, Parts or Machines."""
        return kind(self.runner, self.principal.apps)

    @property
    def cursors(self) -> Cursors:
        """Return the cursors of their pages."""
        return Cursors.of(self.principal)

    def may_act(self) -> None:
        """Check that they may change something. Raises NoAccess."""
        permit(self.principal, act=True)

    def sees_all_users(self, *, act: bool = False) -> None:
        """Check that they may see (or change) what belongs to no single user. Raises NoAccess."""
        permit(self.principal, act=act, everybody=True)

    async def run(self, workflow_id: str) -> Run:
        """Return the run, if it is visible to them. Raises WorkflowNotFound."""
        run = await self.runner.get(workflow_id)
        if not self.principal.sees(run.app_name) or is_handler(run.workflow_name):
            raise WorkflowNotFound(f"No run {workflow_id!r}.")
        return run

    async def batch(self, batch_id: str) -> Batch:
        """Return the batch, if it is visible to them. Raises BatchNotFound."""
        batch = await self.runner.batch(batch_id).get()
        if not self.principal.sees(batch.app_name):
            raise BatchNotFound(f"No batch {batch_id!r}.")
        return batch

    async def whole_batch(self, batch_id: str) -> BatchHandle:
        """Return the handle of a batch that they may change as a whole. Raises BatchNotFound, NoAccess."""
        self.may_act()
        found = (await self.batch(batch_id)).batch_id
        if not await self.reading(Groups).covers(found):
            raise NoAccess(
                f"Batch {batch_id!r} has runs of apps that you have no access to: retry or cancel its runs one by one."
            )
        return self.runner.batch(found)

    async def batches(self, app_name: str | None, user_id: str | None, limit: int, cursor: str | None) -> Page[Batch]:
        """Return a page of the batches that are visible to them."""
        position, apps, only = self.cursors.position(cursor), self.principal.apps, self.runner.only
        shown = None if apps is None else sorted(apps)
        if only is not None and user_id not in (None, only):
            shown = []  # another user's aren't visible
        found = await self.runner.find_batches(app_name, only or user_id, limit, position, shown)
        return self.cursors.page(found)

    async def batch_items(
        self, batch: Batch, status: Status | None, limit: int, cursor: str | None
    ) -> Page[GroupItem[Any]]:
        """Return a page of the runs of a batch, without those of apps that aren't visible to them."""
        position = self.cursors.position(cursor)
        handle = self.runner.batch(batch.batch_id)
        found = await handle.page(-1 if position is None else int(position), limit, status, self.principal.apps)
        return self.cursors.page(found)

    def person(self, visit: int | None = None, *, answers: bool = False) -> Person:
        """Return them as the one who answers, with their groups and the apps that are visible to them."""
        of = self.principal
        return Person(of.user_id, of.groups, answers, visit, apps=of.apps, everybody=of.everybody)

    def definition(self, app_name: str, workflow_name: str) -> Definition:
        """Return the workflow, if its app is visible to them. Raises UnknownApp or UnknownWorkflow."""
        self.app(app_name)
        if is_handler(workflow_name):
            raise UnknownWorkflow(f"The app {app_name!r} doesn't list the workflow {workflow_name!r}.")
        return self.runner.core.shared.registry.get(app_name, workflow_name)

    def app(self, app_name: str) -> None:
        """Check that the app is visible to them. Raises UnknownApp, which names no other apps than theirs."""
        apps = [one for one in self.runner.core.shared.registry.apps if self.principal.sees(one)]
        if app_name not in apps:
            raise UnknownApp(f"No app {app_name!r}. Registered: {', '.join(apps) or 'none'}.")

    async def there(self, app_name: str | None, workspace_id: str | None) -> None:
        """Check that the app and the workspace, if named, are visible to them. Raises UnknownApp or WorkspaceNotFound."""
        if app_name is not None:
            self.app(app_name)
        if workspace_id is not None and not await self.reading(Machines).has_workspace(workspace_id):
            raise WorkspaceNotFound(f"No workspace {workspace_id!r}.")

    def within(self, wanted: Filter) -> Filter:
        """Return the filter, restricted to what is visible to them."""
        apps, only = self.principal.apps, self.runner.only
        if apps is not None:
            named = wanted.app_name
            shown = tuple(sorted(apps)) if named is None else tuple({named} & apps)
            wanted = replace(wanted, app_name=shown[0] if named in apps else None, apps=shown)
        if only is not None:
            # Another user's runs aren't visible: the filter finds none.
            wanted = replace(wanted, user_id=only, apps=wanted.apps if wanted.user_id in (None, only) else ())
        return wanted


def caller_for(stepwell: Served, access: Access) -> CallerOf:
    """Return a FastAPI dependency: the caller. Raises what `access` raises."""

    async def caller(identity: Any = Depends(access.identity)) -> Caller:  # noqa: B008
        found: Identity = identity
        runner = stepwell.runner.asked_by(found.principal.user_id)
        if not found.principal.everybody:
            runner = runner.as_user(found.principal.user_id)
        return Caller(found.principal, runner, found)

    return caller


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of all callers with the same visibility."""

    mark: str

    @classmethod
    def of(cls, principal: Principal) -> Cursors:
        """Return the cursors of this caller.

        Callers who may see all users' runs of the same apps share their pages; the pages of others are their own.
        """
        apps = None if principal.apps is None else sorted(principal.apps)
        return cls.whose(None if principal.everybody else principal.user_id, apps)

    @classmethod
    def whose(cls, user_id: str | None, apps: list[str] | None = None) -> Cursors:
        """Return the cursors of one user (None: of all users) and of these apps (None: of all)."""
        return cls(hashlib.sha256(json.dumps([user_id, apps]).encode()).hexdigest()[:_MARK])

    def position(self, cursor: str | None) -> str | None:
        """Return the position where the next page begins. Raises CursorNotFound."""
        if cursor is None:
            return None
        mark, _, position = cursor.partition(".")
        if mark != self.mark:
            raise CursorNotFound(f"cursor={cursor!r} isn't a cursor from one of your pages: begin without one.")
        return position

    def cursor(self, position: str | None) -> str | None:
        """Return the cursor of a position."""
        return None if position is None else f"{self.mark}.{position}"

    def page(self, page: Page[T]) -> Page[T]:
        """Return the page with a cursor for the page after it."""
        return page.model_copy(update={"next_cursor": self.cursor(page.next_cursor)})
