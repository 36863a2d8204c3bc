"""What the processes of a test leave behind, out of Stepwell's reach: files that are only appended to, and raw reads."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

DATABASE = "stepwell.db"
_folder: list[Path] = []


def use(folder: str | Path) -> Path:
    """This process reads and writes here from now on."""
    _folder[:] = [Path(folder)]
    return _folder[0]


def folder() -> Path:
    """Where this process reads and writes."""
    return _folder[0]


def append(file: str, *words: object) -> None:
    """The line is in the file, after all that were there: it stays, whatever becomes of this process."""
    line = " ".join(str(word) for word in words) + "\n"
    opened = os.open(_folder[0] / file, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(opened, line.encode())
    finally:
        os.close(opened)


def lines(file: str) -> list[list[str]]:
    """The words of each line."""
    path = _folder[0] / file
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def read(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows, read by a connection of their own: what it sees is committed."""
    connection = sqlite3.connect(f"file:{_folder[0] / DATABASE}?mode=ro", uri=True, timeout=30)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def number(sql: str, *parameters: Any) -> int:
    """The one number that the query finds."""
    return int(read(sql, *parameters)[0][0])
