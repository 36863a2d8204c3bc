"""Whether this process lives, and whether it is ready for work. Open to everybody, and says nothing but that."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from stepwell.http.served import Served


def add_health(router: APIRouter, stepwell: Served) -> None:
    """`/health` (503 unless ready), `/health/live` and `/health/ready` are served."""

    @router.get("/health/live")
    async def live() -> dict[str, Any]:
        """200 while the event loop answers."""
        return {"live": True}

    @router.get("/health")
    @router.get("/health/ready")
    async def ready(response: Response) -> dict[str, Any]:
        """200 if the database is reachable and what this process has to do goes on; else 503 with what is wrong."""
        faults = await stepwell.faults()
        if faults:
            response.status_code = 503
        return {"live": True, "ready": not faults, "faults": faults}
