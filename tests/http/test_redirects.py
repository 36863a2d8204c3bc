"""`Host` in redirects: what a request names as its host is never where an answer leads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse

from stepwell import App, Stepwell
from stepwell.fastapi import Principal
from stepwell.triggers import github_signature

EVIL = "evil.example"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


async def root() -> Principal:
    return Principal("root", "admin")


@pytest.fixture
def opened(stepwell_of: Callable[..., Stepwell]) -> Callable[..., Any]:
    """`async with opened() as client`: an application with routes of its own; `under`: below a path of another one."""

    @asynccontextmanager
    async def made(under: str = "", root_path: str = "") -> AsyncIterator[httpx.AsyncClient]:
        shop = App("shop")

        @shop.webhook("/hooks/in", verify=github_signature(secret="s3cret"))
        async def take(runner: Any, event: Any) -> None: ...

        @shop.webhook("/hooks/slashed/", verify=github_signature(secret="s3cret"))
        async def take_too(runner: Any, event: Any) -> None: ...

        stepwell = stepwell_of(shop)
        app = FastAPI(lifespan=stepwell.lifespan)

        @app.get("/own")
        async def own() -> str:
            return "own"

        @app.get("/api/v1/runs/")
        async def away() -> RedirectResponse:
            return RedirectResponse("https://elsewhere.example/runs")

        stepwell.mount(app, user=Depends(root))
        outer = app
        if under:
            outer = FastAPI()
            outer.mount(under, app)
        transport = httpx.ASGITransport(outer, root_path=root_path, raise_app_exceptions=False)
        async with stepwell.lifespan(app), httpx.AsyncClient(transport=transport, base_url=f"http://{EVIL}") as client:
            yield client

    return made


@pytest.mark.parametrize("under", ["", "/flows"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("method", "path", "to"),
    [
        ("GET", "/api/v1/workflows/", "/api/v1/workflows"),
        (
            "GET",
            "/api/v1/workflows/?app_name=a%20b&x=//evil.example",
            "/api/v1/workflows?app_name=a%20b&x=//evil.example",
        ),
        ("GET", "/api/v1/health/", "/api/v1/health"),
        ("GET", "/api/v1/health///", "/api/v1/health"),
        ("POST", "/api/v1/runs/bulk/cancel/", "/api/v1/runs/bulk/cancel"),
        ("GET", "/api/v1/runs/a%3Fb/", "/api/v1/runs/a%3Fb"),
        ("GET", "/api/v1/openapi.json/", "/api/v1/openapi.json"),
        ("POST", "/hooks/in/", "/hooks/in"),
        ("POST", "/hooks/slashed", "/hooks/slashed/"),
    ],
)
async def test_no_host_of_a_request_is_in_a_redirect(
    opened: Any, under: str, scheme: str, method: str, path: str, to: str
) -> None:
    async with opened(under) as client:
        answer = await client.request(
            method, f"{scheme}://{EVIL}{under}{path}", content=b"{}" if method == "POST" else None
        )
        assert (answer.status_code, answer.headers["location"]) == (307, under + to)


@pytest.mark.parametrize(
    "host", [f"{EVIL}/x?", f"user@{EVIL}", f"{EVIL}:80", f"{EVIL}#", f"//{EVIL}", "[::1", "\\evil.example", ""]
)
async def test_a_host_that_is_no_host_changes_nothing(opened: Any, host: str) -> None:
    async with opened() as client:
        answer = await client.get("/api/v1/health/", headers={"Host": host})
        assert (answer.status_code, answer.headers["location"]) == (307, "/api/v1/health")


async def test_a_path_that_begins_with_two_slashes_names_no_host(opened: Any) -> None:
    async with opened(root_path=f"//{EVIL}") as client:
        answer = await client.get(f"http://localhost//{EVIL}/api/v1/health/")
        assert not answer.headers.get("location", "").startswith(("//", "/\\", "http"))


@pytest.mark.parametrize(
    ("root", "path", "to"),
    [
        ("/pre", "/api/v1/health/", "/pre/api/v1/health"),
        ("/pre/", "/api/v1/health/", "/pre/api/v1/health"),
        ("/pre", "/pre/api/v1/health/", "/pre/api/v1/health"),
        (f"//{EVIL}", "/api/v1/health/", f"/{EVIL}/api/v1/health"),
    ],
)
async def test_a_redirect_keeps_the_root_that_a_proxy_took_away(opened: Any, root: str, path: str, to: str) -> None:
    async with opened(root_path=root) as client:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (307, to)


async def test_the_applications_own_redirects_stay_as_they_are(opened: Any) -> None:
    async with opened() as client:
        assert (await client.get("/own/")).headers["location"] == f"http://{EVIL}/own"
        # Its own route beats a redirect to a path of the API.
        assert (await client.get("/api/v1/runs/")).headers["location"] == "https://elsewhere.example/runs"


async def test_a_client_that_follows_arrives(opened: Any) -> None:
    async with opened() as client:
        answer = await client.get("/api/v1/health/", follow_redirects=True)
        assert (answer.status_code, str(answer.url)) == (200, f"http://{EVIL}/api/v1/health")
