"""The arguments of handlers: the tick of a schedule, and the delivery of a webhook."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from stepwell.errors import InvalidPayload
from stepwell.triggers.forms import FORM_TYPE, FormFields, content_type, parse_form
from stepwell.triggers.signatures import lower_headers


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment of a schedule that came due. It is the same for a handler that runs again after a crash."""

    schedule: str
    """The schedule's name."""
    scheduled_at: datetime
    """The scheduled moment, aware, in the schedule's timezone, without jitter."""
    fired_at: datetime
    """The moment of its first firing, aware, UTC."""

    def __post_init__(self) -> None:
        for name in ("scheduled_at", "fired_at"):
            moment: datetime = getattr(self, name)
            if moment.tzinfo is None:
                raise ValueError(f"Tick({name}={moment.isoformat()!r}) has no timezone: give an aware datetime.")
        object.__setattr__(self, "fired_at", self.fired_at.astimezone(UTC))

    def to_json(self) -> dict[str, str]:
        """Return the tick as JSON data; `from_json` gives an equal one back, timezone included."""
        return {
            "schedule": self.schedule,
            "scheduled_at": self.scheduled_at.astimezone(UTC).isoformat(),
            "timezone": getattr(self.scheduled_at.tzinfo, "key", "UTC"),
            "fired_at": self.fired_at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> Tick:
        """Return the tick that `to_json` wrote."""
        scheduled_at = datetime.fromisoformat(data["scheduled_at"]).astimezone(ZoneInfo(data["timezone"]))
        return cls(data["schedule"], scheduled_at, datetime.fromisoformat(data["fired_at"]))


@dataclass(frozen=True)
class WebhookEvent:
    """A delivery whose signature was right. It is the same for a handler that runs again after a crash."""

    id: str
    """The sender's name for the delivery: equal for all its repetitions."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Exactly as received; inflated, and without the headers that say so, if it came with `Content-Encoding: gzip`."""
    received_at: datetime
    """Aware, UTC."""
    url: str = ""
    """The URL that the sender called, as far as it is known here; empty for one that an earlier Stepwell took."""

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
            cure = "Read event.body instead, or let the sender send JSON."
            if content_type(self.headers) == FORM_TYPE:
                cure = (
                    "It is a form: read event.form. If a field of it holds JSON, as GitHub's and Slack's 'payload' does, "
                    "write json.loads(event.form['payload']), or let the sender send application/json."
                )
            raise InvalidPayload(
                f"the body of delivery {self.id!r} isn't JSON ({kind}, {len(self.body)} bytes): {error}. {cure}"
            ) from error

    @cached_property
    def form(self) -> FormFields:
        """The fields of a body of type `application/x-www-form-urlencoded`, by name; `form.all(name)` has all values.

        Raises InvalidPayload if the body is of another type, isn't UTF-8, or has more than 10,000 fields.
        """
        kind = self.headers.get("content-type", "no content type")
        if content_type(self.headers) != FORM_TYPE:
            cure = "event.json" if "json" in kind else "event.body"
            raise InvalidPayload(
                f"the body of delivery {self.id!r} isn't a form ({kind}, {len(self.body)} bytes): read {cure} instead, or "
                f"let the sender send {FORM_TYPE}."
            )
        try:
            return parse_form(self.body)
        except ValueError as error:
            raise InvalidPayload(
                f"the form of delivery {self.id!r} ({kind}, {len(self.body)} bytes) can't be read: {error}. "
                "Read event.body instead."
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return the event as JSON data, the body in base64; `from_json` gives an equal one back."""
        return {
            "id": self.id,
            "headers": dict(self.headers),
            "body": b64encode(self.body).decode(),
            "received_at": self.received_at.isoformat(),
            "url": self.url,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WebhookEvent:
        """Return the event that `to_json` wrote."""
        received_at = datetime.fromisoformat(data["received_at"])
        return cls(data["id"], data["headers"], b64decode(data["body"]), received_at, data.get("url", ""))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
