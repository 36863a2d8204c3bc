"""300 open streams while runs go through at full speed: each sees all of its own, once and in order, and memory stays flat."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.thorough

STREAMS = 300
RUNS_EACH = 20
ROWS = 4
MIB = 1024 * 1024
HERE = Path(__file__).parent


@asynccontextmanager
async def server(database_url: str) -> AsyncIterator[tuple[int, psutil.Process]]:
    """The port and the process of an application of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "streaming_server.py"), database_url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def watch(port: int, user: str, ready: asyncio.Event, rows: dict[str, list[int]]) -> None:
    """Reads this user's stream until all of their runs have ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nx-user: {user}\r\n\r\n".encode())
    ended = 0
    try:
        while ended < RUNS_EACH:
            line = await reader.readline()
            assert line, f"the stream of {user} ended"
            if line.startswith(b"event: hello"):
                ready.set()
            if line.startswith(b'data: {"workflow_id"'):
                event = json.loads(line[6:])
                assert event["run"]["user_id"] == user
                rows[event["workflow_id"]].append(event["checkpoint"]["version"])
                ended += event["checkpoint"]["target"] == "end"
    finally:
        writer.close()


async def started(port: int, runs_each: int) -> None:
    """All runs are queued: so many for each user."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST /start/{runs_each} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    assert b"200" in await reader.readline()
    writer.close()


async def test_300_streams_see_all_of_their_own_runs_once_and_in_order(database_url: str) -> None:
    async with server(database_url) as (port, process), asyncio.timeout(600):
        first = await round_(port)
        warm = process.memory_info().rss
        peak = warm
        for _ in range(2):
            rows = await round_(port)
            peak = max(peak, process.memory_info().rss)
            assert rows.keys().isdisjoint(first)
        assert peak - warm < 40 * MIB, f"{(peak - warm) / MIB:.0f} MiB more after twice as many runs"


async def round_(port: int) -> dict[str, list[int]]:
    """What all streams saw of a round of runs, which was everything."""
    ready = [asyncio.Event() for _ in range(STREAMS)]
    seen: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(STREAMS)]
    async with asyncio.TaskGroup() as group:
        for n in range(STREAMS):
            group.create_task(watch(port, f"u{n}", ready[n], seen[n]))
        for one in ready:
            await one.wait()
        group.create_task(started(port, RUNS_EACH))
    for rows in seen:
        assert len(rows) == RUNS_EACH
        assert all(versions == list(range(ROWS)) for versions in rows.values()), rows
    return {run: versions for rows in seen for run, versions in rows.items()}
