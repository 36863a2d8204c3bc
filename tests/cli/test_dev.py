"""`stepwell dev`: a server with a worker, without login, for this machine only; and it starts anew (rule 41)."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from stepwell.console.cli.commands import dev
from stepwell.console.cli.reloading import is_source

from .conftest import PATIENCE, Shell


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/health", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def test_dev_serves_executes_and_stops(stepwell: Shell) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = stepwell.start("dev", "shop:stepwell", "--port", str(port), "--no-reload")
    stepwell.until(lambda: alive(url), lambda: stepwell.log(server))
    done = stepwell("run", "pack", "--arg", "number=1", "--json")
    assert done.returncode == 0
    listed = httpx.get(f"{url}/api/v1/runs", timeout=60)
    assert listed.status_code == 200, listed.text
    assert [one["workflow_name"] for one in listed.json()["items"]] == ["pack"]
    assert httpx.get(f"{url}/api/v1/runs", headers={"Host": "evil.example"}, timeout=60).status_code == 400
    server.send_signal(signal.SIGINT)
    out, _ = server.communicate(timeout=PATIENCE)
    assert (server.returncode, out) == (0, ""), stepwell.log(server)


def test_dev_starts_anew_when_a_file_changes(stepwell: Shell) -> None:
    port = free_port()
    server = stepwell.start("dev", "shop:stepwell", "--port", str(port))
    stepwell.until(lambda: alive(f"http://127.0.0.1:{port}"), lambda: stepwell.log(server))
    shop = stepwell.folder / "shop.py"
    shop.write_text(shop.read_text() + "\n")
    stepwell.until(
        lambda: stepwell.log(server).count("Application startup complete") == 2, lambda: stepwell.log(server)
    )
    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) in (0, -signal.SIGTERM), stepwell.log(server)


def test_dev_of_what_can_not_be_served_exits_with_2(stepwell: Shell) -> None:
    assert stepwell("dev", "shop:shop").returncode == 2
    assert stepwell("dev", "nowhere:stepwell").returncode == 2


MOUNTED = """
from fastapi import Depends, FastAPI, HTTPException

from shop import shop
from stepwell import Settings, Stepwell
from stepwell.settings import AuthSettings


async def nobody() -> str:
    raise HTTPException(401, "the application's own login")


def served(**settings):
    stepwell = Stepwell(apps=[shop], settings=Settings(**settings))
    app = FastAPI(lifespan=stepwell.lifespan)

    @app.get("/own")
    async def own(user: str = Depends(nobody)) -> str:
        return "never"

    stepwell.mount(app, user=Depends(nobody))
    return app


app = served()
tokens = served(auth=AuthSettings())
"""
IN_PARTS = """
from contextlib import asynccontextmanager

from mounted import app
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount

inner = app


async def lifespan(outer):
    async with inner.router.lifespan_context(inner):
        yield

