"""The OpenAPI document of the API alone, wherever it is mounted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

import stepwell
from stepwell.http.access import Access
from stepwell.http.schemas import problems

_ABOUT = "Start, watch, answer and repair durable workflow runs."


def add_document(router: APIRouter, access: Access) -> None:
    """`/openapi.json` is served; operations are named as their functions."""

    @router.get("/openapi.json", dependencies=[Depends(access.principal)], responses=problems())
    async def get_openapi_document() -> dict[str, Any]:
        """This document."""
        return document(router)

    for route in router.routes:
        if isinstance(route, APIRoute):
            route.operation_id = route.unique_id = route.name


def document(router: APIRouter) -> dict[str, Any]:
    """The OpenAPI document of a router's routes."""
    return get_openapi(
        title="Stepwell", version=stepwell.__version__, description=_ABOUT, routes=router.routes, tags=None
    )
