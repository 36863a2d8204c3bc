"""Workflows that stand still where a test wants them, and the processes that execute them."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text

from acceptance import evidence
from stepwell import END, App, Document, Settings, Stepwell, Workflow, transition
from stepwell.errors import StoreUnavailable
from stepwell.process import Process
from stepwell.testing.crash import bury
from stepwell.worker import lease
from stepwell.worker.sweep import Sweep

ME: dict[str, Any] = {"app_name": "small", "user_id": "u1"}
LEASE = 0.6
"""Seconds, where a test doesn't say otherwise."""
_LIFETIME = 600.0
_BEAT = 0.2
"""Seconds between the heartbeats of a worker, however long its lease."""


class Pids(BaseModel):
    pids: list[int] = []


class Who(Document):
    pid: int


def stand(run_id: str) -> int:
    """This process's id, once the test has opened its gate. Blocks the thread."""
    evidence.append("stands", run_id, os.getpid())
    deadline = time.monotonic() + _LIFETIME
    while not gate(os.getpid()).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    evidence.append("leaves", run_id, os.getpid())
    return os.getpid()


async def stand_gently(run_id: str) -> int:
    """As `stand`, without blocking the loop: it can be cancelled."""
    evidence.append("stands", run_id, os.getpid())
    try:
        while not gate(os.getpid()).exists():
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        evidence.append("cancelled", run_id, os.getpid())
        raise
    evidence.append("leaves", run_id, os.getpid())
    return os.getpid()


def gate(pid: int) -> Path:
    """The file that lets the methods of this process go on."""
    return evidence.folder() / f"gate-{pid}"


class Blocking(Workflow[None, Pids, int]):
    """Blocks the event loop, so that nothing can cancel it before it commits."""

    @transition(target=END)
    async def go(self) -> int:
        pid = stand(self.info.workflow_id)
        self.state.pids.append(pid)
        await self.documents.save(Who(pid=pid))
        return pid


class Gentle(Workflow[None, Pids, int]):
    """Can be cancelled at any moment."""

    @transition(target=END)
    async def go(self) -> int:
        return await stand_gently(self.info.workflow_id)


class Threaded(Workflow[None, Pids, int]):
    """A plain method, which no one can stop."""

    @transition(target=END)
    def go(self) -> int:
        return stand(self.info.workflow_id)


class Journaling(Workflow[None, Pids, int]):
    """Stands in a step, in a thread: its journal row comes late."""

    @transition(target=END)
    async def go(self) -> int:
        return int(await self.step("stand", stand, self.info.workflow_id))


class Transacting(Workflow[None, Pids, int]):
    """Writes into the user's table."""

    @transition(target=END)
    async def go(self) -> int:
        pid = stand(self.info.workflow_id)
        async with self.transaction() as connection:
            await connection.execute(text("INSERT INTO bookings (pid) VALUES (:pid)"), {"pid": pid})
        return pid


class Late(Workflow[None, Pids, int]):
    @transition(target=END)
    async def go(self) -> int:
        return os.getpid()


class Spawning(Workflow[None, Pids, int]):
    """Starts a child."""

    @transition(target=END)
    async def go(self) -> int:
        pid = stand(self.info.workflow_id)
        await self.start(Late)
        return pid


class Alarm(Workflow[None]):
    @transition(target=END, after=timedelta(seconds=1.5))
    async def ring(self) -> None: ...


class LateAlarm(Workflow[None]):
    @transition(target=END, after=timedelta(hours=1))
    async def ring(self) -> None: ...


class Two(Workflow[None, Pids, list[int]]):
    """Two transitions; the first stands."""

    @transition(target="half")
    async def first(self) -> None:
        self.state.pids.append(await stand_gently(self.info.workflow_id))

    @transition("half", END)
    async def second(self) -> list[int]:
        return [*self.state.pids, os.getpid()]


class Deadly(Workflow[float, None, str]):
    """Kills its process after so many seconds; below zero it takes a moment and ends."""

    @transition(target=END)
    async def go(self) -> str:
        evidence.append("begins", self.info.workflow_id, os.getpid())
        if self.args >= 0:
            await asyncio.sleep(self.args)
            os._exit(1)
        await asyncio.sleep(0.2)
        return "lived"


WORKFLOWS: list[type[Workflow[Any, Any, Any]]] = [
    Blocking, Gentle, Threaded, Journaling, Transacting, Late, Spawning, Alarm, LateAlarm, Two, Deadly,
]  # fmt: skip


def stepwell(*, embedded_worker: bool = True, **settings: Any) -> Stepwell:
    """The Stepwell of every process here."""
    given = {"database_url": evidence.database_url(), "lease_seconds": LEASE, **settings}
    return Stepwell(
        apps=[App("small", workflows=WORKFLOWS)],
        settings=Settings(_env_file=None, **given),
        embedded_worker=embedded_worker,
    )


def _prepare(folder: str) -> None:
    evidence.use(folder)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(message)s")
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)


