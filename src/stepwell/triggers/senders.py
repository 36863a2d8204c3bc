"""Presets of webhook signatures: the signed content, the header, and the delivery id of each sender.

All of them compare in constant time and accept any of several secrets (rotation). Where the sender signs a time stamp,
one that is further than `tolerance` from now, past or future, is refused. An empty secret is a DefinitionError.

Where the id isn't part of what is signed, it only names the delivery: the signed content decides whether it is new.

Sources: docs.stripe.com/webhooks (verify manually), docs.github.com (validating webhook deliveries), docs.slack.dev
(verifying requests from Slack), and the Standard Webhooks specification 1.0. The library `standardwebhooks` takes
neither a clock nor a tolerance; the tests compare with it, and with Stripe's.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final, get_args
from urllib.parse import parse_qsl, urlsplit

from stepwell.definition.values.misfit import shown
from stepwell.triggers.forms import FORM_TYPE, content_type, parse_form
from stepwell.triggers.signatures import (
    BadSignature,
    Claim,
    Delivery,
    DigestAlgorithm,
    Encoding,
    Headers,
    HmacVerifier,
    Secret,
    Verifier,
    base64_faults,
    body_text,
    encoded,
    header_of,
    keys,
    named,
    prefixed,
    refuse,
    seconds,
    secret_faults,
    secrets,
    tolerance_faults,
    unbase64,
)

TOLERANCE: Final = timedelta(minutes=5)


def stripe_signature(secret: Secret, tolerance: timedelta = TOLERANCE) -> Verifier:
    """Return a verifier for Stripe: `Stripe-Signature: t=...,v1=...`, over `t.body`. The delivery is the event's `id`."""
    refuse("stripe_signature", secret_faults(secret) + tolerance_faults(tolerance))

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        text = header_of(headers, "stripe-signature", "Stripe")
        parts = [part.strip().partition("=") for part in text.split(",")]
        stamps = [value for key, _, value in parts if key == "t"]
        signatures = tuple(value for key, _, value in parts if key == "v1")
        if len(stamps) != 1 or not signatures:
            raise BadSignature("Stripe: the header Stripe-Signature must be of the form t=...,v1=...")
        return Claim(encoded(stamps[0]) + b"." + body, signatures, seconds(stamps[0], "Stripe"))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(body_text(body, "id"))

    return HmacVerifier("Stripe", keys(secret), claim, identify, tolerance)


def github_signature(secret: Secret) -> Verifier:
    """Return a verifier for GitHub: `X-Hub-Signature-256: sha256=...`, over the body; the delivery is `X-GitHub-Delivery`.

    GitHub signs neither a time stamp nor the id: a delivery is known by its body, so that the same body under another
    `X-GitHub-Delivery` is the same delivery.
    """
    refuse("github_signature", secret_faults(secret))

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        return Claim(body, prefixed(headers, "x-hub-signature-256", "sha256=", "GitHub"))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(headers.get("x-github-delivery"))

    return HmacVerifier("GitHub", keys(secret), claim, identify, signs_id=False)


def slack_signature(secret: Secret, tolerance: timedelta = TOLERANCE) -> Verifier:
    """Return a verifier for Slack: `X-Slack-Signature: v0=...`, over `v0:timestamp:body`.

    The delivery is the body's `event_id`.

    Slack's test of a new address (`url_verification`) becomes a delivery with its challenge as the answer.
    """
    refuse("slack_signature", secret_faults(secret) + tolerance_faults(tolerance))

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        signatures = prefixed(headers, "x-slack-signature", "v0=", "Slack")
        stamp = header_of(headers, "x-slack-request-timestamp", "Slack")
        return Claim(b"v0:" + encoded(stamp) + b":" + body, signatures, seconds(stamp, "Slack"))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        challenge = body_text(body, "challenge") if body_text(body, "type") == "url_verification" else None
        return Delivery(f"challenge:{challenge}", challenge) if challenge else named(body_text(body, "event_id"))

    return HmacVerifier("Slack", keys(secret), claim, identify, tolerance)