wrapped = CORSMiddleware(inner)
outer = Starlette(routes=[Mount("/flows", wrapped)], lifespan=asynccontextmanager(lifespan))
"""


def serve(stepwell: Shell, target: str, *options: str) -> tuple[str, subprocess.Popen[str]]:
    """The URL of `stepwell dev` of an application whose own login refuses all requests, once it answers."""
    (stepwell.folder / "mounted.py").write_text(MOUNTED)
    (stepwell.folder / "parts.py").write_text(IN_PARTS)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = stepwell.start("dev", target, "--port", str(port), *options)
    under = "/flows" if target == "parts:outer" else ""
    stepwell.until(lambda: alive(url + under), lambda: stepwell.log(server))
    return url + under, server


@pytest.mark.parametrize("target", ["mounted:app", "mounted:tokens", "parts:wrapped", "parts:outer"])
def test_dev_is_open_whatever_user_the_application_mounts_with(stepwell: Shell, target: str) -> None:
    url, _ = serve(stepwell, target, "--no-reload")
    me = httpx.get(f"{url}/api/v1/me", timeout=60)
    assert me.status_code == 200, me.text
    assert [me.json()[name] for name in ("user_id", "role", "method", "everybody")] == ["local", "admin", "local", True]
    assert httpx.get(f"{url}/studio/", timeout=60, headers={"Accept": "text/html"}).status_code == 200
    begun = {"app_name": "shop", "workflow": "pack", "args": {"number": "1"}}
    assert httpx.post(f"{url}/api/v1/runs", json=begun, timeout=60).status_code == 202
    # The application's own endpoints keep their own login.
    assert httpx.get(f"{url}/own", timeout=60).status_code == 401


def test_dev_serves_no_other_machine_by_way_of_a_proxy(stepwell: Shell) -> None:
    url, _ = serve(stepwell, "mounted:app", "--no-reload")
    answer = httpx.get(f"{url}/api/v1/me", headers={"X-Forwarded-For": "203.0.113.9"}, timeout=60)
    assert (answer.status_code, answer.text) == (403, "stepwell dev has no login, so it serves its own machine only.")


def test_an_application_is_not_open_in_production_whatever_the_environment_says(stepwell: Shell) -> None:
    (stepwell.folder / "mounted.py").write_text(MOUNTED)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = stepwell.start(
        *("-m", "uvicorn", "mounted:app", "--port", str(port)),
        program=Path(sys.executable),
        STEPWELL_DEV_TARGET="mounted:app",
    )
    stepwell.until(lambda: alive(url), lambda: stepwell.log(server))
    assert httpx.get(f"{url}/api/v1/me", timeout=60).status_code == 401


@pytest.mark.parametrize("client", [("203.0.113.9", 1), ("::ffff:10.0.0.1", 1), ("", 0), None])
async def test_the_server_of_dev_refuses_other_machines_also_where_it_listens_to_them(
    monkeypatch: pytest.MonkeyPatch, client: tuple[str, int] | None
) -> None:
    monkeypatch.setenv(dev.TARGET, "cli.shop:stepwell")
    served = dev.application()
    for reached, expected in ((client, 403), (("127.0.0.1", 1), 503), (("::1", 1), 503)):
        transport = httpx.ASGITransport(served, client=reached)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asked:
            assert (await asked.get("/api/v1/health")).status_code == expected  # 503: it isn't open here


def test_dev_watches_sources_and_nothing_else(stepwell: Shell) -> None:
    (stepwell.folder / ".venv" / "lib").mkdir(parents=True)
    url, server = serve(stepwell, "mounted:app")
    others = [
        ".venv/lib/installed.py",
        "env/lib/python3.13/site-packages/installed.py",
        "node_modules/tool/setup.py",
        "__pycache__/mounted.cpython-311.py",
        ".git/hooks/pre_commit.py",
        "stepwell.db-journal",
        "server.log",
    ]
    for number in range(3):  # the database and its log are written in the same folder
        begun = {"app_name": "shop", "workflow": "pack", "args": {"number": str(number)}}
        assert httpx.post(f"{url}/api/v1/runs", json=begun, timeout=60).status_code == 202
        for name in others:
            path = stepwell.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {number}\n")
    assert {"stepwell.db", "stepwell.db-wal"} <= {one.name for one in stepwell.folder.iterdir()}
    source = stepwell.folder / "mounted.py"
    source.write_text(source.read_text() + "\n")
    stepwell.until(
        lambda: stepwell.log(server).count("Application startup complete") == 2, lambda: stepwell.log(server)
    )
    log = stepwell.log(server)
    assert "detected changes in 'mounted.py'. Reloading" in log
    assert log.count("Reloading") == 1
    assert not [line for line in log.splitlines() if "alembic" in line.lower() or "watchfiles.main" in line.lower()]
    assert not [line for line in log.splitlines() if "change detected" in line or "changes detected" in line]
    server.send_signal(signal.SIGINT)
    assert server.wait(PATIENCE) in (0, -signal.SIGINT), log


def test_a_busy_port_ends_dev_with_2(stepwell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for options in ((), ("--no-reload",)):
            port = str(taken.getsockname()[1])
            done = stepwell.script("dev", "shop:stepwell", "--port", port, *options)
            assert (done.returncode, "address already in use" in done.stderr.lower()) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/.venv/shop/main.py", True),  # what lies around the application doesn't count
        ("/home/.venv/shop/parts/new.py", True),
        ("/home/.venv/shop/.venv/x.py", False),
        ("/home/.venv/shop/a/node_modules/b/x.py", False),
        ("/home/.venv/shop/stepwell.db", False),
        ("/home/.venv/shop/stepwell.db-wal", False),
        ("/home/.venv/shop/.hidden.py", False),
        ("/home/.venv/other/main.py", False),
    ],
)
def test_which_files_are_sources(path: str, expected: bool) -> None:
    assert is_source(Path("/home/.venv/shop"), Path(path)) is expected
