"""Tests of a new address by its sender: GET and HEAD challenges, and those that come by POST. Nothing is stored for them."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from serving import serving

from stepwell import App, Stepwell, WebhookEvent
from stepwell.errors import DefinitionError
from stepwell.testing import VirtualClock
from stepwell.triggers import Challenge, github_signature, meta_challenge, slack_signature

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECRET = "the secret of the tests"
StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


class Hook:
    """A Stepwell with one webhook, of Meta's signature (that of GitHub) unless another is given."""

    def __init__(self, stepwell_of: StepwellOf, challenge: Any, verify: Any = None) -> None:
        self.events: list[WebhookEvent] = []
        app = App("office")

        @app.webhook("/in", verify=verify or github_signature(SECRET), name="in", challenge=challenge)
        async def received(event: WebhookEvent) -> None:
            self.events.append(event)

        self.stepwell = stepwell_of(app, clock=VirtualClock(NOW))
        self.app = FastAPI(lifespan=self.stepwell.lifespan)
        self.stepwell.mount(self.app)

    async def stored(self) -> int:
        assert self.stepwell.process is not None
        count: int = await self.stepwell.process.store.read(
            lambda tx: tx.scalar(
                "SELECT (SELECT count(*) FROM stepwell_deliveries)+(SELECT count(*) FROM stepwell_runs)"
            )
        )
        return count


def asked(**changed: str) -> dict[str, str]:
    """https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests"""
    given = {"mode": "subscribe", "verify_token": "meatyhamhock", "challenge": "1158201444", **changed}
    return {f"hub.{name}": value for name, value in given.items()}


