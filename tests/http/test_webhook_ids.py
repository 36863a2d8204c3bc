"""Delivery ids outside the signature: a captured request isn't replayed under new ids, and coming ids aren't burnt. Fault 8.

The requests are signed here as their senders document it: GitHub
(https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries), and an HMAC of any other sender.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from stepwell import END, App, Stepwell, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.testing import VirtualClock
from stepwell.testing.webhooks import sign_twilio
from stepwell.triggers import (
    Delivery,
    Verifier,
    github_signature,
    hmac_signature,
    standard_webhooks,
    twilio_signature,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = 86_400_000_000
SECRET = "c2VjcmV0"
StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]
Headers = dict[str, str]


class Pay(Workflow[dict[str, Any], None, str]):
    @transition(target=END)
    async def pay(self) -> str:
        return str(self.args["name"])


def office(verify: Verifier, seen: list[str] | None = None) -> App:
    app = App("office", workflows=[Pay])

    @app.webhook("/in", verify=verify, name="in")
    async def received(event: WebhookEvent, runner: WorkflowRunner) -> None:
        if seen is not None:
            seen.append(event.id)
        await runner.run(Pay, event.json, app_name="office", user_id="u1")

    return app


def mounted(stepwell: Stepwell) -> FastAPI:
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    return app


def body_of(name: str) -> str:
    return json.dumps({"name": name})


def hexed(content: str) -> str:
    return hmac.new(SECRET.encode(), content.encode(), "sha256").hexdigest()


def github(body: str, delivery: str | None) -> Headers:
    signed = {"X-Hub-Signature-256": f"sha256={hexed(body)}", "X-GitHub-Event": "push"}
    return signed if delivery is None else {**signed, "X-GitHub-Delivery": delivery}


def plain(body: str, delivery: str | None) -> Headers:
    return {"X-Signature": hexed(body), "X-Id": delivery or ""}


def stamped(body: str, delivery: str | None, at: datetime = NOW) -> Headers:
    stamp = str(int(at.timestamp()))
    return {"X-Signature": hexed(f"{stamp}.{body}"), "X-Time": stamp, "X-Id": delivery or ""}


PRESETS: list[Any] = [
    pytest.param(github_signature(SECRET), github, id="github"),
    pytest.param(hmac_signature(SECRET, id_header="X-Id"), plain, id="hmac"),
    pytest.param(hmac_signature(SECRET, id_header="X-Id", timestamp_header="X-Time"), stamped, id="hmac with time"),
]
each_preset = pytest.mark.parametrize(("verify", "sign"), PRESETS)


async def post(client: httpx.AsyncClient, body: str, headers: Headers) -> int:
    return (await client.post("/in", content=body, headers=headers)).status_code


async def paid(stepwell: Stepwell) -> list[str]:
    return sorted(run.args["name"] for run in (await stepwell.runner.list(workflow=Pay)).items)


@each_preset
async def test_a_captured_request_replayed_under_new_ids_starts_nothing(
    verify: Verifier, sign: Any, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    stepwell = stepwell_of(office(verify, seen), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert await post(client, body_of("a"), sign(body_of("a"), "d-1")) == 200
        captured = sign(body_of("a"), "d-1")
        name = next(key for key in captured if key in ("X-GitHub-Delivery", "X-Id"))
        for number in range(5):
            assert await post(client, body_of("a"), {**captured, name: f"forged-{number}"}) == 200
        assert (await paid(stepwell), seen) == (["a"], ["d-1"])
        assert "got the content of delivery 'd-1' again under the id 'forged-4': it isn't handled again" in caplog.text
        # The ids that were made up aren't used up: what the sender means by them comes later.
        assert await post(client, body_of("b"), sign(body_of("b"), "forged-0")) == 200
        assert (await paid(stepwell), seen) == (["a", "b"], ["d-1", "forged-0"])


@each_preset
async def test_replays_under_new_ids_at_once_and_in_two_processes_start_one_run(
    verify: Verifier, sign: Any, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    one, two = (stepwell_of(office(verify), clock=VirtualClock(NOW)) for _ in range(2))
    async with client_of(one, mounted(one)) as first, client_of(two, mounted(two)) as second:
        body = body_of("a")
        answers = await asyncio.gather(
            *(post(client, body, sign(body, f"d-{n}")) for n in range(10) for client in (first, second))
        )
        assert set(answers) == {200}
        assert await paid(one) == ["a"]


@each_preset
async def test_a_known_id_with_other_content_is_a_new_delivery_and_is_logged(
    verify: Verifier, sign: Any, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    stepwell = stepwell_of(office(verify, seen), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for _ in range(2):
            for name in ("a", "b", "c"):
                assert await post(client, body_of(name), sign(body_of(name), "d-1")) == 200
        assert await paid(stepwell) == ["a", "b", "c"]
        assert seen[0] == "d-1"
        assert len(set(seen)) == len(seen) == 3  # a handler that takes the id for a key sees three
    assert "got another content under the known id 'd-1': it is handled as a delivery of its own" in caplog.text


async def test_the_same_key_again_is_another_event_of_twilio_if_its_url_counts(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that comes to a menu again: Twilio signs the URL and the fields, which are the same without the count."""
    app, urls = App("office"), list[str]()

    @app.webhook("/menu", verify=twilio_signature(SECRET), name="menu")
    async def menu(event: WebhookEvent) -> str:
        urls.append(event.url)
        return f"<Response><Gather action='/menu?turn={len(urls) + 1}'/></Response>"

    stepwell = stepwell_of(app)
    async with client_of(stepwell, mounted(stepwell)) as client:

        async def press(url: str, token: str) -> str:
            body, headers = sign_twilio(url, {"CallSid": "CA1", "Digits": "1"}, SECRET, delivery=token)
            answer = await client.post(url, content=body, headers=headers)
            assert answer.status_code == 200
            return str(answer.text)

        first = await press("http://localhost/menu?turn=1", "t-1")
        assert await press("http://localhost/menu?turn=1", "t-1") == first  # Twilio's retry
        assert not [one for one in caplog.records if hasattr(one, "repeated_as")]
        assert await press("http://localhost/menu?turn=1", "t-2") == first
        [record] = [one for one in caplog.records if hasattr(one, "repeated_as")]
        assert "for Twilio a count in the URL (?turn=2)" in record.getMessage()
        assert await press("http://localhost/menu?turn=2", "t-3") != first
        assert urls == ["http://localhost/menu?turn=1", "http://localhost/menu?turn=2"]


