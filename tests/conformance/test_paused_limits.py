"""Paused workflows and limits: what is paused stays where it is, and keeps no other workflow from a limit that both share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, HarnessOn, StepwellOn, until
from stepwell import END, Concurrency, RateLimit, Start, Workflow, transition
from stepwell.testing import Harness

MINUTE = timedelta(minutes=1)
gate = Gate()


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()


class Alone(Workflow, concurrency=Concurrency(1)):
    @transition(target=END)
    async def go(self) -> None: ...


class Rated(Workflow, rate_limit=RateLimit(1, per=MINUTE)):
    @transition(target=END)
    async def go(self) -> None: ...


class One(Workflow, concurrency=Concurrency(1, name="both")):
    @transition(target=END)
    async def go(self) -> None: ...


class Two(Workflow, concurrency=Concurrency(1, name="both")):
    @transition(target=END)
    async def go(self) -> None:
        await gate.pass_through()


async def held(harness: Harness, handles: Sequence[Any]) -> int:
    """How many of these are held behind a limit."""
    return sum([(await harness.runner.row(one.workflow_id)).held_by is not None for one in handles])


@pytest.mark.parametrize("workflow", [Alone, Rated])
async def test_nothing_is_let_through_while_it_is_paused(harness_on: HarnessOn, workflow: Any) -> None:
    async with harness_on([Alone, Rated]) as harness:
        await harness.runner.pause("shop", workflow)
        handles = await harness.runner.run_many([Start(workflow)] * 5, **ME)
        await harness.drain()
        before = await held(harness, handles)
        assert before > 0
        await harness.advance(10 * MINUTE)
        assert await held(harness, handles) == before
        await harness.runner.resume("shop", workflow)
        await harness.advance(10 * MINUTE)
        assert {(await one.get()).status for one in handles} == {"completed"}


async def test_what_is_paused_takes_nothing_of_a_limit_that_others_share(harness_on: HarnessOn) -> None:
    """No time passes: a promise to a paused run would keep the others waiting for ever."""
    gate.open()
    async with harness_on([One, Two]) as harness:
        await harness.runner.pause("shop", One)
        await harness.runner.run_many([Start(One)] * 3, **ME)
        await harness.drain()
        other = await harness.runner.run(Two, **ME)
        await harness.drain()
        assert (await other.get()).status == "completed"
        await harness.runner.resume("shop", One)
        await harness.drain()
        assert {run.status for run in (await harness.runner.list(workflow=One)).items} == {"completed"}


async def test_others_pass_by_what_is_paused_while_it_is_held(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([One, Two]) as stepwell:
        runner = stepwell.runner
        first = await runner.run(Two, **ME)
        await gate.reached()
        ones = await runner.run_many([Start(One)] * 3, **ME)
        last = await runner.run(Two, **ME)

        async def is_held() -> bool:
            return (await runner.row(last.workflow_id)).held_by is not None

        await until(is_held)
        await runner.pause("shop", One)
        gate.open()
        await first.result(60)
        await last.result(60)
        assert {(await one.get()).status for one in ones} == {"pending"}
        await runner.resume("shop", One)
        for one in ones:
            await one.result(60)
