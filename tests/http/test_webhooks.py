"""Webhooks over HTTP: who is believed, what is answered, and that nothing starts twice. Rule 39, faults 8, 12, 15 and 16."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from stepwell import END, App, Run, Stepwell, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.testing import VirtualClock
from stepwell.testing.webhooks import sign_github, sign_hmac, sign_slack, sign_standard, sign_stripe
from stepwell.triggers import (
    Verifier,
    bodies,
    github_signature,
    hmac_signature,
    slack_signature,
    standard_webhooks,
    stripe_signature,
    webhooks,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECRET, OLD, WRONG = "c2VjcmV0", "b2xk", "d3Jvbmc="
StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


class Payment(BaseModel):
    name: str


class Pay(Workflow[Payment, None, str]):
    @transition(target=END)
    async def pay(self) -> str:
        return self.args.name


def office(handler: Callable[..., Any], verify: Verifier | None = None, path: str = "/webhooks/in") -> App:
    app = App("office", workflows=[Pay])
    app.webhook(path, verify=verify or github_signature(secret=SECRET), name="in")(handler)
    return app


async def pay(event: WebhookEvent, runner: WorkflowRunner) -> None:
    await runner.run(Pay, {"name": event.json["name"]}, app_name="office", user_id="u1")


def mounted(stepwell: Stepwell) -> FastAPI:
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    return app


async def deliver(client: httpx.AsyncClient, name: str = "a", delivery: str = "d-1", **more: Any) -> httpx.Response:
    body = json.dumps({"name": name})
    headers = {**sign_github(body, SECRET, delivery=delivery), **more}
    return await client.post("/webhooks/in", content=body, headers=headers)


async def payments(stepwell: Stepwell) -> list[Run]:
    return list((await stepwell.runner.list(workflow=Pay)).items)


async def rows(stepwell: Stepwell, sql: str) -> list[Any]:
    assert stepwell.process is not None
    return await stepwell.process.store.read(lambda tx: [tuple(row) for row in tx.rows(sql)])


@pytest.mark.parametrize("odd", ["evt\0", "\ud800", "e" * 100_000])
async def test_an_id_that_cannot_be_stored_is_refused_and_not_tried_for_ever(
    odd: str, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(office(pay, stripe_signature(secret=SECRET)), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        body = json.dumps({"id": odd, "name": "paid"})
        answer = await client.post("/webhooks/in", content=body, headers=sign_stripe(body, SECRET, NOW))
        assert answer.status_code == (200 if len(odd) > 1_000 else 400), answer.text  # a long one counts by its digest
        assert len(await payments(stepwell)) == (answer.status_code == 200)


# -- who is believed --------------------------------------------------------------------------------------------------


def stripe(body: str, secret: str, at: datetime) -> dict[str, str]:
    return sign_stripe(body, secret, at)


def github(body: str, secret: str, at: datetime) -> dict[str, str]:
    return sign_github(body, secret, delivery="g-1")


def slack(body: str, secret: str, at: datetime) -> dict[str, str]:
    return sign_slack(body, secret, at)


def standard(body: str, secret: str, at: datetime) -> dict[str, str]:
    return sign_standard(body, secret, at, delivery="s-1")


def plain(body: str, secret: str, at: datetime) -> dict[str, str]:
    return sign_hmac(body, secret)


def stamped(body: str, secret: str, at: datetime) -> dict[str, str]:
    return sign_hmac(body, secret, at, timestamp_header="X-Time")


PRESETS: list[Any] = [
    pytest.param(stripe_signature, {}, stripe, True, id="stripe"),
    pytest.param(github_signature, {}, github, False, id="github"),
    pytest.param(slack_signature, {}, slack, True, id="slack"),
    pytest.param(standard_webhooks, {}, standard, True, id="standard"),
    pytest.param(hmac_signature, {}, plain, False, id="hmac"),
    pytest.param(hmac_signature, {"timestamp_header": "X-Time"}, stamped, True, id="hmac with time"),
]


@pytest.mark.parametrize(("preset", "options", "sign", "window"), PRESETS)
async def test_every_preset_over_http(
    preset: Any, options: dict[str, Any], sign: Any, window: bool, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(office(pay, preset(secret=[SECRET, OLD], **options)), clock=VirtualClock(NOW))
    body = json.dumps({"id": "evt_1", "event_id": "Ev1", "name": "paid"})
    right = sign(body, SECRET, NOW)
    late = sign(body, SECRET, NOW - timedelta(minutes=6))
    table: list[tuple[str, str, dict[str, str], int]] = [
        ("right", body, right, 200),
        ("the same again", body, right, 200),
        ("by the old secret", body, sign(body, OLD, NOW), 200),
        ("by a wrong secret", body, sign(body, WRONG, NOW), 401),
        ("another body", body + " ", right, 401),
        ("unsigned", body, {}, 401),
        ("nonsense", body, dict.fromkeys(right, "v1=\u00fc"), 401),
        ("too old", body, late, 401 if window else 200),
    ]
    async with client_of(stepwell, mounted(stepwell)) as client:
        for what, content, headers, status in table:
            encoded = {name: value.encode() for name, value in headers.items()}
            answer = await client.post("/webhooks/in", content=content, headers=encoded)
            assert answer.status_code == status, (what, answer.text)
        assert len(await payments(stepwell)) == 1


async def test_fault_15_a_bad_signature_leaves_no_trace_but_a_line_in_the_log(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    stepwell = stepwell_of(office(pay))
    async with client_of(stepwell, mounted(stepwell)) as client:
        body = json.dumps({"name": "a"})
        answer = await client.post("/webhooks/in", content=body, headers=sign_github(body, WRONG))
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "The signature is missing, wrong or too old."
        for table in ("runs", "deliveries", "history", "workspaces"):
            assert await rows(stepwell, f"SELECT * FROM stepwell_{table}") == []
    [line] = [one.message for one in caplog.records if one.name == "stepwell.triggers"]
    assert (
        line
        == "webhook 'in' of app 'office' refused a request: GitHub: no signature matches the body; check the secret."
    )


async def test_a_test_of_the_address_is_answered_without_a_trace(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(pay, slack_signature(secret=SECRET)), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        body = json.dumps({"type": "url_verification", "challenge": "3eZb"})
        answer = await client.post("/webhooks/in", content=body, headers=sign_slack(body, SECRET, NOW))
        assert (answer.status_code, answer.text) == (200, "3eZb")
        assert await rows(stepwell, "SELECT * FROM stepwell_deliveries") == []


# -- how large, how slow ----------------------------------------------------------------------------------------------


async def test_fault_12_a_body_over_the_limit_is_not_read(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(pay), max_webhook_bytes=1000)
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1)
            yield b"x" * 300

    async with client_of(stepwell, mounted(stepwell)) as client:
        declared = await client.post("/webhooks/in", content=b"x" * 1001)
        streamed = await client.post("/webhooks/in", content=endless())
        lying = await client.post("/webhooks/in", content=b"x" * 1001, headers={"content-length": "10"})
        for answer in (declared, streamed, lying):
            assert answer.status_code == 413
            assert answer.json()["detail"] == "The body is larger than 1,000 bytes, the limit of this webhook."
        assert len(sent) == 4
        assert (await client.post("/webhooks/in", content=b"x" * 1000)).status_code == 401


async def test_a_body_of_five_mebibytes_is_handled(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    seen: list[int] = []

    async def measure(event: WebhookEvent) -> None:
        seen.append(len(event.body))

    stepwell = stepwell_of(office(measure))
    body = "x" * (5 * 1024 * 1024)
    async with client_of(stepwell, mounted(stepwell)) as client:
        answer = await client.post("/webhooks/in", content=body, headers=sign_github(body, SECRET))
        assert (answer.status_code, seen) == (200, [len(body)])
        assert (await client.post("/webhooks/in", content=body + "x")).status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "READ_WITHIN", 0.05)
    stepwell = stepwell_of(office(pay))

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(3_600)

    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await client.post("/webhooks/in", content=slow())).status_code == 408


# -- once -------------------------------------------------------------------------------------------------------------


async def test_fault_8_two_deliveries_of_one_id_start_one_run(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(pay))
    async with client_of(stepwell, mounted(stepwell)) as client:
        answers = await asyncio.gather(*(deliver(client) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert [run.args["name"] for run in await payments(stepwell)] == ["a"]
        assert (await deliver(client, "b", "d-2")).status_code == 200
        assert len(await payments(stepwell)) == 2


async def test_fault_8_two_processes_take_one_delivery(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    one, two = stepwell_of(office(pay)), stepwell_of(office(pay))
    async with client_of(one, mounted(one)) as first, client_of(two, mounted(two)) as second:
        answers = await asyncio.gather(*(deliver(client) for client in (first, second) * 5))
        assert {answer.status_code for answer in answers} == {200}
        assert len(await payments(one)) == 1


async def test_a_delivery_is_handled_without_any_worker(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(pay), embedded_worker=False)
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await deliver(client)).status_code == 200
        [run] = await payments(stepwell)
        assert run.status == "pending"


async def test_a_handler_that_raises_runs_again_when_the_sender_does(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[WebhookEvent] = []

    async def failing(event: WebhookEvent, runner: WorkflowRunner) -> None:
        events.append(event)
        await runner.run(Pay, {"name": "a"}, app_name="office", user_id="u1")
        await runner.run(Pay, {"name": "a"}, app_name="office", user_id="u1")
        if len(events) < 3:
            raise RuntimeError("the secret reason")

    stepwell = stepwell_of(office(failing), embedded_worker=False)
    async with client_of(stepwell, mounted(stepwell)) as client:
        answers = [await deliver(client) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [500, 500, 200, 200]
        assert answers[0].json()["detail"] == "The handler failed, so the delivery is still open. Send it again."
        assert "secret" not in answers[0].text
        assert len(events) == 3
        assert events[0] == events[2]
        assert len(await payments(stepwell)) == 2
        [(run_id,)] = await rows(stepwell, "SELECT run_id FROM stepwell_deliveries")
        history = await stepwell.runner.history(run_id)
        assert [(row.attempt, row.status) for row in history[1:]] == [(1, "failed"), (2, "failed"), (3, "committed")]
    assert caplog.text.count("the secret reason") >= 2


async def test_a_slow_handler_goes_on_and_the_sender_comes_back(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "ANSWER_WITHIN", 0.05)
    go_on = asyncio.Event()
    runs: list[str] = []

    async def slow(event: WebhookEvent, runner: WorkflowRunner) -> None:
        runs.append(event.id)
        await go_on.wait()

    stepwell = stepwell_of(office(slow))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for _ in range(2):
            answer = await deliver(client)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        monkeypatch.setattr(webhooks, "ANSWER_WITHIN", 60.0)
        waiting = asyncio.create_task(deliver(client))
        go_on.set()
        assert (await waiting).status_code == 200
        assert runs == ["d-1"]


async def test_a_sender_that_hangs_up_does_not_stop_the_handler(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(event: WebhookEvent) -> None:
        begun.set()
        await go_on.wait()
        done.set()

    stepwell = stepwell_of(office(slow))
    async with client_of(stepwell, mounted(stepwell)) as client:
        hanging = asyncio.create_task(deliver(client))
        await begun.wait()
        hanging.cancel()
        go_on.set()
        async with asyncio.timeout(60):
            await done.wait()
        assert (await deliver(client)).status_code == 200


async def test_a_delivery_whose_process_died_is_handled_by_the_next(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    handled: list[str] = []

    async def stuck(event: WebhookEvent, runner: WorkflowRunner) -> None:
        await runner.run(Pay, {"name": "a"}, app_name="office", user_id="u1")
        handled.append("begun")
        if len(handled) == 1:
            await asyncio.sleep(3_600)

    first = stepwell_of(office(stuck), embedded_worker=False)
    async with client_of(first, mounted(first)) as client:
        hanging = asyncio.create_task(deliver(client))
        while not handled:
            await asyncio.sleep(0.01)
    assert (await hanging).status_code == 503  # it was handed over when the process closed
    second = stepwell_of(office(stuck), embedded_worker=False)
    async with client_of(second, mounted(second)) as client:
        assert (await deliver(client)).status_code == 200
        assert len(handled) == 2
        assert len(await payments(second)) == 1


async def test_old_deliveries_go_with_the_runs_of_their_handlers(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(pay), clock=clock)
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await deliver(client)).status_code == 200
        assert stepwell.process is not None
        clock.move_to(clock.now() + 29 * 86_400_000_000)
        await stepwell.process.scheduler.clean()
        assert len(await rows(stepwell, "SELECT 1 FROM stepwell_deliveries")) == 1
        clock.move_to(clock.now() + 2 * 86_400_000_000)
        await stepwell.process.scheduler.clean()
        assert await rows(stepwell, "SELECT 1 FROM stepwell_deliveries") == []
        assert await rows(stepwell, "SELECT 1 FROM stepwell_runs WHERE internal=1") == []
        assert len(await payments(stepwell)) == 1


async def test_a_delivery_whose_run_was_deleted_was_handled(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(pay))
    async with client_of(stepwell, mounted(stepwell)) as client:
        await deliver(client)
        assert stepwell.process is not None
        while await stepwell.process.sweep.expire(-1):
            pass
        assert await payments(stepwell) == []
        assert (await deliver(client)).status_code == 200
        assert await payments(stepwell) == []


# -- where ------------------------------------------------------------------------------------------------------------


async def test_it_is_served_at_exactly_its_path_by_post(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    office_ = App("office", workflows=[Pay])
    stepwell = stepwell_of(office_)
    app = mounted(stepwell)
    office_.webhook("/hooks/one.two", verify=github_signature(secret=SECRET))(pay)  # after mount
    async with client_of(stepwell, app) as client:
        headers = sign_github('{"name": "a"}', SECRET)
        assert (await client.post("/hooks/one.two", content='{"name": "a"}', headers=headers)).status_code == 200
        for path in ("/hooks/onextwo", "/api/v1/hooks/one.two", "/hooks/one.two/more", "/hooks"):
            assert (await client.post(path, content='{"name": "a"}', headers=headers)).status_code == 404
        assert (await client.get("/hooks/one.two")).status_code == 405


async def test_a_plain_function_handles_in_a_thread(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    def blocking(runner: Any, event: WebhookEvent) -> None:
        runner.run(Pay, {"name": event.json["name"]}, app_name="office", user_id="u1")

    stepwell = stepwell_of(office(blocking))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await deliver(client)).status_code == 200
        assert len(await payments(stepwell)) == 1


async def test_fault_16_a_closed_stepwell_says_so(stepwell_of: StepwellOf) -> None:
    app = mounted(stepwell_of(office(pay)))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await deliver(client)
        assert answer.status_code == 500
        assert "use it inside `async with stepwell:`" in answer.json()["detail"]
        ready = await client.get("/api/v1/health/ready")
        assert (ready.status_code, ready.json()["faults"]) == (503, ["closed"])
