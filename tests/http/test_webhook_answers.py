"""A handler answers its sender: slash commands and TwiML. The answer is durable, and a repetition gets the same one."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import json
import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
from api_shop import being, served
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, model_serializer
from serving import serving
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from stepwell import (
    END,
    App,
    Document,
    Run,
    Stepwell,
    WebhookEvent,
    WebhookResponse,
    Workflow,
    WorkflowRunner,
    transition,
)
from stepwell.store import deliveries
from stepwell.testing import VirtualClock
from stepwell.triggers import Verifier, github_signature, slack_signature, twilio_signature, webhooks
from stepwell.triggers.answers import LARGEST_ANSWER

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
SECRET = "the secret of the tests"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TWIML = '<?xml version="1.0" encoding="UTF-8"?><Response><Say>Grüß Gott</Say></Response>'
StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


class Note(Workflow[dict[str, Any], None, None]):
    @transition(target=END)
    async def note(self) -> None: ...


class Wait(Workflow[dict[str, Any], None, None]):
    @transition(target=END, wait=True)
    async def come(self) -> None: ...


class Weather(BaseModel):
    city: str
    at: datetime = NOW


def office(handler: Callable[..., Any], verify: Verifier | None = None) -> App:
    app = App("office", workflows=[Note, Wait])
    app.webhook("/in", verify=verify or github_signature(SECRET), name="in")(handler)
    return app


def mounted(stepwell: Stepwell) -> FastAPI:
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    return app


def github(body: str, delivery: str = "d-1") -> dict[str, str]:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    digest = hmac.new(SECRET.encode(), body.encode(), "sha256").hexdigest()
    return {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Delivery": delivery}


async def deliver(client: httpx.AsyncClient, body: str = "{}", delivery: str = "d-1") -> httpx.Response:
    return await client.post("/in", content=body, headers=github(body, delivery))


async def write(stepwell: Stepwell, sql: str, *given: Any) -> None:
    assert stepwell.process is not None
    await stepwell.process.store.writer.call(lambda tx: tx.run(sql, *given))


# -- what is answered -------------------------------------------------------------------------------------------------


async def test_a_slash_command_is_answered_by_what_its_handler_returns(stepwell_of: StepwellOf) -> None:
    """https://docs.slack.dev/interactivity/implementing-slash-commands#responding_to_commands"""

    async def weather(event: WebhookEvent, runner: WorkflowRunner) -> dict[str, Any]:
        await runner.run(Note, {"text": event.form["text"]}, app_name="office", user_id=event.form["user_id"])
        return {"response_type": "in_channel", "text": f"Looking up {event.form['text']} ☂"}

    stepwell = stepwell_of(office(weather, slack_signature(SECRET)), clock=VirtualClock(NOW))
    body = urlencode({"command": "/weather", "text": "94070", "user_id": "U2147483697"})
    signature = hmac.new(SECRET.encode(), f"v0:{STAMP}:{body}".encode(), "sha256").hexdigest()
    headers = {**FORM, "X-Slack-Request-Timestamp": STAMP, "X-Slack-Signature": f"v0={signature}"}
    async with (
        serving(mounted(stepwell)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        for _ in range(2):
            answer = await client.post("/in", content=body, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
            assert answer.json() == {"response_type": "in_channel", "text": "Looking up 94070 ☂"}
        [run] = (await stepwell.runner.list(workflow=Note)).items
        assert (run.args, run.user_id) == ({"text": "94070"}, "U2147483697")


async def test_twiml_is_answered_by_a_plain_function(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    """https://www.twilio.com/docs/voice/twiml#twilio-understands-mime-types"""
    handled: list[str] = []

    def call(event: WebhookEvent) -> WebhookResponse:
        handled.append(event.form["CallSid"])
        return WebhookResponse(TWIML, content_type="text/xml", headers={"X-Turn": "1"})

    stepwell = stepwell_of(office(call, twilio_signature(SECRET)))
    content = "http://localhost/inCallSidCA1"
    signature = b64encode(hmac.new(SECRET.encode(), content.encode(), "sha1").digest()).decode()
    async with client_of(stepwell, mounted(stepwell)) as client:
        for token in ("t-1", "t-1", "t-2"):
            headers = {**FORM, "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": token}
            answer = await client.post("/in", content="CallSid=CA1", headers=headers)
            assert (answer.status_code, answer.text) == (200, TWIML)
            assert answer.headers["content-type"] == "text/xml; charset=utf-8"
            assert (answer.headers["x-turn"], answer.headers["x-content-type-options"]) == ("1", "nosniff")
    assert handled == ["CA1"]


RETURNED: list[Any] = [
    pytest.param("grüß\0", 200, "text/plain; charset=utf-8", "grüß\0".encode(), id="text"),
    pytest.param("", 200, "text/plain; charset=utf-8", b"", id="empty text"),
    pytest.param({"a": [1, None], "ä": UUID(int=1)}, 200, "application/json", None, id="mapping"),
    pytest.param([], 200, "application/json", b"[]", id="list"),
    pytest.param(Weather(city="Köln"), 200, "application/json", None, id="model"),
    pytest.param(b"\0\xff", 200, "application/octet-stream", b"\0\xff", id="bytes"),
    pytest.param(WebhookResponse(status=204), 204, "text/plain; charset=utf-8", b"", id="no content"),
    pytest.param(WebhookResponse({"a": 1}, 410), 410, "application/json", b'{"a":1}', id="gone"),
    pytest.param(WebhookResponse(b"x", content_type="image/png"), 200, "image/png", b"x", id="a type of its own"),
    pytest.param(
        PlainTextResponse("ü", 201, {"X-A": "1"}), 201, "text/plain; charset=utf-8", "ü".encode(), id="Starlette"
    ),
    pytest.param(JSONResponse({"a": 1}), 200, "application/json", b'{"a":1}', id="FastAPI"),
    pytest.param("x" * LARGEST_ANSWER, 200, "text/plain; charset=utf-8", b"x" * LARGEST_ANSWER, id="the largest"),
]


@pytest.mark.parametrize(("returned", "status", "kind", "content"), RETURNED)
async def test_an_answer_comes_back_as_it_was_returned(
    returned: Any, status: int, kind: str, content: bytes | None, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async def handler(event: WebhookEvent) -> Any:
        return returned

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        first, again = [await deliver(client) for _ in range(2)]
        assert (first.status_code, first.headers["content-type"]) == (status, kind)
        if content is not None:
            assert first.content == content
        else:
            plain = returned.model_dump(mode="json") if isinstance(returned, BaseModel) else returned
            assert first.json() == json.loads(json.dumps(plain, default=str))
        assert (again.status_code, again.content, again.headers["content-type"]) == (status, first.content, kind)


@pytest.mark.parametrize("returned", [None, StreamingResponse(iter([])), 7, True, ("a", 1), object(), {1, 2}])
async def test_what_is_no_answer_is_answered_as_before(
    returned: object, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(event: WebhookEvent, runner: WorkflowRunner) -> object:
        await runner.run(Note, {}, app_name="office", user_id="u1")
        return returned

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        answer = await deliver(client)
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        assert len((await stepwell.runner.list(workflow=Note)).items) == 1
    told = f"returned a value of type {type(returned).__name__}, which isn't an answer to the sender"
    assert (told in caplog.text) == (returned is not None)


# -- durable ----------------------------------------------------------------------------------------------------------


async def test_the_same_delivery_again_gets_the_same_answer_in_every_process(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    turns: list[str] = []

    async def count(event: WebhookEvent) -> str:
        turns.append(event.id)
        return f"turn {len(turns)}"

    one, two = stepwell_of(office(count)), stepwell_of(office(count))
    async with client_of(one, mounted(one)) as first, client_of(two, mounted(two)) as second:
        at_once = await asyncio.gather(*(deliver(client) for client in (first, second) * 5))
        forged = await deliver(second, delivery="forged")
        assert {(answer.status_code, answer.text) for answer in (*at_once, forged)} == {(200, "turn 1")}
        assert (await deliver(second, '{"a": 2}', "d-2")).text == "turn 2"
        assert (await deliver(first)).text == "turn 1"
    assert turns == ["d-1", "d-2"]


async def test_a_handler_whose_process_went_away_is_called_again_and_answers(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    begun: list[int] = []

    async def stuck(event: WebhookEvent, runner: WorkflowRunner) -> str:
        run = await runner.run(Note, {}, app_name="office", user_id="u1")
        begun.append(1)
        if len(begun) == 1:
            await asyncio.sleep(3_600)
        return run.workflow_id

    first = stepwell_of(office(stuck), embedded_worker=False)
    async with client_of(first, mounted(first)) as client:
        hanging = asyncio.create_task(deliver(client))
        while not begun:
            await asyncio.sleep(0.01)
    assert (await hanging).status_code == 503
    second = stepwell_of(office(stuck), embedded_worker=False)
    async with client_of(second, mounted(second)) as client:
        answer = await deliver(client)
        [run] = (await second.runner.list(workflow=Note)).items
        assert (answer.status_code, answer.text) == (200, run.workflow_id)


async def test_an_answer_that_takes_too_long_is_given_to_the_repetition(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def slow(event: WebhookEvent) -> str:
        await go_on.wait()
        return "done"

    stepwell = stepwell_of(office(slow))
    async with client_of(stepwell, mounted(stepwell)) as client:
        with monkeypatch.context() as short:
            short.setattr(webhooks, "ANSWER_WITHIN", 0.05)
            answer = await deliver(client)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
            assert "still being handled" in answer.json()["detail"]
        go_on.set()
        for _ in range(2):
            answer = await deliver(client)
            assert (answer.status_code, answer.text) == (200, "done")


async def test_a_handler_that_failed_answers_when_it_succeeds(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    failures = [RuntimeError("not yet")]

    async def handler(event: WebhookEvent) -> str:
        if failures:
            raise failures.pop()
        return "done"

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await deliver(client)).status_code == 500
        assert (await deliver(client)).text == "done"


async def test_the_runs_that_an_answering_handler_started_are_listed_without_reading_its_answer(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    ids = deliveries._ids

    def counted(value: str) -> list[str]:
        read.append(len(value))
        return ids(value)

    async def handler(event: WebhookEvent, runner: WorkflowRunner) -> str:
        for n in range(100):
            await runner.run(Note, {"n": n}, app_name="office", user_id="u1")
        return "]" * LARGEST_ANSWER

    monkeypatch.setattr(deliveries, "_ids", counted)
    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, served(stepwell)) as client:
        assert (await deliver(client)).text == "]" * LARGEST_ANSWER
        runs = (await stepwell.runner.list(workflow=Note, limit=1000)).items
        page = await client.get("/api/v1/deliveries", headers=being("wim", "viewer", everybody=True))
        [delivery] = page.json()["items"]
        assert set(delivery["started"]) == {run.workflow_id for run in runs}
        assert (len(delivery["started"]), delivery["status"]) == (100, "completed")
    assert 0 < max(read) < 10_000


# -- limits and what is stored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: WebhookResponse("x" * (LARGEST_ANSWER + 1)), "The answer has 262,145 bytes; at most 262,144"),
        (lambda: WebhookResponse({"a": float("nan")}), "holds NaN, which isn't JSON"),
        (lambda: WebhookResponse({"a": object()}), "Unable to serialize unknown type"),
        (lambda: WebhookResponse("\ud800"), "surrogates not allowed"),
        (lambda: PlainTextResponse("", headers={f"X-{n}": "" for n in range(21)}), "at most 20, and there are 21"),
        (lambda: Response(background=BackgroundTask(print)), "has a background task, which would be lost in a crash"),
        (lambda: RedirectResponse("/"), "status=307 must be 200 to 299 or 400 to 499"),
        (lambda: WebhookResponse(status=302), "status=302 must be 200 to 299 or 400 to 499"),
        (lambda: WebhookResponse(status=503), "status=503 must be"),
        (lambda: WebhookResponse(headers={"X-A": "a\r\nX-B: b"}), "the value of the header 'X-A' must be Latin-1"),
        (lambda: WebhookResponse(headers={"X A": "a"}), "the header 'X A' must be a name"),
        (lambda: WebhookResponse(headers={"Content-Length": "1"}), "'Content-Length' is set by the server"),
        (lambda: WebhookResponse(headers={f"X-{n}": "" for n in range(21)}), "at most 20"),
        (lambda: WebhookResponse(content_type="text/xml\r\nX-B: b"), "must be a media type"),
    ],
)
async def test_a_response_that_cannot_be_sent_fails_the_handler(
    made: Any, text: str, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(event: WebhookEvent, runner: WorkflowRunner) -> Any:
        await runner.run(Note, {}, app_name="office", user_id="u1")
        return made()

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for _ in range(2):
            answer = await deliver(client)
            assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert len((await stepwell.runner.list(workflow=Note)).items) == 1
    assert text in caplog.text


class Broken(BaseModel):
    city: str = "Köln"

    @model_serializer
    def broken(self) -> dict[str, Any]:
        raise KeyError("country")


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        pytest.param("x" * (LARGEST_ANSWER + 1), "The answer has 262,145 bytes; at most 262,144", id="too large"),
        pytest.param({"a": float("nan")}, "holds NaN, which isn't JSON", id="NaN"),
        pytest.param({"a": object()}, "Unable to serialize unknown type", id="an object"),
        pytest.param("\ud800", "surrogates not allowed", id="a surrogate"),
        pytest.param(CYCLE, "Circular reference", id="a cycle"),
        pytest.param(Broken(), "country", id="a model that can't be serialized"),
    ],
)
async def test_a_plain_value_that_cannot_be_sent_is_told_and_does_not_fail_the_work(
    returned: Any, text: str, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    async def handler(event: WebhookEvent, runner: WorkflowRunner) -> Any:
        calls.append(event.id)
        await runner.run(Note, {}, app_name="office", user_id="u1")
        return returned

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for _ in range(2):
            answer = await deliver(client)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
        assert len((await stepwell.runner.list(workflow=Note)).items) == 1
    assert calls == ["d-1"]
    [line] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert text in line.getMessage()
    assert "the handler of delivery:office:in:d-1 has returned" in line.getMessage()


# -- what the sender mustn't see --------------------------------------------------------------------------------------


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")

    held: Any


@dataclass
class Pair:
    left: Any
    right: int = 1


class Derived(Run):
    pass


class Letter(Document):
    text: str


RETURNS: list[Any] = [
    pytest.param(lambda runner, run, event: runner.get(run.workflow_id), id="get"),
    pytest.param(lambda runner, run, event: runner.list(), id="list"),
    pytest.param(lambda runner, run, event: runner.emit("come", {"secret": "s3"}), id="emit"),
    pytest.param(lambda runner, run, event: runner.cancel(run.workflow_id), id="cancel"),
    pytest.param(lambda runner, run, event: runner.signal(run.workflow_id, "come"), id="signal"),
    pytest.param(lambda runner, run, event: run.get(), id="handle.get"),
    pytest.param(lambda runner, run, event: items(runner), id="a list of runs"),
    pytest.param(lambda runner, run, event: made({"run": run.get()}), id="a mapping"),
    pytest.param(lambda runner, run, event: made([[{"deep": run.get()}]]), id="deep inside"),
    pytest.param(lambda runner, run, event: made(Holder(held=run.get())), id="a field of a model"),
    pytest.param(lambda runner, run, event: made(Holder(held=1, more=run.get())), id="an extra field"),
    pytest.param(lambda runner, run, event: made({"a": Pair(run.get())}), id="a dataclass"),
    pytest.param(lambda runner, run, event: made({"a": (1, run.get())}), id="a tuple"),
    pytest.param(lambda runner, run, event: derived(run), id="a class derived from one"),
    pytest.param(lambda runner, run, event: made({"event": event}), id="the event with its headers"),
]


async def items(runner: WorkflowRunner) -> list[Run]:
    return list((await runner.list()).items)


async def derived(run: Any) -> Derived:
    return Derived.model_construct(**vars(await run.get()))


async def made(value: Any) -> Any:
    """The value, with what is awaited inside of it."""
    match value:
        case dict():
            return {name: await made(one) for name, one in value.items()}
        case list() | tuple():
            return type(value)([await made(one) for one in value])
        case Holder():
            held = {name: await made(one) for name, one in {**vars(value), **(value.__pydantic_extra__ or {})}.items()}
            return Holder.model_construct(**held)
        case Pair():
            return Pair(await made(value.left))
    return await value if inspect.isawaitable(value) else value


@pytest.mark.parametrize("returned", RETURNS)
async def test_stepwells_own_objects_are_never_the_answer_to_a_sender(
    returned: Any, stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(event: WebhookEvent, runner: WorkflowRunner) -> Any:
        run = await runner.run(Wait, {"secret": "s3"}, app_name="office", user_id="the-user", idempotency_key="the-key")
        return await returned(runner, run, event)

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for _ in range(2):
            answer = await deliver(client)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
        assert stepwell.process is not None
        kept = await stepwell.process.store.read(
            lambda tx: tx.scalar("SELECT result FROM stepwell_runs WHERE internal=1")
        )
        assert "answer" not in kept
    assert "of Stepwell's, which isn't sent to the sender" in caplog.text


async def test_an_applications_own_documents_and_parts_of_runs_are_answers(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async def handler(event: WebhookEvent, runner: WorkflowRunner) -> Any:
        run = await runner.run(Note, {}, app_name="office", user_id="u1")
        letter = Letter(text="hello")
        return letter if event.json == {"letter": True} else {"run": run.workflow_id, "letter": letter}

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await deliver(client, '{"letter": true}')).json()["text"] == "hello"
        both = (await deliver(client, "{}", "d-2")).json()
        assert both["letter"]["text"] == "hello"
        assert (await stepwell.runner.get(both["run"])).app_name == "office"


async def test_a_header_that_comes_twice_is_sent_twice(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    async def handler(event: WebhookEvent) -> Response:
        response = PlainTextResponse("hello")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        for _ in range(2):
            answer = await deliver(client)
            client.cookies.clear()
            assert answer.headers.get_list("set-cookie") == ["a=1; Path=/; SameSite=lax", "b=2; Path=/; SameSite=lax"]


async def test_results_of_before_and_results_changed_by_hand_are_answered_as_received(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(event: WebhookEvent) -> str:
        return "answer"

    stepwell = stepwell_of(office(handler))
    async with client_of(stepwell, mounted(stepwell)) as client:
        assert (await deliver(client)).text == "answer"
        for result in ('["01890000"]', "[]", None):
            await write(stepwell, "UPDATE stepwell_runs SET result=? WHERE internal=1", result)
            assert (await deliver(client)).json() == {"received": True}
        assert "can't be read" not in caplog.text
        for result in (
            "{",
            "{}",
            '{"answer": 7}',
            '{"answer": {"status": "x", "headers": [], "content_type": "", "body": ""}}',
        ):
            await write(stepwell, "UPDATE stepwell_runs SET result=? WHERE internal=1", result)
            assert (await deliver(client)).json() == {"received": True}
        assert "the stored answer of a handler can't be read" in caplog.text
        await write(stepwell, "DELETE FROM stepwell_runs WHERE internal=1")
        assert (await deliver(client)).json() == {"received": True}
