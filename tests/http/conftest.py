"""A FastAPI application on a Stepwell of its own, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from stepwell import App, Settings, Stepwell


@pytest.fixture
def stepwell_of(database_url: str) -> Callable[..., Stepwell]:
    """`stepwell_of(app, ..., **settings)`: not yet open, always on the same database."""

    def made(*apps: App, clock: Any = None, embedded_worker: bool = True, **settings: Any) -> Stepwell:
        given = Settings(_env_file=None, database_url=database_url, drain_seconds=0, **settings)
        return Stepwell(apps, settings=given, clock=clock, embedded_worker=embedded_worker)

    return made


@pytest.fixture
def client_of() -> Callable[..., Any]:
    """`async with client_of(stepwell, app) as client`: open, as under a server."""

    @asynccontextmanager
    async def opened(stepwell: Stepwell, app: FastAPI, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            stepwell.lifespan(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client,
        ):
            yield client

    return opened
