"""Code claims only what it can execute; what it can't hides nothing and waits for the code that can (rules 34, 46)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from conformance.support import ME, StepwellOn, everything, reaches, until
from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.queue import claims
from stepwell.store import runs
from stepwell.store.tables import runs as table
from stepwell.store.tx import Tx


class Job(Workflow[int, None, int]):
    @transition(target="half")
    async def begin(self) -> None: ...

    @transition("half", END)
    async def finish(self) -> int:
        return self.args


class Other(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


async def change(stepwell: Stepwell, run_id: str, **values: Any) -> None:
    """As other code would have left the run."""
    assert stepwell.process is not None
    await stepwell.process.store.writer.call(
        lambda tx: tx.execute(update(table).where(table.c.id == run_id).values(**values)) and None
    )


async def met(stepwell: Stepwell, workflow: str = "job") -> None:
    """Its worker has met something that it leaves to others."""
    process = stepwell.process
    assert process is not None

    async def walking() -> bool:
        return process.queue.has_unfit(("shop", workflow))

    await until(walking)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"place": "third"}, "no place 'third'"),
        ({"workflow_version": 2}, "version 2"),
        ({"place": "half", "bound": "gone"}, "no longer has a transition 'gone'"),
        ({"moves_to": "third"}, "'third'"),
    ],
)
async def test_what_the_row_tells_is_never_claimed(stepwell_on: StepwellOn, changes: dict[str, Any], why: str) -> None:
    async with stepwell_on([Job], embedded_worker=False) as web:
        unfit = await web.runner.run(Job, 1, **ME)
        await change(web, unfit.workflow_id, **changes)
        before = await everything(web)
        async with stepwell_on([Job]) as old:
            await met(old)
            assert await everything(old) == before, "looking writes nothing"
            fit = await web.runner.run(Job, 2, **ME)
            assert await fit.result(60) == 2, "what is behind it goes on"
            assert [row for row in (await everything(old))["stepwell_runs"] if unfit.workflow_id in row] == [
                row for row in before["stepwell_runs"] if unfit.workflow_id in row
            ]
            assert why in str(await old.runner.explain(unfit.workflow_id))
            assert "a worker whose code can execute it" in str(await old.runner.explain(unfit.workflow_id))


async def test_many_unfit_runs_at_the_head_hide_nothing(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_PAGE", 3)
    async with stepwell_on([Job, Other], embedded_worker=False) as web:
        for n in range(40):
            unfit = await web.runner.run(Job, n, **ME, priority=n % 3)
            await change(web, unfit.workflow_id, place="third")
        async with stepwell_on([Job, Other], worker_concurrency=2) as old:
            handles = [await web.runner.run(Job, n, **ME, priority=n % 4 - 1) for n in range(10)]
            others = [await web.runner.run(Other, **ME) for _ in range(10)]
            assert [await handle.result(60) for handle in handles] == list(range(10))
            await asyncio.gather(*(other.result(60) for other in others))
            assert old.process is not None
            left = await old.process.store.read(
                lambda tx: tx.scalar("SELECT count(*) FROM stepwell_runs WHERE claim=0 AND place='third'")
            )
            assert left == 40, "none of them was ever claimed"


async def test_a_lane_that_was_cleared_is_claimed_as_before(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Job], embedded_worker=False) as web:
        unfit = await web.runner.run(Job, 1, **ME)
        await change(web, unfit.workflow_id, workflow_version=2)
        async with stepwell_on([Job]) as old:
            await met(old)
            await web.runner.cancel(unfit.workflow_id)
            process = old.process
            assert process is not None

            async def cleared() -> bool:
                process.queue.wake()
                return not process.queue.has_unfit(("shop", "job"))

            await until(cleared)
            assert await (await web.runner.run(Job, 2, **ME)).result(60) == 2


async def test_one_look_tells_what_the_row_doesnt(stepwell_on: StepwellOn) -> None:
    """Args that don't validate any more: claimed once, released at once, and not claimed again."""

    class Strict(Workflow[str, None, str], name="job"):
        @transition(target="half")
        async def begin(self) -> None: ...

        @transition("half", END)
        async def finish(self) -> str:
            return self.args

    async with stepwell_on([Job], embedded_worker=False) as web:
        numbers = await web.runner.run(Job, 7, **ME)
        async with stepwell_on([Strict]) as strict:
            await met(strict)
            process = strict.process
            assert process is not None
            row = await until(lambda: _released(process.store, numbers.workflow_id))
            assert (row.status, row.version, row.due_at) == ("pending", 0, None)
            for _ in range(5):
                process.queue.wake()
                await asyncio.sleep(0.05)
            again = await process.store.read(lambda tx: runs.load_one(tx, numbers.workflow_id))
            assert again == row
            async with stepwell_on([Job]):
                assert await numbers.result(60) == 7


async def _released(store: Any, run_id: str) -> Any:
    row = await store.read(lambda tx: runs.load_one(tx, run_id))
    return row if row.claim > 0 and row.owner is None else None


async def test_a_process_that_starts_looks_at_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Job], embedded_worker=False) as web:
        run = await web.runner.run(Job, 3, **ME)
        await change(web, run.workflow_id, workflow_version=2)
        async with stepwell_on([Job]) as old:
            await met(old)

            class Next(Workflow[int, None, int], name="job", version=2):
                @transition(target=END)
                async def begin(self) -> int:
                    return self.args * 10

            async with stepwell_on([Next]):
                assert await run.result(60) == 30


async def test_what_is_retried_by_other_code_is_looked_at_again(stepwell_on: StepwellOn) -> None:
    """A run that this code left can fit later: at its next version."""
    async with stepwell_on([App("shop", workflows=[Job])]) as stepwell:
        process = stepwell.process
        assert process is not None
        run = await stepwell.runner.run(Job, 1, **ME)
        await reaches(stepwell.runner, run.workflow_id, "completed")

        def look(tx: Tx) -> Any:
            return runs.load_one(tx, run.workflow_id)

        row = await process.store.read(look)
        process.queue.mark_unfit(row, "test")
        assert process.queue.is_unfit(row)
        assert not process.queue.is_unfit(row._replace(version=row.version + 1))


async def test_a_row_that_was_spoilt_by_hand_stops_no_claim(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Job]) as stepwell:
        process = stepwell.process
        assert process is not None
        run = await stepwell.runner.run(Job, 1, **ME)
        await reaches(stepwell.runner, run.workflow_id, "completed")
        row = await process.store.read(lambda tx: runs.load_one(tx, run.workflow_id))
        assert row is not None
        assert not process.queue.is_unfit(row)
        assert process.queue.is_unfit(row._replace(workflow_version="two"))  # type: ignore[arg-type]
