"""A run's live stream as the command line reads it: cut, refused, resumed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from stepwell.console.cli.backends import answers
from stepwell.console.cli.backends.answers import streamed
from stepwell.errors import ConfigurationError, StoreUnavailable, WorkflowNotFound

URL = "http://there/api/v1"
MOMENT = "2026-01-05T00:00:00Z"
RUN = {
    **dict.fromkeys(["args", "state", "result", "error", "idempotency_key", "parent_id", "ready_at", "due_at"]),
    "workflow_id": "r",
    "workflow_name": "w",
    "workflow_version": 1,
    "app_name": "a",
    "workspace_id": "s",
    "user_id": "u",
    "status": "running",
    "place": "p",
    "version": 9,
    "attempt": 0,
    "labels": [],
    "priority": 0,
    "waiting_for": [],
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "finished_at": None,
    "group_id": None,
    "group_index": None,
    "subject": None,
    "forked_from": None,
    "canceling": False,
}


def event(version: int) -> bytes:
    row = {
        **dict.fromkeys(["transition", "source", "target", "error", "trace", "state", "signal_id", "answered_by"]),
        "version": version,
        "attempt": 1,
        "status": "committed",
        "started_at": MOMENT,
        "finished_at": MOMENT,
    }
    data = {"workflow_id": "r", "checkpoint": row, "run": RUN, "documents": []}
    return f"event: checkpoint\nid: {version}\ndata: {json.dumps(data)}\n\n".encode()


END = b"event: end\ndata: {}\n\n"


class Body(httpx.AsyncByteStream):
    """What comes before the connection is cut, or ends."""

    def __init__(self, *parts: bytes, cut: bool = False) -> None:
        self.parts = parts
        self.cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self.cut:
            raise httpx.ReadError("cut")


def stream_of(*parts: bytes, cut: bool = False) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(*parts, cut=cut))


Answers = list[httpx.Response | Exception]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], tuple[AsyncIterator[int], list[str | None]]]:
    """The versions that are streamed from a server with these answers, and with which Last-Event-ID it was asked."""
    monkeypatch.setattr(answers, "_PAUSES", (0.0,))

    def serve(answers: Answers) -> tuple[AsyncIterator[int], list[str | None]]:
        asked: list[str | None] = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.headers.get("last-event-id"))
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        async def versions() -> AsyncIterator[int]:
            async with httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(answer)) as client:
                async for happened in streamed(client, URL, "/runs/r/events"):
                    yield happened.checkpoint.version

        return versions(), asked

    return serve


async def test_it_goes_on_after_the_last_row_however_it_was_cut(served: Callable) -> None:  # type: ignore[type-arg]
    half = event(2)
    versions, asked = served(
        [
            stream_of(b": ping\n\n", event(0), event(1), half[:40], cut=True),
            httpx.ConnectError("nobody there"),
            httpx.Response(503, json={"status": 503}),
            stream_of(half, event(3)),
            stream_of(event(4)[:20], event(4)[20:], END),
        ]
    )
    assert [one async for one in versions] == [0, 1, 2, 3, 4]
    assert asked == [None, "1", "1", "1", "3"]


async def test_a_refusal_is_told_at_once(served: Callable) -> None:  # type: ignore[type-arg]
    body = {"type": "urn:stepwell:workflow-not-found", "status": 404, "title": "", "detail": "No run 'r'."}
    versions, _ = served([stream_of(event(0), cut=True), httpx.Response(404, json=body)])
    with pytest.raises(WorkflowNotFound, match=r"No run 'r'\."):
        _ = [one async for one in versions]


async def test_a_server_that_stays_away_is_given_up(
    served: Callable,  # type: ignore[type-arg]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "_PATIENCE", 0.0)
    versions, _ = served([httpx.ConnectError("refused")] * 2)
    with pytest.raises(StoreUnavailable, match="http://there/api/v1 can't be reached: refused"):
        _ = [one async for one in versions]


async def test_what_isnt_a_stream_or_of_another_version_says_so(served: Callable) -> None:  # type: ignore[type-arg]
    versions, _ = served([httpx.Response(200, text="<html>")])
    with pytest.raises(ConfigurationError, match="isn't a stream of events: is --url right"):
        _ = [one async for one in versions]
    versions, _ = served([stream_of(b'event: checkpoint\nid: 1\ndata: {"run": {}}\n\n')])
    with pytest.raises(ConfigurationError, match="use the same version here and on the server"):
        _ = [one async for one in versions]
