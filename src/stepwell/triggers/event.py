"""A webhook's delivery, as its handler sees it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NoReturn

from stepwell.errors import InvalidPayload
from stepwell.triggers.verify import lower_headers


@dataclass(frozen=True)
class WebhookEvent:
    """A delivery whose signature was right. It is the same for a handler that runs again after a crash."""

    id: str
    """The sender's name for the delivery: equal for all its repetitions."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Exactly as received."""
    received_at: datetime
    """Aware, UTC."""

    def __post_init__(self) -> None:
        if self.received_at.tzinfo is None:
            raise ValueError(f"WebhookEvent(received_at={self.received_at.isoformat()!r}) needs an aware datetime.")
        object.__setattr__(self, "headers", lower_headers(self.headers))
        object.__setattr__(self, "received_at", self.received_at.astimezone(UTC))

    @cached_property
    def json(self) -> Any:
        """The body as JSON data. Raises InvalidPayload if it isn't JSON."""
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            kind = self.headers.get("content-type", "no content type")
            raise InvalidPayload(
                f"the body of delivery {self.id!r} isn't JSON ({kind}, {len(self.body)} bytes): {error}. "
                "Read event.body instead, or let the sender send JSON."
            ) from error

    def to_json(self) -> dict[str, Any]:
        """The event as JSON data, the body in base64; `from_json` gives an equal one back."""
        return {
            "id": self.id,
            "headers": dict(self.headers),
            "body": b64encode(self.body).decode(),
            "received_at": self.received_at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WebhookEvent:
        """The event that `to_json` wrote."""
        received_at = datetime.fromisoformat(data["received_at"])
        return cls(data["id"], data["headers"], b64decode(data["body"]), received_at)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
