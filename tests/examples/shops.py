"""What the tests of the shop share: its processes, and its customers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
from examples.orders.server import Server
from examples.orders.settings import settings

from backends import Database


class Shop:
    """The application as processes, and looks into its database past it."""

    def __init__(self, server: Server, database: Database) -> None:
        self.server = server
        self.database = database

    def rows(self, table: str, order_id: str) -> list[tuple[object, ...]]:
        """The shop's own rows of an order."""
        column = "id" if table == "orders" else "order_id"
        return self.database.read(f"SELECT * FROM {table} WHERE {column} = ?", order_id)

    def workers(self) -> list[int]:
        """The processes that execute runs."""
        return [pid for pid, takes in self.database.read("SELECT pid, takes FROM stepwell_workers") if takes != "[]"]


OpenShop = Callable[..., AbstractContextManager[Shop]]


OPERATOR = {"X-User": settings.operator}


class Customer:
    """A user of the shop and their requests."""

    def __init__(self, client: httpx.AsyncClient, name: str) -> None:
        self.client = client
        self.headers = {"X-User": name}
        self.name = name

    async def order(self, cents: int, card: str = "good") -> dict[str, str]:
        body = {"item": "Book", "total_cents": cents, "card": card}
        response = await self.client.post("/orders", json=body, headers=self.headers)
        assert response.status_code == 202, response.text
        placed: dict[str, str] = response.json()
        return placed

    async def run(self, workflow_id: str) -> dict[str, Any]:
        response = await self.client.get(f"/api/v1/runs/{workflow_id}", headers=self.headers)
        assert response.status_code == 200, response.text
        run: dict[str, Any] = response.json()
        return run

    async def runs(self, workflow: str) -> list[dict[str, Any]]:
        response = await self.client.get("/api/v1/runs", params={"workflow": workflow}, headers=self.headers)
        items: list[dict[str, Any]] = response.json()["items"]
        return items

    async def reaches(self, workflow_id: str, status: str, seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (run := await self.run(workflow_id))["status"] != status:
            assert time.monotonic() < deadline, run
            await asyncio.sleep(0.02)
        return run
