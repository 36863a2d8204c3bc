"""`retry=` and `timeout=` of a webhook: Stepwell tries its handler again, and the sender is done with a durable delivery."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_shop import ROOT, ClientOf, StepwellOf, served

from conformance.support import until
from stepwell import END, App, NonRetryable, Retry, Stepwell, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.testing import VirtualClock
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature, webhooks

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRET = "s3cret"
TWICE = Retry(retries=2, delay=10 * MINUTE, max_delay=10 * MINUTE, backoff="fixed")


class Pay(Workflow[None, None, None]):
    @transition(target=END)
    async def pay(self) -> None: ...


class Desk:
    """An app whose webhook fails as often as is said, and what became of its deliveries."""

    def __init__(
        self, failures: int = 0, error: Callable[[], BaseException] = lambda: RuntimeError("not yet"), **options: Any
    ):
        self.app = App("office", workflows=[Pay])
        self.attempts = 0

        @self.app.webhook("/in", verify=github_signature(secret=SECRET), name="in", **options)
        async def take(event: WebhookEvent, runner: WorkflowRunner) -> None:
            self.attempts += 1
            await runner.run(Pay, app_name="office", user_id="u1")
            if self.attempts <= failures:
                raise error()


async def deliver(client: httpx.AsyncClient) -> httpx.Response:
    body = json.dumps({"a": 1})
    return await client.post("/in", content=body, headers=sign_github(body, SECRET, delivery="d-1"))


async def delivery(client: httpx.AsyncClient) -> dict[str, Any]:
    [found] = (await client.get("/api/v1/deliveries")).json()["items"]
    return dict(found)


def later(clock: VirtualClock, duration: timedelta) -> None:
    clock.move_to(clock.now() + duration // timedelta(microseconds=1))


async def became(client: httpx.AsyncClient, status: str) -> dict[str, Any]:
    async def is_so() -> bool:
        return (await delivery(client))["status"] == status

    await until(is_so)
    return await delivery(client)


async def paid(stepwell: Stepwell) -> int:
    return len((await stepwell.runner.list(workflow=Pay)).items)


async def test_stepwell_tries_again_and_the_sender_is_done(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    desk, clock = Desk(2, retry=TWICE), VirtualClock(NOW)
    stepwell = stepwell_of(desk.app, clock=clock)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        answer = await deliver(client)
        assert (answer.status_code, answer.json()) == (202, {"received": True})
        first = await delivery(client)
        assert (first["status"], first["attempt"], len(first["started"])) == ("retrying", 1, 1)
        assert "not yet" in first["error"]

        # A sender that sends again all the same neither shortens the delay nor uses a retry up.
        later(clock, 9 * MINUTE)
        assert [(await deliver(client)).status_code for _ in range(3)] == [202] * 3
        assert desk.attempts == 1

        later(clock, MINUTE)
        async with asyncio.timeout(60):
            while desk.attempts < 2 or (await delivery(client))["status"] != "retrying":
                await asyncio.sleep(0.01)
        later(clock, 10 * MINUTE)
        await became(client, "completed")
        assert desk.attempts == 3
        assert await paid(stepwell) == 1
        assert (await deliver(client)).status_code == 200
        assert desk.attempts == 3


async def test_exhausted_retries_are_failed_logged_and_visible(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(3, retry=Retry(retries=1, delay=timedelta(0)))
    stepwell = stepwell_of(desk.app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert (await deliver(client)).status_code in (202, 500)
        found = await became(client, "failed")
        assert (found["attempt"], desk.attempts, len(found["started"])) == (2, 2, 1)
        assert "RuntimeError: not yet" in found["error"]
        [given_up] = [
            one for one in caplog.records if one.name == "stepwell.execution" and one.levelno == logging.ERROR
        ]
        assert "(webhook:in) failed at 'start', in attempt 2 of handle" in given_up.getMessage()
        assert (given_up.workflow_name, given_up.attempt) == ("webhook:in", 2)  # type: ignore[attr-defined]

        # The delivery is still open: it can be redriven, or sent again, each with a full budget.
        answer = await client.post("/api/v1/deliveries/office/in/redrive", json={"delivery_id": "d-1"})
        assert answer.status_code == 200
        await became(client, "completed")
        assert (desk.attempts, await paid(stepwell)) == (4, 1)


async def test_a_failed_delivery_that_is_sent_again_has_a_full_budget(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    desk = Desk(3, retry=Retry(retries=1, delay=timedelta(0)))
    stepwell = stepwell_of(desk.app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        await deliver(client)
        await became(client, "failed")
        assert (await deliver(client)).status_code == 202
        await became(client, "completed")
        assert (desk.attempts, await paid(stepwell)) == (4, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"error": lambda: NonRetryable("no"), "retry": TWICE},
        {"error": lambda: KeyError("no"), "retry": Retry(retries=5, on=(OSError,))},
        {"retry": Retry(retries=0)},
        {},
    ],
    ids=["non-retryable", "not on", "no retries", "without retry"],
)
async def test_what_stepwell_does_not_try_again_the_sender_is_asked_to_send(
    stepwell_of: StepwellOf, client_of: ClientOf, options: dict[str, Any]
) -> None:
    desk = Desk(1, **options)
    stepwell = stepwell_of(desk.app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        answer = await deliver(client)
        assert (answer.status_code, (await delivery(client))["status"]) == (500, "failed")
        assert (await deliver(client)).status_code == 200
        assert (desk.attempts, await paid(stepwell)) == (2, 1)


async def test_another_process_tries_again_after_the_first_has_gone(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    desk = Desk(1, retry=TWICE)
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(desk.app, clock=clock)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert (await deliver(client)).status_code == 202
    later(clock, 10 * MINUTE)
    second = stepwell_of(desk.app, clock=clock)
    async with client_of(second, served(second), **ROOT) as client:
        await became(client, "completed")
        assert (desk.attempts, await paid(second)) == (2, 1)


@pytest.mark.parametrize("retry", [None, Retry(retries=1, delay=timedelta(0))])
async def test_a_timeout_ends_the_attempt_and_is_told(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture, retry: Retry | None
) -> None:
    app, ended = App("office"), []

    @app.webhook("/in", verify=github_signature(secret=SECRET), timeout=timedelta(milliseconds=50), retry=retry)
    async def take(event: WebhookEvent) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event.id)

    stepwell = stepwell_of(app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert (await deliver(client)).status_code == (500 if retry is None else 202)
        found = await became(client, "failed")
        assert ended == ["d-1"] * (1 if retry is None else 2)
        assert "0.05 s" in found["error"]
    assert [
        one.levelname for one in caplog.records if one.name == "stepwell.execution" and one.levelno >= logging.WARNING
    ] == [
        *(["WARNING"] if retry else []),
        "ERROR",
    ]


@pytest.mark.parametrize("retry", [None, TWICE])
async def test_a_handler_that_still_runs_is_answered_by_who_will_end_it(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, retry: Retry | None
) -> None:
    monkeypatch.setattr(webhooks, "ANSWER_WITHIN", 0.05)
    app, go = App("office"), asyncio.Event()

    @app.webhook("/in", verify=github_signature(secret=SECRET), retry=retry)
    async def take(event: WebhookEvent) -> None:
        await go.wait()

    stepwell = stepwell_of(app)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert [(await deliver(client)).status_code for _ in range(2)] == [503 if retry is None else 202] * 2
        go.set()
        await became(client, "completed")
        assert (await deliver(client)).status_code == 200
