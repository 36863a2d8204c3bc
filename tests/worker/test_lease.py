"""The heart: it beats on whatever happens, and a lease that has lapsed is noticed in time (semantics 31)."""

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

ME: dict[str, Any] = {"app_name": "shop", "user_id": "u1"}
LEASE = 0.6

StepwellOn = Callable[..., Stepwell]


class Long(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        began.append(time.monotonic())
        try:
            await asyncio.sleep(8)
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
def _fresh() -> None:
    began.clear()
    stopped.clear()


def process_of(stepwell: Stepwell) -> Process:
    assert stepwell.process is not None
    return stepwell.process


async def until(look: Callable[[], Any], seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not look():
            await asyncio.sleep(0.005)


async def test_the_heart_survives_whatever_a_beat_raises(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = workers.beat

    def broken(*_: Any) -> bool:
        raise DatabaseError("UPDATE stepwell_workers", None, OSError("Input/output error"))

    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        heart = process_of(stepwell).heart
        await until(lambda: heart.beats)
        monkeypatch.setattr(workers, "beat", broken)
        await until(lambda: heart.lapsed)
        assert "the lease of this process has lapsed" in await stepwell.faults()
        await asyncio.sleep(LEASE)
        # Its own: a worker that an earlier test left to die in this process beats through the same function.
        mine = f"the heartbeat of worker {heart.worker_id}"
        warned = [one for one in caplog.records if one.levelno >= logging.WARNING and mine in one.getMessage()]
        assert len(warned) == 1, "once per outage"
        monkeypatch.setattr(workers, "beat", real)
        await until(lambda: not heart.lapsed)
        assert await stepwell.faults() == []
        assert (await stepwell.runner.run_sync(Quick, timeout=5, **ME)).status == "completed"


async def test_a_heart_that_has_stopped_is_told(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        heart = process_of(stepwell).heart
        heart._stop.set()
        await until(lambda: not heart._thread.is_alive())
        assert await stepwell.faults() == ["the heartbeat of this process has stopped"]


async def test_a_lapse_is_noticed_when_the_lease_is_over(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on([Long], lease_seconds=1.5) as stepwell:
        heart = process_of(stepwell).heart
        await stepwell.runner.run(Long, **ME)
        await until(lambda: began and heart.beats)
        with database.locked():
            await until(lambda: stopped)
            late = stopped[0] - heart._last_beat - 1.5
        assert 0 <= late < 0.25


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

        await until(lambda: process.heart.beats)
        monkeypatch.setattr(process.sweep, "reconcile", reconcile)
        process.heart._lapsed = True
        process._on_lapse()
        caller = asyncio.ensure_future(stepwell.runner.run_sync(Quick, **ME))
        handle = await stepwell.runner.run(Quick, **ME)
        beats = process.heart.beats
        await until(lambda: process.heart.beats >= beats + 2)
        assert (began, process.heart.lapsed, process.passes.free) == ([], True, 0)
        may_read.set()
        await handle.result(8)
        assert (await caller).status == "completed"
        assert len(began) == 2
        assert not process.heart.lapsed


async def test_a_process_that_was_declared_dead_registers_once(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    async with stepwell_on([Quick], lease_seconds=LEASE) as stepwell:
        process = process_of(stepwell)
        await process.store.writer.call(lambda tx: workers.remove(tx, process.worker_id))
        process._on_removed()
        process._on_removed()
        assert process._registering is not None
        await process._registering
        assert [row.id for row in await process.store.read(workers.all_of)] == [process.worker_id]
        await until(lambda: not process._paused)
        assert (await stepwell.runner.run_sync(Quick, timeout=5, **ME)).status == "completed"
        assert caplog.text.count("it registers again") == 1
        assert "broke off" not in caplog.text
        assert "a duty of this process ended" not in caplog.text
