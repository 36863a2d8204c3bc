"""Turns of runs that this code can't execute: the others of the key aren't held for ever (rule 54)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, HarnessOn, StepwellOn, reaches
from conformance.test_fitting import change
from stepwell import END, App, RateLimit, Stepwell, Workflow, transition
from stepwell.queue.claims import Claims
from stepwell.testing.clock import VirtualClock
from stepwell.testing.harness import START_OF_TIME

_TURN = 11_000_000


class Base(Workflow[str, None, str]):
    @transition(target=END)
    async def begin(self) -> str:
        return self.args


class Older(Base, name="job", fair_by="args"): ...


class Newer(Base, name="job", fair_by="args", version=2): ...


class Rated(Base, name="job", fair_by="args", rate_limit=RateLimit(100, timedelta(hours=1))): ...


async def claimed(stepwell: Stepwell) -> list[str]:
    """Claim as a worker that has just opened, until it has looked at all."""
    process = stepwell.process
    assert process is not None
    claims = Claims(process.store, process.shared.registry, "w", process.lanes, process.shared.clock.now)
    found = [one for _ in range(4) for one in await claims.claim(10)]
    return [one.run.id for one in found]


async def ready(stepwell: Stepwell) -> int:
    assert stepwell.process is not None
    sql = "SELECT count(*) FROM stepwell_runs WHERE ready_at IS NOT NULL"
    return int(await stepwell.process.store.read(lambda tx: tx.scalar(sql)))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START_OF_TIME)


@pytest.mark.parametrize("workflow", [Older, Rated])
async def test_a_key_goes_on_although_newer_code_had_begun_its_line(
    stepwell_on: StepwellOn, clock: VirtualClock, workflow: type[Workflow[Any, Any, Any]]
) -> None:
    async with stepwell_on([Newer], embedded_worker=False, clock=clock) as newer:
        left = [await newer.runner.run(Newer, "k", **ME) for _ in range(4)]
    async with stepwell_on([workflow], embedded_worker=False, clock=clock) as older:
        run = await older.runner.run(workflow, "k", **ME)
        assert await claimed(older) == []
        assert await ready(older) == 1, "code that fits has some time to take it"
        clock.move_to(clock.now() + _TURN)
        assert await claimed(older) == []
        assert await ready(older) == 3, "twice as many have a turn"
        clock.move_to(clock.now() + _TURN)
        assert await claimed(older) == [run.workflow_id]
    async with stepwell_on([Newer], clock=clock) as newer:
        for one in left:
            await reaches(newer.runner, one.workflow_id, "completed")


@pytest.mark.parametrize("spoilt", [{"place": "gone"}, {"moves_to": "gone"}])
async def test_a_row_that_a_person_has_spoilt_keeps_none_of_its_key(
    stepwell_on: StepwellOn, clock: VirtualClock, spoilt: dict[str, str]
) -> None:
    async with stepwell_on([Older], embedded_worker=False, clock=clock) as stepwell:
        first, second = [await stepwell.runner.run(Older, "k", **ME) for _ in range(2)]
        await change(stepwell, first.workflow_id, **spoilt)
        clock.move_to(clock.now() + _TURN)
        assert await claimed(stepwell) == [second.workflow_id]


async def test_after_a_rollback_the_worker_begins_the_next_of_the_key(
    stepwell_on: StepwellOn, harness_of: HarnessOn, clock: VirtualClock
) -> None:
    async with stepwell_on([Newer], embedded_worker=False, clock=clock) as newer:
        await newer.runner.run(Newer, "k", **ME)
    async with harness_of([App("shop", workflows=[Older])]) as harness:
        run = await harness.runner.run(Older, "k", **ME)
        harness.clock.move_to(harness.clock.now() + _TURN)
        assert await run.result(60) == "k"
