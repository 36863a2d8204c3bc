"""Apps and workflows as they are declared, and how their runs go."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Iterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from stepwell.definition.export import to_json, to_mermaid
from stepwell.definition.model import Definition
from stepwell.http.asking import Asking as Asks
from stepwell.http.asking import AskingOf
from stepwell.http.schemas import NO_NUL, AppView, Name, Trigger, WorkflowDetail, WorkflowSummary, problems
from stepwell.http.served import Served
from stepwell.runner.overview import Overview
from stepwell.triggers.declare import StartWorkflow
from stepwell.triggers.firing import described
from stepwell.triggers.handlers import Triggers

Named = Annotated[str, Path(min_length=1, max_length=256, pattern=NO_NUL)]


def add_workflows(router: APIRouter, stepwell: Served, asking: AskingOf) -> None:
    """`/apps` and `/workflows` are served."""
    Asking = Annotated[Asks, Depends(asking)]

    @router.get("/apps", responses=problems())
    async def list_apps(asking: Asking) -> Sequence[AppView]:
        """The apps of this process."""
        return [
            AppView(name=app.name, title=app.title, workflows=tuple(sorted(app.definitions)))
            for app in stepwell.apps.values()
            if asking.principal.sees(app.name)
        ]

    @router.get("/workflows", responses=problems())
    async def list_workflows(asking: Asking, app_name: Name | None = None) -> Sequence[WorkflowSummary]:
        """The workflows, with how many runs each has and how its newest ones went."""
        found = await asking.sight(Overview).by_workflow(app_name)
        return [
            WorkflowSummary(
                app_name=app,
                name=one.name,
                title=one.title,
                description=one.description,
                version=one.version,
                takes_args=one.args is not None,
                counts=found[app, one.name][0],
                recent=tuple(found[app, one.name][1]),
            )
            for app, one in asking.sight(Overview).definitions()
            if (app, one.name) in found
        ]

    @router.get("/workflows/{app_name}/{workflow_name:path}", responses=problems(404))
    async def get_workflow(app_name: Named, workflow_name: Named, asking: Asking) -> WorkflowDetail:
        """The workflow as it is declared."""
        definition = asking.definition(app_name, workflow_name)
        return WorkflowDetail(
            app_name=app_name,
            **to_json(definition),
            mermaid=to_mermaid(definition),
            triggers=tuple(_triggers(stepwell.apps[app_name], definition)),
        )


def _triggers(app: Triggers, definition: Definition) -> Iterator[Trigger]:
    for schedule in app.schedules:
        action = schedule.action
        if isinstance(action, StartWorkflow) and action.workflow in (definition.name, definition.workflow):
            yield Trigger(kind="schedule", name=schedule.name, rule=described(schedule.rule))
    for event in definition.on:
        yield Trigger(kind="event", name=event.name, rule=f"on {event.name}")