def standard_webhooks(secret: Secret, tolerance: timedelta = TOLERANCE) -> Verifier:
    """Return a verifier for Standard Webhooks: `webhook-signature: v1,...`, over `id.timestamp.body`.

    The delivery is `webhook-id`. Senders that use Svix name the headers `svix-id` and so on; these are taken too.

    The secret is base64, with or without `whsec_` or `v1,whsec_` before it.
    """
    faults = secret_faults(secret)
    refuse("standard_webhooks", (faults or base64_faults(secret)) + tolerance_faults(tolerance))

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        family = _family(headers)
        name, stamp, text = (
            header_of(headers, f"{family}-{part}", scheme) for part in ("id", "timestamp", "signature")
        )
        signatures = tuple(one.removeprefix("v1,").rstrip(",") for one in text.split() if one.startswith("v1,"))
        if not signatures:
            raise BadSignature(f"{scheme}: the header {family}-signature must hold entries of the form v1,...")
        content = encoded(f"{name}.{stamp}.") + body
        return Claim(content, signatures, seconds(stamp, scheme))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(headers.get(f"{_family(headers)}-id"))

    scheme = "Standard Webhooks"
    keys = tuple(unbase64(text) for text in secrets(secret))
    return HmacVerifier(scheme, keys, claim, identify, tolerance, encoding="base64")


def _family(headers: Headers) -> str:
    """Return how the three headers are named. Those of the other name are ignored altogether."""
    return "svix" if "svix-id" in headers and "webhook-id" not in headers else "webhook"


def twilio_signature(secret: Secret) -> Verifier:
    """Return a verifier for Twilio: `X-Twilio-Signature`, by the account's auth token, over the URL and the form.

    Of a body that isn't a form, the URL holds the hash (`bodySHA256`); without it such a body is refused, as it isn't
    signed. The URL must be the one that Twilio called: a proxy has to pass on its host and scheme.

    Twilio signs neither a time stamp nor the id, `I-Twilio-Idempotency-Token`: two requests with equal URL and fields are
    one delivery. Put something into the URL that differs (`?turn=2`) where a call comes to the same step again.

    Source: https://www.twilio.com/docs/usage/security#validating-requests
    """
    refuse("twilio_signature", secret_faults(secret))

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        signature = header_of(headers, "x-twilio-signature", "Twilio")
        try:
            parts = urlsplit(url)
            host = parts.netloc.removesuffix(f":{parts.port}") if parts.port else parts.netloc
            port = parts.port or (443 if parts.scheme == "https" else 80)
            fields = _twilio_fields(headers, body, parts.query)
        except ValueError as error:
            raise BadSignature(f"Twilio: the form or the URL can't be read: {error}") from error
        # Twilio signs some URLs with their port and some without it, and `@` and `:` in a query before they are quoted.
        plain = parts.query.replace("%40", "@").replace("%3A", ":")
        content, *variants = (
            encoded(parts._replace(netloc=netloc, query=query).geturl()) + fields
            for query in dict.fromkeys((parts.query, plain))
            for netloc in (host, f"{host}:{port}")
        )
        return Claim(content, (signature,), variants=tuple(variants))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(headers.get("i-twilio-idempotency-token"))

    return HmacVerifier("Twilio", keys(secret), claim, identify, algorithm="sha1", encoding="base64", signs_id=False)


def _twilio_fields(headers: Headers, body: bytes, query: str) -> bytes:
    """Return what follows the URL in the signed content. Raises BadSignature if the body isn't signed."""
    hashes = [value for name, value in parse_qsl(query) if name == "bodySHA256"]
    if hashes:
        right = encoded(sha256(body).hexdigest())
        if not all(hmac.compare_digest(right, encoded(value.lower())) for value in hashes):
            raise BadSignature("Twilio: the body isn't the one whose hash, bodySHA256, is in the URL.")
        return b""
    if body and content_type(headers) != FORM_TYPE:
        raise BadSignature("Twilio: the body isn't signed: it is no form, and the URL has no bodySHA256.")
    form = parse_form(body)
    return encoded("".join(name + value for name in sorted(form) for value in sorted(set(form.all(name)))))


