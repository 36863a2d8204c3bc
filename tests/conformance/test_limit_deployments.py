"""Older code beside newer: of Stepwell, which knows no limits, and of a user, which doesn't have the rule (rule 54)."""

from __future__ import annotations

import pytest

from backends import Database
from conformance.support import ME, Gate, HarnessOn, StepwellOn, until
from stepwell import END, Concurrency, Start, Stepwell, Workflow, transition

gate = Gate()
executed: list[int] = []
at_once: list[int] = []


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    executed.clear()
    at_once.clear()


class Base(Workflow[int]):
    @transition(target=END)
    async def work(self) -> None:
        executed.append(self.args)
        at_once.append(gate.arrivals - gate.left + 1)
        await gate.pass_through()


class New(Base, name="job", concurrency=Concurrency(1)): ...


class Old(Base, name="job"): ...


class Few(Workflow[int], name="keyed", concurrency=Concurrency(1, key="args")):
    @transition(target=END)
    async def work(self) -> None: ...


class More(Workflow[int], name="keyed", concurrency=Concurrency(2, key="args")):
    @transition(target=END)
    async def work(self) -> None: ...


class Open(Workflow[int]):
    @transition(target="open")
    async def begin(self) -> None:
        executed.append(self.args)

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


async def _held(stepwell: Stepwell) -> int:
    assert stepwell.process is not None
    sql = "SELECT count(*) FROM stepwell_runs WHERE held_by IS NOT NULL"
    return int(await stepwell.process.store.read(lambda tx: tx.scalar(sql)))


async def test_a_process_without_the_rule_keeps_the_limits_of_runs_that_have_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([New], embedded_worker=False) as new, stepwell_on([Old]):
        runs = await new.runner.run_many([Start(New, n) for n in range(5)], **ME)
        await gate.reached()
        assert await _held(new) == 4
        gate.open()
        for run in runs:
            await run.result(60)
    assert executed == [0, 1, 2, 3, 4]
    assert max(at_once) == 1


async def test_runs_that_it_starts_itself_neither_count_nor_wait(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([New]) as new, stepwell_on([Old], embedded_worker=False) as old:
        first = await new.runner.run(New, 0, **ME)
        await gate.reached()
        others = await old.runner.run_many([Start(Old, n) for n in (1, 2)], **ME)
        await gate.reached()
        await gate.reached()
        held = await new.runner.run(New, 3, **ME)
        assert await _held(new) == 1
        gate.open()
        for run in (first, *others, held):
            await run.result(60)


async def test_a_held_member_that_older_code_has_cancelled_never_begins(
    harness_on: HarnessOn, database: Database
) -> None:
    """It leaves in the row that the run waits for its turn."""
    async with harness_on([Open]) as harness:
        batch = await harness.runner.run_batch([Start(Open, n) for n in range(3)], **ME, max_in_flight=1)
        ids = [item.workflow_id async for item in batch.items()]
        await harness.drain()
        database.execute(
            "UPDATE stepwell_runs SET status='canceled', version=version+1, finished_at=updated_at WHERE id=?", ids[1]
        )
        await harness.runner.signal(ids[0], "close")
        await harness.drain()
        assert executed == [0, 2]
        assert (await harness.runner.get(ids[1])).status == "canceled"
        await harness.runner.signal(ids[2], "close")
        await harness.drain()
        found = await batch.progress()
        assert (found.completed, found.canceled, found.finished_at is not None) == (2, 1, True)


async def test_a_held_run_that_older_code_has_cancelled_never_begins(
    stepwell_on: StepwellOn, database: Database
) -> None:
    async with stepwell_on([New]) as stepwell:
        first, second, third = await stepwell.runner.run_many([Start(New, n) for n in range(3)], **ME)
        await gate.reached()
        database.execute(
            "UPDATE stepwell_runs SET status='canceled', version=version+1, finished_at=updated_at WHERE id=?",
            second.workflow_id,
        )
        gate.open()
        await first.result(60)
        await third.result(60)

        async def none_held() -> bool:
            return await _held(stepwell) == 0

        await until(none_held, "that nothing is held")
    assert executed == [0, 2]


async def test_one_look_finds_all_keys_of_a_limit_that_a_deployment_has_raised(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Few], embedded_worker=False) as before:
        await before.runner.run_many([Start(Few, n) for n in range(450) for _ in range(2)], **ME)
        assert await _held(before) == 450
    async with stepwell_on([More], embedded_worker=False) as after:
        assert after.process is not None
        await after.process.gatekeeper.look_at_all()
        assert await _held(after) == 0
