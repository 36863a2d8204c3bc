"""A method that blocks the event loop for longer than its leases last is named, and nobody else pays for it (rule 48)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from conformance.support import ME, Gate, StepwellOn, reaches, until
from stepwell import END, Stepwell, Workflow, transition
from stepwell.execution.passes import Passes
from stepwell.store import runs

gate = Gate()
opened: list[Stepwell] = []
told: list[str] = []
LEASE = 0.3


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    opened.clear()
    told.clear()


def passes() -> Passes:
    """Those of the process under test."""
    process = opened[0].process
    assert process is not None
    return process.passes


def block_until(seen: Callable[[], bool]) -> None:
    """Blocks the thread of the event loop."""
    deadline = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(0.01)


def noticed(run_id: str) -> Callable[[], bool]:
    """The heartbeat's thread has dealt with what blocks the loop."""

    def look() -> bool:
        one = passes().executed_id(run_id)
        return one is not None and one.blocked is not None and process_idle()

    return look


def process_idle() -> bool:
    """It has said so to the database as well."""
    process = opened[0].process
    assert process is not None
    return process.heartbeat.handled_stuck


async def nothing() -> None: ...


class Fetch(Workflow[str, None, str]):
    @transition(target=END)
    async def fetch(self) -> str:
        await asyncio.sleep(0)
        if self.args == "gathered":
            await asyncio.gather(self._blocking())
        elif self.args == "gathered, after a step":  # which the reply of the writer wakes, and no handle of the loop
            await asyncio.gather(self._stepping())
        elif self.args == "blocking":
            block_until(noticed(self.info.workflow_id))
        return "fetched"

    async def _stepping(self) -> None:
        await self.step("before", nothing)
        await self._blocking()

    async def _blocking(self) -> None:
        block_until(noticed(self.info.workflow_id))


class Gentle(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        await gate.pass_through()
        return self.args


@pytest.mark.parametrize("how", ["blocking", "gathered", "gathered, after a step"])
async def test_the_attempt_fails_and_names_the_method_and_the_neighbours_go_on(
    stepwell_on: StepwellOn, how: str
) -> None:
    async with stepwell_on([Fetch, Gentle], lease_seconds=LEASE) as stepwell:
        opened.append(stepwell)
        beside = [await stepwell.runner.run(Gentle, n, **ME) for n in range(3)]
        for _ in beside:
            await gate.reached()
        run = await stepwell.runner.run(Fetch, how, **ME)
        failed = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert failed.error is not None
        assert failed.error.startswith("Fetch.fetch: TransitionTimeout: blocked the event loop for ")
        assert failed.error.endswith(
            "longer than the lease of 0.3 s allows: make it a plain def, which runs in a thread, or await the slow call"
        )
        gate.open()
        assert [await one.result(60) for one in beside] == [0, 1, 2]
        process = stepwell.process
        assert process is not None
        rows = await process.store.read(
            lambda tx: [tuple(row) for row in tx.rows("SELECT takeovers, suspicion FROM stepwell_runs")]
        )
        assert set(rows) == {(0, None)}


async def test_who_blocks_a_second_process_fails_there_with_the_reason(stepwell_on: StepwellOn) -> None:
    """As another process finds it: taken over from one whose loop it blocked."""
    async with stepwell_on([Fetch], embedded_worker=False, lease_seconds=LEASE) as web:
        run = await web.runner.run(Fetch, "blocking", **ME)
        process = web.process
        assert process is not None
        await process.store.writer.call(
            lambda tx: tx.run(
                "UPDATE stepwell_runs SET takeovers=1, suspicion=? WHERE id=?",
                "1:group Fetch.fetch blocked the event loop for 130 s",
                run.workflow_id,
            )
        )
        assert "under suspicion: Fetch.fetch blocked the event loop for 130 s" in str(
            await web.runner.explain(run.workflow_id)
        )
        stepwell = stepwell_on([Fetch], lease_seconds=LEASE)
        opened.append(stepwell)
        async with stepwell:
            failed = await reaches(web.runner, run.workflow_id, "failed")
            assert "Fetch.fetch: TransitionTimeout: blocked the event loop" in (failed.error or "")
            row: Any = await until(lambda: process.store.read(lambda tx: runs.load_one(tx, run.workflow_id)))
            assert (row.takeovers, row.suspicion) == (0, None)


class Mended(Workflow[None, None, str]):
    @transition(target=END, error_place="mending")
    async def fetch(self) -> str:
        await asyncio.sleep(0)
        block_until(noticed(self.info.workflow_id))
        return "fetched"

    @transition(source="mending", target=END)
    async def mend(self) -> str:
        return "mended"


async def test_what_the_run_executes_after_it_is_not_blamed_for_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Mended], lease_seconds=LEASE) as stepwell:
        opened.append(stepwell)
        run = await stepwell.runner.run(Mended, None, **ME)
        assert await run.result(60) == "mended"
        history = await stepwell.runner.history(run.workflow_id)
        assert [(row.transition, row.status) for row in history[1:]] == [("fetch", "failed"), ("mend", "committed")]
