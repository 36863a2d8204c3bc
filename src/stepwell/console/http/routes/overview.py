"""Everything beyond single runs: apps and workflows, counts, failures, what waits for people, workers, the queue."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query

from stepwell.console.http.access.access import Served
from stepwell.console.http.access.caller import MARK, UUID, Caller, CallerOf, CursorParam
from stepwell.console.http.routes.runs import LimitParam
from stepwell.console.http.schemas import NO_NUL, AppView, NameParam, Trigger, WorkflowDetail, WorkflowSummary, problems
from stepwell.console.reading.overview import CHECKED_STATUS, Machines, Overview
from stepwell.console.reading.parts import Questions
from stepwell.console.reading.views import Counts, Depth, Failures, Metrics, Waiting, Worker
from stepwell.definition.compile.export import to_json, to_mermaid
from stepwell.definition.model import Definition
from stepwell.definition.schedules.schedule_times import described
from stepwell.runner.checking import Misfit
from stepwell.runner.models import Page
from stepwell.triggers.declare import StartWorkflow
from stepwell.triggers.handlers import Triggers

CheckCursorParam = Annotated[
    str | None,
    Query(pattern=rf"^{MARK}{CHECKED_STATUS}_{UUID}$", description="The next_cursor of the page before"),
]
Named = Annotated[str, Path(min_length=1, max_length=256, pattern=NO_NUL)]


def add_looking(router: APIRouter, stepwell: Served, caller: CallerOf) -> None:
    """Add the routes for everything beyond single runs."""
    ByCaller = Annotated[Caller, Depends(caller)]
    lease = stepwell.settings.lease_seconds

    @router.get("/waiting", responses=problems(404))
    async def list_waiting(
        caller: ByCaller, app_name: NameParam | None = None, limit: LimitParam = 50, cursor: CursorParam = None
    ) -> Page[Waiting]:
        """List the runs that wait for a person, with their questions, newest first."""
        position = caller.cursors.position(cursor)
        page = await caller.reading(Questions).waiting(app_name=app_name, limit=limit, cursor=position)
        return caller.cursors.page(page)

    @router.get("/counts", responses=problems())
    async def get_counts(caller: ByCaller, app_name: NameParam | None = None) -> Counts:
        """Count the runs of each status."""
        return await caller.reading(Overview).counts(app_name)

    @router.get("/failures", responses=problems())
    async def list_failures(caller: ByCaller, app_name: NameParam | None = None) -> Sequence[Failures]:
        """List the newest failed runs, grouped by the same failure."""
        return await caller.reading(Overview).failures(app_name)

    @router.get("/metrics", responses=problems())
    async def get_metrics(caller: ByCaller, window: Literal["hour", "day"] = "hour") -> Metrics:
        """Return throughput and latency of the last hour or day."""
        return await caller.reading(Overview).metrics(window)

    @router.get("/workers", responses=problems())
    async def list_workers(caller: ByCaller) -> Sequence[Worker]:
        """List the processes that execute runs, with the runs that they hold."""
        caller.sees_all_users()
        return await caller.reading(Machines).workers(lease)

    @router.get("/queue", responses=problems())
    async def get_queue(caller: ByCaller) -> Depth:
        """Return how many runs wait for workers, and for how long."""
        caller.sees_all_users()
        return await caller.reading(Machines).queue(lease)

    @router.get("/misfits", responses=problems(404))
    async def list_misfits(caller: ByCaller, cursor: CheckCursorParam = None) -> Page[Misfit]:
        """List the runs in flight that this process's code can't carry on, by workflow, version, place and reason.

        A page covers the next thousand runs that are looked at: it may have no items and still have a `next_cursor`, and
        the same reason may come on several pages.
        """
        caller.sees_all_users()
        position = caller.cursors.position(cursor)
        return caller.cursors.page(await caller.reading(Machines).misfits(position))


def add_workflows(router: APIRouter, stepwell: Served, caller: CallerOf) -> None:
    """Add `/apps` and `/workflows`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    @router.get("/apps", responses=problems())
    async def list_apps(caller: ByCaller) -> Sequence[AppView]:
        """List the apps of this process."""
        return [
            AppView(name=app.name, title=app.title, workflows=tuple(sorted(app.definitions)))
            for app in stepwell.apps.values()
            if caller.principal.sees(app.name)
        ]

    @router.get("/workflows", responses=problems())
    async def list_workflows(caller: ByCaller, app_name: NameParam | None = None) -> Sequence[WorkflowSummary]:
        """List the workflows, with the number of runs of each and how the newest ones went."""
        found = await caller.reading(Overview).by_workflow(app_name)
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
            for app, one in caller.reading(Overview).definitions()
            if (app, one.name) in found
        ]

    @router.get("/workflows/{app_name}/{workflow_name:path}", responses=problems(404))
    async def get_workflow(app_name: Named, workflow_name: Named, caller: ByCaller) -> WorkflowDetail:
        """Return the workflow as it is declared."""
        definition = caller.definition(app_name, workflow_name)
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
