"""Who asks, with what exists for them: every route reads and acts through this, and through nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import Depends

from stepwell.definition.model import Definition
from stepwell.errors import UnknownApp, UnknownWorkflow, WorkflowNotFound, WorkspaceNotFound
from stepwell.http.access import Access, Asked
from stepwell.http.cursors import Cursors
from stepwell.http.principal import Principal, permit
from stepwell.http.served import Served
from stepwell.runner.models import Run
from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.sight import Sight
from stepwell.store import workspaces
from stepwell.store.queries import Filter

S = TypeVar("S", bound=Sight)

AskingOf = Callable[..., Awaitable["Asking"]]


@dataclass(frozen=True, slots=True)
class Asking:
    """The principal of a request, and a runner that reaches nothing that isn't there for them."""

    principal: Principal
    runner: WorkflowRunner
    asked: Asked

    def sight(self, kind: type[S]) -> S:
        """What they may see beyond single runs: an Overview, Questions, Parts or Machines."""
        return kind(self.runner, self.principal.apps)

    @property
    def cursors(self) -> Cursors:
        """Where their pages end."""
        return Cursors.of(self.principal)

    def may_act(self) -> None:
        """They may change something. Raises NoAccess."""
        permit(self.principal, act=True)

    def sees_everybody(self, *, act: bool = False) -> None:
        """They may see (or change) what belongs to no single user. Raises NoAccess."""
        permit(self.principal, act=act, everybody=True)

    async def run(self, workflow_id: str) -> Run:
        """The run, if it is there for them. Raises WorkflowNotFound."""
        run = await self.runner.get(workflow_id)
        if not self.principal.sees(run.app_name) or _is_handler(run.workflow_name):
            raise WorkflowNotFound(f"No run {workflow_id!r}.")
        return run

    def definition(self, app_name: str, workflow_name: str) -> Definition:
        """The workflow, if its app is there for them. Raises UnknownApp or UnknownWorkflow."""
        self.app(app_name)
        if _is_handler(workflow_name):
            raise UnknownWorkflow(f"The app {app_name!r} doesn't list the workflow {workflow_name!r}.")
        return self.runner.core.shared.registry.get(app_name, workflow_name)

    def app(self, app_name: str) -> None:
        """The app is there for them. Raises UnknownApp, which tells of no other apps than theirs."""
        apps = [one for one in self.runner.core.shared.registry.apps if self.principal.sees(one)]
        if app_name not in apps:
            raise UnknownApp(f"No app {app_name!r}. Registered: {', '.join(apps) or 'none'}.")

    async def there(self, app_name: str | None, workspace_id: str | None) -> None:
        """The app and the workspace, where one is named, are there for them. Raises UnknownApp or WorkspaceNotFound."""
        if app_name is not None:
            self.app(app_name)
        if workspace_id is not None:
            found = await self.runner.core.store.read(lambda tx: workspaces.load(tx, workspace_id))
            if (
                found is None
                or not self.principal.sees(found.app_name)
                or self.runner.only not in (None, found.user_id)
            ):
                raise WorkspaceNotFound(f"No workspace {workspace_id!r}.")

    def within(self, wanted: Filter) -> Filter:
        """The filter, restricted to what is there for them."""
        apps, only = self.principal.apps, self.runner.only
        if apps is not None:
            named = wanted.app_name
            shown = tuple(sorted(apps)) if named is None else tuple({named} & apps)
            wanted = replace(wanted, app_name=shown[0] if named in apps else None, apps=shown)
        if only is not None:
            # Somebody else's runs aren't there: the filter finds none.
            wanted = replace(wanted, user_id=only, apps=wanted.apps if wanted.user_id in (None, only) else ())
        return wanted


def _is_handler(workflow_name: str) -> bool:
    """It handles ticks or deliveries: schedules and webhooks show what became of those, its runs never leave."""
    return ":" in workflow_name


def asking_for(stepwell: Served, access: Access) -> AskingOf:
    """A FastAPI dependency: who asks. Raises what `access` raises."""

    async def asking(asked: Any = Depends(access.asked)) -> Asking:  # noqa: B008
        found: Asked = asked
        runner = stepwell.runner
        if not found.principal.everybody:
            runner = runner.as_user(found.principal.user_id)
        return Asking(found.principal, runner, found)

    return asking
