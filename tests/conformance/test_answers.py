"""Of the answers that lead on from a place one is accepted; whoever comes too late is told so (rule 44)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends import Database
from conformance.support import ME, Gate, StepwellOn, everything, reaches
from conformance.test_callers_transaction import WAYS
from stepwell import END, Event, Run, Stepwell, Workflow, transition
from stepwell.errors import AlreadyAnswered

gate = Gate()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()


class Review(Workflow):
    @transition(target="review")
    async def draft(self) -> None: ...

    @transition("review", "signing", wait=True)
    async def approve(self, note: str) -> None:
        self.state["approved"] = note
        await gate.pass_through()

    @transition("review", "filed", wait=True)
    async def reject(self, note: str) -> None:
        self.state["rejected"] = note
        await gate.pass_through()

    @transition("review", "review", wait=True)
    async def comment(self, note: str) -> None:
        self.state.setdefault("comments", []).append(note)

    @transition("review", "withdrawn", on=Event("review.withdrawn"))
    async def withdraw(self) -> None: ...

    @transition("signing", END, wait=True)
    async def sign(self) -> Any:
        return self.state

    @transition(["filed", "withdrawn"], END, wait=True)
    async def close(self) -> Any:
        return self.state


async def waiting(stepwell: Stepwell) -> str:
    """A run at `review`, where no worker is to take it up."""
    parked = await stepwell.runner.run_sync(Review, **ME)
    return parked.workflow_id or ""


async def answer(stepwell: Stepwell, workflow_id: str, n: int) -> AlreadyAnswered | Run:
    name = "approve" if n % 2 else "reject"
    try:
        return await stepwell.runner.signal(workflow_id, name, f"{n}", answered_by=f"person {n}")
    except AlreadyAnswered as error:
        return error


async def test_of_two_hundred_at_once_exactly_one_is_accepted(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Review]) as one, stepwell_on([Review], embedded_worker=False) as two:
        workflow_id = await waiting(one)
        answers = await asyncio.gather(*(answer((one, two)[n % 2], workflow_id, n) for n in range(200)))
        accepted = [n for n, found in enumerate(answers) if isinstance(found, Run)]
        assert len(accepted) == 1
        refused = [found for found in answers if isinstance(found, AlreadyAnswered)]
        assert {error.by for error in refused} == {f"person {accepted[0]}"}
        assert all(error.at.tzinfo is not None for error in refused)
        gate.open()  # until now it was being executed
        name = "approve" if accepted[0] % 2 else "reject"
        at = "signing" if name == "approve" else "filed"
        run = await reaches(one.runner, workflow_id, "waiting", at)
        assert run.state == {"approved" if name == "approve" else "rejected": f"{accepted[0]}"}


async def test_while_it_is_executed_and_retried_it_is_answered(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Review]) as stepwell:
        workflow_id = await waiting(stepwell)
        await stepwell.runner.signal(workflow_id, "approve", "fine", user_id="u1", idempotency_key="k")
        await gate.reached()
        before = await everything(stepwell)
        for name in ("approve", "reject", "comment"):
            with pytest.raises(AlreadyAnswered, match=r"at 'review' already: the signal 'approve' by u1") as error:
                await stepwell.runner.signal(workflow_id, name, "late")
            assert error.value.by == "u1"
        # The same with the same key isn't another one.
        await stepwell.runner.signal(workflow_id, "approve", "fine", user_id="u1", idempotency_key="k")
        assert await everything(stepwell) == before
        await stepwell.runner.signal(workflow_id, "sign")  # for a place to come: kept
        gate.open()
        assert await stepwell.runner.handle(workflow_id).result(60) == {"approved": "fine"}


async def test_what_leads_back_to_the_place_answers_nothing(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Review], embedded_worker=False) as web:
        async with stepwell_on([Review]) as worker:
            workflow_id = await waiting(worker)
        for note in "ab":
            await web.runner.signal(workflow_id, "comment", note)
        await web.runner.signal(workflow_id, "approve", "fine")
        for name in ("comment", "reject"):
            with pytest.raises(AlreadyAnswered):
                await web.runner.signal(workflow_id, name, "late")
        async with stepwell_on([Review]) as worker:
            run = await reaches(worker.runner, workflow_id, "waiting", "signing")
            assert run.state == {"comments": ["a", "b"], "approved": "fine"}


async def test_an_event_is_never_refused_and_answers_too(stepwell_on: StepwellOn) -> None:
    gate.open()
    async with stepwell_on([Review], embedded_worker=False) as web:
        async with stepwell_on([Review]) as worker:
            workflow_id = await waiting(worker)
        for _ in range(2):
            assert (await web.runner.emit("review.withdrawn")).resumed == (workflow_id,)
        with pytest.raises(AlreadyAnswered, match="an event for 'withdraw'") as error:
            await web.runner.signal(workflow_id, "approve", "late")
        assert error.value.by is None
        async with stepwell_on([Review]) as worker:
            await reaches(worker.runner, workflow_id, "waiting", "withdrawn")


@pytest.mark.parametrize("way", WAYS)
async def test_in_the_callers_transaction_too(stepwell_on: StepwellOn, database: Database, way: str) -> None:
    gate.open()
    async with stepwell_on([Review], embedded_worker=False) as web:
        async with stepwell_on([Review]) as worker:
            workflow_id = await waiting(worker)
        engine = database.engine()
        async with WAYS[way](engine) as connection:
            await web.runner.signal(workflow_id, "approve", "fine", connection=connection)
            with pytest.raises(AlreadyAnswered):
                await web.runner.signal(workflow_id, "reject", "late", connection=connection)
            await connection.commit()
        with pytest.raises(AlreadyAnswered):
            await web.runner.signal(workflow_id, "reject", "late")
        await engine.dispose()
