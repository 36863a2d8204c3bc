"""Whatever a stranger sends to a verifier, a challenge or a decoder, it is refused by the error that says so."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.errors import InvalidPayload, PayloadTooLarge
from stepwell.triggers import (
    BadSignature,
    WebhookEvent,
    github_signature,
    hmac_signature,
    meta_challenge,
    shopify_signature,
    slack_signature,
    standard_webhooks,
    stripe_signature,
    twilio_signature,
)
from stepwell.triggers.bodies import can_decode, decoded
from stepwell.triggers.challenges import challenge_of

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
SECRET = "c2VjcmV0"
VERIFIERS: dict[str, Any] = {
    "stripe": stripe_signature(SECRET),
    "github": github_signature(SECRET),
    "slack": slack_signature(SECRET),
    "standard": standard_webhooks(SECRET),
    "shopify": shopify_signature(SECRET),
    "shopify with topics": shopify_signature(SECRET, topics=["orders/paid"]),
    "twilio": twilio_signature(SECRET),
    "hmac": hmac_signature(SECRET, prefix="v1,", id_header="X-Id", timestamp_header="X-Time"),
}
NAMES = [
    "stripe-signature", "x-hub-signature-256", "x-github-delivery", "x-slack-signature", "x-slack-request-timestamp",
    "webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature",
    "x-shopify-hmac-sha256", "x-shopify-topic", "x-shopify-webhook-id", "x-twilio-signature",
    "i-twilio-idempotency-token", "x-signature", "x-id", "x-time", "content-type",
]  # fmt: skip

texts = st.text(st.characters(codec=None), max_size=60)
values = st.one_of(
    texts,
    st.sampled_from(["", " ", "v1,", "v0=", "sha256=", f"t={STAMP},v1=0", "v1,a v1,", STAMP, "orders/paid", "9" * 400]),
    st.sampled_from(["application/x-www-form-urlencoded", "application/json", "v1=,v1=,,", "=" * 50]),
)
headers = st.dictionaries(st.sampled_from(NAMES), values)
urls = st.one_of(
    texts,
    st.builds("https://{}/in?{}".format, texts, texts),
    st.sampled_from(
        [
            "",
            "//",
            "http://[::1/in",
            "http://[::1]:80/in",
            "http://a:99999999/in",
            "http://a:b/in",
            "?bodySHA256=",
            "http://:80",
        ]
    ),
)
bodies = st.one_of(st.binary(max_size=80), st.sampled_from([b"a=%ff", b"a=1&" * 10_001, b"[" * 5_000, b"{}", b"\xff"]))


@pytest.mark.parametrize("sender", VERIFIERS)
@settings(max_examples=150)
@given(headers=headers, body=bodies, url=urls)
def test_a_verifier_raises_bad_signature_and_nothing_else(
    sender: str, headers: dict[str, str], body: bytes, url: str
) -> None:
    with pytest.raises(BadSignature):
        VERIFIERS[sender].verify(headers, body, NOW, url=url)


@settings(max_examples=300)
@given(
    body=st.one_of(bodies, bodies.map(gzip.compress)), encoding=st.one_of(texts, st.sampled_from(["gzip", "X-GZIP "]))
)
def test_a_body_is_decoded_up_to_its_limit_or_refused(body: bytes, encoding: str) -> None:
    if not can_decode(encoding):
        return
    try:
        found = decoded(body, encoding, 1_000)
    except (InvalidPayload, PayloadTooLarge):
        return
    assert len(found) <= max(1_000, len(body) if encoding.strip() == "" else 1_000)


@settings(max_examples=300)
@given(body=bodies, kind=values)
def test_a_form_is_read_or_refused(body: bytes, kind: str) -> None:
    event = WebhookEvent("e", {"content-type": kind}, body, NOW)
    for read in ("form", "json"):
        try:
            getattr(event, read)
        except InvalidPayload:
            continue


@settings(max_examples=300)
@given(query=texts, url=urls)
def test_a_challenge_is_read_or_refused_and_never_met_by_guessing(query: str, url: str) -> None:
    request = challenge_of("GET", query, {}, url)
    answered: Any = meta_challenge("a token that is not guessed")(request)
    assert answered is None
