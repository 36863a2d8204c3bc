"""The heart: it beats on whatever happens, and a lease that has lapsed is noticed in time (rule 31)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from backends import Database
from stepwell import END, Stepwell, Workflow, transition
from stepwell.process import Process
from stepwell.store import workers
from stepwell.store.tx import Tx
from stepwell.worker import lease
from stepwell.worker.lease import Turn

ME: dict[str, Any] = {"app_name": "shop", "user_id": "u1"}
LEASE = 600.0
"""Seconds: no lease lapses because the machine stood still. A test that wants a lapse makes it."""
_BEAT = 0.1

StepwellOn = Callable[..., Stepwell]


class Long(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        began.append(time.monotonic())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(time.monotonic())
            raise


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        began.append(time.monotonic())


began: list[float] = []
stopped: list[float] = []


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_BEATS_PER_LEASE", LEASE / _BEAT)
    began.clear()
    stopped.clear()


def process_of(stepwell: Stepwell) -> Process:
    assert stepwell.process is not None
    return stepwell.process


async def until(look: Callable[[], Any], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not look():
            await asyncio.sleep(0.005)


async def test_the_heart_survives_whatever_a_beat_raises(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, tried = workers.beat, 0

    def broken(tx: Tx, worker_id: str, now: int) -> bool:
        nonlocal tried
        # Its own: a worker that an earlier test left to die in this process beats through the same function.
        tried += worker_id == heartbeat.worker_id
        raise DatabaseError("UPDATE stepwell_workers", None, OSError("Input/output error"))

    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        heartbeat = process_of(stepwell).heartbeat
        await until(lambda: heartbeat.beats)
        monkeypatch.setattr(workers, "beat", broken)
        heartbeat._lease.beaten_at -= LEASE - 1
        await until(lambda: tried)
        heartbeat._lease.beaten_at -= LEASE
        await until(lambda: heartbeat.lapsed)
        assert "the lease of this process has lapsed" in await stepwell.faults()
        before = tried
        await until(lambda: tried > before + 2)
        mine = f"the heartbeat of worker {heartbeat.worker_id}"
        warned = [one for one in caplog.records if one.levelno >= logging.WARNING and mine in one.getMessage()]
        assert len(warned) == 1, "once per outage"
        monkeypatch.setattr(workers, "beat", real)
        await until(lambda: not heartbeat.lapsed)
        assert await stepwell.faults() == []
        assert (await stepwell.runner.run_sync(Quick, timeout=60, **ME)).status == "completed"


async def test_a_heart_that_has_stopped_is_told(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        heartbeat = process_of(stepwell).heartbeat
        heartbeat._stop.set()
        await until(lambda: not heartbeat._thread.is_alive())
        assert await stepwell.faults() == ["the heartbeat of this process has stopped"]


async def test_a_lapse_is_noticed_when_the_lease_is_over(
    stepwell_on: StepwellOn, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_BEATS_PER_LEASE", 3)
    noticed: list[float] = []
    real = lease.Lease.lapse

    def lapse(self: lease.Lease, now: float) -> bool:
        age = now - self.beaten_at
        new = real(self, now)
        noticed.extend([age] if new else [])
        return new

    async with stepwell_on([Long], lease_seconds=1.5) as stepwell:
        heartbeat = process_of(stepwell).heartbeat
        await stepwell.runner.run(Long, **ME)
        await until(lambda: began and heartbeat.beats)
        monkeypatch.setattr(lease.Lease, "lapse", lapse)
        with database.locked():
            await until(lambda: noticed and stopped)
        assert min(noticed) >= 1.5


async def test_nothing_begins_before_the_lease_is_renewed_and_what_is_owned_was_read(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        process = process_of(stepwell)
        real, may_read = process.sweep.reconcile, asyncio.Event()

        async def reconcile() -> int:
            if not may_read.is_set():
                raise RuntimeError("not now")
            return await real()

        await until(lambda: process.heartbeat.beats)
        monkeypatch.setattr(process.sweep, "reconcile", reconcile)
        process.heartbeat._lease.lapsed = True
        process.membership.on_lapse()
        caller = asyncio.ensure_future(stepwell.runner.run_sync(Quick, **ME))
        handle = await stepwell.runner.run(Quick, **ME)
        beats = process.heartbeat.beats
        await until(lambda: process.heartbeat.beats >= beats + 2)
        assert (began, process.heartbeat.lapsed, process.passes.free) == ([], True, 0)
        may_read.set()
        await handle.result(60)
        assert (await caller).status == "completed"
        assert len(began) == 2
        assert not process.heartbeat.lapsed


async def test_a_process_that_was_declared_dead_registers_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        process = process_of(stepwell)
        await process.store.writer.call(lambda tx: workers.remove(tx, process.worker_id))
        process.membership.on_removed()
        registering = process.membership.registering
        assert registering is not None
        process.membership.on_removed()
        assert process.membership.registering is registering
        await registering
        assert [row.id for row in await process.store.read(workers.all_of)] == [process.worker_id]
        await until(lambda: not process.membership.paused)
        assert (await stepwell.runner.run_sync(Quick, timeout=60, **ME)).status == "completed"
        assert await stepwell.faults() == []


async def test_an_action_that_raises_takes_no_other_away(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lapse that nobody is told of would pause the worker for good."""
    async with stepwell_on([Long], lease_seconds=600) as stepwell:
        heartbeat = process_of(stepwell).heartbeat
        await stepwell.runner.run(Long, **ME)
        await until(lambda: began)

        def broken(now: float) -> None:
            raise RuntimeError("a filter of the log")

        monkeypatch.setattr(heartbeat, "_name_blocker", broken)
        mine = heartbeat._lease
        take_due = mine.take_due
        monkeypatch.setattr(
            type(mine), "take_due", lambda self, now: [Turn.NAME_BLOCKER, *take_due(now)] if self is mine else []
        )
        mine.beaten_at -= 601
        await until(lambda: stopped)
