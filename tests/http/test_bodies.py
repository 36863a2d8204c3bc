"""Bodies: read only for callers who are known, within bounds of bytes, time and values, and not too many at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel
from serving import serving

from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.console.http import bodies
from stepwell.console.http.bodies import BodyTooSlow, UnfinishedBodies, is_over
from stepwell.errors import PayloadTooLarge
from stepwell.settings import AuthSettings
from stepwell.triggers import github_signature

StepwellOf = Callable[..., Stepwell]
JSON = [(b"host", b"localhost"), (b"content-type", b"application/json")]


class Args(BaseModel):
    x: Any = None


class Keep(Workflow[Args, None, None]):
    @transition(target="kept")
    async def keep(self) -> None: ...

    @transition("kept", END, wait=True)
    async def drop(self) -> None: ...


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


async def current_user(x_user: str | None = Header(None)) -> str | None:
    return x_user


def shop() -> App:
    app = App("shop", workflows=[Keep])

    @app.webhook("/hooks/in", verify=github_signature(secret="s"))
    async def take(event: Any) -> None: ...

    return app


@pytest.fixture
def api(stepwell_of: StepwellOf) -> Callable[..., Any]:
    """`async with api(...) as app`: the application, open."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[FastAPI]:
        stepwell = stepwell_of(shop(), embedded_worker=False, **{"auth": AuthSettings(), **settings})
        app = FastAPI()
        stepwell.mount(app, user=Depends(current_user))
        async with stepwell:
            yield app

    return opened


class Sender:
    """A client of one request, piece by piece. `read` counts the pieces that were taken; the last one never comes."""

    def __init__(self, pieces: Iterable[bytes] = (), *, ends: bool = False) -> None:
        self._pieces = list(pieces)
        self._ends = ends
        self.read = 0
        self.sent: list[Any] = []
        self.waits = asyncio.Event()

    async def receive(self) -> Any:
        if self.read == len(self._pieces):
            self.waits.set()
            await asyncio.Event().wait()
        self.read += 1
        more = not self._ends or self.read < len(self._pieces)
        return {"type": "http.request", "body": self._pieces[self.read - 1], "more_body": more}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def request(self, app: Any, method: str, path: str, *headers: tuple[bytes, bytes], **scope: Any) -> None:
        given = {"type": "http", "method": method, "path": path, "headers": [*JSON, *headers], "query_string": b""}
        client = {"scheme": "http", "client": ("10.0.0.1", 1), "server": ("localhost", 80), "http_version": "1.1"}
        async with asyncio.timeout(60):
            await app({**given, **client, **scope}, self.receive, self.send)

    @property
    def status(self) -> int:
        found: int = self.sent[0]["status"]
        return found

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def problem(self) -> str:
        assert self.headers[b"content-type"] == b"application/problem+json"
        found: str = json.loads(b"".join(one.get("body", b"") for one in self.sent))["detail"]
        return found


