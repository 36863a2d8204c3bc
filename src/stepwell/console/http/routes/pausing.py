"""Pauses: what is paused, since when and why; pausing and resuming, which concern all users' runs."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from stepwell.console.http.access.caller import Caller, CallerOf
from stepwell.console.http.schemas import NO_NUL, NameParam, problems
from stepwell.console.reading.pausing import Pauses, Resumed
from stepwell.runner.pausing import Pause


class ResumeRequest(BaseModel):
    """The pause to lift: exactly that of this app and this workflow. What is left out or null stands for all."""

    model_config = ConfigDict(extra="forbid")

    app_name: NameParam | None = None
    workflow: NameParam | None = None


class PauseRequest(ResumeRequest):
    """The pause of an app, a workflow, a workflow of an app, or everything; and its reason."""

    reason: Annotated[str, Field(max_length=10_000, pattern=NO_NUL)] | None = None


def add_pausing(router: APIRouter, caller: CallerOf) -> None:
    """Add `/pauses`."""
    ByCaller = Annotated[Caller, Depends(caller)]

    def pauses(caller: Caller) -> Pauses:
        return Pauses(caller.runner, caller.principal.apps)

    @router.get("/pauses", responses=problems())
    async def list_pauses(caller: ByCaller) -> Sequence[Pause]:
        """List the pauses, the oldest first. Who paused, and why, is shown to those who see all users' runs."""
        return await pauses(caller).listed()

    @router.post("/pauses", responses=problems(404))
    async def pause(request: PauseRequest, caller: ByCaller) -> Pause:
        """Pause: nothing of it is claimed or begun from now on. The same again changes the reason, if it gives one."""
        caller.sees_all_users(act=True)
        user = caller.principal.user_id
        return await pauses(caller).pause(request.app_name, request.workflow, request.reason, user)

    @router.post("/pauses/resume", responses=problems(404))
    async def resume(request: ResumeRequest, caller: ByCaller) -> Resumed:
        """Lift exactly this pause; the answer names those that still cover the same runs."""
        caller.sees_all_users(act=True)
        return await pauses(caller).resume(request.app_name, request.workflow)
