"""Limits in use: what is held of them, by which runs, and what waits behind."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from stepwell.console.http.access.caller import MARK, Caller, CallerOf
from stepwell.console.http.routes.runs import LimitParam
from stepwell.console.http.schemas import NO_NUL, NameParam, problems
from stepwell.console.reading.limits import LimitDetail, LimitsInUse, LimitView
from stepwell.runner.models import Page

LimitCursorParam = Annotated[
    str | None, Query(max_length=8192, pattern=rf"^{MARK}[\w=-]+$", description="The next_cursor of the page before")
]
LimitIdParam = Annotated[str, Query(min_length=1, max_length=4096, pattern=NO_NUL, description="The id of the limit")]


def add_limits(router: APIRouter, caller: CallerOf) -> None:
    """Add `/limits`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    def limits(caller: Caller) -> LimitsInUse:
        caller.sees_all_users()
        return LimitsInUse(caller.runner, caller.principal.apps)

    @router.get("/limits", responses=problems(404))
    async def list_limits(
        caller: ByCaller,
        app_name: NameParam | None = None,
        held: bool = False,
        limit: LimitParam = 50,
        cursor: LimitCursorParam = None,
    ) -> Page[LimitView]:
        """List a page of the limits that runs hold or wait for, one for each key; `held`: those that hold runs back."""
        position = caller.cursors.position(cursor)
        found = limits(caller).listed(app_name=app_name, held=held, limit=limit, cursor=position)
        return caller.cursors.page(await found)

    @router.get("/limits/detail", responses=problems(404))
    async def get_limit(caller: ByCaller, id: LimitIdParam) -> LimitDetail:
        """Return a limit with the first of the runs that hold it, and of those that wait behind it."""
        return await limits(caller).detail(id)
