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


async def ready(connection: Any) -> int:
    """How many runs are ready and not claimed."""
    return int(await connection.fetchval(f"SELECT count(*) FROM {RUNS} WHERE ready_at IS NOT NULL"))


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


_SPREAD = {
    # A UUIDv7 begins with its milliseconds: one run every 31 s of a year, the newest now.
    "id": "left(ms, 8) || '-' || right(ms, 4) || '-7000-8000-' || lpad(to_hex(n), 12, '0')",
    "created_at": "moment",
    "updated_at": "moment",
    "entered_at": "moment",
    "workflow_name": "'parked_' || n % 20",
    "user_id": "'user-' || n % 1000",
    "status": "CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 100 = 1 THEN 'waiting' WHEN n % 1000 = 2 THEN 'canceled'"
    " ELSE 'completed' END",
    "due_at": "NULL",
    "finished_at": "CASE WHEN n % 100 > 1 THEN moment END",
}


async def spread_run(connection: Any, run_id: str, copies: int) -> None:
    """There are `copies` more runs of a year, of many users and workflows; the newest last, and the planner knows of them."""
    found = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position", RUNS
    )
    names = [row["column_name"] for row in found]
    values = ", ".join(_SPREAD.get(name, name) for name in names)
    year = 31_536_000_000_000
    await connection.execute(
        f"INSERT INTO {RUNS} ({', '.join(names)}) SELECT {values} FROM (SELECT r.*, n, moment,"
        " lpad(to_hex(moment / 1000), 12, '0') AS ms FROM (SELECT n, CAST(extract(epoch FROM now()) * 1000000 AS bigint)"
        f" - {year} / {copies} * CAST({copies} - n AS bigint) AS moment FROM generate_series(1, {copies}) AS n) AS g,"
        f" {RUNS} AS r WHERE r.id = '{run_id}') AS r",
        timeout=600,
    )
    await connection.execute(f"VACUUM ANALYZE {RUNS}", timeout=600)


async def wal_syncs(connection: Any) -> int:
    """How often the server has waited for the disk to keep its log. Sessions may tell it only as they end."""
    return int(await connection.fetchval("SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal'"))
