"""The shop over HTTP: one server for all tests, each with a user of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from csv import DictReader
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from examples.orders.gateway import AT_ONCE
from examples.orders.settings import settings
from shops import OPERATOR, Customer, Shop

from stepwell.testing.webhooks import sign_github, sign_stripe

ROOT = Path(__file__).parents[2]


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


async def test_imported_orders_are_started_once_and_the_bank_is_never_asked_too_often_at_once(
    client: httpx.AsyncClient,
) -> None:
    operator = Customer(client, settings.operator)
    new = [{"item": f"Imported {n}", "total_cents": 900} for n in range(30)]
    await client.post("/orders/import", json=new, headers=OPERATOR)
    before = (await client.get("/bank", headers=OPERATOR)).json()
    answers = await asyncio.gather(*(client.post("/orders/process-pending", headers=OPERATOR) for _ in range(3)))
    assert sum(answer.json() for answer in answers) == 30
    orders = (await client.get("/orders", headers=OPERATOR)).json()
    imported = [order for order in orders if order["user_id"] == operator.name]
    params = {"label": "imported", "limit": 100}
    runs = (await client.get("/api/v1/runs", params=params, headers=OPERATOR)).json()["items"]
    assert sorted(run["args"]["order_id"] for run in runs) == sorted(order["id"] for order in imported)
    await asyncio.gather(*(operator.reaches(run["workflow_id"], "completed") for run in runs))
    bank = (await client.get("/bank", headers=OPERATOR)).json()
    assert bank["calls"] - before["calls"] == 30
    assert 1 <= bank["most_at_once"] <= bank["limit"] == AT_ONCE


async def test_a_catalogue_is_a_batch_whose_failed_items_can_be_retried(client: httpx.AsyncClient) -> None:
    with (ROOT / "examples" / "orders" / "catalogue.csv").open(encoding="utf-8") as file:
        items = [
            {**row, "price_cents": int(row["price_cents"]), "cost_cents": int(row["cost_cents"])}
            for row in DictReader(file)
        ]
    body = {"app_name": "orders", "workflow": "import_item", "items": items, "max_in_flight": 16}
    sent = await client.post("/api/v1/batches", json=body, headers={**OPERATOR, "Idempotency-Key": "catalogue"})
    assert sent.status_code == 202, sent.text
    path = f"/api/v1/batches/{sent.json()['batch_id']}"
    assert await ended(client, path) == (117, 3, 120)
    params = {"status": "failed"}
    failed = (await client.get(f"{path}/items", params=params, headers=OPERATOR)).json()["items"]
    assert [(item["index"], type_of(item["error"])) for item in failed] == [
        (33, "ValueError"),
        (57, "ConnectionError"),
        (90, "ConnectionError"),
    ]
    assert (await client.post(f"{path}/retry", headers=OPERATOR)).status_code == 200
    assert await ended(client, path) == (119, 1, 120)  # a price below its cost fails again


async def ended(client: httpx.AsyncClient, path: str) -> tuple[int, int, int]:
    """What became of the items of a batch, once all have ended."""
    async with asyncio.timeout(120):
        while True:
            batch = (await client.get(path, headers=OPERATOR)).json()
            if batch["status"] == "ended":
                progress = batch["progress"]
                return progress["completed"], progress["failed"], progress["total"]
            await asyncio.sleep(0.02)


def type_of(error: str) -> str:
    """The name of the exception that a run's error tells."""
    return error.split(": ")[1]
