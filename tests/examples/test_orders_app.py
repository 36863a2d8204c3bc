"""The shop over HTTP: one server for all tests, each with a user of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from sqlite3 import connect
from typing import Any
from uuid import uuid4

import httpx
import pytest
from examples.orders.server import Server
from examples.orders.settings import settings

from stepwell.testing.webhooks import sign_github, sign_stripe

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

    async def reaches(self, workflow_id: str, status: str, seconds: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (run := await self.run(workflow_id))["status"] != status:
            assert time.monotonic() < deadline, run
            await asyncio.sleep(0.02)
        return run


def rows(server: Server, table: str, order_id: str) -> list[Any]:
    column = "id" if table == "orders" else "order_id"
    with closing(connect(server.database)) as connection:
        return connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (order_id,)).fetchall()


def stripe_event(order_id: str, user: str) -> str:
    intent = {"id": f"pi_{order_id}", "amount_received": 900, "metadata": {"order_id": order_id, "user_id": user}}
    return json.dumps({"id": f"evt_{order_id}", "type": "payment_intent.succeeded", "data": {"object": intent}})


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def customer(client: httpx.AsyncClient) -> Customer:
    return Customer(client, f"user-{uuid4().hex[:8]}")


async def test_an_order_ends_with_one_receipt(server: Server, customer: Customer) -> None:
    placed = await customer.order(900)
    run = await customer.reaches(placed["workflow_id"], "completed")
    [(number, _, charge)] = rows(server, "receipts", placed["order_id"])
    assert run["result"] == {"outcome": "completed", "receipt": number}
    assert run["state"]["charge_id"] == charge
    [(*_, status)] = rows(server, "orders", placed["order_id"])
    assert status == "completed"


async def test_a_refused_order_leaves_nothing(customer: Customer) -> None:
    response = await customer.client.post("/orders", json={"item": "Air", "total_cents": 0}, headers=customer.headers)
    assert response.status_code == 422
    assert await customer.runs("process_order") == []
    assert await customer.runs("ask_for_review") == []


async def test_the_operator_rejects_a_large_order(server: Server, customer: Customer) -> None:
    placed = await customer.order(900_000)
    await customer.reaches(placed["workflow_id"], "waiting")
    waiting = (await customer.client.get("/approvals", headers=OPERATOR)).json()
    assert placed["workflow_id"] in [run["workflow_id"] for run in waiting]

    answer = {"approved": False}
    path = f"/approvals/{placed['workflow_id']}"
    assert (await customer.client.post(path, json=answer, headers=customer.headers)).status_code == 403
    assert (await customer.client.post(path, json=answer, headers=OPERATOR)).status_code == 202
    run = await customer.reaches(placed["workflow_id"], "completed")
    assert run["result"] == {"outcome": "rejected", "receipt": None}
    assert rows(server, "orders", placed["order_id"])[0][-1] == "rejected"
    late = await customer.client.post(path, json=answer, headers=OPERATOR)
    assert late.status_code == 409, late.text


async def test_somebody_elses_run_is_not_found(client: httpx.AsyncClient, customer: Customer) -> None:
    placed = await customer.order(900)
    response = await client.get(f"/api/v1/runs/{placed['workflow_id']}", headers={"X-User": "mallory"})
    assert response.status_code == 404
    assert (await client.get("/runs", headers=customer.headers)).status_code == 403


async def test_a_payment_that_is_delivered_many_times_is_recorded_once(server: Server, customer: Customer) -> None:
    placed = await customer.order(900, card="declined")
    waiting = await customer.reaches(placed["workflow_id"], "waiting")
    assert waiting["place"] == "unpaid"
    body = stripe_event(placed["order_id"], customer.name)

    forged = sign_stripe(body, "a guess", datetime.now(UTC))
    refused = await customer.client.post("/webhooks/stripe", content=body, headers=forged)
    assert refused.status_code == 401
    assert await customer.runs("record_payment") == []

    headers = sign_stripe(body, settings.stripe_secret.get_secret_value(), datetime.now(UTC))
    answers = await asyncio.gather(
        *(customer.client.post("/webhooks/stripe", content=body, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {200}
    run = await customer.reaches(placed["workflow_id"], "completed")
    assert run["state"]["charge_id"] == f"pi_{placed['order_id']}"
    assert len(await customer.runs("record_payment")) == 1
    assert len(rows(server, "payments", placed["order_id"])) == 1


async def test_a_push_becomes_a_changelog_once(client: httpx.AsyncClient) -> None:
    operator = Customer(client, settings.operator)
    body = json.dumps({"repository": {"full_name": "example/shop"}, "commits": [{"message": "Sell lamps"}]})
    headers = sign_github(body, settings.github_secret.get_secret_value(), delivery="d-1")
    for _ in range(2):
        assert (await client.post("/webhooks/github", content=body, headers=headers)).status_code == 200
    [run] = await operator.runs("publish_changelog")
    await operator.reaches(run["workflow_id"], "completed")


async def test_a_batch_starts_each_order_once(client: httpx.AsyncClient) -> None:
    operator = Customer(client, settings.operator)
    new = [{"item": f"Imported {n}", "total_cents": 900} for n in range(30)]
    await client.post("/orders/import", json=new, headers=OPERATOR)
    answers = await asyncio.gather(*(client.post("/orders/process-pending", headers=OPERATOR) for _ in range(3)))
    assert sum(answer.json() for answer in answers) == 30
    orders = (await client.get("/orders", headers=OPERATOR)).json()
    imported = [order for order in orders if order["user_id"] == operator.name]
    runs = (await client.get("/api/v1/runs", params={"label": "batch", "limit": 100}, headers=OPERATOR)).json()["items"]
    assert sorted(run["args"]["order_id"] for run in runs) == sorted(order["id"] for order in imported)
    await asyncio.gather(*(operator.reaches(run["workflow_id"], "completed") for run in runs))
