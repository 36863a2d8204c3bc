"""`mount(app, prefix=...)`: a guest that takes its own paths only, and changes nothing else of the application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute, Match, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from stepwell import App, Stepwell
from stepwell.console.cli.backends.remote import Remote
from stepwell.console.http.studio.studio import studio_routes
from stepwell.errors import ConfigurationError, StepwellError
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature

StepwellOf = Callable[..., Stepwell]
SECRET = "s3cret"
TOKEN = {"name": "t", "role": "viewer"}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


async def root() -> Principal:
    return Principal("root", "admin")


def shop(path: str = "/hooks/in") -> App:
    app = App("shop")

    @app.webhook(path, verify=github_signature(secret=SECRET))
    async def take(event: Any) -> None: ...

    return app


@asynccontextmanager
async def opened(app: Any, stepwell: Stepwell, root_path: str = "") -> AsyncIterator[httpx.AsyncClient]:
    async def joined(scope: Any, receive: Any, send: Any) -> None:
        # As servers do: the path begins with the root path.
        await app({**scope, "root_path": root_path, "path": root_path + scope["path"]}, receive, send)

    transport = httpx.ASGITransport(joined, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with stepwell, httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def is_problem(answer: httpx.Response, status: int) -> bool:
    return (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


# -- where it is ------------------------------------------------------------------------------------------------------


async def test_the_api_and_studio_are_under_the_prefix_and_webhooks_where_they_are_declared(
    stepwell_of: StepwellOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "built" / "assets").mkdir(parents=True)
    (tmp_path / "built" / "index.html").write_text('<base href="__STUDIO_BASE__"><meta content="__API_BASE__">')
    (tmp_path / "built" / "assets" / "app.js").write_text("1")
    folder = partial(studio_routes, folder=tmp_path / "built")
    monkeypatch.setattr("stepwell.console.http.mount.studio_routes", folder)
    stepwell = stepwell_of(shop(), auth=AuthSettings())
    app = FastAPI()
    stepwell.mount(app, user=Depends(root), prefix="/ops/flows")
    outer = FastAPI()
    outer.mount("/internal", app)
    for served, before, root_path in ((app, "", ""), (app, "", "/x"), (app, "", "/x/"), (outer, "/internal", "/x")):
        async with opened(served, stepwell, root_path) as client:
            there = f"{before}/ops/flows"
            assert (await client.get(f"{there}/api/v1/me")).json()["user_id"] == "root"
            assert (await client.get(f"{there}/api/v1/health")).status_code == 200
            page = await client.get(f"{there}/studio/runs", headers={"accept": "text/html"})
            base = root_path.rstrip("/") + there
            assert f'<base href="{base}/studio/"><meta content="{base}/api/v1">' in page.text
            assert (await client.get(f"{there}/studio/assets/app.js")).status_code == 200
            for absent in (f"{before}/api/v1/me", f"{before}/studio", f"{there}/hooks/in"):
                assert (await client.get(absent)).json() == {"detail": "Not Found"}, absent
            hook = await client.post(f"{before}/hooks/in", content="{}", headers=sign_github("{}", SECRET))
            assert hook.status_code == 200
            unknown = await client.get(f"{there}/api/v1/nothing")
            assert "/ops/flows/api/v1/openapi.json lists the paths" in unknown.json()["detail"]
            refused = await client.post(
                f"{there}/api/v1/tokens", json=TOKEN, headers={"origin": "https://evil.example"}
            )
            assert is_problem(refused, 403)


async def test_a_session_and_the_document_know_the_prefix_and_the_root_path(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(shop(), auth=AuthSettings())
    app = FastAPI()
    stepwell.mount(app, user=Depends(root), prefix="/flows")
    async with opened(app, stepwell, "/x") as client:
        made = (await client.post("/flows/api/v1/tokens", json=TOKEN)).json()
        signed_in = await client.post("/flows/api/v1/session", json={"token": made["token"]})
        assert "Path=/x/flows/api/v1;" in signed_in.headers["set-cookie"]
        document = (await client.get("/flows/api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": "/x"}]
        assert "/flows/api/v1/runs/{workflow_id}" in document["paths"]
    async with opened(app, stepwell) as client:
        assert "servers" not in (await client.get("/flows/api/v1/openapi.json")).json()


@pytest.mark.parametrize("url", ["http://h/flows", "http://h/flows/", "http://h/flows/api/v1"])
def test_the_command_line_reaches_an_api_under_a_prefix(url: str) -> None:
    assert Remote(url).url == "http://h/flows/api/v1"
    assert Remote(url).back == " --url http://h/flows"


NO_PREFIXES: list[Any] = [
    *("/", "flows", "/flows/", "//", "//flows", "/a//b", "/{tenant}", "/a/{b:path}", "/flöws", "/a b", "/a?b", "/a#b"),
    *("/%66lows", "/..", "/a/./b", "/flows\n", "/a\x00b", "http://h/flows", None, 1, b"/flows", ["/flows"]),
]


@pytest.mark.parametrize("prefix", NO_PREFIXES, ids=repr)
def test_a_prefix_is_a_path(stepwell_of: StepwellOf, prefix: Any) -> None:
    app = FastAPI()
    before = snapshot(app)
    with pytest.raises(ConfigurationError, match=r"mount\(app, prefix=.*'/flows'"):
        stepwell_of(shop()).mount(app, prefix=prefix)
    assert snapshot(app) == before


# -- collisions -------------------------------------------------------------------------------------------------------


def snapshot(app: FastAPI) -> Any:
    """All that a mount could change."""
    return (
        [*app.router.routes],
        [*app.user_middleware],
        dict(app.exception_handlers),
        app.router.default,
        dict(app.state._state),
        app.openapi_schema,
        dict(app.dependency_overrides),
        [*app.router.dependencies],
    )


async def answer() -> str:
    return "theirs"


async def talk(socket: WebSocket) -> None: ...


def included(path: str) -> Callable[[FastAPI], None]:
    def add(app: FastAPI) -> None:
        inner, outer = APIRouter(), APIRouter()
        inner.add_api_route(path.removeprefix("/api"), answer)
        outer.include_router(inner)
        app.include_router(outer, prefix="/api")

    return add


class Everything(BaseRoute):
    """A route that only it itself knows."""

    def matches(self, scope: Any) -> Any:
        return Match.FULL, {}


COLLISIONS: dict[str, tuple[Callable[[FastAPI], object], str]] = {
    "an endpoint": (lambda app: app.add_api_route("/api/v1/runs", answer), "route GET '/api/v1/runs'"),
    "another method": (
        lambda app: app.add_api_route("/api/v1/health", answer, methods=["DELETE"]),
        "route DELETE '/api/v1/health'",
    ),
    "one of the values of ours": (
        lambda app: app.add_api_route("/api/v1/runs/export", answer),
        "route GET '/api/v1/runs/export'",
    ),
    "a parameter": (lambda app: app.add_api_route("/{page}", answer), "route GET '/{page}'"),
    "parameters crosswise": (lambda app: app.add_api_route("/api/{version}/runs/export", answer), "'/api/{version}"),
    "a part of a segment": (lambda app: app.add_api_route("/stu{rest}", answer), "route GET '/stu{rest}'"),
    "a catch-all": (lambda app: app.add_api_route("/{rest:path}", answer), "route GET '/{rest:path}'"),
    "a catch-all below": (lambda app: app.add_api_route("/api/{rest:path}", answer), "'/api/{rest:path}'"),
    "a page of Studio": (lambda app: app.add_api_route("/studio/help", answer), "'/studio/help'"),
    "a mount": (lambda app: app.mount("/api", Router()), "mount '/api/{path:path}'"),
    "files for all paths": (lambda app: app.mount("/", StaticFiles(directory=".")), "mount '/{path:path}'"),
    "a mount with a parameter": (lambda app: app.routes.append(Mount("/{a}/v1", Router())), "mount '/{a}/v1/"),
    "a websocket": (lambda app: app.add_api_websocket_route("/studio/live", talk), "websocket '/studio/live'"),
    "an included router": (included("/api/v1/me"), "route GET '/api/v1/me'"),
    "a webhook's path": (lambda app: app.add_api_route("/hooks/in", answer), "route GET '/hooks/in'"),
    "a webhook's path, included": (lambda app: app.mount("/hooks", Router()), "mount '/hooks/{path:path}'"),
    "a plain route": (
        lambda app: app.routes.append(Route("/api/v1/counts", lambda request: PlainTextResponse("theirs"))),
        "route GET HEAD '/api/v1/counts'",
    ),
    "a route of an unknown kind": (lambda app: app.routes.append(Everything()), "route Everything"),
}


@pytest.mark.parametrize("which", COLLISIONS)
def test_a_collision_is_refused_with_both_names_and_nothing_has_changed(stepwell_of: StepwellOf, which: str) -> None:
    add, named = COLLISIONS[which]
    app = FastAPI()
    add(app)
    before = snapshot(app)
    stepwell = stepwell_of(shop())
    with pytest.raises(ConfigurationError) as refused:
        stepwell.mount(app, user=Depends(root))
    text = str(refused.value)
    assert named in text
    assert "a path of the API" in text or "a path of Studio" in text or "the webhook 'take' of app 'shop'" in text
    assert "mount(app, prefix='/flows')" in text
    assert snapshot(app) == before


def test_after_a_refusal_it_can_be_mounted_elsewhere(stepwell_of: StepwellOf) -> None:
    app = FastAPI()
    app.add_api_route("/studio", answer)
    stepwell = stepwell_of(shop())
    with pytest.raises(ConfigurationError, match="/studio"):
        stepwell.mount(app)
    stepwell.mount(app, prefix="/flows")
    with pytest.raises(ConfigurationError, match="mounted on this application already"):
        stepwell.mount(app, prefix="/other")


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/api/v1/orders", "/api/v1/runs/a/b/c", "/api/v2/runs", "/studios", "/hooks/other"]
)
async def test_neighbours_are_no_collision(stepwell_of: StepwellOf, path: str) -> None:
    app = FastAPI()
    app.add_api_route(path, answer)
    stepwell = stepwell_of(shop())
    stepwell.mount(app, user=Depends(root))
    app.add_api_route(f"{path.rstrip('/')}/after/all/of/it", answer)
    app.mount("/", Router([Route("/{rest:path}", lambda request: PlainTextResponse("files"))]))
    async with opened(app, stepwell) as client:
        assert (await client.get(path)).json() == "theirs"
        assert (await client.get("/index.html")).text == "files"
        assert (await client.get("/api/v1/me")).status_code == 200


@pytest.mark.parametrize("path", ["/studio", "/studio/live", "/api/v1/runs", "/api/v1/runs/{any}", "/hooks/in"])
async def test_a_route_that_follows_and_is_never_reached_is_refused_when_it_opens(
    stepwell_of: StepwellOf, path: str
) -> None:
    stepwell = stepwell_of(shop())
    app = FastAPI()
    stepwell.mount(app)
    app.add_api_route(path, answer)
    with pytest.raises(ConfigurationError, match=r"was added after mount\(app\) and is never reached"):
        async with stepwell:
            raise AssertionError("it opened")


async def test_a_webhook_that_follows_is_compared_when_it_opens(stepwell_of: StepwellOf) -> None:
    apps = App("shop")
    stepwell = stepwell_of(apps)
    app = FastAPI()
    app.add_api_route("/hooks/late", answer)
    stepwell.mount(app)

    @apps.webhook("/hooks/late", verify=github_signature(secret=SECRET))
    async def late(event: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="the webhook 'late' of app 'shop'"):
        async with stepwell:
            raise AssertionError("it opened")


@pytest.mark.parametrize("path", ["/studio/in", "/api/v1/runs", "/api/v1/runs/in"])
def test_a_webhook_at_a_path_of_the_api_is_refused(stepwell_of: StepwellOf, path: str) -> None:
    app = FastAPI()
    before = snapshot(app)
    with pytest.raises(ConfigurationError, match="Give the webhook another path"):
        stepwell_of(shop(path)).mount(app)
    assert snapshot(app) == before


# -- what is the application's ----------------------------------------------------------------------------------------


class Shouting(JSONResponse):
    def render(self, content: Any) -> bytes:
        return json.dumps(content).upper().encode()


def unique(route: Any) -> str:
    return f"theirs-{route.name}"


@pytest.mark.parametrize("prefix", ["", "/flows"])
async def test_the_applications_own_paths_answers_and_document_stay_as_they_are(
    stepwell_of: StepwellOf, prefix: str
) -> None:
    def made() -> FastAPI:
        app = FastAPI(
            default_response_class=Shouting,
            generate_unique_id_function=unique,
            responses={418: {"description": "theirs"}},
            redirect_slashes=False,
        )
        app.add_api_route("/api/v1/orders", answer)
        app.add_api_route("/own", answer)

        @app.exception_handler(StarletteHTTPException)
        async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
            return JSONResponse({"theirs": error.detail}, error.status_code)

        return app

    host, plain = made(), made()
    stepwell = stepwell_of(shop(), auth=AuthSettings())
    stepwell.mount(host, user=Depends(root), prefix=prefix)
    assert host.openapi() == plain.openapi()
    asked = ["/api/v1/orders", "/own", "/own/", "/nothing", "/api/v1/nothing", "/api/v1/orders/1", "/docs"]
    if prefix:
        asked += ["/api/v1/runs", "/studio", "/flows", "/flows/nothing"]
    async with opened(host, stepwell) as client, opened(plain, stepwell_of(App("other"))) as alone:
        for path in asked:
            for method in ("GET", "POST", "OPTIONS"):
                mine, theirs = await client.request(method, path), await alone.request(method, path)
                assert (mine.status_code, mine.content) == (theirs.status_code, theirs.content), path
                assert mine.headers == theirs.headers, path
        me = await client.get(f"{prefix}/api/v1/me")
        assert me.json()["user_id"] == "root"


async def test_the_document_of_the_application_has_the_api_if_it_asks_for_it(stepwell_of: StepwellOf) -> None:
    app = FastAPI(generate_unique_id_function=unique)
    stepwell = stepwell_of(shop())
    with pytest.raises(ConfigurationError, match=r"include_in_schema='no'"):
        stepwell.mount(app, include_in_schema="no")  # type: ignore[arg-type]
    stepwell.mount(app, user=Depends(root), prefix="/flows", include_in_schema=True)
    paths = app.openapi()["paths"]
    assert paths["/flows/api/v1/runs"]["post"]["operationId"] == "start_run"
    async with opened(app, stepwell) as client:
        own = (await client.get("/flows/api/v1/openapi.json")).json()["paths"]
    assert own.keys() == paths.keys()


async def test_dependencies_of_the_application_close_neither_health_nor_studio_nor_webhooks(
    stepwell_of: StepwellOf,
) -> None:
    async def staff(request: Request, x_staff: str | None = Header(None)) -> None:
        if x_staff is None:
            raise HTTPException(418, "theirs")
        request.state.staff = x_staff

    async def current_user(request: Request) -> str:
        found: str = request.state.staff
        return found

    stepwell = stepwell_of(shop(), auth=AuthSettings())
    app = FastAPI(dependencies=[Depends(staff)])
    stepwell.mount(app, user=Depends(current_user))
    async with opened(app, stepwell) as client:
        for path in ("/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/studio")).status_code in (200, 503)
        hook = await client.post("/hooks/in", content="{}", headers=sign_github("{}", SECRET))
        assert hook.status_code == 200
        # They are part of how the application knows its users.
        assert (await client.get("/api/v1/me")).json() == {"detail": "theirs"}
        ada = {"x-staff": "ada"}
        assert (await client.get("/api/v1/me", headers=ada)).json()["user_id"] == "ada"
        made = (await client.post("/api/v1/tokens", json=TOKEN, headers=ada)).json()
        bearer = {"authorization": f"Bearer {made['token']}"}
        assert (await client.get("/api/v1/me", headers=bearer)).json() == {"detail": "theirs"}
        assert (await client.get("/api/v1/me", headers=bearer | {"x-staff": "x"})).json()["user_id"] == "ada"


async def test_handlers_and_middlewares_of_the_application_leave_problems_as_they_are(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(shop(), auth=AuthSettings())
    app = FastAPI()

    async def theirs(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(f"theirs: {type(error).__name__}", 499)

    for kind in (
        StarletteHTTPException,
        HTTPException,
        RequestValidationError,
        StepwellError,
        Exception,
        404,
        405,
        500,
    ):
        app.add_exception_handler(kind, theirs)
    app.add_middleware(GZipMiddleware, minimum_size=1)

    async def reads(request: Request, call_next: Any) -> Any:
        await request.body()
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=reads)
    stepwell.mount(app, user=Depends(root))
    app.add_middleware(BaseHTTPMiddleware, dispatch=reads)
    app.add_middleware(CORSMiddleware, allow_origins=["https://theirs.example"])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost"])

    @app.get("/own/{n}")
    async def own(n: int) -> None:
        raise ValueError("theirs")

    async with opened(app, stepwell) as client:
        assert is_problem(await client.get("/api/v1/runs/x"), 404)
        assert is_problem(await client.get("/api/v1/runs?zzz=1"), 422)
        assert is_problem(await client.put("/api/v1/runs"), 405)
        assert is_problem(
            await client.post("/api/v1/runs", content=b"{", headers={"content-type": "application/json"}), 422
        )
        assert is_problem(await client.get("/api/v1/nothing"), 404)
        bearer = {"authorization": "Bearer sw_wrong"}
        assert is_problem(await client.get("/api/v1/me", headers=bearer), 401)
        too_large = b'"' + b"x" * 2_000_000 + b'"'
        answer = await client.post("/api/v1/runs", content=too_large, headers={"content-type": "application/json"})
        assert is_problem(answer, 413)
        async with stepwell_error(stepwell):
            assert is_problem(await client.get("/api/v1/counts"), 500)
        assert (await client.get("/own/x")).text == "theirs: RequestValidationError"
        assert (await client.get("/own/1")).text == "theirs: ValueError"
        assert (await client.get("/nothing")).text == "theirs: HTTPException"
        assert (await client.post("/api/v1/tokens", json=TOKEN)).status_code == 201


@asynccontextmanager
async def stepwell_error(stepwell: Stepwell) -> AsyncIterator[None]:
    """Something in Stepwell is broken, in a way that it doesn't know."""
    store = stepwell.runner.core.store
    read = store.read_for

    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("broken")

    store.read_for = broken
    try:
        yield
    finally:
        store.read_for = read
