"""What handlers are given survives being stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from stepwell.errors import InvalidPayload
from stepwell.triggers import Tick, WebhookEvent

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def event(body: bytes, **headers: str) -> WebhookEvent:
    return WebhookEvent("evt_1", headers, body, NOW)


def test_an_event_comes_back_from_json_as_it_was() -> None:
    for body in (b"", b"\x00\xff", b'{"a": 1}'):
        stored = json.loads(json.dumps(event(body, **{"X-Kind": "a"}).to_json()))
        assert WebhookEvent.from_json(stored) == event(body, **{"x-kind": "a"})


def test_headers_are_lower_case_and_times_are_utc() -> None:
    berlin = WebhookEvent("e", {"X-Kind": "a"}, b"", NOW.astimezone(ZoneInfo("Europe/Berlin")))
    assert berlin.headers == {"x-kind": "a"}
    assert berlin.received_at.tzinfo is UTC
    with pytest.raises(ValueError, match="aware"):
        WebhookEvent("e", {}, b"", datetime(2026, 1, 5))


def test_the_body_as_json() -> None:
    assert event(b'{"data": {"id": 7}}').json["data"]["id"] == 7


@pytest.mark.parametrize("body", [b"", b"a=1&b=2", b"{", b"NaN", b"\xff\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_says_so(body: bytes) -> None:
    with pytest.raises(InvalidPayload, match=r"the body of delivery 'evt_1' isn't JSON \(text/plain"):
        _ = event(body, **{"Content-Type": "text/plain"}).json


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_a_tick_comes_back_from_json_with_its_timezone(zone: str) -> None:
    # The second passage of the repeated hour, which the clock alone doesn't tell from the first.
    at = datetime(2026, 10, 25, 1, 30, tzinfo=UTC).astimezone(ZoneInfo(zone))
    tick = Tick("daily", at, NOW)
    back = Tick.from_json(json.loads(json.dumps(tick.to_json())))
    assert back == tick
    assert back.scheduled_at.isoformat() == at.isoformat()
    assert getattr(back.scheduled_at.tzinfo, "key", None) == zone


def test_a_tick_is_aware() -> None:
    with pytest.raises(ValueError, match="scheduled_at"):
        Tick("daily", datetime(2026, 1, 5), NOW)
