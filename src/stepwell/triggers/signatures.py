"""The presets of webhook signatures: what each sender signs, in which header, and what it calls a delivery.

All of them compare in constant time and accept any of several secrets (rotation). Where the sender signs a time stamp,
one that is further than `tolerance` from now, past or future, is refused. An empty secret is a DefinitionError.

Sources: docs.stripe.com/webhooks (verify manually), docs.github.com (validating webhook deliveries), docs.slack.dev
(verifying requests from Slack), and the Standard Webhooks specification 1.0. The library `standardwebhooks` takes
neither a clock nor a tolerance; the tests compare with it, and with Stripe's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, get_args

from stepwell.triggers.scheme import (
    Algorithm,
    Claim,
    Encoding,
    Headers,
    HmacVerifier,
    Secret,
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
from stepwell.triggers.verify import BadSignature, Delivery, Verifier

TOLERANCE: Final = timedelta(minutes=5)


def stripe_signature(secret: Secret, tolerance: timedelta = TOLERANCE) -> Verifier:
    """Stripe: `Stripe-Signature: t=...,v1=...`, over `t.body`. The delivery is the event's `id`."""
    refuse("stripe_signature", secret_faults(secret) + tolerance_faults(tolerance))

    def claim(headers: Headers, body: bytes) -> Claim:
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
    """GitHub: `X-Hub-Signature-256: sha256=...`, over the body. The delivery is `X-GitHub-Delivery`.

    GitHub sends no time stamp, so there is no replay window: an old delivery is known by its id.
    """
    refuse("github_signature", secret_faults(secret))

    def claim(headers: Headers, body: bytes) -> Claim:
        return Claim(body, (prefixed(headers, "x-hub-signature-256", "sha256=", "GitHub"),))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(headers.get("x-github-delivery"))

    return HmacVerifier("GitHub", keys(secret), claim, identify)


def slack_signature(secret: Secret, tolerance: timedelta = TOLERANCE) -> Verifier:
    """Slack: `X-Slack-Signature: v0=...`, over `v0:timestamp:body`. The delivery is the body's `event_id`.

    Slack's test of a new address (`url_verification`) becomes a delivery with its challenge as the answer.
    """
    refuse("slack_signature", secret_faults(secret) + tolerance_faults(tolerance))

    def claim(headers: Headers, body: bytes) -> Claim:
        signature = prefixed(headers, "x-slack-signature", "v0=", "Slack")
        stamp = header_of(headers, "x-slack-request-timestamp", "Slack")
        return Claim(b"v0:" + encoded(stamp) + b":" + body, (signature,), seconds(stamp, "Slack"))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        challenge = body_text(body, "challenge") if body_text(body, "type") == "url_verification" else None
        return Delivery(f"challenge:{challenge}", challenge) if challenge else named(body_text(body, "event_id"))

    return HmacVerifier("Slack", keys(secret), claim, identify, tolerance)


def standard_webhooks(secret: Secret, tolerance: timedelta = TOLERANCE) -> Verifier:
    """Standard Webhooks: `webhook-signature: v1,...`, over `id.timestamp.body`. The delivery is `webhook-id`.

    The secret is base64, with or without `whsec_` before it.
    """
    faults = secret_faults(secret)
    refuse("standard_webhooks", (faults or base64_faults(secret)) + tolerance_faults(tolerance))

    def claim(headers: Headers, body: bytes) -> Claim:
        name, stamp, text = (header_of(headers, f"webhook-{part}", scheme) for part in ("id", "timestamp", "signature"))
        signatures = tuple(entry.removeprefix("v1,") for entry in text.split() if entry.startswith("v1,"))
        if not signatures:
            raise BadSignature(f"{scheme}: the header webhook-signature must hold entries of the form v1,...")
        content = encoded(f"{name}.{stamp}.") + body
        return Claim(content, signatures, seconds(stamp, scheme))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(headers.get("webhook-id"))

    scheme = "Standard Webhooks"
    keys = tuple(unbase64(text) for text in secrets(secret))
    return HmacVerifier(scheme, keys, claim, identify, tolerance, encoding="base64")


def hmac_signature(
    secret: Secret,
    header: str = "X-Signature",
    algorithm: Algorithm = "sha256",
    encoding: Encoding = "hex",
    prefix: str = "",
    timestamp_header: str | None = None,
    id_header: str | None = None,
    tolerance: timedelta = TOLERANCE,
) -> Verifier:
    """Any other sender: an HMAC in `header`, after `prefix`, over the body.

    With `timestamp_header` it is over `timestamp.body`, in seconds since 1970; without it there is no replay window.

    The delivery is `id_header`'s value. Without it, it is a hash of the signed content: then two equal bodies without a
    time stamp are one delivery.
    """
    refuse(
        "hmac_signature",
        secret_faults(secret)
        + tolerance_faults(tolerance)
        + _header_faults(header, timestamp_header, id_header)
        + _choice_faults("algorithm", algorithm, get_args(Algorithm))
        + _choice_faults("encoding", encoding, get_args(Encoding)),
    )

    def claim(headers: Headers, body: bytes) -> Claim:
        signature = prefixed(headers, header.lower(), prefix, "HMAC")
        if timestamp_header is None:
            return Claim(body, (signature,))
        stamp = header_of(headers, timestamp_header.lower(), "HMAC")
        return Claim(encoded(stamp) + b"." + body, (signature,), seconds(stamp, "HMAC"))

    def identify(headers: Headers, body: bytes) -> Delivery | None:
        return named(header_of(headers, id_header.lower(), "HMAC")) if id_header else None

    window = tolerance if timestamp_header else None
    return HmacVerifier("HMAC", keys(secret), claim, identify, window, algorithm, encoding)


def _header_faults(header: str, *optional: str | None) -> list[str]:
    names = zip(("header", "timestamp_header", "id_header"), (header, *optional), strict=True)
    return [
        f"{name}={value!r} must name a header, as in 'X-Signature'."
        for name, value in names
        if not value and (value is not None or name == "header")
    ]


def _choice_faults(parameter: str, value: str, choices: tuple[str, ...]) -> list[str]:
    return [] if value in choices else [f"{parameter}={value!r} must be one of {', '.join(map(repr, choices))}."]
