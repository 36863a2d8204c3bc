"""The OpenAPI document and the API agree: nothing that it allows is a server error, and no answer is one it doesn't know.

Live streams are left out: they don't end. `test_stream.py` has them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.thorough

HERE = Path(__file__).parent
EXAMPLES = 15


@contextmanager
def shop(database_url: str, prefix: str, root_path: str) -> Iterator[str]:
    """Where the API of the shop of `schemathesis_shop.py` is served, behind a proxy that leaves the root path in the path."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = [sys.executable, str(HERE / "schemathesis_shop.py"), str(port), database_url, prefix, root_path]
    with subprocess.Popen(program, cwd=HERE) as server:
        try:
            url = f"http://127.0.0.1:{port}{root_path}{prefix}/api/v1"
            _wait(server, url)
            yield url
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert server.poll() is None, "the server ended"
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server didn't start")


def test_every_check_of_schemathesis_passes(database_url: str, tmp_path: Path) -> None:
    check(database_url, tmp_path)


def test_every_check_of_schemathesis_passes_under_a_prefix_and_a_root_path(tmp_path: Path) -> None:
    check(f"sqlite:///{tmp_path}/s.db", tmp_path, "/ops/flows", "/x", examples=5)


def check(database_url: str, folder: Path, prefix: str = "", root_path: str = "", *, examples: int = EXAMPLES) -> None:
    with shop(database_url, prefix, root_path) as url:
        program = Path(sys.executable).with_name("schemathesis")
        done = subprocess.run(
            [
                *(str(program), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/openapi.json"),
                *("--exclude-path-regex", "events$", "--max-examples", str(examples)),
                *("--workers", "1", "--seed", "1", "--no-color"),
            ],
            cwd=folder,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Stateful" in done.stdout
