"""The three services: each keeps its bookings in a file of its own, apart from Stepwell's database.

As good services do, they take a key with each booking: the same key again is the same booking.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from pydantic import BaseModel

NAMES = ("flight", "hotel", "car")


class Booking(BaseModel):
    """A booking, as the service confirms it."""

    service: str
    key: str


class SoldOut(Exception):
    """The service has nothing left for this trip."""


class Service:
    """One of the services. `changes` says what has ever happened to it, in order."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._file = folder / f"{name}.db"
        with closing(self._open()) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS changes (what TEXT, key TEXT, UNIQUE (what, key))")

    def book(self, key: str) -> Booking:
        """Return the booking of this key; made once."""
        self._note("booked", key)
        return Booking(service=self.name, key=key)

    def give_back(self, key: str) -> None:
        """Give the booking of this key back, once; if there is none, nothing happens."""
        if ("booked", key) in self.changes():
            self._note("given back", key)

    def changes(self) -> list[tuple[str, str]]:
        """Return (what, key) of all that has happened."""
        with closing(self._open()) as connection:
            return connection.execute("SELECT what, key FROM changes ORDER BY rowid").fetchall()

    def _note(self, what: str, key: str) -> None:
        with closing(self._open()) as connection, connection:
            connection.execute("INSERT INTO changes VALUES (?, ?) ON CONFLICT DO NOTHING", (what, key))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=60)


def services() -> dict[str, Service]:
    """Return the services, by name, in the folder that `SAGA_SERVICES` names."""
    folder = Path(os.environ.get("SAGA_SERVICES", "."))
    return {name: Service(name, folder) for name in NAMES}
