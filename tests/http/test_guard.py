"""What stands before Stepwell's own paths, and before no other path of the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import ValidationError
from starlette.responses import StreamingResponse
from starlette.routing import compile_path
from starlette.types import Message

from stepwell import App, Settings, Stepwell
from stepwell.console.http.guard import HEADERS, Guard
from stepwell.errors import ConfigurationError
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]

SECRET = "s3cret"
BODY = {"name": "t", "role": "viewer"}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


async def root() -> Principal:
    return Principal("root", "admin")


@pytest.fixture
def api(stepwell_of: StepwellOf, client_of: ClientOf) -> Callable[..., Any]:
    """`async with api(...) as client`: an application with paths of its own, below and beside Stepwell's."""

    @asynccontextmanager
    async def opened(auth: AuthSettings | None = None, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
        shop = App("shop")

        @shop.webhook("/api/v1/hooks/in", verify=github_signature(secret=SECRET))
        async def take(runner: Any, event: Any) -> None: ...

        stepwell = stepwell_of(shop, auth=auth or AuthSettings(), **more)
        app = FastAPI(lifespan=stepwell.lifespan)
        stepwell.mount(app, user=Depends(root))

        @app.post("/api/v1/upload")
        async def upload(request: Request) -> int:
            return len(await request.body())

        async with client_of(stepwell, app) as client:
            yield client

    return opened


def problem(answer: httpx.Response, status: int) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    found: str = answer.json()["detail"]
    return found


# -- headers ----------------------------------------------------------------------------------------------------------


async def test_answers_of_the_api_say_what_browsers_must_not_do(api: Any) -> None:
    async with api() as client:
        for answer in (
            await client.get("/api/v1/me"),
            await client.get("/api/v1/runs/nothing"),
            await client.post("/api/v1/tokens", content=b"x"),
            await client.get("/api/v1/health"),
        ):
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
            assert "access-control-allow-origin" not in answer.headers


async def test_a_path_that_isnt_there_says_where_the_paths_are(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop"))
    app = FastAPI()
    stepwell.mount(app)
    async with client_of(stepwell, app) as client:
        for path in ("/api/v1/nothing", "/api/v1/runs/a%2Fb", "/api/v1/"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"
            assert "/api/v1/openapi.json" in answer.json()["detail"]


async def test_other_paths_of_the_application_are_left_alone(api: Any) -> None:
    async with api(max_request_bytes=10) as client:
        headers = {"origin": "https://evil.example", "sec-fetch-site": "cross-site", "content-type": "text/plain"}
        mine = await client.post("/api/v1/upload", content=b"x" * 1000, headers=headers)
        assert (mine.status_code, mine.json()) == (200, 1000)
        signed = {**headers, **sign_github('{"long": "enough"}', SECRET)}
        hook = await client.post("/api/v1/hooks/in", content='{"long": "enough"}', headers=signed)
        assert hook.status_code == 200, hook.text
        unknown = await client.post("/api/v2/nothing", headers=headers)
        assert unknown.json() == {"detail": "Not Found"}
        for answer in (mine, hook, unknown):
            assert "x-frame-options" not in answer.headers


# -- bodies -----------------------------------------------------------------------------------------------------------


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 100


async def test_a_body_that_is_too_large_is_not_read(api: Any) -> None:
    json = {"content-type": "application/json"}
    async with api(max_request_bytes=1000) as client:
        assert "larger than 1,000 bytes" in problem(
            await client.post("/api/v1/tokens", content=b" " * 1001, headers=json), 413
        )
        assert "larger than" in problem(await client.post("/api/v1/tokens", content=chunks(100), headers=json), 413)
        assert (await client.post("/api/v1/tokens", json=BODY)).status_code == 201
        # Of a size that fits it is read as a whole, in however many pieces it comes.
        assert (await client.post("/api/v1/tokens", content=chunks(10), headers=json)).status_code == 422


def test_what_args_may_have_fits_into_a_request() -> None:
    given = Settings(_env_file=None, max_args_bytes=5_000_000)
    guard = Guard(FastAPI(), settings=given, patterns=list)
    assert guard._limit > 5_000_000


async def test_bodies_are_json(api: Any) -> None:
    async with api() as client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"):
            answer = await client.post("/api/v1/tokens", content=b'{"name":"t"}', headers={"content-type": kind})
            assert "send application/json" in problem(answer, 415)
        assert "missing" in problem(await client.post("/api/v1/tokens", content=b'{"name":"t"}'), 415)
        kind = "application/json; charset=utf-8"
        answer = await client.post("/api/v1/tokens", json=BODY, headers={"content-type": kind})
        assert answer.status_code == 201
        assert (await client.delete(f"/api/v1/tokens/{answer.json()['id']}")).status_code == 204  # no body, no kind


async def test_a_length_that_is_no_number_is_refused() -> None:
    sent = await answered({"content-type": "application/json", "content-length": "many"})
    assert sent[0]["status"] == 400


async def answered(headers: dict[str, str]) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    async def unreached(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application was asked")

    guard = Guard(unreached, settings=Settings(_env_file=None), patterns=lambda: [compile_path("/a/{id}")[0].pattern])
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/a/1", "headers": raw, "scheme": "http"}
    await guard(scope, receive, send)
    return sent


# -- other origins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "nonsense"}, False),
        ({"origin": "http://localhost"}, True),
        ({"origin": "https://localhost:443"}, True),  # TLS may end in front of this
        ({"origin": "http://localhost:80"}, True),
        ({"origin": "http://localhost:8080"}, False),
        ({"origin": "http://localhost.evil.example"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://["}, False),
        ({"origin": "http://localhost:port"}, False),
        ({"origin": "http://localhost", "sec-fetch-site": "cross-site"}, False),
        # A proxy may say another Host; what the browser says of itself counts.
        ({"origin": "https://public.example", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://ops.example"}, True),
        ({"origin": "https://ops.example", "sec-fetch-site": "cross-site"}, True),
    ],
)
async def test_pages_of_other_origins_change_nothing(api: Any, headers: dict[str, str], allowed: bool) -> None:
    async with api(AuthSettings(cors_origins=("https://ops.example",))) as client:
        answer = await client.post("/api/v1/tokens", json=BODY, headers=headers)
        if allowed:
            assert answer.status_code == 201
        else:
            assert "auth.cors_origins" in problem(answer, 403)
            assert (await client.get("/api/v1/tokens")).json()["items"] == []
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 200


async def test_cors_is_for_the_origins_that_were_named(api: Any) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    async with api(AuthSettings(cors_origins=("https://ops.example",))) as client:
        ours = await client.options("/api/v1/tokens", headers={"origin": "https://ops.example", **asks})
        assert ours.status_code == 200
        assert ours.headers["access-control-allow-origin"] == "https://ops.example"
        assert ours.headers["access-control-allow-credentials"] == "true"
        theirs = await client.options("/api/v1/tokens", headers={"origin": "https://evil.example", **asks})
        assert theirs.status_code == 400
        assert "access-control-allow-origin" not in theirs.headers
        read = await client.get("/api/v1/me", headers={"origin": "https://ops.example"})
        assert read.headers["access-control-allow-origin"] == "https://ops.example"
        assert "origin" in read.headers["vary"].lower()
        other = await client.options("/api/v1/upload", headers={"origin": "https://ops.example", **asks})
        assert "access-control-allow-origin" not in other.headers
    async with api() as client:
        none = await client.options("/api/v1/tokens", headers={"origin": "https://ops.example", **asks})
        assert "access-control-allow-origin" not in none.headers


@pytest.mark.parametrize("origin", ["*", "https://*.example.com", "https://a.example/", "a.example", "null", "ftp://a"])
def test_an_origin_is_one_origin(origin: str) -> None:
    if "*." in origin:
        return  # a host of that name exists nowhere: it allows nobody
    with pytest.raises(ValidationError, match="give an origin"):
        AuthSettings(cors_origins=(origin,))


# -- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("flows.example", True),
        ("FLOWS.example:8642", True),
        ("a.ops.example", True),
        ("ops.example", False),
        ("evil.example", False),
        ("flows.example.evil.example", False),
        ("flows.example@evil.example", False),
        ("", False),
    ],
)
async def test_other_hosts_are_refused_where_they_are_named(api: Any, host: str, allowed: bool) -> None:
    async with api(AuthSettings(allowed_hosts=("flows.example", "*.ops.example"))) as client:
        answer = await client.get("/api/v1/me", headers={"host": host})
        if allowed:
            assert answer.status_code == 200
        else:
            assert "auth.allowed_hosts" in problem(answer, 400)
        assert (await client.post("/api/v1/upload", headers={"host": host})).status_code == 200


# -- the rest ---------------------------------------------------------------------------------------------------------


async def test_streams_are_not_held_back() -> None:
    """Each piece is handed on when it is made, and who leaves is noticed."""
    made = asyncio.Event()
    gone = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"one"
            await made.wait()
            yield b"two"

        await StreamingResponse(pieces())({**scope, "asgi": {"spec_version": "2.0"}}, receive, send)

    sent: list[bytes] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            if sent == [b"one"]:
                made.set()

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    guard = Guard(stream, settings=Settings(_env_file=None), patterns=lambda: ["^/events$"])
    scope = {"type": "http", "method": "GET", "path": "/events", "headers": [], "scheme": "http"}
    await asyncio.wait_for(guard(scope, receive, send), 60)
    assert sent == [b"one", b"two", b""]


async def test_it_guards_wherever_the_application_is_mounted(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    inner, outer = FastAPI(), FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(inner, user=Depends(root))
    outer.mount("/flows", inner)
    async with client_of(stepwell, outer) as client:
        refused = await client.post("/flows/api/v1/tokens", json=BODY, headers={"origin": "https://evil.example"})
        assert refused.status_code == 403
        assert (await client.get("/flows/api/v1/me")).headers["x-frame-options"] == "DENY"


async def test_a_started_application_can_not_be_mounted_on(stepwell_of: StepwellOf) -> None:
    app = FastAPI()
    app.middleware_stack = app.build_middleware_stack()
    with pytest.raises(ConfigurationError, match="has started already"):
        stepwell_of(App("shop")).mount(app)


@pytest.mark.parametrize("root_path", ["/x", "/x/", "/x//", "/", "//", "/api", "/api/v1", "/x/y/", "x/"])
@pytest.mark.parametrize("served", ["joined", "stripped", "without"])
async def test_no_root_path_opens_a_way_around_the_guard(
    stepwell_of: StepwellOf, client_of: ClientOf, root_path: str, served: str
) -> None:
    """A server joins the root path and the path, a proxy strips it; whatever the routes make of both, the guard does too."""
    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(root))

    async def as_served(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["root_path"] = root_path
            scope["path"] = {
                "joined": root_path + scope["path"],
                "stripped": root_path.rstrip("/") + scope["path"],
                "without": scope["path"],
            }[served]
        await app(scope, receive, send)

    async with client_of(stepwell, app) as client:
        client._transport = httpx.ASGITransport(as_served)  # type: ignore[arg-type]
        refused = await client.post("/api/v1/tokens", json=BODY, headers={"origin": "https://evil.example"})
        assert refused.status_code in (403, 404), refused.text
        answer = await client.get("/api/v1/me")
        assert answer.status_code in (200, 404)
        if answer.status_code == 200:
            assert (refused.status_code, answer.headers["x-frame-options"]) == (403, "DENY")


async def test_a_route_that_is_reached_without_the_guard_refuses_by_itself(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    app, other = FastAPI(lifespan=stepwell.lifespan), FastAPI()
    stepwell.mount(app, user=Depends(root))
    other.router.routes.extend(app.router.routes)  # as an application does that moves routes, and not their middleware
    async with client_of(stepwell, app) as client:
        client._transport = httpx.ASGITransport(other)
        for path in ("/api/v1/me", "/api/v1/runs", "/api/v1/health"):
            assert "didn't pass the guard" in problem(await client.get(path), 500)
        assert "didn't pass the guard" in problem(await client.post("/api/v1/tokens", json=BODY), 500)
