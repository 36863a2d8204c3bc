"""Studio as it is served: pages that belong to one response, files that are kept for ever, and nothing else of the disk."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from stepwell import App, Settings, Stepwell
from stepwell.console.http.studio.studio import studio_routes
from stepwell.errors import NoAccess

INDEX = """<!doctype html><head><base href="__STUDIO_BASE__"><meta name="stepwell-api" content="__API_BASE__">
<meta property="csp-nonce" nonce="__CSP_NONCE__"><script type="module" src="./assets/app-1a2b.js"></script></head>"""
CURE = "say who asks"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
API_CLIENT = {"Accept": "application/json"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as the build makes it, with a secret beside it."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "theme.js").write_text("document.documentElement.dataset.theme = 'dark'")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "app-1a2b.js").write_text("console.log('x');" * 100)
    (folder / "assets" / "app-1a2b.css").write_text("body {}")
    (folder / ".stamp").write_text("of the build")
    (tmp_path / "secret.js").write_text("secret")
    return folder


async def refuse() -> None:
    raise NoAccess(f"Nobody may ask: {CURE}.")


def serving(folder: Path, access: Any = None, root_path: str = "") -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(studio_routes(access, folder=folder))
    transport = httpx.ASGITransport(app, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=BROWSER)


@pytest.fixture
async def client(built: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(built) as opened:
        yield opened


@pytest.mark.parametrize("path", ["", "/", "/index.html", "/runs", "/runs/0193-ab/feed", "/workflows/shop/orders.v2"])
async def test_every_address_of_a_page_gives_the_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/studio{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<base href="/studio/">' in answer.text
    assert 'content="/api/v1"' in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_a_page_has_a_strict_policy_with_a_nonce_of_its_own(client: httpx.AsyncClient) -> None:
    first, second = await client.get("/studio"), await client.get("/studio")
    nonces = [re.findall(r'csp-nonce" nonce="([^"]+)"', answer.text)[0] for answer in (first, second)]
    assert nonces[0] != nonces[1]
    assert first.headers["content-security-policy"] == (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonces[0]}'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'self'; "
        "frame-ancestors 'none'"
    )
    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["referrer-policy"] == "no-referrer"
    assert first.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in first.headers["permissions-policy"]


async def test_a_page_knows_where_it_is_mounted(built: Path) -> None:
    async with serving(built, root_path='/in"side') as client:
        text = (await client.get('/in"side/studio')).text
    assert '<base href="/in&quot;side/studio/">' in text
    assert 'content="/in&quot;side/api/v1"' in text


@pytest.mark.parametrize(
    ("path", "media_type", "kept"),
    [
        ("assets/app-1a2b.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("assets/app-1a2b.css", "text/css; charset=utf-8", "public, max-age=31536000, immutable"),
        ("theme.js", "text/javascript; charset=utf-8", "no-cache"),
        ("favicon.svg", "image/svg+xml", "no-cache"),
    ],
)
async def test_files_have_their_types_and_times(
    client: httpx.AsyncClient, path: str, media_type: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("text/plain", None))
    answer = await client.get(f"/studio/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["cache-control"] == kept
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/studio/theme.js")
    again = await client.get("/studio/theme.js", headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


async def test_files_are_compressed_for_those_who_ask(client: httpx.AsyncClient) -> None:
    packed = await client.get("/studio/assets/app-1a2b.js", headers={"Accept-Encoding": "gzip"})
    plain = await client.get("/studio/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(plain.content)
    assert packed.text == plain.text
    assert plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["", "/runs", "/theme.js", "/assets/app-1a2b.js"])
async def test_head_is_get_without_content(client: httpx.AsyncClient, path: str) -> None:
    head, get = await client.head(f"/studio{path}"), await client.get(f"/studio{path}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "cache-control"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("path", ["assets/old-9z.js", "missing.js", "logo.PNG", "assets/nothing", ".stamp.js"])
async def test_a_missing_file_is_a_problem_and_no_page(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/studio/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert path in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "../secret.js",
        "..%2fsecret.js",
        "%2e%2e/secret.js",
        "assets/..%2f..%2fsecret.js",
        "..%5csecret.js",
        "%00secret.js",
    ],
)
async def test_nothing_outside_the_folder_is_served(client: httpx.AsyncClient, path: str) -> None:
    raw = httpx.URL("http://localhost").copy_with(raw_path=f"/studio/{path}".encode())
    answer = await client.send(httpx.Request("GET", raw, headers=BROWSER))
    assert answer.status_code == 404
    assert "secret'" not in answer.text


async def test_an_absolute_path_is_none_of_ours(client: httpx.AsyncClient, built: Path) -> None:
    answer = await client.get(f"/studio/{built.parent / 'secret.js'}")
    assert answer.status_code == 404


async def test_what_the_build_notes_for_itself_is_not_served(client: httpx.AsyncClient) -> None:
    assert "of the build" not in (await client.get("/studio/.stamp")).text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_pages_are_only_read(client: httpx.AsyncClient, method: str) -> None:
    assert (await client.request(method, "/studio/runs")).status_code == 405


async def test_who_reads_json_gets_no_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/studio/runs", headers=API_CLIENT)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_new_build_is_seen_without_a_new_start(client: httpx.AsyncClient, built: Path) -> None:
    assert (await client.get("/studio/assets/new-2c.js")).status_code == 404
    (built / "assets" / "new-2c.js").write_text("new")
    (built / "index.html").write_text(INDEX.replace("app-1a2b", "new-2c"))
    assert "new-2c" in (await client.get("/studio")).text
    assert (await client.get("/studio/assets/new-2c.js")).text == "new"


async def test_a_build_that_is_being_replaced_counts_as_none(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(built) as client:
        with monkeypatch.context() as patched:

            def vanished(folder: Path, pattern: str) -> Any:
                raise FileNotFoundError(2, "replaced", str(folder))

            patched.setattr(Path, "rglob", vanished)
            assert (await client.get("/studio/", headers={"accept": "text/html"})).status_code == 503
        assert (await client.get("/studio/", headers={"accept": "text/html"})).status_code == 200


@pytest.mark.parametrize("path", ["", "/runs"])
async def test_where_nothing_is_built_the_page_says_how(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path / "nothing") as client:
        page = await client.get(f"/studio{path}")
        told = await client.get(f"/studio{path}", headers=API_CLIENT)
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "make studio" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "'nonce-" in page.headers["content-security-policy"]
    assert (told.status_code, told.json()["title"]) == (503, "Not built")
    assert "make studio" in told.json()["detail"]


@pytest.mark.parametrize("path", ["", "/runs", "/theme.js", "/assets/app-1a2b.js"])
async def test_where_nobody_may_ask_it_is_closed_and_says_why(built: Path, path: str) -> None:
    async with serving(built, refuse) as client:
        page = await client.get(f"/studio{path}")
        told = await client.get(f"/studio{path}", headers=API_CLIENT)
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert CURE in page.text
    assert (told.status_code, told.headers["content-type"]) == (403, "application/problem+json")
    assert CURE in told.json()["detail"]


def mounted(built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **options: Any) -> httpx.AsyncClient:
    monkeypatch.setattr("stepwell.console.http.mount.studio_routes", partial(studio_routes, folder=built))
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/never-opened.db")
    app = FastAPI()
    Stepwell([App("shop")], settings=settings).mount(app, **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=BROWSER)


async def test_mounted_without_a_user_it_is_closed(
    built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with mounted(built, monkeypatch, tmp_path) as client:
        page = await client.get("/studio/runs")
    assert page.status_code == 403
    assert "stepwell.mount(app, user=Depends(current_user))" in page.text


async def test_mounted_with_a_user_the_files_are_for_all_who_may_sign_in(
    built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def signed_in() -> str:
        raise AssertionError("the files hold no data, and ask nobody who they are")

    async with mounted(built, monkeypatch, tmp_path, user=Depends(signed_in)) as client:
        assert (await client.get("/studio/runs")).status_code == 200
