"""A process that closes: nothing of it goes on, nothing of it is left behind, and nobody waits for it (rules 22, 23)."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from backends import Database
from conformance.support import ME, Gate, StepwellOn, reaches, until
from stepwell import END, Retry, Stepwell, Workflow, transition
from stepwell.errors import StoreUnavailable, WorkflowNotFound
from stepwell.process import Process
from stepwell.store import runs, workers

gate = Gate()
begun: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    begun.clear()


class Work(Workflow[str]):
    @transition(target=END)
    async def go(self) -> str:
        begun.append(self.args)
        await gate.pass_through()
        return self.args


class Later(Workflow):
    @transition(target=END, retry=Retry(retries=3, delay=timedelta(hours=1)))
    async def go(self) -> None:
        begun.append("later")
        raise ValueError


class Parks(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


def process_of(stepwell: Stepwell) -> Process:
    assert stepwell.process is not None
    return stepwell.process


async def hand_over_later(database: Database, stepwell: Stepwell, call: Any) -> tuple[asyncio.Task[Any], str]:
    """A call whose start is stored only while the Stepwell closes: the call, and the id of its run."""
    process = process_of(stepwell)
    with database.locked():
        caller = asyncio.ensure_future(call)
        await asyncio.sleep(0)
        ending = asyncio.ensure_future(stepwell.__aexit__())
        await asyncio.sleep(0)
        assert process.passes.closing
    await ending
    [(run_id,)] = database.read("SELECT id FROM stepwell_runs")
    assert not process.passes.executing
    return caller, run_id


async def test_a_run_that_is_stored_while_its_process_closes_begins_elsewhere(
    stepwell_on: StepwellOn, database: Database
) -> None:
    one = stepwell_on([Work], drain_seconds=0.1)
    await one.__aenter__()
    caller, run_id = await hand_over_later(database, one, one.runner.run(Work, "a", **ME))
    assert (await caller).workflow_id == run_id
    assert begun == []
    gate.open()
    async with stepwell_on([Work]) as two:
        assert await two.runner.handle(run_id).result(60) == "a"
    assert begun == ["a"]


async def test_who_runs_sync_while_the_process_closes_hears_of_it(stepwell_on: StepwellOn, database: Database) -> None:
    one = stepwell_on([Work], drain_seconds=0.1)
    await one.__aenter__()
    caller, run_id = await hand_over_later(database, one, one.runner.run_sync(Work, "a", **ME))
    with pytest.raises(StoreUnavailable, match="This Stepwell is closing") as caught:
        await asyncio.wait_for(caller, 60)
    assert caught.value.workflow_id == run_id
    gate.open()
    async with stepwell_on([Work]) as two:
        assert await two.runner.handle(run_id).result(60) == "a"
    assert begun == ["a"]


async def test_nothing_is_run_sync_any_more_once_a_process_closes(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Work], drain_seconds=0.5) as one:
        await one.runner.run(Work, "a", **ME)
        await gate.reached()
        runner = one.runner
        ending = asyncio.ensure_future(one.__aexit__())
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="closing: nothing was stored"):
            await runner.run_sync(Work, "b", **ME)
        await ending


async def test_who_waits_for_a_result_hears_that_the_process_closes(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as one:
        handle = await one.runner.run(Parks, **ME)
        waiting = asyncio.ensure_future(handle.result())
        await reaches(one.runner, handle.workflow_id, "waiting")
    with pytest.raises(StoreUnavailable, match="goes on elsewhere"):
        await asyncio.wait_for(waiting, 60)


async def test_who_waits_for_a_run_hears_that_it_was_deleted(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as one:
        handle = await one.runner.run(Parks, **ME)
        await reaches(one.runner, handle.workflow_id, "waiting")
        waiting = asyncio.ensure_future(handle.result())
        await asyncio.sleep(0.3)
        await process_of(one).store.writer.call(lambda given: runs.delete(given, [handle.workflow_id]))
        with pytest.raises(WorkflowNotFound):
            await asyncio.wait_for(waiting, 60)


async def test_the_delay_of_a_retry_outlives_its_process(stepwell_on: StepwellOn) -> None:
    one = stepwell_on([Later])
    await one.__aenter__()
    caller = asyncio.ensure_future(one.runner.run_sync(Later, **ME))

    async def delayed() -> str | None:
        [run] = (await one.runner.list()).items or [None]
        return run.workflow_id if run is not None and run.status == "retrying" else None

    run_id = await until(delayed) or ""
    before = await one.runner.get(run_id)
    await one.__aexit__()
    with pytest.raises(StoreUnavailable):
        await caller
    async with stepwell_on([Later]) as two:
        await asyncio.sleep(0.1)
        after = await two.runner.get(run_id)
        assert (after.status, after.due_at) == ("retrying", before.due_at)
    assert begun == ["later"]


@pytest.mark.parametrize("way", ["released", "taken over"])
async def test_the_delay_of_a_retry_outlives_a_take_over(stepwell_on: StepwellOn, way: str) -> None:
    async with stepwell_on([Later]) as one:
        process = process_of(one)
        caller = asyncio.ensure_future(one.runner.run_sync(Later, **ME))

        async def delayed() -> Any:
            return next(iter(process.passes.asleep), None)

        run_id = await until(delayed)
        before = await one.runner.get(run_id)
        me, now = process.worker_id, process.shared.clock.now()
        claims = process.passes.held
        process.passes.accepting = False
        await process.store.writer.call(
            lambda given: (
                workers.release(given, me, claims, now) if way == "released" else workers.take_over(given, me, now)
            )
        )
        after = await one.runner.get(run_id)
        assert (after.status, after.due_at) == ("retrying", before.due_at)
        caller.cancel()


async def test_a_close_that_is_cancelled_leaves_nothing_behind(stepwell_on: StepwellOn, database: Database) -> None:
    others = set(threading.enumerate())  # of earlier tests, which may have left a process to die
    one = stepwell_on([Work], drain_seconds=600)
    await one.__aenter__()
    process = process_of(one)
    await one.runner.run(Work, "a", **ME)
    await gate.reached()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.__aexit__(), 0.05)
    assert gate.cancelled == 1
    assert not process.heartbeat._thread.is_alive() or process.heartbeat._stop.is_set()
    assert not process.store.beats._thread.is_alive()  # type: ignore[attr-defined]
    assert process.duties.over
    assert "stepwell-writer" not in {thread.name for thread in set(threading.enumerate()) - others}
    assert len(asyncio.all_tasks()) == 1, "only this test"
    assert database.read("SELECT owner, status FROM stepwell_runs") == [(None, "pending")]
    assert database.read("SELECT count(*) FROM stepwell_workers") == [(0,)]
    await until(lambda: database.abandoned(), "the end of every connection")
