"""The only file that knows Stepwell's tables on PostgreSQL. Everything reads by asyncpg, beside Stepwell's own connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from benchmarks.burst import Ended

RUNS = "stepwell_runs"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def ended_in(url: str) -> AsyncIterator[Ended]:
    """Counts by a partial index, so that a million waiting runs don't slow it."""
    async with connected(url) as connection:

        async def ended() -> int:
            return int(await connection.fetchval(f"SELECT count(*) FROM {RUNS} WHERE finished_at IS NOT NULL"))

        yield ended


async def copy_run(connection: Any, run_id: str, copies: int) -> None:
    """There are `copies` more rows like the run's, each with an id of its own; and the planner knows of them."""
    found = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", RUNS
    )
    names = [row["column_name"] for row in found]
    # The tail of a UUIDv7 is random; the copies count through it.
    copied = "left(id, 24) || lpad(to_hex(n), 12, '0')"
    values = ", ".join(copied if name == "id" else name for name in names)
    await connection.execute(
        f"INSERT INTO {RUNS} ({', '.join(names)}) SELECT {values} FROM {RUNS}, generate_series(1, {copies}) AS n"
        f" WHERE id = '{run_id}'",
        timeout=600,
    )
    await connection.execute(f"VACUUM ANALYZE {RUNS}", timeout=600)


async def wal_syncs(connection: Any) -> int:
    """How often the server has waited for the disk to keep its log. Sessions may tell it only as they end."""
    return int(await connection.fetchval("SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"))
