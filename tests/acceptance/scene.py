"""Where the load runs: a PostgreSQL of its own, a network to each process, and a Valkey if one is wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acceptance import evidence
from acceptance.load import Load
from acceptance.mix import TABLES
from acceptance.nursery import Nursery
from servers.postgres import PostgresServer
from servers.proxy import TcpProxy
from servers.valkey import ValkeyServer

ROLES = ("worker0", "worker1", "worker2", "client")
DATABASE = "load"
USER = "app"
"""Who Stepwell is to the server: the owner of its database, and nothing more."""
_DURABLE = {"fsync": "on", "synchronous_commit": "local", "synchronous_standby_names": "nobody"}
"""Everybody's COMMIT waits for the disk, and for a standby that there isn't if somebody asks for it."""
FULL = "No space left on device"


@dataclass(slots=True)
class Scene:
    """All that can be broken."""

    load: Load
    server: PostgresServer
    proxies: Mapping[str, TcpProxy]
    valkey: ValkeyServer | None
    excused: str | None = None
    """What an attempt's error may say: a full disk refuses the application's own statements too."""
    resumes: list[float] = field(default_factory=list)
    """Seconds from the end of each fault until something was committed."""

    def goes_on(self) -> None:
        """Work goes on. Raises AssertionError if it doesn't."""
        before = _committed()
        self.resumes.append(self.load.wait(lambda: _committed() > before, "work goes on"))


def _committed() -> int:
    return evidence.number("SELECT count(*) FROM stepwell_history")


@contextmanager
def staged(
    nursery: Nursery,
    folder: Path,
    *,
    lease: float,
    server: Mapping[str, str | int] | None = None,
    disk_mib: int = 0,
    network: bool = False,
    queue: bool = False,
    offsets: Mapping[str, float] | None = None,
    **settings: Any,
) -> Iterator[Scene]:
    """A scene on which nothing plays yet. `offsets` are what the roles' clocks are wrong by, in seconds."""
    with ExitStack() as stack:
        database = stack.enter_context(PostgresServer({**_DURABLE, **(server or {})}, disk_mib=disk_mib))
        database.sql.execute(f"CREATE ROLE {USER} LOGIN")
        database.sql.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        evidence.use_server(folder, database.url(DATABASE))
        stack.callback(evidence.leave)
        evidence.write(f"SET ROLE {USER}; {TABLES} RESET ROLE")
        valkey = stack.enter_context(ValkeyServer()) if queue else None
        proxies = {role: stack.enter_context(TcpProxy(database.port)) for role in ROLES} if network else {}
        options = {
            role: {
                "database_url": _url(proxies[role].port if network else database.port),
                "offset": (offsets or {}).get(role, 0.0),
                **({"queue_url": valkey.url} if valkey else {}),
                **settings,
            }
            for role in ROLES
        }
        stack.callback(nursery.end_all)
        excused = FULL if disk_mib else None
        yield Scene(Load(nursery, folder, lease, options=options), database, proxies, valkey, excused)


def _url(port: int) -> str:
    return f"postgresql://{USER}@127.0.0.1:{port}/{DATABASE}"


def rest(seconds: float) -> None:
    """A fault has lasted so long."""
    time.sleep(seconds)
