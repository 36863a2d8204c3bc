"""Requests on another event loop than the one that opened the Stepwell: answered with what is wrong, never left waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.fastapi import Runner


@pytest.fixture
def backend() -> str:
    return "sqlite"


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


async def test_another_loop_is_told_so_by_health_the_api_and_the_dependency(
    stepwell_of: Callable[..., Stepwell], client_of: Callable[..., Any]
) -> None:
    stepwell, app = stepwell_of(App("shop", workflows=[Quick])), FastAPI()
    stepwell.mount(app, user=Depends(lambda: "u1"))

    @app.post("/start")
    async def start(runner: Runner) -> str:
        return (await runner.run(Quick, app_name="shop", user_id="u1")).workflow_id

    async def elsewhere() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            gets = [await client.get(f"/api/v1/{path}") for path in ("health", "runs")]
            return [*gets, await client.post("/start")]

    async with client_of(stepwell, app) as client:
        health, *others = await asyncio.to_thread(asyncio.run, elsewhere())
        assert (health.status_code, health.json()["faults"]) == (503, ["it was opened on another event loop"])
        for answer in others:
            assert (answer.status_code, answer.json()["type"]) == (500, "urn:stepwell:configuration-error")
            assert "nothing was stored" in answer.json()["detail"]
        assert (await client.get("/api/v1/runs")).json()["items"] == []
        assert (await client.get("/api/v1/health")).status_code == 200
