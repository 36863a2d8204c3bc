"""A stranger sends anything to an application on which Stepwell is mounted: every answer is one that the API knows.

Raw requests, below the server: paths, methods, headers, cookies and bodies in pieces. Nothing is a server error, nothing is
read without end, and what is refused is refused as a problem.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import Depends, FastAPI, Header
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepwell import App, Settings, Stepwell
from stepwell.settings import AuthSettings
from stepwell.triggers import github_signature, slack_signature, standard_webhooks, stripe_signature

PREFIX: Final = "/ops"
LIMIT: Final = 4_000
"""Bytes of a body."""
PIECES: Final = 40
OWN_404: Final = b'{"detail":"Not Found"}'


async def current_user(x_user: str | None = Header(None)) -> str | None:
    return x_user


def shop() -> App:
    app = App("shop")
    senders = {
        "github": github_signature(secret="s"),
        "stripe": stripe_signature(secret="whsec_x"),
        "slack": slack_signature(secret="s"),
        "standard": standard_webhooks(secret="whsec_" + base64.b64encode(b"s" * 32).decode()),
    }
    for name, verify in senders.items():

        @app.webhook(f"/hooks/{name}", verify=verify, name=name)
        async def take(event: Any) -> None:
            raise AssertionError("an unsigned delivery was handled")

    return app


class Host:
    """An application with paths of its own, open on a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        given = Settings(
            _env_file=None,
            database_url=f"sqlite:///{folder}/s.db",
            auth=AuthSettings(failed_logins=1_000_000),
            max_request_bytes=LIMIT,
            max_webhook_bytes=LIMIT,
            max_request_values=500,
        )
        self.stepwell = Stepwell([shop()], settings=given, embedded_worker=False)
        self.app = FastAPI()
        self.stepwell.mount(self.app, user=Depends(current_user), prefix=PREFIX)
        router = self.app.router.routes
        self.paths = [getattr(one, "path", "") for one in router]
        self.runner.run(self.stepwell.__aenter__())

    def close(self) -> None:
        self.runner.run(self.stepwell.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("strangers"))
    yield made
    made.close()


class Request:
    """One request, and what came of it."""

    def __init__(self, scope: dict[str, Any], pieces: list[bytes]) -> None:
        self.scope = scope
        self.pieces = pieces
        self.taken = 0
        self.sent: list[Any] = []
        self.answered = asyncio.Event()

    async def receive(self) -> Any:
        if self.taken > len(self.pieces):
            await self.answered.wait()
        if self.answered.is_set() or self.taken > len(self.pieces):
            return {"type": "http.disconnect"}
        self.taken += 1
        more = self.taken <= len(self.pieces)
        return {"type": "http.request", "body": self.pieces[self.taken - 1] if more else b"", "more_body": more}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.answered.set()

    async def done(self, app: Any) -> None:
        async with asyncio.timeout(60):
            await app(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        found: int = self.sent[0]["status"]
        return found

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent[1:])


# -- what is sent -----------------------------------------------------------------------------------------------------

SEGMENTS = st.one_of(
    st.sampled_from(["ops", "api", "v1", "studio", "hooks", "github", "runs", "x", "", ".", "..", "events", "bulk"]),
    st.text(max_size=8),
)
PATHS = st.lists(SEGMENTS, max_size=7).map(lambda found: "/" + "/".join(found))
LATIN = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60)
ODD = st.sampled_from(
    ["", "0", "-1", "9" * 400, "\x00", "\xff\xfe", "Bearer ", "Bearer sw_" + "a" * 60, "bearer a.b.c", "gzip", "close"]
)
SECRETS = st.one_of(
    LATIN,
    ODD,
    st.text("abcdefghijkABC019._-=", max_size=80).map(lambda text: f"Bearer {text}"),
    st.text("abc019_-", max_size=60).map(lambda text: f"stepwell_session=sw_{text}"),
)
NAMES = st.sampled_from(
    [
        *(
            "authorization",
            "cookie",
            "content-type",
            "content-length",
            "transfer-encoding",
            "content-encoding",
            "accept",
        ),
        *("host", "origin", "sec-fetch-site", "idempotency-key", "last-event-id", "accept-encoding", "if-none-match"),
        *("x-github-delivery", "x-hub-signature-256", "stripe-signature", "x-slack-signature", "expect", "range"),
        *("x-slack-request-timestamp", "webhook-id", "webhook-timestamp", "webhook-signature", "x-forwarded-prefix"),
    ]
)
HEADERS = st.lists(st.tuples(NAMES, SECRETS), max_size=6)
QUERIES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(str.encode)
"""As servers hand them on: they refuse other characters themselves."""
JSON_TEXTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
BODIES = st.one_of(
    st.binary(max_size=300),
    JSON_TEXTS,
    JSON_TEXTS.map(lambda text: b'{"token": ' + text + b"}"),
    st.sampled_from(
        [
            b"[" * 3_900,
            b"[]," * 1_300,
            b'{"a":' * 700,
            b'"' + b"\\" * 3_000,
            b"\xef\xbb\xbf{}",
            b'"\\ud800"',
            b"NaN",
            b"1e999",
        ]
    ),
)