async def test_metas_challenge_over_a_real_server(stepwell_of: StepwellOf) -> None:
    hook = Hook(stepwell_of, meta_challenge(verify_token=["old", "meatyhamhock"]))
    async with serving(hook.app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get("/in", params=asked())
        assert (answer.status_code, answer.text) == (200, "1158201444")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/in", params=asked(verify_token="old"))).text == "1158201444"
        head = await client.head("/in", params=asked())
        assert (head.status_code, head.text) == (200, "")
        markup = "<script>alert(1)</script>\u00e4"
        answer = await client.get("/in", params=asked(challenge=markup))
        assert (answer.text, answer.headers["x-content-type-options"]) == (markup, "nosniff")
        assert answer.headers["content-type"].startswith("text/plain")
        assert (await hook.stored(), hook.events) == (0, [])


async def test_a_challenge_with_another_token_is_refused(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook(stepwell_of, meta_challenge("meatyhamhock"))
    async with client_of(hook.stepwell, hook.app) as client:
        for params in (
            asked(verify_token="guessed"),
            asked(verify_token=""),
            asked(verify_token="meatyhamhock\u00e4"),
            asked(verify_token="%FF\udcff"),
            asked(mode="unsubscribe"),
            {"hub.verify_token": "meatyhamhock", "hub.mode": "subscribe"},
            {},
        ):
            path = (
                "/in?"
                + "&".join(f"{name}={value}" for name, value in params.items()).encode("utf-8", "replace").decode()
            )
            answer = await client.get(path)
            assert answer.status_code == 403, params
            assert answer.json()["detail"] == "It is no challenge that this webhook answers."
            assert (await client.head(path)).status_code == 403
        assert (await client.get("/in?" + "a=1&" * 200)).status_code == 400
        assert await hook.stored() == 0
    assert "webhook 'in' of app 'office' refused a GET: it is no challenge of its sender" in caplog.text
    assert "meatyhamhock" not in caplog.text


async def test_a_challenge_that_is_too_long_is_refused(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    hook = Hook(stepwell_of, meta_challenge("meatyhamhock"))
    async with client_of(hook.stepwell, hook.app) as client:
        assert (await client.get("/in", params=asked(challenge="x" * 4_096))).status_code == 200
        for challenge, size in (("x" * 4_097, "4,097"), ("\u00e4" * 2_049, "4,098")):
            answer = await client.get("/in", params=asked(challenge=challenge))
            assert answer.status_code == 400
            assert answer.json()["detail"] == f"The answer would have {size} bytes; 4,096 are allowed."


async def test_without_a_challenge_only_post_is_served(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    hook = Hook(stepwell_of, None)
    async with client_of(hook.stepwell, hook.app) as client:
        for method in ("GET", "HEAD", "PUT"):
            answer = await client.request(method, "/in", params=asked())
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_deliveries_come_as_before_beside_a_challenge(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    hook = Hook(stepwell_of, meta_challenge("meatyhamhock"))
    body = b'{"object": "page"}'
    headers = {"X-Hub-Signature-256": f"sha256={hmac.new(SECRET.encode(), body, 'sha256').hexdigest()}"}
    async with client_of(hook.stepwell, hook.app) as client:
        for path in ("/in", "/in?hub.mode=subscribe&hub.verify_token=meatyhamhock&hub.challenge=1"):
            answer = await client.post(path, content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
            assert (await client.post(path, content=body)).status_code == 401
        assert [event.json for event in hook.events] == [{"object": "page"}]


async def test_slacks_url_verification_is_answered_after_its_signature_was_checked(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """https://docs.slack.dev/reference/events/url_verification"""
    hook = Hook(stepwell_of, None, slack_signature(SECRET))
    challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    body = json.dumps({"token": "t", "challenge": challenge, "type": "url_verification"})
    stamp = str(int(NOW.timestamp()))
    signature = "v0=" + hmac.new(SECRET.encode(), f"v0:{stamp}:{body}".encode(), "sha256").hexdigest()
    right = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}
    async with client_of(hook.stepwell, hook.app) as client:
        answer = await client.post("/in", content=body, headers=right)
        assert (answer.status_code, answer.text) == (200, challenge)
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["x-content-type-options"] == "nosniff"
        forged = {**right, "X-Slack-Signature": "v0=" + "0" * 64}
        assert (await client.post("/in", content=body, headers=forged)).status_code == 401
        assert (await hook.stored(), hook.events) == (0, [])


async def test_a_function_of_ones_own_answers_as_dropbox_trello_and_microsoft_ask(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """Dropbox: a GET with `challenge`. Trello: a HEAD. Microsoft Graph: a POST with `validationToken` in the query."""
    seen: list[Challenge] = []

    async def answered(request: Challenge) -> str | None:
        seen.append(request)
        if request.method == "HEAD":
            return ""
        return request.query.get("validationToken" if request.method == "POST" else "challenge")

    hook = Hook(stepwell_of, answered)
    async with client_of(hook.stepwell, hook.app) as client:
        assert (await client.get("/in?challenge=abc")).text == "abc"
        assert (await client.head("/in")).status_code == 200
        answer = await client.post("/in?validationToken=Validation%3A+token%20%C3%A4", headers={"X-Kind": "a"})
        assert (answer.status_code, answer.text) == (200, "Validation: token \u00e4")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert (seen[-1].url, seen[-1].headers["x-kind"]) == (
            "http://localhost/in?validationToken=Validation%3A+token%20%C3%A4",
            "a",
        )
        assert (await client.post("/in", content=b"{}")).status_code == 401
        assert len(seen) == 3  # a POST without a query is a delivery
        assert (await client.post("/in?a=1", content=b"{}")).status_code == 401
        assert await hook.stored() == 0


@pytest.mark.parametrize("error", [KeyError("hub.challenge"), StopIteration(), SystemExit(1), RuntimeError("a secret")])
async def test_a_challenge_that_raises_is_told_and_shows_nothing(
    error: BaseException, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(request: Challenge) -> str:
        raise error

    hook = Hook(stepwell_of, failing)
    async with client_of(hook.stepwell, hook.app) as client:
        answer = await client.get("/in")
        assert (answer.status_code, answer.json()["detail"]) == (500, "The challenge failed.")
    [line] = [one for one in caplog.records if one.name == "stepwell.triggers" and one.levelno == logging.ERROR]
    assert line.message.startswith("the challenge of webhook 'in' of app 'office' failed: " + type(error).__name__)


@pytest.mark.parametrize("answer", [b"bytes", 7, "\ud800"])
async def test_an_answer_that_is_no_text_is_told(
    answer: Any, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook(stepwell_of, lambda request: answer)
    async with client_of(hook.stepwell, hook.app) as client:
        assert (await client.get("/in")).status_code == 500
    assert "the challenge of webhook 'in' of app 'office' failed" in caplog.text


def test_what_is_no_challenge_is_refused_when_it_is_declared() -> None:
    for wrong, text in (
        (meta_challenge, "write challenge=meta_challenge(verify_token=...)"),
        ("token", "must be a function that takes a Challenge"),
        (Challenge, "must be a function that takes a Challenge"),
    ):
        with pytest.raises(DefinitionError, match=r"challenge=") as caught:
            App("office").webhook("/in", verify=github_signature(SECRET), challenge=wrong)(lambda event: None)  # type: ignore[arg-type]
        assert text in str(caught.value)
    for token in ("", None, []):
        with pytest.raises(DefinitionError, match="verify_token"):
            meta_challenge(token)  # type: ignore[arg-type]
