"""A method that blocks the event loop for longer than a lease (rule 31)."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.nursery import Nursery
from acceptance.small import ME, Blocking, Late, stepwell
from acceptance.support import beats, bury, history, left, open_gate, opened, standing, stands, until, worker

pytestmark = pytest.mark.thorough

LEASE = 3_600.0
"""Seconds; a worker of these tests renews it five times a second all the same."""


async def test_a_blocked_loop_keeps_its_runs_and_is_named(nursery: Nursery, folder: Path) -> None:
    """Fault 7: the heart beats from a thread, nobody takes the run over, and the log says what blocks."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        blocked = worker(nursery, folder, "blocked", lease_seconds=LEASE)
        run = await here.runner.run(Blocking, **ME)
        await standing(run.workflow_id, blocked)
        other = worker(nursery, folder, "other", lease_seconds=LEASE)
        await opened(other)
        await until(lambda: "the event loop has been blocked for" in blocked.log.read_text(), "it is told", blocked)
        before = beats(blocked)
        await until(lambda: beats(blocked) > before + 5, "the heart beats", blocked)
        assert not stands(run.workflow_id, other), "the run was taken over"
        log = blocked.log.read_text()
        assert "in stand" in log, "the log doesn't name the method"
        assert "in go" in log
        open_gate(blocked)
        assert await run.result(timeout=60) == blocked.pid
        assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]


@pytest.mark.faults
async def test_a_loop_that_is_stuck_for_good_loses_its_runs(nursery: Nursery, folder: Path) -> None:
    """Faults 1, 7: after some leases the heart stops too; another process goes on, and the stuck one commits nothing."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        stuck = worker(nursery, folder, "stuck", lease_seconds=0.4)
        run = await here.runner.run(Blocking, **ME)
        await standing(run.workflow_id, stuck)
        other = worker(nursery, folder, "other", lease_seconds=LEASE)
        await opened(other)
        await until(lambda: f"run {run.workflow_id}: " in stuck.log.read_text(), "it is stuck for good", stuck)
        bury(other)
        await standing(run.workflow_id, other)
        open_gate(stuck)
        await left(run.workflow_id, stuck)
        await until(lambda: "nothing of it was written" in stuck.log.read_text(), "the late one is refused", stuck)
        open_gate(other)
        assert await run.result(timeout=60) == other.pid
        assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]
        other.kill()
        assert await (await here.runner.run(Late, **ME)).result(timeout=60) == stuck.pid
