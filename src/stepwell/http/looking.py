"""Counts, failures, throughput, what waits for people, workspaces, workers and the queue."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends

from stepwell.http.asking import Asking as Asks
from stepwell.http.asking import AskingOf
from stepwell.http.cursors import Cursor
from stepwell.http.runs import Limit
from stepwell.http.schemas import Name, problems
from stepwell.http.served import Served
from stepwell.runner.machines import Machines
from stepwell.runner.models import Page
from stepwell.runner.overview import Overview
from stepwell.runner.questions import Questions
from stepwell.runner.views import Counts, Depth, Failures, Metrics, Waiting, Worker, Workspace


def add_looking(router: APIRouter, stepwell: Served, asking: AskingOf) -> None:
    """What is looked at beyond single runs is served."""
    Asking = Annotated[Asks, Depends(asking)]
    lease = stepwell.settings.lease_seconds

    @router.get("/waiting", responses=problems(404))
    async def list_waiting(
        asking: Asking, app_name: Name | None = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[Waiting]:
        """The runs that wait for a person, with what is asked, newest first."""
        position = asking.cursors.position(cursor)
        page = await asking.sight(Questions).waiting(app_name=app_name, limit=limit, cursor=position)
        return asking.cursors.page(page)

    @router.get("/counts", responses=problems())
    async def get_counts(asking: Asking, app_name: Name | None = None) -> Counts:
        """How many runs there are of each status."""
        return await asking.sight(Overview).counts(app_name)

    @router.get("/failures", responses=problems())
    async def list_failures(asking: Asking, app_name: Name | None = None) -> Sequence[Failures]:
        """The newest failed runs, those together that failed alike."""
        return await asking.sight(Overview).failures(app_name)

    @router.get("/metrics", responses=problems())
    async def get_metrics(asking: Asking, window: Literal["hour", "day"] = "hour") -> Metrics:
        """Throughput and latency of the last hour or day."""
        return await asking.sight(Overview).metrics(window)

    @router.get("/workspaces", responses=problems(404))
    async def list_workspaces(
        asking: Asking,
        app_name: Name | None = None,
        user_id: Name | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Workspace]:
        """The workspaces, in the order of their ids."""
        position = asking.cursors.position(cursor)
        page = await asking.sight(Machines).workspaces(app_name=app_name, user_id=user_id, limit=limit, cursor=position)
        return asking.cursors.page(page)

    @router.get("/workers", responses=problems())
    async def list_workers(asking: Asking) -> Sequence[Worker]:
        """The processes that execute runs, and what they hold."""
        asking.sees_everybody()
        return await asking.sight(Machines).workers(lease)

    @router.get("/queue", responses=problems())
    async def get_queue(asking: Asking) -> Depth:
        """How much waits for workers, and for how long."""
        asking.sees_everybody()
        return await asking.sight(Machines).queue(lease)
