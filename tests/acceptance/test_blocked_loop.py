"""A method that blocks the event loop for longer than a lease (architecture 4, semantics 31)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from acceptance.nursery import Nursery
from acceptance.small import ME, Blocking, Late, stepwell
from acceptance.support import history, left, open_gate, standing, stands, until, worker

LEASE = 0.9


async def test_a_blocked_loop_keeps_its_runs_and_is_named(nursery: Nursery, folder: Path) -> None:
    """Fault 7: the heart beats from a thread, nobody takes the run over, and the log says what blocks."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        blocked = worker(nursery, folder, "blocked", lease_seconds=LEASE)
        run = await here.runner.run(Blocking, **ME)
        await standing(run.workflow_id, blocked)
        other = worker(nursery, folder, "other", lease_seconds=LEASE)
        await asyncio.sleep(2.7)  # three leases; the watchdog speaks after two seconds
        assert not stands(run.workflow_id, other), "the run was taken over"
        log = blocked.log.read_text()
        assert "the event loop has been blocked for" in log
        assert "in stand" in log, "the log doesn't name the method"
        assert "in go" in log
        open_gate(blocked)
        assert await run.result(timeout=10) == blocked.pid
        assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]


@pytest.mark.faults
async def test_a_loop_that_is_stuck_for_good_loses_its_runs(nursery: Nursery, folder: Path) -> None:
    """Faults 1, 7: after some leases the heart stops too; another process goes on, and the stuck one commits nothing."""
    lease = 0.4
    async with stepwell(embedded_worker=False, lease_seconds=lease) as here:
        stuck = worker(nursery, folder, "stuck", lease_seconds=lease)
        run = await here.runner.run(Blocking, **ME)
        await standing(run.workflow_id, stuck)
        other = worker(nursery, folder, "other", lease_seconds=lease)
        await standing(run.workflow_id, other)
        open_gate(stuck)
        await left(run.workflow_id, stuck)
        await until(lambda: "nothing of it was written" in stuck.log.read_text(), "the late one is refused", 5, stuck)
        open_gate(other)
        assert await run.result(timeout=10) == other.pid
        assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]
        other.kill()
        assert await (await here.runner.run(Late, **ME)).result(timeout=10) == stuck.pid
