"""What the measurements of this package share: the database that they are on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from benchmarks.burst import Ended
from benchmarks.postgres import store_view as postgres_view
from benchmarks.sqlite import store_view as sqlite_view
from benchmarks.workflows import on_file, on_postgres
from stepwell import Settings

FILE = "bench.db"


def settings_on(url: str | None) -> Settings:
    """Default settings on that PostgreSQL database, or on a new SQLite file."""
    return on_file(FILE) if url is None else on_postgres(url)


@asynccontextmanager
async def ended_on(url: str | None) -> AsyncIterator[Ended]:
    """Tells how many runs have ended there. The tables exist."""
    if url is None:
        yield sqlite_view.ended_in(sqlite_view.connect(FILE))
        return
    async with postgres_view.ended_in(url) as ended:
        yield ended


async def ready_on(url: str | None) -> int:
    """How many runs are ready there and not claimed."""
    if url is None:
        with closing(sqlite_view.connect(FILE)) as file:
            return sqlite_view.ready(file)
    async with postgres_view.connected(url) as connection:
        return await postgres_view.ready(connection)
