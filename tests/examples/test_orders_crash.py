"""kill -9 while an order is processed: another process ends it, and everything about it is there once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from shops import OPERATOR, Customer, OpenShop, Shop

MOMENTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "while the gateway is called": lambda run: run["place"] == "approved" and run["status"] == "running",
    "while the parcel is on its way": lambda run: run["place"] == "shipping",
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_killed_process_changes_nothing(moment: str, open_shop: OpenShop) -> None:
    # Long enough to be seen also by a test that stands still for a while. The gateway is waited for ten seconds.
    moments = {"ORDERS_SLOW_CARD": "PT8S", "ORDERS_CARRIER": "PT15S"}
    with open_shop(STEPWELL_LEASE_SECONDS="1", ORDERS_REVIEW_AFTER="PT1S", **moments) as shop:
        async with httpx.AsyncClient(base_url=shop.server.url, timeout=60) as client:
            ada = Customer(client, "ada")
            placed = await ada.order(7_500, card="slow")
            async with asyncio.timeout(60):
                while not MOMENTS[moment](await ada.run(placed["workflow_id"])):
                    await asyncio.sleep(0.02)
            pids = [await executing(client, placed["workflow_id"])] if "gateway" in moment else shop.workers()
            for pid in pids:
                shop.server.kill(pid)
        async with httpx.AsyncClient(base_url=shop.server.url, timeout=60) as client:
            await ended_once(shop, Customer(client, "ada"), placed)


async def executing(client: httpx.AsyncClient, workflow_id: str) -> int:
    """The process that executes the run."""
    [told] = (await client.get(f"/runs/{workflow_id}/why", headers=OPERATOR)).json()
    found = re.search(r"pid (\d+)", told)
    assert found is not None, told
    return int(found[1])


async def ended_once(shop: Shop, ada: Customer, placed: dict[str, str]) -> None:
    run = await ada.reaches(placed["workflow_id"], "completed")
    [(number, _, _)] = shop.rows("receipts", placed["order_id"])
    assert run["result"] == {"outcome": "completed", "receipt": number}
    assert [status for *_, status in shop.rows("orders", placed["order_id"])] == ["completed"]

    path = f"/api/v1/runs/{placed['workflow_id']}"
    documents = (await ada.client.get(f"{path}/documents", headers=ada.headers)).json()
    assert [one["content"]["number"] for one in documents if one["name"] == "receipt"] == [number]
    history = (await ada.client.get(f"{path}/history", headers=ada.headers)).json()
    taken = [row["transition"] for row in history if row["status"] == "committed"]
    assert taken == [None, "accept", "charge", "hand_over", "delivered"]

    for workflow in ("ship", "book_points", "ask_for_review"):
        [other] = await ada.runs(workflow)
        await ada.reaches(other["workflow_id"], "completed")
    assert len(shop.rows("points", placed["order_id"])) == 1
