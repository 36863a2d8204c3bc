"""Real processes on one database, and really killed ones. Faults 8 and 13."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from backends import Database
from stepwell import Run, Stepwell
from stepwell.store import schedules
from stepwell.testing.webhooks import sign_github

sys.path.insert(0, str(Path(__file__).parent))
import office

PROGRAM = Path(office.__file__)
Child = asyncio.subprocess.Process
Spawn = Callable[..., Awaitable[Child]]
SECOND = 1_000_000


@pytest.fixture
async def spawn(database: Database) -> AsyncIterator[Spawn]:
    """`await spawn(role, port)`: a process of the program, killed at the latest when the test ends."""
    running: list[Child] = []

    async def start(role: str = "works", *port: str) -> Child:
        pipe = asyncio.subprocess.PIPE
        arguments = (str(PROGRAM), json.dumps(database.settings), role, *port)
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe)
        running.append(child)
        if not port:
            assert child.stdout is not None
            async with asyncio.timeout(60):
                assert await child.stdout.readline() == b"open\n"
        return child

    yield start
    for child in running:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def stop(child: Child) -> None:
    assert child.stdin is not None
    child.stdin.close()
    async with asyncio.timeout(60):
        assert await child.wait() == 0


async def killed(child: Child) -> None:
    async with asyncio.timeout(60):
        assert await child.wait() == -9


def looking(database: Database) -> Stepwell:
    """A Stepwell on the same database that executes nothing."""
    return Stepwell([office.made()], settings=office.settings(database.settings), embedded_worker=False)


async def ticks(stepwell: Stepwell, name: str) -> list[schedules.TickRow]:
    assert stepwell.process is not None
    return await stepwell.process.store.read(lambda tx: schedules.ticks_of(tx, "office", name)[::-1])


async def runs(stepwell: Stepwell, user_id: str) -> list[Run]:
    return list((await stepwell.runner.list(user_id=user_id, limit=1000)).items)


def assert_no_gaps(found: list[schedules.TickRow]) -> None:
    moments = [tick.scheduled_at // SECOND for tick in found]
    assert moments == list(range(moments[0], moments[0] + len(moments)))


async def test_fault_13_two_processes_fire_each_tick_once(spawn: Spawn, database: Database) -> None:
    children = await asyncio.gather(spawn(), spawn())
    async with looking(database) as stepwell:
        async with asyncio.timeout(60):
            while len(await ticks(stepwell, "handled")) < 4:
                await asyncio.sleep(0.1)
        await asyncio.gather(*(stop(child) for child in children))
        for name in ("handled", "direct"):
            found = await ticks(stepwell, name)
            assert_no_gaps(found)
            assert len({tick.run_id for tick in found}) == len(found)
        assert len(await runs(stepwell, "direct")) == len(await ticks(stepwell, "direct"))
        each = Counter((run.args["name"], run.args["at"]) for run in await runs(stepwell, "handler"))
        assert set(each.values()) == {1}


@pytest.mark.parametrize("role", ["dies before the handler", "dies in the handler"])
async def test_fault_13_kill_9_loses_no_tick_and_starts_nothing_twice(
    role: str, spawn: Spawn, database: Database
) -> None:
    await killed(await spawn(role))
    async with looking(database) as stepwell:
        [first] = await ticks(stepwell, "handled")
        before = await runs(stepwell, "handler")
        assert len(before) == (role == "dies in the handler")
        assert first.run_id is not None
        assert (await stepwell.runner.get(first.run_id)).status in ("pending", "running")
        child = await spawn()
        async with asyncio.timeout(60):
            while (await stepwell.runner.get(first.run_id)).status != "completed":
                await asyncio.sleep(0.1)
        await stop(child)
        found = await ticks(stepwell, "handled")
        assert_no_gaps(found)  # also those that came due while no process lived
        at = first.scheduled_at // SECOND
        started = [run for run in await runs(stepwell, "handler") if second_of(run) == at]
        assert sorted(run.args["name"] for run in started) == ["a", "b"]
        assert {run.workflow_id for run in before} <= {run.workflow_id for run in started}


def second_of(run: Run) -> int:
    return int(datetime.fromisoformat(run.args["at"]).timestamp())


async def test_fault_8_kill_9_in_a_webhook_starts_nothing_twice(spawn: Spawn, database: Database) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    async def deliver(client: httpx.AsyncClient) -> int:
        body = '{"name": "hook"}'
        headers = sign_github(body, office.SECRET, delivery="d-1")
        return (await client.post("/in", content=body, headers=headers)).status_code

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        dying = await spawn("dies in the handler", port)
        await up(client, dying)
        with pytest.raises(httpx.HTTPError):
            await deliver(client)
        await killed(dying)
        await up(client, await spawn("works", port))
        assert [await deliver(client), await deliver(client)] == [200, 200]
    async with looking(database) as stepwell:
        assert sorted(run.args["name"] for run in await runs(stepwell, "webhook")) == ["a", "b"]


async def up(client: httpx.AsyncClient, child: Child) -> None:
    async with asyncio.timeout(60):
        while child.returncode is None:
            try:
                await client.get("/api/v1/health/live")
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError("the server ended before it answered")
