"""A worker that is asked to end: what it executes is finished or handed over, and another goes on at once.

The lease is so long that nothing here is a take-over.
"""

from __future__ import annotations

from pathlib import Path

from acceptance import evidence
from acceptance.nursery import Nursery
from acceptance.small import ME, Gentle, Two, stepwell
from acceptance.support import history, open_gate, opened, standing, until, worker

LEASE = 3_600.0


async def test_a_transition_is_finished_in_the_time_of_grace(nursery: Nursery, folder: Path) -> None:
    """Fault 1: SIGTERM, then exit code 0 with the run at its end, by one attempt."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        leaving = worker(nursery, folder, "leaving", lease_seconds=LEASE, drain_seconds=600)
        run = await here.runner.run(Two, **ME)
        await standing(run.workflow_id, leaving)
        leaving.terminate()
        await until(lambda: [str(leaving.pid)] in evidence.lines("ends"), "it begins to end", leaving)
        late = await here.runner.run(Gentle, **ME)
        assert not leaving.ended()
        open_gate(leaving)
        assert leaving.wait() == 0, leaving.tail()
        assert (await run.get()).state == {"pids": [leaving.pid]}
        assert history(late.workflow_id) == [(None, "committed")], "it took a run after it was asked to end"

        following = worker(nursery, folder, "following", lease_seconds=LEASE)
        open_gate(following)
        assert (await run.result(timeout=60))[0] == leaving.pid
        assert await late.result(timeout=60) == following.pid
        assert history(run.workflow_id) == [(None, "committed"), ("first", "committed"), ("second", "committed")]


async def test_what_takes_too_long_is_handed_over(nursery: Nursery, folder: Path) -> None:
    """Fault 1: a method that doesn't end in time is cancelled, and runs from its beginning in another process at once."""
    async with stepwell(embedded_worker=False, lease_seconds=LEASE) as here:
        leaving = worker(nursery, folder, "leaving", lease_seconds=LEASE, drain_seconds=0.3)
        run = await here.runner.run(Gentle, **ME)
        await standing(run.workflow_id, leaving)
        following = worker(nursery, folder, "following", lease_seconds=LEASE)
        await opened(following)
        leaving.terminate()
        assert leaving.wait() == 0, leaving.tail()
        await standing(run.workflow_id, following)
        open_gate(following)
        assert await run.result(timeout=60) == following.pid
        assert history(run.workflow_id) == [(None, "committed"), ("go", "committed")]
        assert evidence.read("SELECT attempt FROM stepwell_history WHERE transition='go'") == [(1,)]
