"""Webhooks as senders send them: forms, gzip, several signatures, other names of headers, the URL that was called. Fault 12.

Signatures are computed here as the senders document it, not by the kit.
"""

from __future__ import annotations

import gzip
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI
from serving import serving

from stepwell import App, Stepwell, WebhookEvent
from stepwell.errors import DefinitionError, InvalidPayload
from stepwell.testing import VirtualClock
from stepwell.testing.webhooks import sign_shopify, sign_standard, sign_twilio
from stepwell.triggers import (
    Delivery,
    Verifier,
    github_signature,
    hmac_signature,
    shopify_signature,
    slack_signature,
    standard_webhooks,
    stripe_signature,
    twilio_signature,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
SECRET, OLD = "c2VjcmV0", "b2xkIQ=="
FORM = "application/x-www-form-urlencoded"
TWILIO_TYPE = {"Content-Type": f"{FORM}; charset=utf-8"}
StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]
Headers = dict[str, str]


class Inbox:
    """A Stepwell with one webhook, which keeps the events that it is given."""

    def __init__(self, stepwell_of: StepwellOf, verify: Any, **settings: Any) -> None:
        self.events: list[WebhookEvent] = []
        app = App("office")

        @app.webhook("/in", verify=verify, name="in")
        async def received(event: WebhookEvent) -> None:
            self.events.append(event)

        self.stepwell = stepwell_of(app, clock=VirtualClock(NOW), **settings)
        self.app = FastAPI(lifespan=self.stepwell.lifespan)
        self.stepwell.mount(self.app)

    @property
    def event(self) -> WebhookEvent:
        [event] = self.events
        return event


def hexed(content: str | bytes, secret: str = SECRET, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), content.encode() if isinstance(content, str) else content, algorithm).hexdigest()


def based(content: str | bytes, key: bytes, algorithm: str = "sha256") -> str:
    raw = content.encode() if isinstance(content, str) else content
    return b64encode(hmac.new(key, raw, algorithm).digest()).decode()


def github(body: str | bytes) -> Headers:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    return {"X-Hub-Signature-256": f"sha256={hexed(body)}", "X-GitHub-Delivery": "d-1"}


# -- forms ------------------------------------------------------------------------------------------------------------


async def test_a_form_of_github_has_its_json_in_a_field(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks: `payload=` for the type of forms."""
    inbox = Inbox(stepwell_of, github_signature(SECRET))
    body = urlencode({"payload": json.dumps({"ref": "main", "text": "ä & b=c+"})})
    async with client_of(inbox.stepwell, inbox.app) as client:
        answer = await client.post("/in", content=body, headers={**github(body), "Content-Type": FORM})
        assert answer.status_code == 200
    assert json.loads(inbox.event.form["payload"]) == {"ref": "main", "text": "ä & b=c+"}
    with pytest.raises(
        InvalidPayload, match=r"It is a form: read event\.form.*json\.loads\(event\.form\['payload'\]\)"
    ):
        _ = inbox.event.json


async def test_a_form_of_slack_keeps_empty_fields_and_all_values_of_a_name(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """https://docs.slack.dev/interactivity/implementing-slash-commands"""
    inbox = Inbox(stepwell_of, slack_signature(SECRET))
    body = "command=%2Fweather&text=&tag=a&tag=b+c&%C3%A4=%F0%9F%98%80"
    headers = {
        "X-Slack-Request-Timestamp": STAMP,
        "X-Slack-Signature": f"v0={hexed(f'v0:{STAMP}:{body}')}",
        "Content-Type": "Application/X-WWW-Form-Urlencoded;charset=UTF-8",
    }
    async with client_of(inbox.stepwell, inbox.app) as client:
        assert (await client.post("/in", content=body, headers=headers)).status_code == 200
    form = inbox.event.form
    assert dict(form) == {"command": "/weather", "text": "", "tag": "b c", "ä": "😀"}
    assert (form.all("tag"), form.all("text"), form.all("none"), form.get("none")) == (["a", "b c"], [""], [], None)


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("application/json", b'{"a": 1}', r"isn't a form \(application/json, 8 bytes\): read event.json instead"),
        ("multipart/form-data; boundary=x", b"--x--", r"isn't a form \(multipart/form-data; boundary=x.*event.body"),
        (None, b"a=1", r"isn't a form \(no content type, 3 bytes\): read event.body instead"),
        (FORM, b"a=\xff", "can't be read"),
        (FORM, b"a=%ff", "can't be read"),
        (FORM, b"a=1&" * 10_001, "can't be read"),
    ],
)
def test_a_body_that_is_no_form_says_so(kind: str | None, body: bytes, text: str) -> None:
    event = WebhookEvent("e", {} if kind is None else {"Content-Type": kind}, body, NOW)
    with pytest.raises(InvalidPayload, match=text):
        _ = event.form


