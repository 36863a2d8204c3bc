"""Liveness and readiness of this process, which are open to everyone; and the OpenAPI document of the API alone."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

import stepwell
from stepwell.console.http.access.access import Access, Served
from stepwell.console.http.schemas import Health, Live, problem_model

_ABOUT = "Start, watch, answer and repair durable workflow runs."


def add_health(router: APIRouter, stepwell: Served) -> None:
    """Add `/health` (503 unless ready), `/health/live` and `/health/ready`."""

    @router.get("/health/live")
    async def live() -> Live:
        """Answer 200 while the event loop responds."""
        return Live(live=True)

    not_ready: dict[int | str, dict[str, Any]] = {503: {"model": Health, "description": "Not ready for work"}}

    @router.get("/health", responses=not_ready)
    async def health(response: Response) -> Health:
        """Answer as `/health/ready` does."""
        return await ready(response)

    @router.get("/health/ready", responses=not_ready)
    async def ready(response: Response) -> Health:
        """Answer 200 if the database can be reached and this process's own work proceeds; else 503 with the faults.

        `faults` also names what is set apart while everything else goes on, such as a schedule that can't be evaluated:
        neither sending work elsewhere nor a restart fixes that.
        """
        condition = await stepwell.condition(brief=True)
        if not condition.ready:
            response.status_code = 503
        return Health(live=True, ready=condition.ready, faults=condition.faults, paused=condition.paused)


def add_document(router: APIRouter, access: Access) -> None:
    """Add `/openapi.json`; operations are named after their functions."""

    @cache  # it takes a third of a second of the event loop
    def made() -> dict[str, Any]:
        return document(router)

    @router.get("/openapi.json", dependencies=[Depends(access.principal)], responses=problem_model())
    async def get_openapi_document(request: Request) -> dict[str, Any]:
        """Return this document."""
        root = str(request.scope.get("root_path", "")).rstrip("/")
        return made() | ({"servers": [{"url": root}]} if root else {})

    for route in router.routes:
        if isinstance(route, APIRoute):
            route.operation_id = route.unique_id = route.name


def document(router: APIRouter) -> dict[str, Any]:
    """Return the OpenAPI document of a router's routes, whether the application's document has them or not."""
    routes = [*map(copy.copy, router.routes)]
    for route in routes:
        if isinstance(route, APIRoute):
            route.include_in_schema = True
    return get_openapi(title="Stepwell", version=stepwell.__version__, description=_ABOUT, routes=routes, tags=None)
