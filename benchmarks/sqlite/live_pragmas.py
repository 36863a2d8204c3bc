"""What the connections that really write say about themselves, at the moment they write."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

NAMES = ("journal_mode", "synchronous")
SURE = "journal_mode=wal, synchronous=2"
WRITES = ("INSERT", "UPDATE", "WITH")


def watch() -> set[str]:
    """From now on each connection that writes through SQLAlchemy adds its pragmas to the set, once."""
    found: set[str] = set()
    asked: set[int] = set()

    @event.listens_for(Engine, "after_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        raw = connection.connection.dbapi_connection
        if id(raw) in asked or not statement.lstrip().upper().startswith(WRITES):
            return
        asked.add(id(raw))
        found.add(pragmas_of(raw))

    return found


def weak(found: set[str]) -> float:
    """How many kinds of writing connections aren't WAL with FULL; 1 if none was seen."""
    return float(len(found - {SURE}) if found else 1)


def pragmas_of(raw: Any) -> str:
    cursor = raw.cursor()
    try:
        return ", ".join(f"{name}={_value(cursor, name)}" for name in NAMES)
    finally:
        cursor.close()


def _value(cursor: Any, name: str) -> Any:
    cursor.execute(f"PRAGMA {name}")
    return cursor.fetchone()[0]
