"""An application under a real server, and events as its streams send them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from httpx_sse import aconnect_sse


@asynccontextmanager
async def serving(app: FastAPI, **options: Any) -> AsyncIterator[int]:
    """The port of a server that has opened the application."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=3, **options))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            assert not task.done(), "the server ended at once"
            await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@dataclass(frozen=True)
class Got:
    """An event."""

    kind: str
    id: str
    data: Any

    @property
    def row(self) -> tuple[str, int]:
        """(run, version)."""
        return self.data["workflow_id"], self.data["checkpoint"]["version"]


@asynccontextmanager
async def events(
    port: int, path: str, *, user: str = "u1", last: str | None = None
) -> AsyncIterator[AsyncIterator[Got]]:
    """The events of a stream under /api/v1 as they come."""
    headers = {"x-user": user} | ({} if last is None else {"Last-Event-ID": last})
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60) as client,
        aconnect_sse(client, "GET", path, headers=headers) as source,
    ):
        source.response.raise_for_status()

        async def got() -> AsyncIterator[Got]:
            async for one in source.aiter_sse():
                yield Got(one.event, one.id, json.loads(one.data))

        yield got()


async def until_end(port: int, path: str, **given: Any) -> list[Got]:
    """Everything that a stream sends until it ends by itself."""
    async with asyncio.timeout(60), events(port, path, **given) as found:
        return [one async for one in found]
