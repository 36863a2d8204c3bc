"""What the tests of this folder share."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from acceptance import evidence
from acceptance.nursery import Child, Nursery
from acceptance.small import gate


async def until(look: Callable[[], Any], what: str, *children: Child, seconds: float = 120.0) -> None:
    """Return once `look` is true. Raise AssertionError, with what these processes have logged, if it doesn't become so."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}\n" + "\n---\n".join(one.tail() for one in children))
        await asyncio.sleep(0.01)


def worker(nursery: Nursery, folder: Path, name: str, *, buries: bool = False, **settings: Any) -> Child:
    """A process that executes; with `buries` it takes over what all others have."""
    return nursery.start("acceptance.small:worker", str(folder), settings, buries, log=folder / f"{name}.log")


async def opened(child: Child) -> None:
    """The process has its Stepwell open."""
    await until(lambda: [str(child.pid)] in evidence.lines("open"), "the process is open", child)


async def standing(run_id: str, child: Child) -> None:
    """The run's method stands in this process."""
    await until(lambda: stands(run_id, child), f"{run_id} stands in {child.pid}", child)


def stands(run_id: str, child: Child) -> bool:
    return [run_id, str(child.pid)] in evidence.lines("stands")


async def left(run_id: str, child: Child) -> None:
    """The run's method has gone on in this process."""
    await until(lambda: [run_id, str(child.pid)] in evidence.lines("leaves"), "the method goes on", child)


def open_gate(process: Child | int) -> None:
    """The methods in this process go on."""
    gate(process if isinstance(process, int) else process.pid).touch()


async def freeze(child: Child) -> None:
    """The process stands still, and doesn't hold the write lock of a SQLite file by chance."""
    for _ in range(50):
        child.freeze()
        if not evidence.database_url().startswith("sqlite") or _unlocked():
            return
        child.thaw()
        await asyncio.sleep(0.01)
    raise AssertionError("the process holds the write lock all the time")


def bury(child: Child) -> None:
    """The process will take over what all others have, as after the end of their leases."""
    child.send(signal.SIGUSR1)


def beats(child: Child) -> int:
    """How often the process has renewed its lease since it registered; -1 while it isn't registered."""
    found = evidence.read("SELECT counter FROM stepwell_workers WHERE pid=?", child.pid)
    return int(found[0][0]) if found else -1


def _unlocked() -> bool:
    with closing(
        sqlite3.connect(evidence.folder() / evidence.DATABASE, isolation_level=None, timeout=0.3)
    ) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


def history(run_id: str) -> list[tuple[str | None, str]]:
    """(transition, status) of each row."""
    return evidence.read("SELECT transition, status FROM stepwell_history WHERE run_id=? ORDER BY version", run_id)


def status(run_id: str) -> str:
    return str(evidence.read("SELECT status FROM stepwell_runs WHERE id=?", run_id)[0][0])