async def test_without_its_id_a_captured_request_is_known_too(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(github_signature(SECRET)))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for delivery in ("d-1", None, "", "d" * 300, "ä"):
            headers = {key: value.encode() for key, value in github(body_of("a"), delivery).items()}
            assert (await client.post("/in", content=body_of("a"), headers=headers)).status_code == 200
        assert await paid(stepwell) == ["a"]


async def test_a_retry_that_is_signed_again_is_the_same_delivery_and_its_replay_too(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """With a signed time stamp the sender's retry has other content; equal bodies of two events are two deliveries."""
    stepwell = stepwell_of(
        office(hmac_signature(SECRET, id_header="X-Id", timestamp_header="X-Time")), clock=VirtualClock(NOW)
    )
    later, body = NOW + timedelta(seconds=7), body_of("a")
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert await post(client, body, stamped(body, "d-1")) == 200
        assert await post(client, body, stamped(body, "d-1", later)) == 200
        assert await paid(stepwell) == ["a"]
        assert await post(client, body, stamped(body, "forged", later)) == 200
        assert await paid(stepwell) == ["a"]
        assert await post(client, body, stamped(body, "d-2", later + timedelta(seconds=1))) == 200
        assert await paid(stepwell) == ["a", "a"]


async def test_a_failed_delivery_stays_open_whatever_the_id_of_the_retry(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    app, failing = App("office", workflows=[Pay]), [True, True]

    @app.webhook("/in", verify=github_signature(SECRET))
    async def received(event: WebhookEvent, runner: WorkflowRunner) -> None:
        await runner.run(Pay, event.json, app_name="office", user_id="u1")
        if failing:
            failing.pop()
            raise RuntimeError("not yet")

    stepwell = stepwell_of(app)
    async with client_of(stepwell, mounted(stepwell)) as client:
        body = body_of("a")
        assert [await post(client, body, github(body, f"d-{n}")) for n in range(4)] == [500, 500, 200, 200]
        assert await paid(stepwell) == ["a"]


async def test_a_signed_id_decides_alone(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    """Standard Webhooks signs the id (https://www.standardwebhooks.com): equal bodies under two ids are two events."""
    stepwell = stepwell_of(office(standard_webhooks(SECRET)), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for delivery, body in (("m-1", body_of("a")), ("m-2", body_of("a")), ("m-2", body_of("b"))):
            stamp = str(int(NOW.timestamp()))
            digest = hmac.digest(b64decode(SECRET), f"{delivery}.{stamp}.{body}".encode(), "sha256")
            headers = {
                "webhook-id": delivery,
                "webhook-timestamp": stamp,
                "webhook-signature": f"v1,{b64encode(digest).decode()}",
            }
            assert await post(client, body, headers) == 200
        assert await paid(stepwell) == ["a", "a"]


async def test_a_verifier_of_ones_own_decides_whether_its_ids_are_trusted(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    class Trusting:
        def verify(self, headers: Any, body: bytes, now: datetime) -> Delivery:
            return replace(github_signature(SECRET).verify(headers, body, now), digest=None)

    stepwell = stepwell_of(office(Trusting()))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for delivery in ("d-1", "d-2", "d-2"):
            assert await post(client, body_of("a"), github(body_of("a"), delivery)) == 200
        assert await paid(stepwell) == ["a", "a"]


async def test_contents_are_forgotten_with_their_deliveries(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(github_signature(SECRET)), clock=clock)

    async def left(table: str) -> int:
        assert stepwell.process is not None
        found: int = await stepwell.process.store.read(lambda tx: tx.scalar(f"SELECT count(*) FROM {table}"))
        return found

    async with client_of(stepwell, mounted(stepwell)) as client:
        assert await post(client, body_of("a"), github(body_of("a"), "d-1")) == 200
        assert stepwell.process is not None
        clock.move_to(clock.now() + 29 * DAY)
        await stepwell.process.scheduler.clean()
        assert await left("stepwell_delivery_contents") == 1
        clock.move_to(clock.now() + 2 * DAY)
        while await stepwell.process.scheduler.clean():
            pass
        assert (await left("stepwell_delivery_contents"), await left("stepwell_deliveries")) == (0, 0)


async def test_a_delivery_of_an_earlier_stepwell_is_known_by_its_id(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """Before, contents weren't kept: the sender's retry after an upgrade, or of an older process, starts nothing twice."""
    stepwell = stepwell_of(office(github_signature(SECRET)))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert await post(client, body_of("a"), github(body_of("a"), "d-1")) == 200
        assert stepwell.process is not None
        await stepwell.process.store.writer.call(lambda tx: tx.run("DELETE FROM stepwell_delivery_contents"))
        for delivery in ("d-1", "d-2"):
            assert await post(client, body_of("a"), github(body_of("a"), delivery)) == 200
        assert await paid(stepwell) == ["a"]


@each_preset
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "deleted"])
async def test_other_content_under_the_id_of_an_earlier_delivery_is_new_as_long_as_its_run_is_kept(
    verify: Verifier, sign: Any, kept: bool, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    seen: list[str] = []
    stepwell = stepwell_of(office(verify, seen), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert await post(client, body_of("a"), sign(body_of("a"), "d-1")) == 200
        assert stepwell.process is not None
        write = stepwell.process.store.writer.call
        await write(lambda tx: tx.run("DELETE FROM stepwell_delivery_contents"))
        if not kept:
            await write(lambda tx: tx.run("DELETE FROM stepwell_runs WHERE workflow_name='webhook:in'"))
        # Another one than the sender uses the id up first; then come the retry and the genuine new event.
        for name in ("b", "a", "b", "a"):
            assert await post(client, body_of(name), sign(body_of(name), "d-1")) == 200
        assert await post(client, body_of("c"), sign(body_of("c"), "d-2")) == 200
        assert len(seen) == len(set(seen))
        if kept:
            assert (await paid(stepwell), seen[0], seen[-1]) == (["a", "b", "c"], "d-1", "d-2")
            assert seen[1].startswith("d-1#")


@each_preset
async def test_a_repetition_that_may_be_an_event_is_logged_with_the_cure(
    verify: Verifier, sign: Any, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    stepwell = stepwell_of(office(verify), clock=VirtualClock(NOW))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for delivery in ("d-1", "d-1", "d-2"):
            assert await post(client, body_of("a"), sign(body_of("a"), delivery)) == 200
    [record] = [one for one in caplog.records if getattr(one, "repeated_as", None)]
    assert (record.levelname, record.repeated_as) == ("WARNING", "d-2")  # type: ignore[attr-defined]
    named = (record.app_name, record.webhook, record.delivery_id)  # type: ignore[attr-defined]
    assert named == ("office", "in", "d-1")
    assert "sign something that differs" in record.getMessage()


async def test_a_content_whose_delivery_was_deleted_by_an_earlier_stepwell_is_new(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(office(github_signature(SECRET)))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert await post(client, body_of("a"), github(body_of("a"), "d-1")) == 200
        assert stepwell.process is not None
        await stepwell.process.store.writer.call(lambda tx: tx.run("DELETE FROM stepwell_deliveries"))
        for delivery in ("d-2", "d-2", "d-3"):
            assert await post(client, body_of("a"), github(body_of("a"), delivery)) == 200
        assert await paid(stepwell) == ["a", "a"]
