"""Transitions that wait for other runs, when all slots or all threads do the same: they lend what they hold, or are refused."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, StepwellOn, reaches, until
from stepwell import END, Stepwell, Workflow, WorkflowRunner, transition

here: dict[str, Any] = {}
gate = threading.Event()
hanging: list[Any] = []


def runner() -> WorkflowRunner:
    found: WorkflowRunner = here["stepwell"].runner
    return found


class Child(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return self.args


class Awaits(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return await (await runner().run(Child, self.args, **ME)).result()


class Deep(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        if not self.args:
            return 0
        return 1 + await (await runner().run(Deep, self.args - 1, **ME)).result()


class Both(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        handles = [await runner().run(Child, n, **ME) for n in range(self.args)]
        return sum(await asyncio.gather(*(one.result() for one in handles)))


class Inline(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return (await runner().run_sync(Awaits, self.args, **ME)).result or 0


class PlainChild(Workflow[int, None, int]):
    @transition(target=END)
    def go(self) -> int:
        return self.args


class Blocks(Workflow[int, None, int]):
    @transition(target=END)
    def go(self) -> int:
        found: int = runner().blocking.run_sync(PlainChild, self.args, **ME).result
        return found


class BlocksOnResult(Workflow[int, None, int]):
    @transition(target=END)
    def go(self) -> int:
        found: int = runner().blocking.run(PlainChild, self.args, **ME).result()
        return found


class Own(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await runner().handle(self.info.workflow_id).result()


class Mutual(Workflow[dict[str, str]]):
    @transition(target=END)
    async def go(self) -> None:
        if not self.args:
            await (await runner().run(Mutual, {"of": self.info.workflow_id}, **ME)).result()
        else:
            await runner().handle(self.args["of"]).result()


class Inside(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        handle = await runner().run(Child, 1, **ME)
        async with self.transaction():
            await handle.result()


class Hangs(Workflow):
    @transition(target=END, timeout=timedelta(seconds=0.2))
    def go(self) -> None:
        hanging.append(self.info.workflow_id)
        gate.wait()


async def results(stepwell: Stepwell, workflow: Any, args: Any, count: int) -> list[Any]:
    """Of so many runs at once."""
    here["stepwell"] = stepwell
    handles = [await stepwell.runner.run(workflow, args, **ME) for _ in range(count)]
    return await asyncio.gather(*(one.result(60) for one in handles))


async def test_more_of_them_than_there_are_slots_end(stepwell_on: StepwellOn) -> None:
    classes = [Child, Awaits, Deep, Both, Inline]
    async with stepwell_on(classes, worker_concurrency=2) as stepwell:
        assert await results(stepwell, Awaits, 7, 9) == [7] * 9
        assert await results(stepwell, Deep, 6, 2) == [6] * 2
        assert await results(stepwell, Both, 4, 5) == [6] * 5
        assert await results(stepwell, Inline, 7, 5) == [7] * 5
        process = stepwell.process
        assert process is not None
        # A claim that is under way has reserved the free slots until its answer: they are free again after it.
        await until(lambda: asyncio.sleep(0, process.passes.free == 2 and not process.passes.executing))


async def test_more_of_them_than_there_are_threads_end(stepwell_on: StepwellOn) -> None:
    classes = [PlainChild, Blocks, BlocksOnResult]
    async with stepwell_on(classes, worker_concurrency=3, sync_threads=2) as stepwell:
        assert await results(stepwell, Blocks, 7, 6) == [7] * 6
        assert await results(stepwell, BlocksOnResult, 7, 6) == [7] * 6


@pytest.mark.parametrize(
    ("workflow", "text"),
    [
        (Own, "would wait for itself, inside its transition"),
        (Mutual, "which waits for it, inside its transition"),
        (Inside, r"can't wait for the end of run .* inside self.transaction\(\)"),
    ],
)
async def test_what_could_never_end_is_refused(stepwell_on: StepwellOn, workflow: Any, text: str) -> None:
    async with stepwell_on([Own, Mutual, Inside, Child]) as stepwell:
        here["stepwell"] = stepwell
        handle = await stepwell.runner.run(workflow, **ME)
        failed = await reaches(stepwell.runner, handle.workflow_id, "failed")
        assert failed.error is not None
        with pytest.raises(AssertionError, match=text):
            raise AssertionError(failed.error)
        assert "callback=" in failed.error


async def test_plain_methods_go_on_beside_those_that_hang_and_the_process_hands_on_what_it_cant(
    stepwell_on: StepwellOn,
) -> None:
    gate.clear()
    hanging.clear()
    async with stepwell_on([Hangs, PlainChild], sync_threads=1, drain_seconds=0.1) as stepwell:
        try:
            for n in range(1, 17):
                run = await stepwell.runner.run(Hangs, **ME)
                await until(lambda: asyncio.sleep(0, run.workflow_id in hanging))  # noqa: B023
                await reaches(stepwell.runner, run.workflow_id, "failed")
                assert (await stepwell.runner.run_sync(PlainChild, n, **ME)).result == n
            faults = await stepwell.faults()
            assert any("16 threads hang in calls that were given up (Hangs.go)" in fault for fault in faults), faults
            waits = await stepwell.runner.run(PlainChild, 7, **ME)
            assert (await stepwell.runner.get(waits.workflow_id)).status == "pending", "nothing is claimed here"
            async with stepwell_on([PlainChild]):
                assert await waits.result(60) == 7
        finally:
            gate.set()
        again = await stepwell.runner.run(PlainChild, 8, **ME)
        assert await again.result(60) == 8
        assert await stepwell.faults() == []
