"""Signatures of webhooks: what a verifier is, and the HMAC of a request as most senders make it."""

from __future__ import annotations

import hmac
import inspect
import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

from stepwell.errors import BadSignature, DefinitionError

__all__ = ["BadSignature", "Delivery", "Verifier", "lower_headers"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that its sender has signed."""

    id: str
    """The same for every repetition of this delivery; at most 255 characters."""
    answer: str | None = None
    """Answer with this text at once and call no handler: the sender only tests the address."""
    digest: str | None = None
    """A digest of the signed content without its time stamp, if the id isn't signed; at most 255 characters. None: the
    id is signed.

    With a digest, known content is the same delivery whatever its id is, and other content under a known id is another.
    """
    stamp: str = ""
    """The signed time stamp, if there is one and the id isn't signed. Equal content that was signed at another time is
    the same delivery only under the same id: the sender's retry."""


@runtime_checkable
class Verifier(Protocol):
    """The scheme and the secrets of one sender."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
        """Return the delivery if one of the secrets signed exactly this body, recently. Raises BadSignature and nothing else.

        `headers` in any case, `body` as received (without its `Content-Encoding`), `now` aware. A `verify` that has a
        parameter `url` too is given the URL that the sender called, in full: a `UrlVerifier`. It is called in a thread, a
        few times at once: `limited_calls.py`.
        """
        ...


class UrlVerifier(Protocol):
    """A verifier of a sender that signs the URL."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime, url: str) -> Delivery:
        """Return the delivery as `Verifier.verify` does. `url` is the one that the sender called, as far as it is known here:
        behind a proxy, its scheme and host are those that the proxy has passed on."""
        ...


def takes_url(verifier: Verifier | UrlVerifier) -> bool:
    """Return whether its `verify` declares a parameter `url`, itself or in the function that it wraps and passes it on to."""
    try:
        outer = inspect.signature(verifier.verify, follow_wrapped=False).parameters
        declared = inspect.signature(verifier.verify).parameters
    except (TypeError, ValueError):  # it isn't written in Python
        return False
    passed_on = any(one.kind is one.VAR_KEYWORD for one in outer.values())
    return "url" in outer or (passed_on and "url" in declared)


def lower_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers by lower-case name; one that came several times is joined with ", "."""
    joined: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


Secret: TypeAlias = str | Sequence[str]
DigestAlgorithm = Literal["sha1", "sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]
Headers: TypeAlias = Mapping[str, str]

LONGEST_ID: Final = 255

_SEPARATOR: Final = re.compile(r"[,\s]+")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Claim:
    """The claims of a request about itself, not yet verified."""

    content: bytes
    """The signed content."""
    signatures: tuple[str, ...]
    """Any of them may be the right one."""
    sent_at: int | None = None
    """Seconds since 1970; None if the scheme has no time stamp."""
    bare: bytes | None = None
    """The content that the delivery is known by, where the id isn't signed: without the time stamp, for example."""
    variants: tuple[bytes, ...] = ()
    """Other forms of the content that the sender may have signed instead."""


@dataclass(frozen=True, slots=True)
class HmacVerifier:
    """One scheme with its secrets: `claim` reads a request, `identify` names the delivery once it is believed."""

    scheme: str
    keys: tuple[bytes, ...] = field(repr=False)
    claim: Callable[[Headers, bytes, str], Claim] = field(repr=False)
    identify: Callable[[Headers, bytes], Delivery | None] = field(repr=False)
    tolerance: timedelta | None = None
    """None: the scheme has no time stamp, so there is no replay window."""
    algorithm: DigestAlgorithm = "sha256"
    encoding: Encoding = "hex"
    signs_id: bool = True
    """False: the id is outside of what is signed, so that a client that has seen a request can change it."""

    def verify(self, headers: Headers, body: bytes, now: datetime, url: str = "") -> Delivery:
        """Return the delivery, if one of the secrets signed exactly this body, recently. Else raises BadSignature."""
        known = lower_headers(headers)
        claim = self.claim(known, body, url)
        if not any(self._signed(key, claim) for key in self.keys):
            raise BadSignature(f"{self.scheme}: no signature matches the body; check the secret.")
        self._check_time(claim, now)
        delivery = self.identify(known, body) or Delivery(digest_of(claim.content))
        if len(delivery.id) > LONGEST_ID:
            delivery = replace(delivery, id=digest_of(encoded(delivery.id)))
        return delivery if self.signs_id else self._bound(delivery, claim)

    @staticmethod
    def _bound(delivery: Delivery, claim: Claim) -> Delivery:
        """Return the delivery bound to its content, by which it is known whatever its id is."""
        content = claim.content if claim.bare is None else claim.bare
        stamp = "" if claim.sent_at is None else str(claim.sent_at)
        return replace(delivery, digest=digest_of(content), stamp=stamp)

    def _signed(self, key: bytes, claim: Claim) -> bool:
        given = [encoded(text.lower() if self.encoding == "hex" else text) for text in claim.signatures]
        rights = [encoded(self._signature(key, content)) for content in (claim.content, *claim.variants)]
        return any(hmac.compare_digest(right, text) for right in rights for text in given)

    def _signature(self, key: bytes, content: bytes) -> str:
        digest = hmac.digest(key, content, self.algorithm)
        return digest.hex() if self.encoding == "hex" else b64encode(digest).decode()

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


def prefixed(headers: Headers, name: str, prefix: str, scheme: str) -> tuple[str, ...]:
    """Return the signatures in a header: one, or several with commas or spaces between them, each after the prefix."""
    value = header_of(headers, name, scheme).strip()
    entries = (value, *value.split(), *_SEPARATOR.split(value))  # the prefix itself may hold a comma
    found = tuple(one.removeprefix(prefix) for one in entries if one.startswith(prefix))
    if not found:
        raise BadSignature(f"{scheme}: the header {name} must begin with {prefix!r}.")
    return found


def seconds(text: str, scheme: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise BadSignature(f"{scheme}: the time stamp {text[:40]!r} must be seconds since 1970.")
    return int(text)


def body_text(body: bytes, key: str) -> str | None:
    """Return the text at the top of a JSON body; None if there isn't any."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None


def named(name: str | None) -> Delivery | None:
    return Delivery(name) if name else None


def encoded(text: str) -> bytes:
    """Return the text as bytes; what can't be encoded becomes a question mark, so that it fits no signature."""
    return text.encode(errors="replace")


def digest_of(content: bytes) -> str:
    """Return the name of the content."""
    return f"sha256:{sha256(content).hexdigest()}"


def secrets(secret: Secret) -> tuple[str, ...]:
    return (secret,) if isinstance(secret, str) else tuple(secret)


def keys(secret: Secret) -> tuple[bytes, ...]:
    return tuple(text.encode() for text in secrets(secret))


def unbase64(secret: str) -> bytes:
    text = secret.removeprefix("v1,").removeprefix("whsec_").rstrip("=")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def refuse(preset: str, faults: list[str]) -> None:
    if faults:
        raise DefinitionError(f"{preset}(...)", faults)


def secret_faults(secret: object) -> list[str]:
    """Return the faults of a secret, without the secret itself: a definition error is printed and logged."""
    if isinstance(secret, (str, list, tuple)):
        entries = [secret] if isinstance(secret, str) else list(secret)
        if entries and all(isinstance(entry, str) and entry.strip() for entry in entries):
            return []
        if all(isinstance(entry, str) for entry in entries):
            return ["the secret is empty, so anyone could sign. Is its environment variable set?"]
    return ["the secret must be a string, or a list of strings while it is rotated."]


def base64_faults(secret: Secret) -> list[str]:
    faults = []
    for number, text in enumerate(secrets(secret), 1):
        try:
            empty = not unbase64(text)
        except (Base64Error, ValueError):
            faults.append(f"secret {number} isn't base64: give it as the sender shows it, as in 'whsec_...'.")
        else:
            faults += ["the secret is empty, so anyone could sign."] if empty else []
    return faults


def tolerance_faults(tolerance: object) -> list[str]:
    if isinstance(tolerance, timedelta) and tolerance > timedelta(0):
        return []
    return [f"tolerance={tolerance!r} must be a timedelta above zero, as in timedelta(minutes=5)."]
