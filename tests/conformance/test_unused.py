"""What was accepted and isn't used leaves a row in the history, which says who sent it and why (rule 44)."""

from __future__ import annotations

import pytest

from conformance.support import ME, Gate, StepwellOn, reaches, until
from stepwell import END, Checkpoint, Event, Stepwell, Workflow, transition

gate = Gate()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()


class Desk(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "closing", on=Event("desk.closed"))
    async def over(self) -> None:
        await gate.pass_through()

    @transition("open", "open", wait=True)
    async def say(self, text: str) -> None: ...

    @transition("open", "open", wait=True, keep=True)
    async def note(self, text: str) -> None: ...

    @transition("closing", END, wait=True)
    async def close(self) -> None: ...


async def unused(stepwell: Stepwell, workflow_id: str) -> list[Checkpoint]:
    """The rows of unused signals, in a history whose versions have no gap."""
    rows = await stepwell.runner.history(workflow_id)
    assert [row.version for row in rows] == list(range(len(rows)))
    assert (await stepwell.runner.get(workflow_id)).version == rows[-1].version
    return [row for row in rows if row.status == "void"]


async def test_an_event_that_comes_second_and_what_the_place_still_waited_for(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Desk]) as stepwell:
        parked = await stepwell.runner.run_sync(Desk, **ME)
        workflow_id = parked.workflow_id or ""
        await stepwell.runner.emit("desk.closed")
        await gate.reached()
        await stepwell.runner.emit("desk.closed")
        gate.open()
        run = await reaches(stepwell.runner, workflow_id, "waiting", "closing")
        [row] = await unused(stepwell, workflow_id)
        assert row.version == run.version
        assert (row.transition, row.source, row.target, row.attempt, row.state) == ("over", "open", None, 0, run.state)
        assert row.error == "The event for 'over' of the system was not used: 'over' left 'open' first"
        assert row.error in (await stepwell.runner.explain(workflow_id)).reasons
        await stepwell.runner.signal(workflow_id, "close")
        await stepwell.runner.handle(workflow_id).result(60)


async def test_what_is_kept_when_the_run_ends(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Desk]) as stepwell:
        parked = await stepwell.runner.run_sync(Desk, **ME)
        workflow_id = parked.workflow_id or ""
        await stepwell.runner.emit("desk.closed")
        await gate.reached()
        await stepwell.runner.signal(workflow_id, "note", "early", answered_by="ann", idempotency_key="k")
        for n in range(30):
            await stepwell.runner.signal(workflow_id, "close", answered_by=f"u{n % 3}")
        gate.open()
        await stepwell.runner.handle(workflow_id).result(60)
        first, second = await unused(stepwell, workflow_id)
        assert (first.transition, first.answered_by) == ("note", "ann")
        assert first.error == "The signal 'note' of ann was not used: the run was completed first"
        assert second.error == (
            "29 signals 'close' of u1 (10), u2 (10), u0 (9) were not used: the run was completed first"
        )
        # Who asks again with the key is told what became of the run, and not that it is another signal.
        assert (await stepwell.runner.signal(workflow_id, "note", "early", idempotency_key="k")).status == "completed"
        assert len(await unused(stepwell, workflow_id)) == 2


async def test_what_is_open_when_the_run_is_cancelled(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Desk], embedded_worker=False) as web:
        async with stepwell_on([Desk]) as worker:
            parked = await worker.runner.run_sync(Desk, **ME)
        workflow_id = parked.workflow_id or ""
        await web.runner.signal(workflow_id, "say", "hello", user_id="u1")
        run = await web.runner.cancel(workflow_id)
        [row] = await unused(web, workflow_id)
        assert run.version == row.version
        assert row.error == "The signal 'say' of u1 was not used: the run was cancelled first"


class Late(Workflow):
    @transition(target=END)
    async def work(self) -> str:
        await gate.pass_through()
        return "too late"


class Impatient(Workflow):
    @transition(target="asked")
    async def ask(self) -> None:
        await self.start(Late, callback="told", on_parent_end="abandon", show="hidden")
        await self.start(Late, callback="told", on_parent_end="cancel", show="hidden")

    @transition("asked", END, wait=True)
    async def told(self, what: str) -> None: ...

    @transition("asked", END, wait=True)
    async def give_up(self) -> None: ...


async def test_the_end_of_a_child_that_comes_after_its_parents(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Late, Impatient]) as stepwell:
        handle = await stepwell.runner.run(Impatient, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "asked")
        await handle.signal("give_up")
        await handle.result(60)
        first, second = (await stepwell.runner.list(parent_id=handle.workflow_id)).items[::-1]
        await reaches(stepwell.runner, second.workflow_id, "canceled")
        gate.open()
        await reaches(stepwell.runner, first.workflow_id, "completed")
        [row] = await unused(stepwell, handle.workflow_id)
        assert row.error == (
            f"The end of a child for 'told' of run {first.workflow_id} was not used: the run was completed before"
        )


async def test_a_signal_that_the_code_does_not_know_leaves_the_run_as_it_is(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture
) -> None:
    class Caller(Workflow, name="asks"):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, wait=True)
        async def answer(self) -> str:
            return "answered"

    newer = Caller

    class Renamed(Workflow, name="asks"):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, wait=True)
        async def reply(self) -> str:
            return "replied"

    async with stepwell_on([newer], embedded_worker=False) as web:
        async with stepwell_on([newer]) as worker:
            parked = await worker.runner.run_sync(newer, **ME)
        workflow_id = parked.workflow_id or ""
        await web.runner.signal(workflow_id, "answer")
        async with stepwell_on([Renamed]) as older:

            async def left() -> bool:
                return "its inbox holds the signal 'answer'" in caplog.text

            await until(left, "the run, looked at")
            reasons = " ".join((await older.runner.explain(workflow_id)).reasons)
            assert "its inbox holds the signal 'answer', and Renamed has no such transition" in reasons
            assert (await older.runner.get(workflow_id)).version == 1
