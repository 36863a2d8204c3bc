"""Schedules: declared ones, which belong to no single user, and those that users make at run time."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from stepwell.console.http.access.access import Served
from stepwell.console.http.access.caller import Caller, CallerOf, CursorParam
from stepwell.console.http.routes.actions import IdempotencyKeyHeader, user_of
from stepwell.console.http.routes.overview import Named
from stepwell.console.http.schemas import NO_NUL, Instant, NameParam, problems
from stepwell.console.reading.schedule_views import ScheduleDetail, ScheduleView
from stepwell.console.reading.schedules import Schedules
from stepwell.definition.schedules.policy import Overlap
from stepwell.definition.schedules.schedule_times import Misfire
from stepwell.runner.schedule_models import TickView

Duration = Annotated[
    timedelta,
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "format": "duration"}]}),
]
"""Seconds, or a duration of ISO 8601."""
OfUser = Annotated[
    NameParam | None, Query(description="The user whose schedule it is; only those made at run time have one")
]
_CURSOR: Final = {"Next-Cursor": {"schema": {"type": "string"}, "description": "Give it as cursor= for the next page"}}


class TickRequest(BaseModel):
    """A tick to retry."""

    model_config = ConfigDict(extra="forbid")

    scheduled_at: Instant
    """The time of the tick, as the schedule's list of ticks names it."""


class ScheduleChange(BaseModel):
    """A change of a schedule. What is left out stays; one of `cron`, `every` and `at` replaces the rule.

    Null is as left out, but for `args` (no args, or all defaults) and `catch_up` (a day).
    """

    model_config = ConfigDict(extra="forbid")

    workflow: NameParam | None = None
    args: Any = None
    cron: Annotated[str, Field(max_length=1000, pattern=NO_NUL)] | None = None
    every: Duration | None = None
    """Counted from now; 1 second to 366 days."""
    at: Instant | None = None
    """Once."""
    timezone: Annotated[str, Field(max_length=256, pattern=NO_NUL)] | None = None
    """Of `cron`; the name of one, as in "Europe/Berlin". A new schedule's default: UTC."""
    overlap: Overlap | None = None
    """A new schedule's default: skip."""
    misfire: Misfire | None = None
    """A new schedule's default: latest."""
    catch_up: Duration | None = None
    jitter: Duration | None = None
    paused: bool | None = None

    def given(self) -> dict[str, Any]:
        """Return the fields that the request has, as `runner.schedules` takes them."""
        has = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: value for name, value in has.items() if value is not None or name in ("args", "catch_up")}


class ScheduleRequest(ScheduleChange):
    """A schedule to make. Give one of `cron`, `every` and `at`."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
    app_name: NameParam
    workflow: NameParam
    user_id: NameParam | None = None
    """Another user, for callers with access to all users' runs. Default: the caller."""


def add_schedules(router: APIRouter, stepwell: Served, caller: CallerOf) -> None:
    """Add `/schedules`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    def schedules(caller: ByCaller, *, act: bool = False) -> Schedules:
        if act:
            caller.may_act()
        return Schedules(caller.runner, stepwell.scheduler, caller.principal.apps)

    @router.get("/schedules", responses={200: {"headers": _CURSOR}, **problems(404)})
    async def list_schedules(
        caller: ByCaller,
        response: Response,
        app_name: NameParam | None = None,
        name: NameParam | None = None,
        user_id: OfUser = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        cursor: CursorParam = None,
    ) -> Sequence[ScheduleView]:
        """List the schedules that any process has declared, and those made at run time, the newest first.

        A user sees their own. `limit` counts those made at run time; the header `Next-Cursor` leads to more of them.
        """
        position = caller.cursors.position(cursor)
        found = await schedules(caller).page(
            app_name=app_name, name=name, user_id=user_id, limit=limit, cursor=position
        )
        if found.next_cursor is not None:
            response.headers["Next-Cursor"] = caller.cursors.cursor(found.next_cursor) or ""
        return found.items

    @router.post("/schedules", status_code=201, responses=problems(404, 409))
    async def create_schedule(request: ScheduleRequest, caller: ByCaller) -> ScheduleView:
        """Make a schedule that starts a run of the workflow at each tick. It is stored durably."""
        own = schedules(caller, act=True)
        caller.definition(request.app_name, request.workflow)
        given = request.given() | {"user_id": user_of(request.user_id, caller)}
        made = await caller.runner.schedules.create(**given)
        return await own.view(made.app_name, made.name, made.user_id)

    @router.post("/schedules/{app_name}/{name:path}/pause", responses=problems(404))
    async def pause_schedule(app_name: Named, name: Named, caller: ByCaller, user_id: OfUser = None) -> ScheduleView:
        """Pause a schedule: it fires nothing until it is resumed."""
        return await schedules(caller, act=True).pause(app_name, name, True, user_id)

    @router.post("/schedules/{app_name}/{name:path}/resume", responses=problems(404))
    async def resume_schedule(app_name: Named, name: Named, caller: ByCaller, user_id: OfUser = None) -> ScheduleView:
        """Resume a schedule: it fires again from now on; ticks missed meanwhile aren't made up for."""
        return await schedules(caller, act=True).pause(app_name, name, False, user_id)

    @router.post("/schedules/{app_name}/{name:path}/fire", responses=problems(404))
    async def fire_schedule(
        app_name: Named, name: Named, caller: ByCaller, user_id: OfUser = None, key: IdempotencyKeyHeader = None
    ) -> TickView:
        """Fire a schedule now, whatever its rule says, durably. An `Idempotency-Key` fires once per schedule."""
        return await schedules(caller, act=True).fire(app_name, name, key, user_id)

    @router.post("/schedules/{app_name}/{name:path}/retry", responses=problems(404, 409))
    async def retry_tick(
        app_name: Named, name: Named, request: TickRequest, caller: ByCaller, user_id: OfUser = None
    ) -> TickView:
        """Retry the failed handler of a tick, or the failed run that the tick started.

        What the handler had started isn't started twice.
        """
        return await schedules(caller, act=True).retry(app_name, name, request.scheduled_at, user_id)

    # After the routes with longer paths: a name may hold slashes.
    @router.get("/schedules/{app_name}/{name:path}", responses=problems(404))
    async def get_schedule(app_name: Named, name: Named, caller: ByCaller, user_id: OfUser = None) -> ScheduleDetail:
        """Return a schedule with its newest ticks, including missed ones."""
        return await schedules(caller).get(app_name, name, user_id)

    @router.patch("/schedules/{app_name}/{name:path}", responses=problems(404, 409))
    async def update_schedule(
        app_name: Named, name: Named, request: ScheduleChange, caller: ByCaller, user_id: OfUser = None
    ) -> ScheduleView:
        """Change a schedule that was made at run time. What was due before is fired before."""
        own, given = schedules(caller, act=True), request.given()
        made = await own.made(app_name, name, user_id)
        if "workflow" in given:
            caller.definition(app_name, given["workflow"])
        changed = await caller.runner.schedules.update(name, app_name=app_name, user_id=made.user_id, **given)
        return await own.view(app_name, name, changed.user_id)

    @router.delete("/schedules/{app_name}/{name:path}", status_code=204, responses=problems(404))
    async def delete_schedule(app_name: Named, name: Named, caller: ByCaller, user_id: OfUser = None) -> None:
        """Delete a schedule that was made at run time. The runs that it has started stay."""
        own = schedules(caller, act=True)
        made = await own.made(app_name, name, user_id)
        await caller.runner.schedules.delete(name, app_name=app_name, user_id=made.user_id)
