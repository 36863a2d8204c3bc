"""What a process does for as long as it is open: nothing that goes wrong ends it (rules 31 to 33)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from conformance.support import ME, StepwellOn, reaches, until
from stepwell import END, Workflow, transition
from stepwell.errors import StoreUnavailable
from stepwell.execution.drive import Pass
from stepwell.store.tx import Tx


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


async def test_a_duty_that_breaks_off_begins_again_and_health_checks_tell(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.worker.duties._PAUSE", 0.05)
    monkeypatch.setattr("stepwell.worker.duties._TOLD", 3_600.0)
    async with stepwell_on([Quick]) as stepwell:
        process = stepwell.process
        assert process is not None
        real, broken = process.ends._ask, asyncio.Event()

        async def ask() -> None:
            process.ends._ask = real  # type: ignore[method-assign]
            broken.set()
            raise RuntimeError("out of luck")

        process.ends._ask = ask  # type: ignore[method-assign]
        handle = await stepwell.runner.run(Quick, **ME)
        await asyncio.gather(handle.result(60), broken.wait())

        async def told() -> bool:
            return "the duty Ends.run failed" in await stepwell.faults()

        async def well() -> bool:
            return not await stepwell.faults()

        await until(told)
        monkeypatch.setattr("stepwell.worker.duties._TOLD", 0.0)
        await until(well)
        assert (await stepwell.runner.run_sync(Quick, timeout=60, **ME)).status == "completed"


async def test_a_pool_that_is_exhausted_is_an_unavailable_database(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on([Quick]) as stepwell:
        process = stepwell.process
        assert process is not None

        def exhausted(tx: Tx) -> None:
            raise PoolTimeout("QueuePool limit of size 2 overflow 2 reached")

        with pytest.raises(StoreUnavailable, match="can't be read"):
            await process.store.read(exhausted)


async def test_many_reads_wait_for_each_other(stepwell_on: StepwellOn) -> None:
    def slow(tx: Tx) -> int:
        time.sleep(0.002)
        return int(tx.scalar("SELECT 1"))

    async with stepwell_on([Quick]) as stepwell:
        process = stepwell.process
        assert process is not None
        pool: Any = process.store._reader.pool
        pool._timeout = 0.001
        assert await asyncio.gather(*(process.store.read(slow) for _ in range(50))) == [1] * 50


async def test_reads_of_a_closed_process_are_refused(stepwell_on: StepwellOn) -> None:
    stepwell = stepwell_on([Quick])
    async with stepwell:
        process = stepwell.process
        assert process is not None
    with pytest.raises(StoreUnavailable, match="closed"):
        await process.store.read(lambda tx: None)


async def test_a_run_whose_passes_break_outside_of_its_code_fails_in_the_end(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Pass, *given: Any) -> None:
        raise RuntimeError("not the user's fault")

    monkeypatch.setattr(Pass, "_called", broken)
    async with stepwell_on([Quick], max_takeovers=3, lease_seconds=0.3) as stepwell:
        handle = await stepwell.runner.run(Quick, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "failed")
        assert "its worker died 3 times here" in (run.error or "")
        assert f"run {handle.workflow_id}: its pass failed" in caplog.text