def test_an_event_comes_back_from_json_with_its_url_and_one_of_before_without() -> None:
    event = WebhookEvent("e", {"content-type": FORM}, b"a=1", NOW, "https://a.example/in?x=1")
    stored = json.loads(json.dumps(event.to_json()))
    assert WebhookEvent.from_json(stored) == event
    del stored["url"]
    assert WebhookEvent.from_json(stored).url == ""
    assert dict(event.form) == {"a": "1"}
    assert dict(WebhookEvent("e", {"content-type": FORM}, b"", NOW).form) == {}


# -- gzip -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", ["the body before it is compressed", "what is sent"])
async def test_a_gzip_body_is_inflated_whatever_of_it_is_signed(
    signed: str, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """Stream signs the uncompressed body (https://getstream.io/chat/docs/node/webhooks_overview/); others what they send."""
    inbox = Inbox(stepwell_of, github_signature(SECRET))
    body = json.dumps({"name": "a" * 10_000}).encode()
    sent = gzip.compress(body)
    headers = {**github(body if signed.startswith("the body") else sent), "Content-Encoding": "GZip"}
    async with client_of(inbox.stepwell, inbox.app) as client:
        for _ in range(2):
            assert (await client.post("/in", content=sent, headers=headers)).status_code == 200
        forged = {**headers, "X-GitHub-Delivery": "d-2"}
        assert (await client.post("/in", content=sent, headers=forged)).status_code == 200
        wrong = await client.post("/in", content=gzip.compress(body + b" "), headers=headers)
        assert wrong.status_code == 401
    assert (inbox.event.body, inbox.event.json["name"]) == (body, "a" * 10_000)
    assert "content-encoding" not in inbox.event.headers


async def test_a_captured_request_that_is_compressed_otherwise_is_known(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    inbox = Inbox(stepwell_of, github_signature(SECRET))
    body = b'{"a": 1}'
    async with client_of(inbox.stepwell, inbox.app) as client:
        assert (await client.post("/in", content=body, headers=github(body))).status_code == 200
        for level in (1, 9):
            headers = {**github(body), "Content-Encoding": "gzip", "X-GitHub-Delivery": f"forged-{level}"}
            sent = gzip.compress(body, level)
            assert (await client.post("/in", content=sent, headers=headers)).status_code == 200
    assert inbox.event.id == "d-1"


async def test_the_limit_holds_for_the_inflated_size(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    inbox = Inbox(stepwell_of, github_signature(SECRET), max_webhook_bytes=100_000)
    gzipped = {"Content-Encoding": "gzip"}
    bombs = [b"\0" * 100_001, b"\0" * 200_000_000]
    async with client_of(inbox.stepwell, inbox.app) as client:
        for bomb in bombs:
            sent = gzip.compress(bomb)
            assert len(sent) < 1_000_000
            several = gzip.compress(b"\0" * 60_000) * 2
            for content in (sent[:100_000] if len(sent) > 100_000 else sent, several):
                answer = await client.post("/in", content=content, headers={**github(bomb), **gzipped})
                assert answer.status_code == 413, answer.text
                assert answer.json()["detail"] == "The body is larger than 100,000 bytes, the limit of this webhook."
        most = b"\0" * 100_000
        answer = await client.post("/in", content=gzip.compress(most), headers={**github(most), **gzipped})
        assert answer.status_code == 200
    assert inbox.event.body == most


async def test_an_encoding_that_is_not_known_is_415_and_a_broken_one_400(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    inbox = Inbox(stepwell_of, github_signature(SECRET))
    good = gzip.compress(b"{}")
    async with client_of(inbox.stepwell, inbox.app) as client:
        for encoding in ("br", "deflate", "zstd", "gzip, gzip", "\u00fc"):
            headers = {**github(b"{}"), "Content-Encoding": encoding}
            encoded = {name: value.encode() for name, value in headers.items()}
            answer = await client.post("/in", content=good, headers=encoded)
            assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip"), encoding
            assert "Content-Encoding" in answer.json()["detail"]
        for broken in (b"{}", b"", good[:-1], good[:12], good + b"more", good * 17):
            headers = {**github(b"{}"), "Content-Encoding": "gzip"}
            answer = await client.post("/in", content=broken, headers=headers)
            assert answer.status_code == 400, broken
            assert "isn't gzip" in answer.json()["detail"]
        headers = {**github(b"{}"), "Content-Encoding": "identity"}
        assert (await client.post("/in", content=b"{}", headers=headers)).status_code == 200
    assert inbox.event.body == b"{}"


# -- several signatures, other names, other secrets -------------------------------------------------------------------

BODY = json.dumps({"id": "evt_1", "event_id": "Ev1"})


def stripe(*secrets: str) -> Headers:
    """https://docs.stripe.com/webhooks#verify-manually: one `v1=` for each active secret."""
    return {"Stripe-Signature": ",".join([f"t={STAMP}", *(f"v1={hexed(f'{STAMP}.{BODY}', one)}" for one in secrets)])}


def slack(*secrets: str) -> Headers:
    content = f"v0:{STAMP}:{BODY}"
    return {
        "X-Slack-Request-Timestamp": STAMP,
        "X-Slack-Signature": ",".join(f"v0={hexed(content, one)}" for one in secrets),
    }


def standard(*secrets: str, family: str = "webhook") -> Headers:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: space delimited."""
    content = f"msg_1.{STAMP}.{BODY}"
    signatures = " ".join(f"v1,{based(content, b64decode(one))}" for one in secrets)
    return {f"{family}-id": "msg_1", f"{family}-timestamp": STAMP, f"{family}-signature": signatures}


def svix(*secrets: str) -> Headers:
    """https://docs.svix.com/receiving/verifying-payloads/how-manual"""
    return standard(*secrets, family="svix")


def plain(*secrets: str) -> Headers:
    return {"X-Signature": ",".join(hexed(BODY, one) for one in secrets)}


def prefixed(*secrets: str) -> Headers:
    return {"X-Signature": ", ".join(f"sha256={hexed(BODY, one)}" for one in secrets)}


def with_comma(*secrets: str) -> Headers:
    return {"X-Signature": " ".join(f"v1,{hexed(BODY, one)}" for one in secrets)}


def hub(*secrets: str) -> Headers:
    return {"X-Hub-Signature-256": ",".join(f"sha256={hexed(BODY, one)}" for one in secrets)}


@pytest.mark.parametrize(
    ("preset", "options", "sign"),
    [
        pytest.param(stripe_signature, {}, stripe, id="stripe"),
        pytest.param(slack_signature, {}, slack, id="slack"),
        pytest.param(standard_webhooks, {}, standard, id="standard"),
        pytest.param(standard_webhooks, {}, svix, id="svix"),
        pytest.param(github_signature, {}, hub, id="github"),
        pytest.param(hmac_signature, {}, plain, id="hmac"),
        pytest.param(hmac_signature, {"prefix": "sha256="}, prefixed, id="hmac with prefix"),
        pytest.param(hmac_signature, {"prefix": "v1,"}, with_comma, id="hmac with a comma in its prefix"),
    ],
)
async def test_several_signatures_in_one_header_while_the_sender_rotates(
    preset: Any, options: dict[str, Any], sign: Any, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    inbox = Inbox(stepwell_of, preset(secret=SECRET, **options))
    async with client_of(inbox.stepwell, inbox.app) as client:
        for secrets, status in (
            (("d3Jvbmch",), 401),
            (("d3Jvbmch", OLD), 401),
            ((SECRET,), 200),
            ((OLD, SECRET), 200),
            ((SECRET, OLD), 200),
        ):
            answer = await client.post("/in", content=BODY, headers=sign(*secrets))
            assert answer.status_code == status, (secrets, answer.text)
    assert len(inbox.events) == 1


async def test_the_two_names_of_the_standards_headers_are_not_mixed(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    inbox = Inbox(stepwell_of, standard_webhooks(SECRET))
    both = {**svix(SECRET), **standard(SECRET)}
    async with client_of(inbox.stepwell, inbox.app) as client:
        for headers, status in (
            ({**both, "webhook-id": "msg_2"}, 401),
            ({name: value for name, value in both.items() if name != "webhook-signature"}, 401),
            ({**both, "svix-id": "msg_2"}, 200),
        ):
            assert (await client.post("/in", content=BODY, headers=headers)).status_code == status
    assert inbox.event.id == "msg_1"


@pytest.mark.parametrize("written", ["v1,whsec_c2VjcmV0", "whsec_c2VjcmV0", "c2VjcmV0"])
async def test_a_secret_of_the_standard_as_any_sender_shows_it(
    written: str, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """https://supabase.com/docs/guides/auth/auth-hooks shows `v1,whsec_...`."""
    inbox = Inbox(stepwell_of, standard_webhooks(written))
    async with client_of(inbox.stepwell, inbox.app) as client:
        assert (await client.post("/in", content=BODY, headers=standard(SECRET))).status_code == 200
    kit = sign_standard(BODY, written, NOW, delivery="msg_1")
    assert kit["webhook-signature"] == standard(SECRET)["webhook-signature"]


# -- the URL ----------------------------------------------------------------------------------------------------------


def twilio(url: str, fields: list[tuple[str, str]], token: str = SECRET) -> str:
    """https://www.twilio.com/docs/usage/security#validating-requests"""
    values: dict[str, set[str]] = {}
    for name, value in fields:
        values.setdefault(name, set()).add(value)
    content = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return based(content, token.encode(), "sha1")


FIELDS = [("To", "+18005551212"), ("Body", "Hi + ä&="), ("Empty", ""), ("Media", "b"), ("Media", "a"), ("Media", "a")]


def test_twilios_documented_example() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url, expected = "https://mycompany.com/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert twilio(url, list(fields.items()), "12345") == expected
    verifier: Any = twilio_signature("12345")
    headers = {"X-Twilio-Signature": expected, "Content-Type": FORM}
    assert verifier.verify(headers, urlencode(fields).encode(), NOW, url=url).id.startswith("sha256:")
    body, kit = sign_twilio(url, fields, "12345", delivery="t-1")
    assert kit["X-Twilio-Signature"] == expected
    assert verifier.verify(kit, body.encode(), NOW, url=url).id == "t-1"


async def test_twilio_signs_the_url_and_the_form(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    inbox = Inbox(stepwell_of, twilio_signature([OLD, SECRET]))
    url = "http://localhost/in?step=%C3%A4+b%2Fc&empty="
    right = {"X-Twilio-Signature": twilio(url, FIELDS), "I-Twilio-Idempotency-Token": "t-1", **TWILIO_TYPE}
    path, body = url.removeprefix("http://localhost"), urlencode(FIELDS)
    async with client_of(inbox.stepwell, inbox.app) as client:
        for what, to, content, headers, status in (
            ("right", path, body, right, 200),
            ("again", path, body, right, 200),
            ("under another token", path, body, {**right, "I-Twilio-Idempotency-Token": "t-2"}, 200),
            ("without a token", path, body, {k: v for k, v in right.items() if k[0] != "I"}, 200),
            ("another URL", f"{path}x", body, right, 401),
            ("no query", "/in", body, right, 401),
            ("another field", path, f"{body}&More=1", right, 401),
            ("another value", path, body.replace("1212", "1213"), right, 401),
            ("no form", path, body, {**right, "Content-Type": "text/plain"}, 401),
            ("by another host", path, body, {**right, "Host": "evil.example"}, 401),
            ("not in UTF-8", path, "a=%ff", right, 401),
            ("unsigned", path, body, TWILIO_TYPE, 401),
        ):
            answer = await client.post(to, content=content, headers=headers)
            assert answer.status_code == status, what
    assert inbox.event.form.all("Media") == ["b", "a", "a"]
    assert inbox.event.url == url


async def test_twilio_signs_some_urls_with_their_port_and_some_without(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    inbox = Inbox(stepwell_of, twilio_signature(SECRET))
    async with client_of(inbox.stepwell, inbox.app) as client:
        for number, (host, signed) in enumerate(
            (
                ("a.example", "http://a.example/in"),
                ("a.example", "http://a.example:80/in"),
                ("a.example:8080", "http://a.example:8080/in"),
                ("a.example:8080", "http://a.example/in"),
            )
        ):
            fields = [("n", str(number))]
            headers = {"X-Twilio-Signature": twilio(signed, fields), "Host": host, **TWILIO_TYPE}
            answer = await client.post("/in", content=urlencode(fields), headers=headers)
            assert answer.status_code == 200, (host, signed)
        headers = {"X-Twilio-Signature": twilio("http://a.example:81/in", []), "Host": "a.example", **TWILIO_TYPE}
        assert (await client.post("/in", headers=headers)).status_code == 401
        # A caller's SIP address is quoted after the URL was signed (github.com/twilio/twilio-node, issue 621).
        for signed, status in (
            ("?to=sip:1@b.example", 200),
            ("?to=sip%3A1%40b.example", 200),
            ("?to=sip:2@b.example", 401),
        ):
            headers = {
                "X-Twilio-Signature": twilio(f"http://a.example/in{signed}", []),
                "Host": "a.example",
                **TWILIO_TYPE,
            }
            answer = await client.post("/in?to=sip%3A1%40b.example", headers=headers)
            assert answer.status_code == status, signed
    assert len(inbox.events) == 5, "the last two that are right are one delivery"


async def test_twilio_signs_the_hash_of_a_json_body_in_the_url(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    inbox = Inbox(stepwell_of, twilio_signature(SECRET))
    body = b'{"a": 1}'
    path = f"/in?bodySHA256={sha256(body).hexdigest()}"
    signed = {"X-Twilio-Signature": twilio(f"http://localhost{path}", [])}
    bare = {"X-Twilio-Signature": twilio("http://localhost/in", [])}
    async with client_of(inbox.stepwell, inbox.app) as client:
        for what, to, content, headers, status in (
            ("another body", path, b'{"a": 2}', {**signed, "Content-Type": "application/json"}, 401),
            ("as a form without fields", path, b"", {**signed, **TWILIO_TYPE}, 401),
            ("without its hash", "/in", body, {**bare, "Content-Type": "application/json"}, 401),
            ("with two hashes", f"{path}&bodySHA256=0", body, {**signed, "Content-Type": "application/json"}, 401),
            ("right", path, body, {**signed, "Content-Type": "application/json"}, 200),
        ):
            assert (await client.post(to, content=content, headers=headers)).status_code == status, what
    assert inbox.event.json == {"a": 1}


async def test_the_url_is_the_one_that_the_sender_called_behind_a_proxy(stepwell_of: StepwellOf) -> None:
    """The proxy has taken TLS and a prefix away; it passes on Host and X-Forwarded-Proto, as uvicorn expects."""
    seen: list[str] = []

    class Seeing:
        def verify(self, headers: Any, body: bytes, now: datetime, url: str) -> Delivery:
            seen.append(url)
            return Delivery(f"d-{len(seen)}")

    for options in ({"root_path": "/shop"}, {"root_path": "/shop/"}, {}):
        inbox = Inbox(stepwell_of, Seeing())
        async with (
            serving(inbox.app, **options) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            headers = {"Host": "shop.example", "X-Forwarded-Proto": "https"}
            assert (await client.post("/in?a=%20b+c", content=b"x", headers=headers)).status_code == 200
            assert inbox.event.url == seen[-1]
    assert seen == ["https://shop.example/shop/in?a=%20b+c"] * 2 + ["https://shop.example/in?a=%20b+c"]


async def test_the_url_holds_the_path_at_which_the_application_is_mounted(stepwell_of: StepwellOf) -> None:
    inbox = Inbox(stepwell_of, twilio_signature(SECRET))
    host = FastAPI(lifespan=inbox.stepwell.lifespan)
    host.mount("/shop", inbox.app)
    url = "https://shop.example/outer/shop/in?a=1"
    headers = {"X-Twilio-Signature": twilio(url, FIELDS), "Host": "shop.example", **TWILIO_TYPE}
    transport = httpx.ASGITransport(host, root_path="/outer")
    async with (
        inbox.stepwell.lifespan(host),
        httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client,
    ):
        for path, status in (("/outer/shop/in?a=1", 200), ("/outer/shop/in?a=2", 401)):
            assert (await client.post(path, content=urlencode(FIELDS), headers=headers)).status_code == status, path
    assert inbox.event.url == url


async def test_a_digest_that_cannot_be_stored_is_refused(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    class Odd:
        def verify(self, headers: Any, body: bytes, now: datetime) -> Delivery:
            return Delivery("d-1", digest=body.decode(), stamp=headers.get("x-time", ""))

    inbox = Inbox(stepwell_of, Odd())
    async with client_of(inbox.stepwell, inbox.app) as client:
        for body, stamp, status in (("a\0", "", 400), ("a" * 256, "", 400), ("a", "1" * 256, 400), ("a", "1", 200)):
            assert (await client.post("/in", content=body, headers={"X-Time": stamp})).status_code == status


async def test_a_verifier_of_ones_own_is_given_the_url_only_if_it_asks(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    class Three:
        def verify(self, headers: Any, body: bytes, now: datetime) -> Delivery:
            return Delivery("d-1")

    inbox = Inbox(stepwell_of, Three())
    async with client_of(inbox.stepwell, inbox.app) as client:
        assert (await client.post("/in", content=b"x")).status_code == 200


# -- Shopify ----------------------------------------------------------------------------------------------------------


def shopify(body: str, delivery: str, topic: str = "orders/create") -> Headers:
    """https://shopify.dev/docs/apps/build/webhooks/subscribe/https: base64 of the HMAC of the body."""
    signature = based(body, SECRET.encode())
    return {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Webhook-Id": delivery, "X-Shopify-Topic": topic}


async def test_shopify_signs_the_body_in_base64(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    inbox = Inbox(stepwell_of, shopify_signature(SECRET))
    async with client_of(inbox.stepwell, inbox.app) as client:
        right = shopify(BODY, "w-1")
        hexadecimal = {**right, "X-Shopify-Hmac-Sha256": hexed(BODY)}
        for headers, status in ((hexadecimal, 401), (right, 200), (shopify(BODY, "forged", "orders/paid"), 200)):
            assert (await client.post("/in", content=BODY, headers=headers)).status_code == status
        assert (await client.post("/in", content=BODY + " ", headers=right)).status_code == 401
    assert inbox.event.id == "w-1"
    assert sign_shopify(BODY, SECRET, delivery="w-1") == right


async def test_a_body_of_shopify_counts_once_for_each_topic_that_is_named(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    """An order that is created and paid at once has the same body twice, and the topic isn't signed."""
    inbox = Inbox(stepwell_of, shopify_signature(SECRET, topics=["orders/create", "orders/paid"]))
    async with client_of(inbox.stepwell, inbox.app) as client:
        for delivery, topic, status in (
            ("w-1", "orders/create", 200),
            ("w-2", "orders/paid", 200),
            ("forged-1", "orders/paid", 200),
            ("forged-2", "orders/create", 200),
            ("forged-3", "orders/deleted", 401),
        ):
            answer = await client.post("/in", content=BODY, headers=shopify(BODY, delivery, topic))
            assert answer.status_code == status
    assert [event.id for event in inbox.events] == ["w-1", "w-2"]


@pytest.mark.parametrize("preset", [twilio_signature, shopify_signature])
def test_an_empty_secret_of_the_new_presets_is_a_definition_error(preset: Callable[..., Verifier]) -> None:
    with pytest.raises(DefinitionError, match="the secret is empty"):
        preset("")
    for topics in ([], [""], [7]):
        with pytest.raises(DefinitionError, match="topics="):
            shopify_signature(SECRET, topics=topics)  # type: ignore[arg-type]
