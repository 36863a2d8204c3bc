"""A delivery whose handler took too long: what it has started is told, and its thread starts nothing more."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

from api_shop import ROOT, ClientOf, Quiet, StepwellOf, good, served
from test_triggers_api import SECRET, deliver

from stepwell import App, WebhookEvent, WorkflowRunner
from stepwell.errors import LeaseLost
from stepwell.execution.begun import current_attempt
from stepwell.triggers import github_signature

LONG = 60.0


def time_is_up(loop: asyncio.AbstractEventLoop) -> None:
    inside = current_attempt.get()
    assert inside is not None
    loop.call_soon_threadsafe(inside.attempt.scope.stop, "timeout")


async def test_a_thread_of_a_failed_delivery_starts_nothing(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    app, loop = App("office", workflows=[Quiet]), asyncio.get_running_loop()
    gate, ended = threading.Event(), asyncio.Event()
    refused: list[Exception] = []

    @app.webhook("/slow", verify=github_signature(secret=SECRET), timeout=timedelta(hours=1))
    def slow(event: WebhookEvent, runner: Any) -> None:
        runner.run(Quiet, user_id="u1")
        time_is_up(loop)
        assert gate.wait(LONG)
        try:
            runner.run(Quiet, user_id="u1")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            refused.append(error)
        loop.call_soon_threadsafe(ended.set)

    stepwell = stepwell_of(app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        try:
            assert await deliver(client, "one", "/slow") == 500
            [run] = good(await client.get("/api/v1/runs"))["items"]
            [known] = good(await client.get("/api/v1/deliveries"))["items"]
            assert (known["status"], known["started"]) == ("failed", [run["workflow_id"]])
        finally:
            gate.set()
        async with asyncio.timeout(LONG):
            await ended.wait()
        assert [type(one) for one in refused] == [LeaseLost]
        assert len(good(await client.get("/api/v1/runs"))["items"]) == 1


async def test_what_a_cancelled_attempt_started_is_told(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    app, loop = App("office", workflows=[Quiet]), asyncio.get_running_loop()

    @app.webhook("/slow", verify=github_signature(secret=SECRET), timeout=timedelta(hours=1))
    async def slow(event: WebhookEvent, runner: WorkflowRunner) -> None:
        await runner.run(Quiet, user_id="u1")
        time_is_up(loop)
        await asyncio.Event().wait()

    stepwell = stepwell_of(app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert await deliver(client, "one", "/slow") == 500
        [run] = good(await client.get("/api/v1/runs"))["items"]
        [known] = good(await client.get("/api/v1/deliveries"))["items"]
        assert (known["status"], known["started"]) == ("failed", [run["workflow_id"]])
