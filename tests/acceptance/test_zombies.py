"""Processes that were believed dead: stopped past their lease, replaced, and then let go on (rules 26, 29, 31)."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from acceptance import evidence
from acceptance.nursery import Child, Nursery
from acceptance.small import ME, Blocking, Gentle, Journaling, Spawning, Threaded, Transacting, stepwell
from acceptance.support import beats, bury, freeze, history, left, open_gate, opened, standing, status, until, worker
from stepwell import Stepwell, Workflow

pytestmark = pytest.mark.thorough

LEASE = 3_600.0
"""Seconds: who is dead, and who has stood still for longer than this, is said by the tests."""


@pytest.mark.parametrize(
    ("kind", "committed"),
    [
        (Blocking, False),
        pytest.param(Blocking, True, marks=pytest.mark.faults),
        pytest.param(Gentle, False, marks=pytest.mark.faults),
        pytest.param(Threaded, False, marks=pytest.mark.faults),
        pytest.param(Threaded, True, marks=pytest.mark.faults),
        pytest.param(Journaling, False, marks=pytest.mark.faults),
        pytest.param(Journaling, True, marks=pytest.mark.faults),
        (Transacting, False),
        pytest.param(Transacting, True, marks=pytest.mark.faults),
        pytest.param(Spawning, False, marks=pytest.mark.faults),
        pytest.param(Spawning, True, marks=pytest.mark.faults),
    ],
)
async def test_a_zombie_commits_nothing_and_works_again(
    nursery: Nursery, folder: Path, kind: type[Workflow[Any, Any, Any]], committed: bool
) -> None:
    """Faults 1, 4, 7, 11: the first process comes back while the second executes, or after it has committed."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        _user_table()
        first = worker(nursery, folder, "first", lease_seconds=LEASE)
        run_id = (await here.runner.run(kind, **ME)).workflow_id
        await standing(run_id, first)
        await freeze(first)
        first.send(signal.SIGUSR2)
        second = worker(nursery, folder, "second", lease_seconds=LEASE)
        await opened(second)
        bury(second)
        await standing(run_id, second)

        open_gate(first)
        if committed:
            await _completes(here, run_id, second)
        before = _effects(run_id)
        first.thaw()
        if kind is not Gentle:
            await left(run_id, first)
        await until(lambda: _noticed(first), "the zombie notices", first)
        await until(lambda: beats(first) > 1, "the zombie registers again", first)
        assert _effects(run_id) == before, "the zombie has committed"
        if kind is Blocking:
            assert "nothing of it was written" in first.log.read_text(), first.tail()
        if not committed:
            await _completes(here, run_id, second)
        assert history(run_id) == [(None, "committed"), ("go", "committed")]
        assert _effects(run_id) == _expected(kind, second.pid)

        second.kill()
        again = await here.runner.run(kind, **ME)
        assert await again.result(timeout=60) == first.pid, "the zombie doesn't work again"
        first.terminate()
        assert first.wait() == 0


def _noticed(child: Child) -> bool:
    log = child.log.read_text()
    return "could not renew" in log or "was declared dead" in log  # whichever its heart finds first


async def _completes(here: Stepwell, run_id: str, child: Any) -> None:
    open_gate(child)
    assert await here.runner.handle(run_id).result(timeout=60) == child.pid


def _user_table() -> None:
    evidence.write("CREATE TABLE bookings (pid INTEGER)")


def _effects(run_id: str) -> dict[str, list[Any]]:
    """All that the run has brought about."""
    return {
        "checkpoints": evidence.read("SELECT version FROM stepwell_history WHERE run_id=? AND version>0", run_id),
        "documents": evidence.read("SELECT content FROM stepwell_documents WHERE run_id=? AND name='who'", run_id),
        "steps": evidence.read("SELECT value FROM stepwell_steps WHERE run_id=?", run_id),
        "children": [len(evidence.read("SELECT id FROM stepwell_runs WHERE parent_id=?", run_id))],
        "bookings": evidence.read("SELECT pid FROM bookings"),
        "state": [row[0] for row in evidence.read("SELECT result FROM stepwell_runs WHERE id=?", run_id)],
    }


def _expected(kind: type[Workflow[Any, Any, Any]], pid: int) -> dict[str, list[Any]]:
    return {
        "checkpoints": [(1,)],
        "documents": [(f'{{"pid":{pid}}}',)] if kind is Blocking else [],
        "steps": [(str(pid),)] if kind is Journaling else [],
        "children": [int(kind is Spawning)],
        "bookings": [(pid,)] if kind is Transacting else [],
        "state": [str(pid)],
    }


@pytest.mark.parametrize("kind", [Gentle, Threaded, pytest.param(Blocking, marks=pytest.mark.faults)])
async def test_a_run_that_was_cancelled_elsewhere_stays_cancelled(
    nursery: Nursery, folder: Path, kind: type[Workflow[Any, Any, Any]]
) -> None:
    """Faults 9, 11: the process that executes it is told, and what it still produces counts for nothing."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        busy = worker(nursery, folder, "busy", lease_seconds=LEASE)
        await opened(busy)
        run_id = (await here.runner.run(kind, **ME)).workflow_id
        await standing(run_id, busy)
        assert (await here.runner.cancel(run_id)).status == "canceled"
        if kind is Gentle:
            await until(lambda: [run_id, str(busy.pid)] in evidence.lines("cancelled"), "it is stopped", busy)
        open_gate(busy)
        if kind is not Gentle:
            await left(run_id, busy)
        assert await (await here.runner.run(kind, **ME)).result(timeout=60) == busy.pid
        assert [run_id, str(busy.pid)] not in evidence.lines("leaves") or kind is not Gentle, "it was not stopped"
        assert status(run_id) == "canceled"
        assert history(run_id) == [(None, "committed"), ("go", "canceled")]
