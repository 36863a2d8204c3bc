"""`finally` after a cancel or a timeout isn't interrupted again, whatever comes meanwhile (rules 52 and 62)."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from conformance.support import ME, Gate, StepwellOn, buried, reaches
from stepwell import END, START, RunHandle, Stepwell, Workflow, transition

done: list[str] = []
gate = Gate()
cleaning = Gate()


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()
    gate.clear()
    cleaning.clear()


class Works(Workflow[None, None, str], on_cancel="leaving"):
    @transition(START, END, timeout=timedelta(minutes=10))
    async def work(self) -> str:
        try:
            await gate.pass_through()
        finally:
            await cleaning.pass_through()
            done.append("cleaned up")
        return "worked"

    @transition("leaving", END)
    async def leave(self) -> None:
        done.append("left")


class Hurries(Works):
    """Has no time."""

    @transition(START, END, timeout=timedelta(milliseconds=20))
    async def work(self) -> str:
        return await super().work()


async def cleans(stepwell: Stepwell, workflow: type[Works] = Works) -> RunHandle[str]:
    """A run whose method is cleaning up, after a cancel or its timeout."""
    run = await stepwell.runner.run(workflow, **ME)
    await gate.reached()
    if workflow is Works:
        await run.cancel()
    await cleaning.reached()
    return run


async def test_further_cancels_leave_it_alone(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Works]) as stepwell:
        run = await cleans(stepwell)
        await asyncio.gather(*(run.cancel() for _ in range(10)))
        assert (await run.cancel(force=True)).status == "canceled"
        await run.cancel(force=True)
        assert stepwell.process is not None
        await stepwell.process.sweep.reconcile()
        await stepwell.process.sweep.reconcile()
        cleaning.open()
        await stepwell.process.passes.drained(60)
        assert (cleaning.cancelled, done) == (0, ["cleaned up"]), "and `force` leaves nothing to clear up"
        assert (await run.get()).status == "canceled"


@pytest.mark.parametrize("force", [False, True], ids=["gracefully", "by force"])
async def test_a_cancel_after_the_timeout_leaves_it_alone(stepwell_on: StepwellOn, force: bool) -> None:
    async with stepwell_on([Hurries]) as stepwell:
        run = await cleans(stepwell, Hurries)
        await run.cancel(force=force)
        assert stepwell.process is not None
        await stepwell.process.sweep.reconcile()
        cleaning.open()
        await reaches(stepwell.runner, run.workflow_id, "canceled")
        await stepwell.process.passes.drained(60)
        assert cleaning.cancelled == 0
        assert done == (["cleaned up"] if force else ["cleaned up", "left"])


async def test_a_process_that_closes_waits_for_it(stepwell_on: StepwellOn) -> None:
    first = stepwell_on([Works], drain_seconds=0)
    await first.__aenter__()
    run = await cleans(first)
    process = first.process
    assert process is not None
    closing = asyncio.create_task(first.__aexit__(None, None, None))
    async with asyncio.timeout(60):
        while process.passes.accepting:
            await asyncio.sleep(0)
    assert not closing.done()
    cleaning.open()
    await closing
    assert (cleaning.cancelled, done) == (0, ["cleaned up"])
    async with stepwell_on([Works]) as second:
        await buried(second)
        await reaches(second.runner, run.workflow_id, "canceled")
        assert done == ["cleaned up", "left"]


release = threading.Event()


class Threaded(Workflow[None, dict[str, int], str], on_cancel="leaving"):
    """Works in a thread, which can't be stopped."""

    @transition(START, END)
    def work(self) -> str:
        loop.call_soon_threadsafe(gate._arrived.put_nowait, None)
        release.wait(600)
        self.state["late"] = 1
        loop.call_soon_threadsafe(done.append, "the thread is over")
        return "late"

    @transition("leaving", END)
    async def leave(self) -> None:
        done.append("left")


loop: asyncio.AbstractEventLoop


async def test_a_thread_goes_on_beside_the_clearing_up_and_stores_nothing(stepwell_on: StepwellOn) -> None:
    global loop
    loop = asyncio.get_running_loop()
    release.clear()
    try:
        async with stepwell_on([Threaded]) as stepwell:
            run = await stepwell.runner.run(Threaded, **ME)
            await gate.reached()
            await run.cancel()
            await run.cancel()
            ended = await reaches(stepwell.runner, run.workflow_id, "canceled")
            assert done == ["left"]
            release.set()
            async with asyncio.timeout(60):
                while len(done) < 2:
                    await asyncio.sleep(0.01)
            late = await run.get()
            assert (late.version, late.state, late.result) == (ended.version, {}, None)
    finally:
        release.set()
