"""A database that is locked, full or read-only for a while: a clear error or a wait, and work goes on afterwards (33)."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.nursery import Child, Nursery
from acceptance.small import ME, Gentle, Journaling, Late, Transacting, stepwell
from acceptance.support import history, open_gate, standing, until, worker
from stepwell.errors import StoreUnavailable

pytestmark = pytest.mark.thorough

Condition = Callable[[Child, Path], AbstractContextManager[None]]


@pytest.fixture
def folder(sqlite_folder: Path) -> Path:
    """All of this is about a file."""
    return sqlite_folder


@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.faults)])
async def test_work_waits_for_a_locked_database(nursery: Nursery, folder: Path, frozen: bool) -> None:
    """Faults 1, 3: somebody holds the write lock for more than a lease, also a process that stands still."""
    async with stepwell(lease_seconds=0.6) as here:
        busy = await here.runner.run(Gentle, **ME)
        await until(lambda: evidence.lines("stands"), "it executes")
        holder = nursery.start("acceptance.small:hold", str(folder), log=folder / "holder.log")
        await standing("-", holder)
        if frozen:
            holder.freeze()
        open_gate(os.getpid())
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await busy.result(timeout=3)
        assert history(busy.workflow_id) == [(None, "committed")]
        if frozen:
            holder.kill()
        else:
            open_gate(holder)
        late = await here.runner.run(Late, **ME)
        assert await late.result(timeout=60) == await busy.result(timeout=60) == os.getpid()
        assert time.monotonic() - began > 3
        for run in (late, busy):
            assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]


async def test_a_lapse_in_front_of_a_locked_database_is_survived(nursery: Nursery, folder: Path) -> None:
    """Faults 1, 11: a lock outlasts the lease while a method waits for its transaction; the process goes on afterwards."""
    async with stepwell(embedded_worker=False) as here:
        with sqlite3.connect(folder / evidence.DATABASE) as connection:
            connection.execute("CREATE TABLE bookings (pid INTEGER)")
        busy = worker(nursery, folder, "busy", lease_seconds=0.6)
        runs = [await here.runner.run(Transacting, **ME) for _ in range(3)]
        await standing(runs[0].workflow_id, busy)
        holder = nursery.start("acceptance.small:hold", str(folder), log=folder / "holder.log")
        await standing("-", holder)
        open_gate(busy)
        await until(lambda: "could not renew" in busy.log.read_text(), "the lease lapses", busy)
        await asyncio.sleep(0.5)
        open_gate(holder)
        for run in runs:
            assert await run.result(timeout=60) == busy.pid, busy.tail()
            assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]
        assert evidence.read("SELECT pid FROM bookings") == [(busy.pid,)] * len(runs)
        busy.terminate()
        assert busy.wait() == 0, busy.tail()


async def test_a_start_waits_for_a_locked_database(nursery: Nursery, folder: Path) -> None:
    """Fault 3: the call returns once the run is durable, and no sooner."""
    async with stepwell(busy_seconds=600) as here:
        holder = nursery.start("acceptance.small:hold", str(folder), log=folder / "holder.log")
        await standing("-", holder)
        call = asyncio.create_task(here.runner.run(Late, **ME))
        await asyncio.sleep(1.5)
        assert not call.done()
        open_gate(holder)
        assert await (await call).result(timeout=60) == os.getpid()


async def test_a_database_that_stays_locked_is_refused_clearly(nursery: Nursery, folder: Path) -> None:
    """Faults 3, 16: after `busy_seconds` the caller is told, nothing was stored, and the same key works later."""
    async with stepwell(busy_seconds=0.5) as here:
        holder = nursery.start("acceptance.small:hold", str(folder), log=folder / "holder.log")
        await standing("-", holder)
        with pytest.raises(StoreUnavailable, match=r"locked.*Nothing was stored") as caught:
            await here.runner.run(Late, **ME, idempotency_key="k")
        assert caught.value.outcome == "nothing"
        assert evidence.number("SELECT count(*) FROM stepwell_runs") == 0
        open_gate(holder)
        holder.wait()
        assert evidence.number("SELECT count(*) FROM stepwell_runs") == 0
        run = await here.runner.run(Late, **ME, idempotency_key="k")
        assert run.created
        assert await run.result(timeout=60) == os.getpid()


@pytest.mark.parametrize("kind", [pytest.param(Gentle, marks=pytest.mark.faults), Journaling, Transacting])
async def test_a_method_outlives_a_database_that_stays_locked(
    nursery: Nursery, folder: Path, kind: type[Gentle]
) -> None:
    """The lock is no failure of the run: its checkpoint, its journal row, its transaction wait (33)."""
    async with stepwell(embedded_worker=False) as here:
        with sqlite3.connect(folder / evidence.DATABASE) as connection:
            connection.execute("CREATE TABLE bookings (pid INTEGER)")
        busy = worker(nursery, folder, "busy", busy_seconds=0.3, lease_seconds=3_600)
        run = await here.runner.run(kind, **ME)
        await standing(run.workflow_id, busy)
        holder = nursery.start("acceptance.small:hold", str(folder), log=folder / "holder.log")
        await standing("-", holder)
        open_gate(busy)
        await until(lambda: "locked" in busy.log.read_text(), "the lock is felt", busy)
        await asyncio.sleep(1.0)
        open_gate(holder)
        assert await run.result(timeout=60) == busy.pid, busy.tail()
        assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")], busy.tail()


# -- full, and read-only --------------------------------------------------------------------------------------------------


@contextmanager
def size_limit(child: Child, folder: Path) -> Iterator[None]:
    """The process may write no file beyond 32 KiB: the kernel refuses, as where a quota is used up."""
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (32 * 1024, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def immutable(child: Child | None, folder: Path) -> Iterator[None]:
    """Nobody may write the database and its log, root neither. (The -shm is left out: writing into a mapping is a SIGBUS.)"""
    files = [str(path) for path in folder.glob(evidence.DATABASE + "*") if not path.name.endswith("-shm")]
    if shutil.which("chattr") is None or _chattr("+i", files):
        pytest.skip("chattr +i doesn't work here: it takes root, and a file system that knows it")
    try:
        yield
    finally:
        assert _chattr("-i", files) == 0


def _chattr(flag: str, files: list[str]) -> int:
    return subprocess.run(["chattr", flag, *files], capture_output=True, check=False).returncode


@contextmanager
def full(child: Child, folder: Path) -> Iterator[None]:
    """The disk of the process has no room left."""
    filler = Path(f"/proc/{child.pid}/root{folder}/disk/filler")
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.parametrize(
    "condition",
    [size_limit, pytest.param(full, marks=pytest.mark.faults), pytest.param(immutable, marks=pytest.mark.faults)],
)
async def test_a_disk_that_takes_nothing_for_a_while(nursery: Nursery, folder: Path, condition: Condition) -> None:
    """Faults 3, 16: callers are told, nothing half-happens, and what was accepted ends once there is room again."""
    disk = folder / "disk"
    disk.mkdir()
    tmpfs = str(disk) if condition is full else None
    child = nursery.start("acceptance.small:trickle", str(folder), tmpfs, log=folder / "trickle.log")
    await until(lambda: len(evidence.lines("accepted")) >= 5 or child.ended(), "runs are accepted", child)
    if evidence.lines("impossible"):
        pytest.skip("a file system of one's own takes root")
    with condition(child, folder):
        await until(lambda: len(evidence.lines("refused")) >= 5, "runs are refused", child)
        refused = evidence.lines("refused")
    accepted = len(evidence.lines("accepted"))
    await until(lambda: len(evidence.lines("accepted")) >= accepted + 5, "work goes on", child)
    open_gate(child)
    assert child.wait() == 0, child.tail()

    assert evidence.lines("surprised") == []
    for _, outcome, *words in refused:
        assert outcome == "nothing"
        assert any(word in " ".join(words) for word in ("full", "disk I/O error", "readonly", "unable to open")), words
    stored = dict(evidence.read("SELECT idempotency_key, id FROM stepwell_runs"))
    assert {f"n{n}": run_id for n, run_id in evidence.lines("accepted")} == stored
    assert evidence.read("SELECT id FROM stepwell_runs WHERE status != 'completed'") == [], child.tail()
    assert evidence.number("SELECT count(*) FROM stepwell_history WHERE transition='go'") == len(stored)
    assert evidence.read("PRAGMA integrity_check") == [("ok",)]


async def test_a_read_only_file_is_named_when_it_is_opened(folder: Path) -> None:
    """Fault 16."""
    database = folder / evidence.DATABASE
    async with stepwell():
        pass
    with ExitStack() as stack:
        if os.geteuid() == 0:
            stack.enter_context(immutable(None, folder))
        else:
            database.chmod(0o444)
        with pytest.raises(StoreUnavailable, match="readonly"):
            async with stepwell():
                pass
