"""The servers that measurements need: a PostgreSQL and a Valkey of their own, started with the first task that asks for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import count
from types import TracebackType
from typing import Any, Self

from benchmarks.measure import ROOT
from benchmarks.task import Database, Task

if (_TESTS := str(ROOT / "tests")) not in sys.path:
    sys.path.append(_TESTS)

# Where the tests place it, PostgreSQL's own choice is left alone here: all else is as it comes.
DEFAULTS = {"dynamic_shared_memory_type": "posix"}


class Ground:
    """Both servers are gone when it is closed."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._numbers = count(1)
        self._made: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @cached_property
    def postgres(self) -> Any:
        from servers.postgres import PostgresServer

        return self._open.enter_context(PostgresServer(DEFAULTS))

    @cached_property
    def valkey(self) -> Any:
        from servers.valkey import ValkeyServer

        return self._open.enter_context(ValkeyServer())

    @contextmanager
    def given(self, task: Task) -> Iterator[dict[str, str]]:
        """The arguments that say where the task's servers are."""
        given = {}
        if task.queue:
            self.valkey.flush()
            given["queue_url"] = str(self.valkey.url)
        if task.database is None:
            yield given
            return
        with self._database(task.database) as url:
            log = {"log": str(self.postgres.log)} if task.database.logged else {}
            yield given | {"url": url} | log

    @contextmanager
    def _database(self, database: Database) -> Iterator[str]:
        """Its URL. What earlier measurements have written is on the disk, so that this one doesn't pay for it."""
        name = database.shared or f"bench{next(self._numbers)}"
        if name not in self._made:
            self.postgres.create_database(name)
            self._made.add(name)
        self.postgres.sql.execute("CHECKPOINT")
        try:
            yield str(self.postgres.url(name))
        finally:
            if not database.shared:
                self.postgres.drop_database(name)

    def description(self) -> dict[str, str]:
        """What the servers that were used say about themselves."""
        if "postgres" not in self.__dict__:
            return {}
        named = (
            "server_version",
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "wal_sync_method",
            "shared_buffers",
        )
        found = {name: self.postgres.sql.read(f"SHOW {name}")[0][0] for name in named}
        return {"PostgreSQL": ", ".join(f"{name}={value}" for name, value in found.items())}
