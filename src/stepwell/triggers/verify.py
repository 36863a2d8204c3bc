"""The seam between a webhook and its sender's signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from stepwell.errors import BadSignature

__all__ = ["BadSignature", "Delivery", "Verifier", "lower_headers"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request that its sender has signed."""

    id: str
    """The same for every repetition of this delivery; at most 255 characters."""
    answer: str | None = None
    """Answer with this text at once and call no handler: the sender only tests the address."""


@runtime_checkable
class Verifier(Protocol):
    """Knows one sender's scheme and secrets."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Delivery:
        """The delivery, if one of the secrets signed exactly this body, recently. Raises BadSignature and nothing else.

        `headers` in any case, `body` as received, `now` aware.
        """
        ...


def lower_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers by lower-case name; one that came several times is joined with ", "."""
    joined: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined
