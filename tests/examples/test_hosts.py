"""A Django, a Flask and a Starlette application: `examples/hosts`, served as docs/hosts.md says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from backends import Database, migrate
from servers.ports import free_port

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
SHOPS = ("django_shop", "flask_shop", "starlette_shop")
SECONDS = 90.0


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.thorough)])
def database(request: pytest.FixtureRequest) -> Database:
    """A database without the application's tables; on PostgreSQL `stepwell db upgrade` has made Stepwell's."""
    found: Database = request.getfixturevalue(f"empty_{request.param}")
    if found.kind == "postgres":
        migrate(found.url)
    return found


def until(look: Callable[[], T | None], what: str) -> T:
    """What `look` finds, once it finds it."""
    ends = time.monotonic() + SECONDS
    while (found := look()) is None:
        assert time.monotonic() < ends, what
        time.sleep(0.02)
    return found


@contextmanager
def served(
    command: Sequence[str], port: int, database: Database, log: Path, stop: signal.Signals = signal.SIGINT
) -> Iterator[httpx.Client]:
    """The application in processes of its own. At the end they were told to stop, and have ended by themselves."""
    environment = {**os.environ, "SHOP_DATABASE": database.url, "PYTHONUNBUFFERED": "1"}
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=output, stderr=output
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"X-User": "ada"}, timeout=SECONDS) as client,
    ):

        def answers() -> bool | None:
            assert process.poll() is None, log.read_text()
            try:
                client.get("/")
            except httpx.TransportError:
                return None
            return True

        try:
            until(answers, "the server doesn't answer")
            yield client
            process.send_signal(stop)
            assert process.wait(SECONDS) in (0, -stop), log.read_text()
        finally:
            process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()
    assert database.read("SELECT id FROM stepwell_workers") == []  # closed, and not just gone


def order(client: httpx.Client, name: str) -> None:
    """It is ordered, and shipped; not by another user, and not twice."""
    answer = client.post(f"/orders/{name}")
    assert answer.status_code == 202, answer.text
    run = f"/runs/{answer.json()['run']}"

    def shipped() -> Any:
        found = client.get(run).json()
        return found if found["status"] == "completed" else None

    assert until(shipped, "it isn't shipped") == {"status": "completed", "result": f"{name} shipped"}
    assert client.get(run, headers={"X-User": "eve"}).status_code == 404
    assert client.post(f"/orders/{name}").status_code == 409


@pytest.mark.parametrize("shop", SHOPS)
def test_an_order_and_its_run_are_stored_together_or_not_at_all(shop: str, database: Database, tmp_path: Path) -> None:
    port = free_port()
    with served([f"examples.hosts.{shop}", str(port)], port, database, tmp_path / "log") as client:
        order(client, "A1")
        order(client, "A2")
        assert len(database.read("SELECT id FROM stepwell_runs")) == 2  # those of the refused orders aren't there


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn_opens_stepwell_in_each_worker_after_the_fork(
    preload: list[str], database: Database, tmp_path: Path
) -> None:
    port = free_port()
    command = ["gunicorn", *preload, "--workers", "2", "--threads", "2", "--bind", f"127.0.0.1:{port}"]
    command += ["--config", "examples/hosts/gunicorn_conf.py", "examples.hosts.flask_shop:app"]

    def both() -> bool | None:
        return len(database.read("SELECT id FROM stepwell_workers")) == 2 or None

    with served(command, port, database, tmp_path / "log", stop=signal.SIGTERM) as client:
        until(both, "not both workers have opened it")
        for number in range(6):
            order(client, f"A{number}")


@pytest.mark.parametrize("shop", SHOPS)
def test_an_example_has_about_forty_lines(shop: str) -> None:
    lines = (ROOT / "examples" / "hosts" / f"{shop}.py").read_text().splitlines()
    assert sum(bool(line) for line in lines) <= 50
