"""Whether this process lives, and whether it is ready for work. Open to everybody, and says nothing but that."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from stepwell.http.schemas import Health, Live
from stepwell.http.served import Served


def add_health(router: APIRouter, stepwell: Served) -> None:
    """`/health` (503 unless ready), `/health/live` and `/health/ready` are served."""

    @router.get("/health/live")
    async def live() -> Live:
        """200 while the event loop answers."""
        return Live(live=True)

    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Send no work here now"}}

    @router.get("/health", responses=not_ready)
    async def health(response: Response) -> Health:
        """As `/health/ready`."""
        return await ready(response)

    @router.get("/health/ready", responses=not_ready)
    async def ready(response: Response) -> Health:
        """200 if the database is reachable and what this process has to do goes on; else 503 with what is wrong."""
        faults = await stepwell.faults()
        if faults:
            response.status_code = 503
        return Health(live=True, ready=not faults, faults=tuple(faults))