LENGTH = (b"content-length", b"100")
ADA = (b"x-user", b"ada")
OPERATIONS = [
    *(("POST", "/api/v1/runs"), ("POST", "/api/v1/runs/x/signals"), ("POST", "/api/v1/runs/x/retry")),
    *(("POST", "/api/v1/runs/bulk"), ("POST", "/api/v1/tokens"), ("DELETE", "/api/v1/tokens/x")),
    *(("POST", "/api/v1/schedules/shop/x/fire"), ("POST", "/api/v1/deliveries/shop/take/redrive")),
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_who_isnt_signed_in_is_refused_before_the_body_is_read(api: Any, method: str, path: str) -> None:
    async with api() as app:
        for wrong in ([], [(b"authorization", b"Bearer sw_wrong")], [(b"cookie", b"stepwell_session=sw_wrong")]):
            sender = Sender([b"[" * 50] * 1000)
            await sender.request(app, method, path, LENGTH, *wrong)
            assert (sender.status, sender.read) == (401, 0), sender.problem
            # The rest of the body would keep the connection open.
            assert sender.headers[b"connection"] == b"close"


async def test_what_can_be_told_from_headers_is_refused_before_the_body_is_read(api: Any) -> None:
    async with api() as app:
        for status, headers in (
            (413, [(b"content-length", b"9999999999")]),
            (413, [(b"content-length", b"9" * 5000)]),
            (400, [(b"content-length", b"many")]),
            (403, [LENGTH, (b"origin", b"https://evil.example")]),
        ):
            sender = Sender([b"x"])
            await sender.request(app, "POST", "/api/v1/runs", ADA, *headers)
            assert (sender.status, sender.read) == (status, 0)
            assert sender.headers[b"connection"] == b"close"
        sender = Sender([b"{}"], ends=True)
        await sender.request(app, "POST", "/api/v1/runs", ADA, LENGTH)
        assert (sender.status, b"connection" in sender.headers) == (422, False)
        over_http2 = Sender()
        await over_http2.request(app, "POST", "/api/v1/runs", LENGTH, http_version="2")
        assert (over_http2.status, b"connection" in over_http2.headers) == (401, False)


async def test_a_body_over_the_limit_is_read_no_further(api: Any) -> None:
    async with api(max_request_bytes=1000) as app:
        sender = Sender([b" " * 400] * 100)
        await sender.request(app, "POST", "/api/v1/runs", ADA)
        assert (sender.status, sender.read) == (413, 3)
        assert "larger than 1,000 bytes" in sender.problem


async def test_the_login_which_is_open_to_all_takes_little(api: Any) -> None:
    async with api() as app:
        sender = Sender([b" " * 5000] * 100)
        await sender.request(app, "POST", "/api/v1/session")
        assert (sender.status, sender.read) == (413, 4)


async def test_a_body_that_comes_too_slowly_is_refused(api: Any) -> None:
    async with api(max_request_seconds=0.05) as app:
        for path, headers in (("/api/v1/runs", [ADA]), ("/api/v1/session", [])):
            sender = Sender([b"{"])
            await sender.request(app, "POST", path, LENGTH, *headers)
            assert sender.status == 408
            assert "didn't arrive within 0.05 s" in sender.problem
            assert sender.headers[b"connection"] == b"close"


@pytest.mark.parametrize("path", ["/api/v1/session", "/hooks/in"])
async def test_of_too_many_unfinished_bodies_the_oldest_is_ended(
    api: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(bodies, "MOST", 3)
    async with api() as app:
        slow = [Sender([b"{"]) for _ in range(4)]
        tasks = []
        for one in slow:
            tasks.append(asyncio.create_task(one.request(app, "POST", path)))
            async with asyncio.timeout(60):
                await one.waits.wait()
        await tasks[0]
        assert slow[0].status == 408
        assert not any(task.done() for task in tasks[1:])
        # What is sent at once finds a place, whoever else sends slowly.
        quick = Sender([b'{"token": "sw_x"}'], ends=True)
        await quick.request(app, "POST", path)
        assert quick.status == 401
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        after = [Sender([b'{"token": "sw_x"}'], ends=True) for _ in range(5)]
        await asyncio.gather(*(one.request(app, "POST", path) for one in after))
        assert [one.status for one in after] == [401] * 5


async def test_bodies_are_counted_until_they_end_however_that_is() -> None:
    counted = UnfinishedBodies()

    async def ends() -> Any:
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def leaves() -> Any:
        return {"type": "http.disconnect"}

    async def goes_on() -> Any:
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    async def never() -> Any:
        await asyncio.Event().wait()

    for source in (ends, leaves):
        with counted.reading(source, 5, 60) as body:
            await body.receive()
            assert len(counted) == 0
    with counted.reading(goes_on, 15, 60) as body:
        await body.receive()
        assert len(counted) == 1
        with pytest.raises(PayloadTooLarge):
            await body.receive()
    assert len(counted) == 0
    with counted.reading(never, 15, 0.01) as body, pytest.raises(BodyTooSlow):
        await body.receive()
    assert len(counted) == 0


# -- values -----------------------------------------------------------------------------------------------------------


def start(args: str) -> bytes:
    return f'{{"app_name": "shop", "workflow": "keep", "args": {{"x": {args}}}}}'.encode()


@pytest.mark.parametrize(
    "args",
    [
        f"[{'[],' * 340_000}[]]",
        f"[{'{},' * 340_000}1]",
        f"[{'1,' * 500_000}1]",
        "{" + ",".join(['"":1'] * 150_001) + "}",
        "[" * 200_000,
    ],
    ids=["lists", "objects", "numbers", "fields", "depth"],
)
async def test_a_body_of_too_many_values_is_refused_without_being_parsed(
    api: Any, args: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parsed(*_: Any, **__: Any) -> Any:
        raise AssertionError("it was parsed")

    async with api() as app:
        monkeypatch.setattr(json, "loads", parsed)
        for path in ("/api/v1/runs", "/api/v1/runs/x/retry"):
            sender = Sender([start(args)], ends=True)
            await sender.request(app, "POST", path, ADA)
            assert sender.status == 413
        monkeypatch.undo()
        assert "more than 150,000 JSON values (Settings.max_request_values)" in sender.problem


async def test_texts_are_one_value_however_many_commas_they_have(api: Any) -> None:
    text = json.dumps('1,2;[3],{4}\\",\n' * 50_000)
    async with api() as app:
        sender = Sender([start(text)], ends=True)
        await sender.request(app, "POST", "/api/v1/runs", ADA)
        assert sender.status == 202, sender.problem


async def test_deep_json_is_no_server_error(api: Any) -> None:
    async with api() as app:
        for path in ("/api/v1/runs", "/api/v1/runs/x/retry"):
            sender = Sender([b"[" * 50_000], ends=True)
            await sender.request(app, "POST", path, ADA)
            assert sender.status in (400, 422), sender.problem


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", 1),
        (b"1", 1),
        (b"[]", 2),
        (b"[1, 2]", 3),
        (b'{"a": [1, {"b": 2}]}', 5),
        (b'["a,b", "[{,"]', 3),
        (rb'["\",[", "\\", 1]', 4),
        (b'["never closed, [[[', 2),
    ],
)
def test_values_are_counted_as_they_would_be_parsed_or_a_little_more(text: bytes, values: int) -> None:
    assert not is_over(text, values)
    if values > 1:
        assert is_over(text, values - 2)


def test_counting_takes_time_in_proportion_to_the_size_whatever_it_is() -> None:
    # Each of these takes a bad expression minutes: quotes that are escaped, never closed, or all there is.
    for text in (
        b'"' + b'\\"' * 500_000,
        b'"' * 1_000_001,
        b"\\" * 1_000_000,
        b'["' + b"\\" * 1_000_001,
        b'",' * 500_000,
    ):
        is_over(text, 1)


# -- under a real server ----------------------------------------------------------------------------------------------


async def test_a_connection_with_an_unfinished_body_is_closed_after_the_refusal(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(shop(), auth=AuthSettings())
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(current_user))
    head = b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    async with serving(app) as port, asyncio.timeout(120):
        for framing in (b"content-length: 100\r\n\r\n{", b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + framing)
            answer = await reader.read()  # to its end: the server closes it
            assert answer.startswith(b"HTTP/1.1 401")
            writer.close()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            large = b'{"args": "' + b"x" * 1_000_000 + b'"}'
            refused = await client.post("/api/v1/runs", content=large, headers={"content-type": "application/json"})
            assert refused.status_code == 401
