"""The shop over HTTP: one server for all tests, each with a user of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from examples.orders.settings import settings
from shops import OPERATOR, Customer, Shop

from stepwell.testing.webhooks import sign_github, sign_stripe


def stripe_event(order_id: str, user: str) -> str:
    intent = {"id": f"pi_{order_id}", "amount_received": 900, "metadata": {"order_id": order_id, "user_id": user}}
    return json.dumps({"id": f"evt_{order_id}", "type": "payment_intent.succeeded", "data": {"object": intent}})


@pytest.fixture
async def client(opened: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=opened.server.url, timeout=60) as client:
        yield client


@pytest.fixture
def customer(client: httpx.AsyncClient) -> Customer:
    return Customer(client, f"user-{uuid4().hex[:8]}")


async def test_an_order_ends_with_one_receipt(opened: Shop, customer: Customer) -> None:
    placed = await customer.order(900)
    run = await customer.reaches(placed["workflow_id"], "completed")
    [(number, _, charge)] = opened.rows("receipts", placed["order_id"])
    assert run["result"] == {"outcome": "completed", "receipt": number}
    assert run["state"]["charge_id"] == charge
    [(*_, status)] = opened.rows("orders", placed["order_id"])
    assert status == "completed"


async def test_a_refused_order_leaves_nothing(customer: Customer) -> None:
    response = await customer.client.post("/orders", json={"item": "Air", "total_cents": 0}, headers=customer.headers)
    assert response.status_code == 422
    assert await customer.runs("process_order") == []
    assert await customer.runs("ask_for_review") == []


async def test_the_operator_rejects_a_large_order(opened: Shop, customer: Customer) -> None:
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
    assert opened.rows("orders", placed["order_id"])[0][-1] == "rejected"
    late = await customer.client.post(path, json=answer, headers=OPERATOR)
    assert late.status_code == 409, late.text


async def test_somebody_elses_run_is_not_found(client: httpx.AsyncClient, customer: Customer) -> None:
    placed = await customer.order(900)
    response = await client.get(f"/api/v1/runs/{placed['workflow_id']}", headers={"X-User": "mallory"})
    assert response.status_code == 404
    assert (await client.get("/runs", headers=customer.headers)).status_code == 403


async def test_a_payment_that_is_delivered_many_times_is_recorded_once(opened: Shop, customer: Customer) -> None:
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
    assert len(opened.rows("payments", placed["order_id"])) == 1


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
