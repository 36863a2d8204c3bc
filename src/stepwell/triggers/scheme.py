"""What all signature schemes share: an HMAC over the raw body, several secrets, a replay window, a delivery id."""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from stepwell.errors import DefinitionError
from stepwell.triggers.verify import BadSignature, Delivery, lower_headers

Secret: TypeAlias = str | Sequence[str]
Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]
Headers: TypeAlias = Mapping[str, str]

LONGEST_ID: Final = 255

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about itself, before anything is believed."""

    content: bytes
    """What must have been signed."""
    signatures: tuple[str, ...]
    """Any of them may be the right one."""
    sent_at: int | None = None
    """Seconds since 1970; None if the scheme has no time stamp."""


@dataclass(frozen=True, slots=True)
class HmacVerifier:
    """One scheme with its secrets: `claim` reads a request, `identify` names the delivery once it is believed."""

    scheme: str
    keys: tuple[bytes, ...] = field(repr=False)
    claim: Callable[[Headers, bytes], Claim] = field(repr=False)
    identify: Callable[[Headers, bytes], Delivery | None] = field(repr=False)
    tolerance: timedelta | None = None
    """None: the scheme has no time stamp, so there is no replay window."""
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"

    def verify(self, headers: Headers, body: bytes, now: datetime) -> Delivery:
        """The delivery, if one of the secrets signed exactly this body, recently. Else raises BadSignature."""
        known = lower_headers(headers)
        claim = self.claim(known, body)
        if not any(self._signed(key, claim) for key in self.keys):
            raise BadSignature(f"{self.scheme}: no signature fits the body; check the secret.")
        self._check_time(claim, now)
        delivery = self.identify(known, body) or Delivery(_digest(claim.content))
        return delivery if len(delivery.id) <= LONGEST_ID else replace(delivery, id=_digest(encoded(delivery.id)))

    def _signed(self, key: bytes, claim: Claim) -> bool:
        digest = hmac.digest(key, claim.content, self.algorithm)
        right = digest.hex() if self.encoding == "hex" else b64encode(digest).decode()
        given = (text.lower() if self.encoding == "hex" else text for text in claim.signatures)
        return any(hmac.compare_digest(encoded(right), encoded(text)) for text in given)

    def _check_time(self, claim: Claim, now: datetime) -> None:
        if claim.sent_at is None or self.tolerance is None:
            return
        age = now.timestamp() - claim.sent_at
        if abs(age) > self.tolerance.total_seconds():
            when = f"{age:.0f} s ago" if age > 0 else f"{-age:.0f} s in the future"
            raise BadSignature(f"{self.scheme}: signed {when}, and {self.tolerance} is allowed; check the clocks.")


def header_of(headers: Headers, name: str, scheme: str) -> str:
    value = headers.get(name)
    if not value:
        raise BadSignature(f"{scheme}: the header {name} is missing.")
    return value


def prefixed(headers: Headers, name: str, prefix: str, scheme: str) -> str:
    value = header_of(headers, name, scheme).strip()
    if not value.startswith(prefix):
        raise BadSignature(f"{scheme}: the header {name} must begin with {prefix!r}.")
    return value.removeprefix(prefix)


def seconds(text: str, scheme: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise BadSignature(f"{scheme}: the time stamp {text[:40]!r} must be seconds since 1970.")
    return int(text)


def body_text(body: bytes, key: str) -> str | None:
    """The text at the top of a JSON body; None if there isn't any."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None


def named(name: str | None) -> Delivery | None:
    return Delivery(name) if name else None


def encoded(text: str) -> bytes:
    """The text as bytes; what can't be encoded becomes a question mark, so that it fits no signature."""
    return text.encode(errors="replace")


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def secrets(secret: Secret) -> tuple[str, ...]:
    return (secret,) if isinstance(secret, str) else tuple(secret)


def keys(secret: Secret) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in secrets(secret))


def unbase64(secret: str) -> bytes:
    text = secret.removeprefix("whsec_").rstrip("=")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def refuse(preset: str, faults: list[str]) -> None:
    if faults:
        raise DefinitionError(f"{preset}(...)", faults)


def secret_faults(secret: object) -> list[str]:
    """Without the secret itself: a definition error is printed and logged."""
    if isinstance(secret, (str, list, tuple)):
        entries = [secret] if isinstance(secret, str) else list(secret)
        if entries and all(isinstance(entry, str) and entry.strip() for entry in entries):
            return []
        if all(isinstance(entry, str) for entry in entries):
            return ["the secret is empty: anybody could sign. Is its environment variable set?"]
    return ["the secret must be a string, or a list of strings while it is rotated."]


def base64_faults(secret: Secret) -> list[str]:
    faults = []
    for number, text in enumerate(secrets(secret), 1):
        try:
            empty = not unbase64(text)
        except (Base64Error, ValueError):
            faults.append(f"secret {number} isn't base64: give it as the sender shows it, as in 'whsec_...'.")
        else:
            faults += ["the secret is empty: anybody could sign."] if empty else []
    return faults


def tolerance_faults(tolerance: object) -> list[str]:
    if isinstance(tolerance, timedelta) and tolerance > timedelta(0):
        return []
    return [f"tolerance={tolerance!r} must be a timedelta above zero, as in timedelta(minutes=5)."]
