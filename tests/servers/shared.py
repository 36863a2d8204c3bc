"""One PostgreSQL for all processes of a test run: the first that needs it starts it, and the last that leaves ends it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.keeper import use
from servers.postgres import NEWEST, Postgres, PostgresServer

_URL = "STEPWELL_TEST_POSTGRES_URL"
_VERSION = "STEPWELL_TEST_POSTGRES_VERSION"
SHARED = "shared"
"""The name of the server, which all its processes show."""


@contextmanager
def shared_postgres(meeting: Path) -> Iterator[Postgres]:
    """The server that the environment names, else the one of whoever else uses this folder, else a new one."""
    named = os.environ.get(_URL)
    if named:
        with Postgres(named) as server:
            yield server
        return
    meeting.mkdir(parents=True, exist_ok=True)
    with (meeting / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        joined = _join(meeting) or _begin(meeting)
    server, leave = joined
    try:
        yield server
    finally:
        Postgres.close(server)
        leave()


_Joined = tuple[Postgres, Callable[[], None]]
"""A server, and what to call when one leaves it."""


def _join(meeting: Path) -> _Joined | None:
    try:
        found = json.loads((meeting / "postgres.json").read_text())
        using = use(Path(found["folder"]))
    except FileNotFoundError:
        return None
    return Postgres(found["root"]), using.close


def _begin(meeting: Path) -> _Joined:
    # Nothing here outlives the run, and it is the same to a test whether a commit has reached the disk.
    settings = {"fsync": "off", "full_page_writes": "off", "cluster_name": SHARED}
    server = PostgresServer(settings, version=int(os.environ.get(_VERSION, NEWEST)))
    state = {"folder": str(server.keeper.folder), "root": server.root}
    (meeting / "postgres.json").write_text(json.dumps(state))
    return server, server.keeper.leave
