"""Moments that come while nobody is there, and hints that are lost, late or doubled (rules 31, 37)."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from acceptance import evidence
from acceptance.nursery import Nursery
from acceptance.small import ME, Alarm, Gentle, Late, LateAlarm, Two, stepwell
from acceptance.support import history, open_gate, opened, standing, status, until, worker
from stepwell.hints.notifications import RemoteChanges

pytestmark = pytest.mark.thorough

_MICRO = 1_000_000


@pytest.mark.parametrize("away", [0.3, pytest.param(3.0, marks=pytest.mark.faults)])
async def test_a_delayed_run_survives_a_restart(nursery: Nursery, folder: Path, away: float) -> None:
    """Faults 3, 13: it runs after its moment, whether that comes before the restart or after it, and once."""
    first = nursery.start("acceptance.small:starter", str(folder), "late", 1.5, log=folder / "starter.log")
    await until(lambda: evidence.lines("accepted"), "it is accepted", first)
    first.kill()
    await asyncio.sleep(away)
    [[run_id]] = evidence.lines("accepted")
    second = worker(nursery, folder, "second")
    await until(lambda: status(run_id) == "completed", "it runs", second)
    assert history(run_id) == [(None, "committed"), ("go", "committed")]
    created, began = (
        row[0]
        for row in evidence.read("SELECT started_at FROM stepwell_history WHERE run_id=? ORDER BY version", run_id)
    )
    assert began >= created + 1.5 * _MICRO


async def test_a_timer_survives_a_restart(nursery: Nursery, folder: Path) -> None:
    """Fault 13: it rings after its moment, and once."""
    async with stepwell(embedded_worker=False) as here:
        first = worker(nursery, folder, "first")
        run = await here.runner.run(LateAlarm, **ME)
        await until(lambda: status(run.workflow_id) == "waiting", "it waits", first)
        first.kill()
        # All but the last 1.5 s of its hour have passed.
        passed = 3_600 * _MICRO - round(1.5 * _MICRO)
        evidence.write("UPDATE stepwell_runs SET entered_at=entered_at-?, due_at=due_at-?", passed, passed)
        [(due,)] = evidence.read("SELECT due_at FROM stepwell_runs WHERE id=?", run.workflow_id)
        second = worker(nursery, folder, "second")
        await run.result(timeout=60)
        assert history(run.workflow_id) == [(None, "committed"), ("ring", "committed")], second.tail()
        [(rang,)] = evidence.read("SELECT finished_at FROM stepwell_runs WHERE id=?", run.workflow_id)
        assert rang >= due


async def test_runs_are_found_when_every_hint_is_lost(folder: Path) -> None:
    """Fault 3: no bell after a commit, no pulse, no word of a new moment: the sweep finds them."""
    async with stepwell(lease_seconds=3_600) as here:
        process = here.process
        assert process is not None
        process.store.writer.on_commit = lambda answered, hints: None
        process.hub.publish = lambda what: None  # type: ignore[method-assign]
        process.sweep.due_changed = lambda: None  # type: ignore[method-assign]
        delayed = await here.runner.run(Alarm, **ME)
        for kind in (Late, Two):
            handle = await here.runner.run(kind, **ME)
            if kind is Late:
                await handle.result(timeout=60)
        _make_ready("two")  # as if a process had died between its commit and its hint
        await until(lambda: evidence.lines("stands"), "the run is taken up")
        open_gate(os.getpid())
        await delayed.result(timeout=60)


def _make_ready(kind: str) -> None:
    evidence.write(
        "UPDATE stepwell_runs SET owner=NULL, claim=claim+1, status='pending', ready_at=created_at WHERE workflow_name=?",
        kind,
    )


async def test_bells_without_need_change_nothing(folder: Path) -> None:
    """Fault 2: a run that isn't due stays as it is, however often somebody says that it might be."""
    async with stepwell() as here:
        process = here.process
        assert process is not None
        alarm = await here.runner.run(LateAlarm, **ME)
        await until(lambda: status(alarm.workflow_id) == "waiting", "it waits")
        later = await here.runner.run(Late, **ME, delay=timedelta(hours=1))
        before = evidence.read("SELECT * FROM stepwell_runs ORDER BY id")
        for _ in range(40):
            process.queue.wake()
            process.sweep.due_changed()
            process.hub.publish(RemoteChanges())
            await asyncio.sleep(0.02)
        assert evidence.read("SELECT * FROM stepwell_runs ORDER BY id") == before
        assert history(later.workflow_id) == [(None, "committed")]


async def test_a_process_hears_of_what_others_commit(nursery: Nursery, folder: Path) -> None:
    """A start by another process is taken up, though nothing is looked for there."""
    other = nursery.start("acceptance.small:listener", str(folder), log=folder / "other.log")
    await opened(other)
    async with stepwell(embedded_worker=False, lease_seconds=3_600) as here:
        for _ in range(5):
            await asyncio.sleep(0.3)
            run = await here.runner.run(Gentle, **ME)
            await standing(run.workflow_id, other)


async def test_the_log_of_an_open_database_is_given_back(sqlite_folder: Path) -> None:
    """Fault 18: a process that is open, and idle, keeps nobody from moving the WAL into the file."""
    async with stepwell() as here:
        await (await here.runner.run(Late, **ME)).result(timeout=60)
        await asyncio.sleep(0.5)
        with closing(sqlite3.connect(sqlite_folder / evidence.DATABASE, timeout=60)) as connection:
            connection.execute("CREATE TABLE filler (text TEXT)")
            connection.execute("INSERT INTO filler VALUES (?)", ("x" * 1_000_000,))
            connection.commit()
            truncate = "PRAGMA wal_checkpoint(TRUNCATE)"
            await until(lambda: not connection.execute(truncate).fetchone()[0], "nobody keeps the log")
