"""SQL for code that doesn't await: one asyncpg connection, opened when it is needed."""

from __future__ import annotations

from typing import Any

import asyncpg

from servers.loop import LoopThread

FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a call raises when the server refuses it, or is away."""


class Sql:
    """A connection of its own, so that what it reads is committed. Not for use by several threads at once."""

    def __init__(self, url: str, *, connect_seconds: float = 60.0, seconds: float = 60.0) -> None:
        self.url = url
        self._connect_seconds = connect_seconds
        self._seconds = seconds
        self._thread: LoopThread | None = None
        self._connection: Any = None

    def read(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows."""
        return [tuple(row) for row in self._call("fetch", sql, *parameters)]

    def records(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows, by the names of their columns."""
        return [dict(row) for row in self._call("fetch", sql, *parameters)]

    def execute(self, sql: str, *parameters: Any) -> None:
        """The statement, or without parameters the script, has been executed."""
        self._call("execute", sql, *parameters)

    def disconnect(self) -> None:
        """The connection is closed; the next call opens another one."""
        if self._thread is not None and self._connection is not None:
            self._thread.loop.call_soon_threadsafe(self._connection.terminate)
            self._connection = None

    def close(self) -> None:
        """Nothing of it is left."""
        self.disconnect()
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    def _call(self, method: str, sql: str, *parameters: Any) -> Any:
        self._thread = self._thread or LoopThread("sql")
        return self._thread.call(self._run(method, sql, *parameters), self._connect_seconds + self._seconds + 5)

    async def _run(self, method: str, sql: str, *parameters: Any) -> Any:
        if self._connection is None or self._connection.is_closed():
            # No named statements: the server may be behind a pooler.
            self._connection = await asyncpg.connect(self.url, timeout=self._connect_seconds, statement_cache_size=0)
        try:
            return await getattr(self._connection, method)(sql, *parameters, timeout=self._seconds)
        except asyncpg.PostgresError:
            raise
        except BaseException:
            self._connection.terminate()  # something may be under way in it still
            raise
