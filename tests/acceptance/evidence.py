"""What the processes of a test leave behind, out of Stepwell's reach: files that are only appended to, and raw SQL.

The database is the SQLite file in the folder, or the PostgreSQL that the folder's file `server` names.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from servers.sql import Sql

DATABASE = "stepwell.db"
_SERVER = "server"
_PATIENCE = 60.0
"""Seconds for a server that was stopped, or takes no connection now, to be there again."""


_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


class _Place:
    """Where this process reads and writes."""

    folder: Path
    sql: Sql | None = None
    turn = threading.Lock()


def use(folder: str | Path) -> Path:
    """This process reads and writes here from now on."""
    leave()
    _Place.folder = Path(folder)
    server = _Place.folder / _SERVER
    if server.exists():
        _Place.sql = Sql(server.read_text(), connect_seconds=5, seconds=15)
    return _Place.folder


def use_server(folder: str | Path, url: str) -> Path:
    """As `use`, for this process and all that use the folder from now on; with a database on PostgreSQL."""
    (Path(folder) / _SERVER).write_text(url)
    return use(folder)


def leave() -> None:
    """The connection of this process is closed."""
    if _Place.sql is not None:
        _Place.sql.close()
        _Place.sql = None


def folder() -> Path:
    """Where this process reads and writes."""
    return _Place.folder


def database_url() -> str:
    """The URL of the database, as it is set for Stepwell."""
    return _Place.sql.url if _Place.sql else f"sqlite:///{_Place.folder / DATABASE}"


def append(file: str, *words: object) -> None:
    """The line is in the file, after all that were there: it stays, whatever becomes of this process."""
    line = " ".join(str(word) for word in words) + "\n"
    opened = os.open(_Place.folder / file, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(opened, line.encode())
    finally:
        os.close(opened)


def lines(file: str) -> list[list[str]]:
    """The words of each line."""
    path = _Place.folder / file
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def read(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows, read by a connection of their own: what it sees is committed. `?` stands for a parameter."""
    if _Place.sql is not None:
        return list(_patiently(_Place.sql.read, sql, parameters))
    with closing(_file()) as connection:
        return connection.execute(sql, parameters).fetchall()


def records(sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """As `read`; rows by the names of their columns."""
    if _Place.sql is not None:
        return list(_patiently(_Place.sql.records, sql, parameters))
    with closing(_file()) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]


def _file() -> sqlite3.Connection:
    return sqlite3.connect(f"file:{_Place.folder / DATABASE}?mode=ro", uri=True, timeout=60)


def number(sql: str, *parameters: Any) -> int:
    """The one number that the query finds."""
    return int(read(sql, *parameters)[0][0])


def write(sql: str, *parameters: Any) -> None:
    """The statement, or without parameters the script, is committed."""
    if _Place.sql is not None:
        _patiently(_Place.sql.execute, sql, parameters)
        return
    with closing(sqlite3.connect(_Place.folder / DATABASE, timeout=60)) as connection:
        if parameters:
            connection.execute(sql, parameters)
        else:
            connection.executescript(sql)
        connection.commit()


def damage() -> list[str]:
    """What SQLite finds wrong with its file. A PostgreSQL verifies the checksums of its pages whenever it reads them."""
    if _Place.sql is not None:
        return []
    return [text for (text,) in read("PRAGMA integrity_check") if text != "ok"]


def _patiently(act: Any, sql: str, parameters: tuple[Any, ...]) -> Any:
    numbers = count(1)
    words = "".join(f"${next(numbers)}" if letter == "?" else letter for letter in sql)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with _Place.turn:
                return act(words, *parameters)
        except _AWAY:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)