def worker(folder: str, settings: dict[str, Any], buries: bool = False) -> None:
    """Executes until SIGTERM; at SIGUSR1, or at once with `buries`, it takes over what all others have."""
    _prepare(folder)
    lease._BEATS_PER_LEASE = settings.get("lease_seconds", LEASE) / _BEAT

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        async with stepwell(**settings) as opened, asyncio.TaskGroup() as tasks:
            process = opened.process
            assert process is not None
            loop.add_signal_handler(signal.SIGUSR1, lambda: tasks.create_task(bury(process)))
            signal.signal(signal.SIGUSR2, lambda *_: leap(process))
            if buries:
                await bury(process)
            evidence.append("open", os.getpid())
            await asyncio.wait_for(stop.wait(), _LIFETIME)
            evidence.append("ends", os.getpid())

    asyncio.run(work())


def serve(folder: str, make: Callable[[], Stepwell]) -> None:
    """Executes what another Stepwell knows, until SIGTERM."""
    _prepare(folder)

    async def work() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with make():
            evidence.append("open", os.getpid())
            await asyncio.wait_for(stop.wait(), _LIFETIME)

    asyncio.run(work())


def leap(process: Process) -> None:
    """To the process it is as if it had stood still for two leases."""
    process.heartbeat._lease.beaten_at -= 2 * process.settings.lease_seconds


def listener(folder: str) -> None:
    """As `worker`, but it looks for nothing: what it takes up was announced to it."""
    _prepare(folder)

    async def work() -> None:
        opened = stepwell(lease_seconds=3_600)
        Sweep.watch_due = lambda _: asyncio.sleep(_LIFETIME)  # type: ignore[assignment,method-assign]
        async with opened:
            evidence.append("open", os.getpid())
            await asyncio.sleep(_LIFETIME)

    asyncio.run(work())


def starter(folder: str, kind: str, delay: float) -> None:
    """Starts one run with this delay, notes its id, and waits to be killed; executes nothing."""
    _prepare(folder)

    async def work() -> None:
        async with stepwell(embedded_worker=False) as opened:
            handle = await opened.runner.run(kind, **ME, delay=timedelta(seconds=delay))
            evidence.append("accepted", handle.workflow_id)
            await asyncio.sleep(_LIFETIME)

    asyncio.run(work())


def racer(folder: str, rounds: int, calls: int) -> None:
    """Starts with the same keys as others do, at the same moments, for users that nobody has seen."""
    _prepare(folder)

    async def work() -> None:
        async with stepwell(lease_seconds=3_600) as opened:
            evidence.append("open", os.getpid())
            for n in range(rounds):
                while not (evidence.folder() / f"round-{n}").exists():
                    await asyncio.sleep(0)
                starts = (
                    opened.runner.run(Late, app_name="small", user_id=f"user{n}", idempotency_key="k")
                    for _ in range(calls)
                )
                for handle in await asyncio.gather(*starts):
                    evidence.append("started", n, handle.workflow_id, handle.created)
                evidence.append("done", n, os.getpid())
            await stand_gently("-")

    asyncio.run(work())


def hold(folder: str) -> None:
    """Keeps the write lock until its gate is open."""
    _prepare(folder)
    with closing(
        sqlite3.connect(evidence.folder() / evidence.DATABASE, isolation_level=None, timeout=60)
    ) as connection:
        connection.execute("BEGIN IMMEDIATE")
        stand("-")
        connection.execute("ROLLBACK")


def trickle(folder: str, tmpfs: str | None) -> None:
    """Starts a run again and again, and executes them, until its gate is open; notes what was accepted and refused.

    With `tmpfs`, on a disk of 6 MiB that only this process sees.
    """
    _prepare(folder)
    database = Path(folder) / evidence.DATABASE
    logging.getLogger().setLevel(logging.WARNING)
    if tmpfs is not None:
        if not _mounted(tmpfs):
            evidence.append("impossible", "no mount")
            return
        database = Path(tmpfs) / evidence.DATABASE
    asyncio.run(_trickle(database))
    if tmpfs is not None:
        with (
            closing(sqlite3.connect(database)) as there,
            closing(sqlite3.connect(Path(folder) / evidence.DATABASE)) as here,
        ):
            there.backup(here)


async def _trickle(database: Path) -> None:
    deadline = time.monotonic() + _LIFETIME
    async with stepwell(database_url=f"sqlite:///{database}", busy_seconds=1.0) as opened:
        n = 0
        while not gate(os.getpid()).exists() and time.monotonic() < deadline:
            n += 1
            await _one(n, lambda n=n: opened.runner.run(Late, **ME, idempotency_key=f"n{n}"))  # type: ignore[misc]
            await asyncio.sleep(0.05)
        for _, run_id in evidence.lines("accepted"):
            await opened.runner.handle(run_id).result(timeout=60)


async def _one(n: int, start: Callable[[], Awaitable[Any]]) -> None:
    try:
        handle = await start()
    except StoreUnavailable as error:
        evidence.append("refused", n, error.outcome, error)
    except Exception as error:  # noqa: BLE001 - that nothing else comes out is what is tested
        evidence.append("surprised", n, repr(error))
    else:
        evidence.append("accepted", n, handle.workflow_id)


def _mounted(where: str) -> bool:
    new_namespace = 0x00020000
    if ctypes.CDLL(None, use_errno=True).unshare(new_namespace) != 0:
        return False
    commands = [["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", where]]
    try:
        return all(subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in commands)
    except FileNotFoundError:
        return False
