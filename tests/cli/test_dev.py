"""`stepwell dev`: a server with a worker, without login, for this machine only; and it starts anew."""

from __future__ import annotations

import signal
import socket

import httpx

from .conftest import PATIENCE, Shell


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_dev_serves_executes_and_stops(stepwell: Shell) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = stepwell.start("dev", "shop:stepwell", "--port", str(port), "--no-reload")
    stepwell.until(lambda: alive(url), lambda: stepwell.log(server))
    done = stepwell("run", "pack", "--arg", "number=1", "--json")
    assert done.returncode == 0
    listed = httpx.get(f"{url}/api/v1/runs", timeout=5)
    assert listed.status_code == 200, listed.text
    assert [one["workflow_name"] for one in listed.json()["items"]] == ["pack"]
    assert httpx.get(f"{url}/api/v1/runs", headers={"Host": "evil.example"}, timeout=5).status_code == 400
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
