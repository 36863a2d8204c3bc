"""What the tests of this folder share."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from acceptance import evidence
from acceptance.nursery import Child, Nursery
from acceptance.small import gate


async def until(look: Callable[[], Any], what: str, seconds: float = 30.0, *children: Child) -> float:
    """How many seconds it took until `look` was true."""
    began = time.monotonic()
    while not look():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}\n" + "\n---\n".join(one.tail() for one in children))
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def worker(nursery: Nursery, folder: Path, name: str, **settings: Any) -> Child:
    """A process that executes."""
    return nursery.start("acceptance.small:worker", str(folder), settings, log=folder / f"{name}.log")


async def opened(child: Child) -> None:
    """The process has its Stepwell open."""
    await until(lambda: [str(child.pid)] in evidence.lines("open"), "the process is open", 15.0, child)


async def standing(run_id: str, child: Child, seconds: float = 30.0) -> float:
    """The run's method stands in this process; after so many seconds."""
    return await until(lambda: stands(run_id, child), f"{run_id} stands in {child.pid}", seconds, child)


def stands(run_id: str, child: Child) -> bool:
    return [run_id, str(child.pid)] in evidence.lines("stands")


async def left(run_id: str, child: Child) -> None:
    """The run's method has gone on in this process."""
    await until(lambda: [run_id, str(child.pid)] in evidence.lines("leaves"), "the method goes on", 15.0, child)


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
