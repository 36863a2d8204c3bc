"""The application of the README, as a reader would paste it: served, and started in each of its ways."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from stepwell.testing import Harness
from stepwell.testing.webhooks import sign_stripe

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.chdir(tmp_path)
    block = re.search(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    module = sys.modules["shop"] = ModuleType("shop")
    exec(compile(block[1], str(README), "exec"), vars(module))
    yield module
    del sys.modules["shop"]


async def test_an_endpoint_a_batch_and_a_webhook_start_it(shop: ModuleType) -> None:
    transport = httpx.ASGITransport(shop.app)
    async with (
        shop.stepwell.lifespan(shop.app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):
        large = (await client.post("/orders", json={"order_id": "A1", "total_cents": 890_000})).json()["workflow_id"]
        batch = [{"order_id": f"B{n}", "total_cents": 900} for n in range(10)]
        batch_id = (await client.post("/orders/batch", json=batch)).json()["batch_id"]
        body = json.dumps({"id": "evt_1", "data": {"object": {"metadata": {"order_id": "C1", "total_cents": 900}}}})
        for _ in range(2):
            signed = sign_stripe(body, "whsec_demo", datetime.now(UTC))
            assert (await client.post("/webhooks/stripe", content=body, headers=signed)).status_code == 200
        assert (await client.post("/webhooks/stripe", content=body)).status_code == 401

        runner = shop.stepwell.runner
        [paid] = (await runner.list(user_id="stripe")).items
        assert await runner.handle(paid.workflow_id).result(timeout=timedelta(seconds=60)) == "shipped"
        assert (await runner.batch(batch_id).result(timeout=timedelta(seconds=60))).completed == 10
        items = [item async for item in runner.batch(batch_id).items()]
        assert {item.result for item in items} == {"shipped"}
        answer = await client.post(f"/runs/{large}/decision", json={"approved": False})
        assert answer.status_code == 200, answer.text
        assert await runner.handle(large).result(timeout=timedelta(seconds=60)) == "rejected"
        [receipt] = await runner.documents(items[0].workflow_id)
        assert receipt.content == {"order_id": "B0", "charge_id": "charge-B0"}


async def test_the_clock_starts_it(shop: ModuleType) -> None:
    async with Harness(apps=[shop.orders], now=datetime(2026, 1, 5, tzinfo=UTC)) as harness:
        await harness.advance(timedelta(days=1))
        [run] = (await harness.runner.list()).items
        assert run.args["order_id"] == "box-2026-01-05"
        assert run.result == "shipped"
