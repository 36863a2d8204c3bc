"""The same under a real server: the example of the contract word for word, and requests that end early."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from serving import serving

from stepwell import END, App, Stepwell, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.fastapi import Runner
from stepwell.testing.webhooks import sign_stripe
from stepwell.triggers import stripe_signature

SECRET = "whsec_x"


class OrderArgs(BaseModel):
    order_id: str
    total_cents: int


class ProcessOrder(Workflow[OrderArgs, None, str]):
    @transition(target=END)
    async def ship(self) -> str:
        return f"{self.args.order_id} shipped"


def orders() -> App:
    app = App("orders", title="Orders", workflows=[ProcessOrder])

    @app.webhook("/webhooks/stripe", verify=stripe_signature(secret=SECRET))
    async def on_stripe(event: WebhookEvent, runner: WorkflowRunner) -> None:
        data = event.json["data"]["object"]
        args = {"order_id": data["id"], "total_cents": 1}
        await runner.run(ProcessOrder, args, app_name="orders", user_id=data["metadata"]["user_id"])

    return app


@pytest.mark.parametrize("mounted", [True, False])
async def test_the_example_of_the_contract(mounted: bool, stepwell_of: Callable[..., Stepwell]) -> None:
    stepwell = stepwell_of(orders())
    app = FastAPI(lifespan=stepwell.lifespan)
    if mounted:
        stepwell.mount(app)

    @app.post("/run-my-workflow")
    async def run_my_workflow(payload: OrderArgs, runner: Runner) -> dict[str, str]:
        run = await runner.run(ProcessOrder, payload, app_name="orders", user_id="u1")
        return {"message": "Workflow run is queued.", "workflow_id": run.workflow_id}

    async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = (await client.post("/run-my-workflow", json={"order_id": "A1", "total_cents": 900})).json()
        assert answer["message"] == "Workflow run is queued."
        assert await stepwell.runner.handle(answer["workflow_id"]).result(timeout=60) == "A1 shipped"
        assert (await client.get("/api/v1/health")).status_code == (200 if mounted else 404)


async def test_a_stripe_delivery_starts_one_run(stepwell_of: Callable[..., Stepwell]) -> None:
    stepwell = stepwell_of(orders())
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    body = json.dumps({"id": "evt_1", "data": {"object": {"id": "A2", "metadata": {"user_id": "u2"}}}})
    async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def deliver() -> int:
            headers = sign_stripe(body, SECRET, datetime.now(UTC))
            return (await client.post("/webhooks/stripe", content=body, headers=headers)).status_code

        assert await asyncio.gather(*(deliver() for _ in range(10))) == [200] * 10
        [run] = (await stepwell.runner.list()).items
        assert (run.user_id, run.args["order_id"]) == ("u2", "A2")


@pytest.mark.parametrize("framing", ["transfer-encoding: chunked", "content-length: 99999999"])
async def test_fault_12_an_endless_body_is_answered_before_its_end(
    framing: str, stepwell_of: Callable[..., Stepwell]
) -> None:
    stepwell = stepwell_of(orders(), max_webhook_bytes=100_000)
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    async with serving(app) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n".encode())
        answer: asyncio.Task[Any] = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        sent = 0
        while not answer.done() and sent < 2000:
            chunk = b"x" * 10_000
            writer.write(b"2710\r\n" + chunk + b"\r\n" if "chunked" in framing else chunk)
            sent += 1
            await asyncio.sleep(0)
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert (await answer).startswith(b"HTTP/1.1 413")
        writer.close()
