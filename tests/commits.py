"""A COMMIT that fails, or whose answer is lost: on SQLite as a disk says it, on PostgreSQL by a network that breaks."""

from __future__ import annotations

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from cutter import Cutter, Side

_WRITES = r"INSERT INTO \S*stepwell_(history|steps)\b"


class Commits(ABC):
    """Breaks one COMMIT at a time, of a Stepwell on `url`."""

    blind_seconds = 1.0

    def __init__(self, url: str) -> None:
        self.url = url

    def break_next(
        self,
        engine: Engine,
        side: Side,
        *,
        blind: bool = False,
        if_: Callable[[], bool] = lambda: True,
        writes: str = _WRITES,
    ) -> list[str]:
        """The next COMMIT of a start, a checkpoint or a journal row fails; `blind`: and then nothing can be looked up.

        `writes`: what a statement of the transaction that is meant looks like. To be called where the engine's transactions
        are. What happened is in the list.
        """
        happened: list[str] = []
        wrote = [False]

        @event.listens_for(engine, "begin")
        def begun(_connection: Connection) -> None:
            wrote[0] = False

        @event.listens_for(engine, "before_cursor_execute")
        def executing(_connection: Connection, _cursor: Any, sql: str, *_: Any) -> None:
            wrote[0] |= re.search(writes, sql) is not None  # a heartbeat doesn't

        @event.listens_for(engine, "commit")
        def failing(connection: Connection) -> None:
            if wrote[0] and not happened and if_():
                happened.append(side)
                self._fail(connection, side, happened if blind else None)

        return happened

    @abstractmethod
    def passes(self) -> None:
        """Whoever was blind sees again."""

    @abstractmethod
    def _fail(self, connection: Connection, side: Side, blind: list[str] | None) -> None: ...


class SqliteCommits(Commits):
    """The disk says that it couldn't write, whether it could or not."""

    def passes(self) -> None:
        pass  # only one look is refused

    def _fail(self, connection: Connection, side: Side, blind: list[str] | None) -> None:
        if side == "after":
            connection.connection.dbapi_connection.commit()  # type: ignore[union-attr]
        if blind is not None:
            _refuse_one(connection.engine, blind)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise OperationalError("COMMIT", None, error)


def _refuse_one(engine: Engine, happened: list[str]) -> None:
    @event.listens_for(engine, "connect")
    def connecting(_dbapi: Any, _record: Any) -> None:
        if "blind" not in happened:
            happened.append("blind")
            raise sqlite3.OperationalError("unable to open database file")


class PostgresCommits(Commits):
    """The connection is reset as the COMMIT is on its way, or its answer."""

    def __init__(self, url: str, cutter: Cutter) -> None:
        parts = urlsplit(url)
        super().__init__(parts._replace(netloc=f"{parts.username}@127.0.0.1:{cutter.port}").geturl())
        self._cutter = cutter

    def passes(self) -> None:
        self._cutter.passes()

    def _fail(self, connection: Connection, side: Side, blind: list[str] | None) -> None:
        driver: Any = connection.connection.driver_connection
        address = driver._transport.get_extra_info("sockname")
        self._cutter.cut(address, side, 0.0 if blind is None else self.blind_seconds)


@contextmanager
def postgres_commits(url: str) -> Iterator[PostgresCommits]:
    """Commits of whoever connects to the `url` of what is given."""
    with Cutter(urlsplit(url).port or 5432) as cutter:
        yield PostgresCommits(url, cutter)