@st.composite
def requests(draw: st.DrawFn, paths: st.SearchStrategy[str]) -> Request:
    path = draw(paths)
    body = draw(BODIES)
    pieces = draw(
        st.sampled_from([[body], [body] * PIECES, [body[at : at + 7] for at in range(0, min(len(body), 200), 7)]])
    )
    headers = draw(HEADERS)
    if draw(st.booleans()):
        headers = [*headers, ("content-type", "application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": draw(st.sampled_from(["1.0", "1.1", "2"])),
        "method": draw(st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "X"])),
        "scheme": draw(st.sampled_from(["http", "https"])),
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": draw(st.sampled_from(["", "", "/x", "/x/", "/ops", "/"])),
        "query_string": draw(st.one_of(QUERIES, st.sampled_from([b"limit=0", b"cursor=%00", b"q=%ff", b"a&a"]))),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": draw(st.sampled_from([None, ("10.0.0.1", 1), ("::1", 1), ("", 0)])),
        "server": ("localhost", 80),
        "state": {},
    }
    return Request(scope, pieces)


def known(host: Host) -> st.SearchStrategy[str]:
    """Paths that exist, with anything in place of their parameters."""
    parts = st.one_of(st.sampled_from(["x", "0198f3c2-6d5e-7b1a-9c3d-5a6b7c8d9e0f"]), st.text(max_size=6))

    def filled(path: str, value: str) -> str:
        for name in (
            "workflow_id",
            "app_name",
            "workflow_name:path",
            "name:path",
            "route:path",
            "token_id",
            "path:path",
        ):
            path = path.replace(f"{{{name}}}", value)
        return path

    hooks = [f"/hooks/{name}" for name in ("github", "stripe", "slack", "standard")]
    return st.builds(filled, st.sampled_from([one for one in host.paths if one.startswith(PREFIX)] + hooks), parts)


# -- what is answered -------------------------------------------------------------------------------------------------


def check(host: Host, request: Request) -> None:
    host.runner.run(request.done(host.app))
    scope = request.scope
    assert request.sent, scope
    assert request.status < 500 or b"Studio isn't built" in request.body or request.status == 503, (scope, request.body)
    kind = request.headers.get(b"content-type", b"")
    length = sum(len(one) for one in request.pieces[: request.taken])
    assert length <= LIMIT + max(map(len, request.pieces), default=0), "it was read beyond its limit"
    assert b"Traceback" not in request.body
    if kind == b"application/problem+json" and scope["method"] != "HEAD":
        told = json.loads(request.body)
        assert told["status"] == request.status
        assert told["detail"]
    elif request.status >= 400 and kind.startswith(b"application/json"):
        # The application's own answer, to a path that isn't Stepwell's.
        assert request.status in (404, 405), (scope, request.body)
    if request.status == 401:
        assert kind == b"application/problem+json"
    if scope["path"].startswith(f"{PREFIX}/api/v1/") and request.status == 401:
        assert request.taken == 0, "the body was read before it was known who sends it"
    assert len(host_bodies(host)) == 0, "a body is still counted"


def host_bodies(host: Host) -> Any:
    [guard] = [one for one in host.app.user_middleware if "bodies" in one.kwargs]
    return guard.kwargs["bodies"]


BOUNDED: Final = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def test_whatever_a_stranger_sends_to_any_path_is_answered(host: Host) -> None:
    @BOUNDED
    @given(request=requests(PATHS))
    def sent(request: Request) -> None:
        check(host, request)

    sent()


def test_whatever_a_stranger_sends_to_a_path_that_exists_is_answered(host: Host) -> None:
    @BOUNDED
    @given(request=requests(known(host)))
    def sent(request: Request) -> None:
        check(host, request)

    sent()


def test_whatever_a_user_sends_to_a_path_that_exists_is_answered(host: Host) -> None:
    """Signed in, they come further; live streams are left out: they don't end."""

    @BOUNDED
    @given(request=requests(known(host).filter(lambda path: not path.endswith("events"))))
    def sent(request: Request) -> None:
        request.scope["headers"].append((b"x-user", b"ada"))
        check(host, request)

    sent()