def shopify_signature(secret: Secret, topics: Sequence[str] | None = None) -> Verifier:
    """Return a verifier for Shopify: `X-Shopify-Hmac-Sha256`, in base64 over the body; the delivery is `X-Shopify-Webhook-Id`.

    Shopify signs neither the id nor the topic: equal bodies are one delivery, whatever their topics are. Where one address
    takes several topics, name them in `topics`: then a body counts once for each of them, and other topics are refused.

    Source: https://shopify.dev/docs/apps/build/webhooks/subscribe/https
    """
    allowed = None if topics is None else frozenset([topics] if isinstance(topics, str) else topics)
    refuse("shopify_signature", secret_faults(secret) + _topic_faults(allowed))

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        signature = header_of(headers, "x-shopify-hmac-sha256", "Shopify")
        if allowed is None:
            return Claim(body, (signature,))
        topic = header_of(headers, "x-shopify-topic", "Shopify")
        if topic not in allowed:
            raise BadSignature(f"Shopify: the topic {topic[:80]!r} isn't one of topics=[{', '.join(sorted(allowed))}].")
        return Claim(body, (signature,), bare=encoded(topic) + b":" + body)

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(headers.get("x-shopify-webhook-id"))

    return HmacVerifier("Shopify", keys(secret), claim, identify, encoding="base64", signs_id=False)


def _topic_faults(topics: frozenset[object] | None) -> list[str]:
    if topics is None or (topics and all(isinstance(one, str) and one.strip() for one in topics)):
        return []
    return [f"topics={sorted(map(str, topics))!r} must name topics, as in ['orders/create', 'orders/paid']."]


def hmac_signature(
    secret: Secret,
    header: str = "X-Signature",
    algorithm: DigestAlgorithm = "sha256",
    encoding: Encoding = "hex",
    prefix: str = "",
    timestamp_header: str | None = None,
    id_header: str | None = None,
    tolerance: timedelta = TOLERANCE,
) -> Verifier:
    """Return a verifier for any other sender: an HMAC in `header`, after `prefix`, over the body.

    The header may hold several, with commas between them, while the sender rotates its secret. With `timestamp_header` it
    is over `timestamp.body`, in seconds since 1970; without it there is no replay window.

    The delivery is `id_header`'s value, or else a hash of the signed content. As that header isn't signed, the content
    decides: with or without `id_header`, equal bodies without a time stamp are one delivery. With a time stamp, they are
    two if they were signed at different times, and come under different ids or without any.
    """
    refuse(
        "hmac_signature",
        secret_faults(secret)
        + tolerance_faults(tolerance)
        + _header_faults(header, timestamp_header, id_header)
        + _choice_faults("algorithm", algorithm, get_args(DigestAlgorithm))
        + _choice_faults("encoding", encoding, get_args(Encoding)),
    )

    def claim(headers: Headers, body: bytes, url: str) -> Claim:
        signatures = prefixed(headers, header.lower(), prefix, "HMAC")
        if timestamp_header is None:
            return Claim(body, signatures)
        stamp = header_of(headers, timestamp_header.lower(), "HMAC")
        return Claim(encoded(stamp) + b"." + body, signatures, seconds(stamp, "HMAC"), body)

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(header_of(headers, id_header.lower(), "HMAC")) if id_header else None

    window = tolerance if timestamp_header else None
    return HmacVerifier("HMAC", keys(secret), claim, identify, window, algorithm, encoding, signs_id=id_header is None)


def _header_faults(header: str, *optional: str | None) -> list[str]:
    names = zip(("header", "timestamp_header", "id_header"), (header, *optional), strict=True)
    return [
        f"{name}={value!r} must name a header, as in 'X-Signature'."
        for name, value in names
        if not value and (value is not None or name == "header")
    ]


def _choice_faults(parameter: str, value: str, choices: tuple[str, ...]) -> list[str]:
    return [] if value in choices else [f"{parameter}={shown(value)} must be one of {', '.join(map(repr, choices))}."]
