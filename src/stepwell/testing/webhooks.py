"""Headers that senders of webhooks would have sent: for tests and demos that post genuinely signed requests."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode
from uuid import uuid4


def sign_stripe(body: str | bytes, secret: str, at: datetime) -> dict[str, str]:
    """Return the headers of a Stripe delivery of `body`, signed at `at` (aware)."""
    signature = hmac.digest(secret.encode(), _stamped(at, body), "sha256").hex()
    return {"Stripe-Signature": f"t={_seconds(at)},v1={signature}"}


def sign_github(body: str | bytes, secret: str, *, delivery: str | None = None, event: str = "push") -> dict[str, str]:
    """Return the headers of a GitHub delivery of `body`; without `delivery` each call makes a new one."""
    return {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or str(uuid4()),
        "X-Hub-Signature-256": f"sha256={hmac.digest(secret.encode(), _raw(body), 'sha256').hex()}",
    }


def sign_slack(body: str | bytes, secret: str, at: datetime) -> dict[str, str]:
    """Return the headers of a Slack request with `body`, signed at `at` (aware)."""
    content = f"v0:{_seconds(at)}:".encode() + _raw(body)
    return {
        "X-Slack-Request-Timestamp": str(_seconds(at)),
        "X-Slack-Signature": f"v0={hmac.digest(secret.encode(), content, 'sha256').hex()}",
    }


def sign_standard(body: str | bytes, secret: str, at: datetime, *, delivery: str | None = None) -> dict[str, str]:
    """Return the headers of a Standard Webhooks delivery; without `delivery` each call makes a new one.

    `secret` is base64, with or without `whsec_` or `v1,whsec_` before it.
    """
    name = delivery or f"msg_{uuid4().hex}"
    text = secret.removeprefix("v1,").removeprefix("whsec_").rstrip("=")
    key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    signature = hmac.digest(key, name.encode() + b"." + _stamped(at, body), "sha256")
    return {
        "webhook-id": name,
        "webhook-timestamp": str(_seconds(at)),
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
    }


def sign_twilio(
    url: str, fields: Mapping[str, str], secret: str, *, delivery: str | None = None
) -> tuple[str, dict[str, str]]:
    """Return the body and the headers of a Twilio request with these form fields to `url`, the full one.

    Without `delivery` each call makes a new idempotency token.
    """
    content = url + "".join(name + fields[name] for name in sorted(fields))
    signature = hmac.digest(secret.encode(), content.encode(), "sha1")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "I-Twilio-Idempotency-Token": delivery or str(uuid4()),
        "X-Twilio-Signature": b64encode(signature).decode(),
    }
    return urlencode(fields), headers


def sign_shopify(
    body: str | bytes, secret: str, *, delivery: str | None = None, topic: str = "orders/create"
) -> dict[str, str]:
    """Return the headers of a Shopify delivery of `body`; without `delivery` each call makes a new one."""
    return {
        "X-Shopify-Topic": topic,
        "X-Shopify-Webhook-Id": delivery or str(uuid4()),
        "X-Shopify-Hmac-Sha256": b64encode(hmac.digest(secret.encode(), _raw(body), "sha256")).decode(),
    }


def sign_hmac(
    body: str | bytes,
    secret: str,
    at: datetime | None = None,
    *,
    header: str = "X-Signature",
    algorithm: str = "sha256",
    encoding: str = "hex",
    prefix: str = "",
    timestamp_header: str | None = None,
) -> dict[str, str]:
    """Return the headers that `hmac_signature` with the same keywords accepts; `timestamp_header` needs `at`."""
    if timestamp_header is not None and at is None:
        raise ValueError(f"sign_hmac(timestamp_header={timestamp_header!r}) needs at=..., the moment of the signature.")
    stamp = {timestamp_header: str(_seconds(at))} if timestamp_header is not None and at is not None else {}
    content = _stamped(at, body) if stamp and at is not None else _raw(body)
    digest = hmac.digest(secret.encode(), content, algorithm)
    return {header: prefix + (digest.hex() if encoding == "hex" else b64encode(digest).decode()), **stamp}


def _stamped(at: datetime, body: str | bytes) -> bytes:
    return f"{_seconds(at)}.".encode() + _raw(body)


def _seconds(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no timezone: give an aware datetime.")
    return int(at.timestamp())


def _raw(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body
