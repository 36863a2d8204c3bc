"""Schedules and deliveries of webhooks: they belong to no single user."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from stepwell.engine.run import Status
from stepwell.http.acting import Key
from stepwell.http.asking import Asking as Asks
from stepwell.http.asking import AskingOf
from stepwell.http.cursors import MARK
from stepwell.http.runs import Limit
from stepwell.http.schemas import NO_NUL, Instant, Name, problems
from stepwell.http.served import Served
from stepwell.http.workflows import Named
from stepwell.runner.models import Page
from stepwell.triggers.views import Deliveries, DeliveryView, ScheduleDetail, Schedules, ScheduleView, TickView

Cursor = Annotated[
    str | None,
    Query(max_length=4096, pattern=rf"^{MARK}[\w=-]+$", description="The next_cursor of the page before"),
]


class RedriveRequest(BaseModel):
    """Which delivery."""

    model_config = ConfigDict(extra="forbid")

    delivery_id: Annotated[str, Field(min_length=1, max_length=1024, pattern=NO_NUL)]


class TickRequest(BaseModel):
    """Which tick."""

    model_config = ConfigDict(extra="forbid")

    scheduled_at: Instant
    """As the schedule's list of ticks names it."""


def add_triggers(router: APIRouter, stepwell: Served, asking: AskingOf) -> None:
    """`/schedules` and `/deliveries` are served."""
    Asking = Annotated[Asks, Depends(asking)]

    def schedules(asking: Asks, *, act: bool = False) -> Schedules:
        asking.sees_everybody(act=act)
        return Schedules(asking.runner.core, stepwell.scheduler, asking.principal.apps)

    def deliveries(asking: Asks, *, act: bool = False) -> Deliveries:
        asking.sees_everybody(act=act)
        return Deliveries(asking.runner.core, stepwell.apps, asking.principal.apps)

    @router.get("/schedules", responses=problems())
    async def list_schedules(asking: Asking) -> Sequence[ScheduleView]:
        """The schedules that any process has declared, with their next ticks and the last."""
        return await schedules(asking).list()

    @router.post("/schedules/{app_name}/{name:path}/pause", responses=problems(404))
    async def pause_schedule(app_name: Named, name: Named, asking: Asking) -> ScheduleView:
        """It fires nothing until it is resumed."""
        return await schedules(asking, act=True).pause(app_name, name, True)

    @router.post("/schedules/{app_name}/{name:path}/resume", responses=problems(404))
    async def resume_schedule(app_name: Named, name: Named, asking: Asking) -> ScheduleView:
        """It fires again from now on; what came due meanwhile stays undone."""
        return await schedules(asking, act=True).pause(app_name, name, False)

    @router.post("/schedules/{app_name}/{name:path}/fire", responses=problems(404))
    async def fire_schedule(app_name: Named, name: Named, asking: Asking, key: Key = None) -> TickView:
        """A tick of now has fired, whatever its rule says; durable on return. An `Idempotency-Key` fires once a schedule."""
        return await schedules(asking, act=True).fire(app_name, name, key)

    @router.post("/schedules/{app_name}/{name:path}/retry", responses=problems(404, 409))
    async def retry_tick(app_name: Named, name: Named, request: TickRequest, asking: Asking) -> TickView:
        """The failed handler of a tick runs again, or the failed run that the tick started.

        What a handler had started isn't started twice.
        """
        return await schedules(asking, act=True).retry(app_name, name, request.scheduled_at)

    # After those whose paths go on: a name may hold slashes.
    @router.get("/schedules/{app_name}/{name:path}", responses=problems(404))
    async def get_schedule(app_name: Named, name: Named, asking: Asking) -> ScheduleDetail:
        """One schedule with its newest ticks, missed ones among them."""
        return await schedules(asking).get(app_name, name)

    @router.get("/deliveries", responses=problems(404))
    async def list_deliveries(
        asking: Asking,
        app_name: Name | None = None,
        route: Name | None = None,
        status: Status | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[DeliveryView]:
        """A page of deliveries to webhooks, the newest first, with what became of them."""
        position = asking.cursors.position(cursor)
        found = deliveries(asking).list(app_name=app_name, route=route, status=status, limit=limit, cursor=position)
        return asking.cursors.page(await found)

    @router.post("/deliveries/{app_name}/{route:path}/redrive", responses=problems(404, 409))
    async def redrive_delivery(app_name: Named, route: Named, request: RedriveRequest, asking: Asking) -> DeliveryView:
        """The handler of a failed delivery runs again; what it had started isn't started twice."""
        return await deliveries(asking, act=True).redrive(app_name, route, request.delivery_id)
