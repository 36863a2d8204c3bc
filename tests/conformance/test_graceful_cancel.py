"""`on_cancel`: a cancelled run clears up first, and ends `canceled` (rules 26, 52, 62)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, HarnessOn, StepwellOn, buried, die, reaches, until
from stepwell import END, START, Concurrency, Retry, Signal, Step, Workflow, transition
from stepwell.errors import DefinitionError, InvalidArgs, RunFailed, RunFinished

done: list[Any] = []
gate = Gate()
cleaning = Gate()


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()
    gate.clear()
    cleaning.clear()


async def book(what: str) -> str:
    done.append(f"book {what}")
    return what


class Stay(Workflow[dict[str, Any]], on_cancel="leaving", run_timeout=timedelta(days=1)):
    """Books, waits or works, and gives everything back when it is cancelled."""

    async def give_back(self, what: str) -> None:
        done.append(f"give back {what}")

    @transition(START, "booked")
    async def begin(self) -> None:
        await self.step(Step("room", undo="give_back"), book, "room")
        if self.args.get("child"):
            await self.start(Nap, callback="woken")

    @transition("booked", "working", wait=True)
    async def work(self) -> None: ...

    @transition("booked", END, wait=True)
    async def woken(self, end: Signal[Any]) -> str:
        done.append(f"the child {end.status}")
        return "woken"

    @transition("booked", "booked", after=timedelta(days=2))
    async def bill(self) -> None:
        done.append("bill")

    @transition("working", END)
    async def toil(self) -> str:
        try:
            await gate.pass_through()
        finally:
            done.append("cleaning up")
            if self.args.get("slow clean-up"):
                await cleaning.pass_through()
            done.append("cleaned up")
        return "toiled"

    @transition("leaving", "left", retry=Retry(retries=1, delay=timedelta(0)))
    async def leave(self) -> None:
        done.append("leave")
        if self.args.get("fails") and len([one for one in done if one == "leave"]) <= 2:
            raise OSError("the door is stuck")
        await self.undo()

    @transition("left", END)
    async def say_goodbye(self) -> str:
        return "goodbye"


class Nap(Workflow):
    @transition(START, END, wait=True)
    async def wake(self) -> None: ...


LEFT = ["leave", "give back room"]


async def staying(stepwell: Any, args: dict[str, Any], place: str = "booked") -> Any:
    run = await stepwell.runner.run(Stay, args, **ME)
    await reaches(stepwell.runner, run.workflow_id, "waiting", "booked")
    if place == "working":
        await stepwell.runner.signal(run.workflow_id, "work")
        await gate.reached()
    return run


async def test_a_waiting_run_clears_up_and_is_cancelled_at_the_end(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        run = await staying(stepwell, {})
        canceled = await run.cancel(reason="rain")
        assert (canceled.status, canceled.place, canceled.canceling) == ("pending", "leaving", True)
        assert canceled.error == "canceled: rain"
        ended = await reaches(stepwell.runner, run.workflow_id, "canceled", END)
        assert (ended.error, ended.canceling, ended.due_at) == ("canceled: rain", False, None)
        assert done == ["book room", *LEFT]
        with pytest.raises(RunFailed, match="canceled: rain") as failed:
            await run.result(timeout=60)
        assert failed.value.status == "canceled"
        rows = await stepwell.runner.history(run.workflow_id)
        told = [(row.transition, row.source, row.target, row.status) for row in rows][2:]
        assert told == [
            (None, "booked", "leaving", "canceled"),
            ("leave", "leaving", "left", "committed"),
            ("say_goodbye", "left", END, "committed"),
        ]
        again = await run.cancel()
        assert again.version == ended.version, "a cancelled run is returned unchanged"


async def test_clearing_up_begins_when_cleaning_up_is_over(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        run = await staying(stepwell, {"slow clean-up": True}, "working")
        canceled = await run.cancel()
        assert (canceled.status, canceled.place) == ("running", "leaving")
        await cleaning.reached()
        second = await run.cancel(reason="once more")
        assert (second.version, second.error) == (canceled.version, "canceled"), "a second cancel changes nothing"
        assert "It is being cancelled (canceled)" in str(await stepwell.runner.explain(run.workflow_id))
        assert done == ["book room", "cleaning up"]
        assert cleaning.cancelled == 0, "it isn't interrupted again meanwhile"
        cleaning.open()
        await reaches(stepwell.runner, run.workflow_id, "canceled")
        assert done == ["book room", "cleaning up", "cleaned up", *LEFT]
        row = next(row for row in await stepwell.runner.history(run.workflow_id) if row.target == "leaving")
        assert (row.transition, row.source, row.status) == ("toil", "working", "canceled")


async def test_another_process_cancels_what_this_one_executes(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as first, stepwell_on([Stay, Nap], embedded_worker=False) as second:
        run = await staying(first, {"slow clean-up": True}, "working")
        await second.runner.cancel(run.workflow_id)
        await cleaning.reached()
        assert done == ["book room", "cleaning up"]
        cleaning.open()
        await reaches(second.runner, run.workflow_id, "canceled")
        assert done == ["book room", "cleaning up", "cleaned up", *LEFT]


async def test_a_process_without_the_code_cancels_to_the_same_place(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as first, stepwell_on([Nap], embedded_worker=False) as second:
        run = await staying(first, {})
        assert (await second.runner.cancel(run.workflow_id)).place == "leaving"
        await reaches(first.runner, run.workflow_id, "canceled")
        assert done == ["book room", *LEFT]


async def test_a_worker_that_dies_while_it_cleans_up_is_over(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as first:
        run = await staying(first, {"slow clean-up": True}, "working")
        await run.cancel()
        await cleaning.reached()
        await die(first)
        cleaning.open()
        async with stepwell_on([Stay, Nap]) as second:
            await buried(second)
            await reaches(second.runner, run.workflow_id, "canceled")
            assert [one for one in done if one in LEFT] == LEFT


async def test_children_are_cancelled_at_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        run = await staying(stepwell, {"child": True, "fails": True})
        await run.cancel()
        [child] = (await stepwell.runner.list(parent_id=run.workflow_id)).items
        ended = await reaches(stepwell.runner, child.workflow_id, "canceled")
        assert f"its parent {run.workflow_id} is canceled" in (ended.error or "")
        failed = await reaches(stepwell.runner, run.workflow_id, "failed", "leaving")
        assert failed.canceling


async def test_clearing_up_that_fails_can_be_retried_and_still_ends_canceled(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        run = await staying(stepwell, {"fails": True})
        await run.cancel(reason="rain")
        failed = await reaches(stepwell.runner, run.workflow_id, "failed", "leaving")
        assert failed.error == "Stay.leave: OSError: the door is stuck"
        assert (await run.cancel()).version == failed.version
        await run.retry()
        ended = await reaches(stepwell.runner, run.workflow_id, "canceled")
        assert ended.error == "canceled: rain"
        assert done == ["book room", "leave", "leave", *LEFT]


@pytest.mark.parametrize("when", ["waiting", "clearing up", "failed"])
async def test_force_cancels_at_once(stepwell_on: StepwellOn, when: str) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        run = await staying(
            stepwell, {"fails": True, "slow clean-up": True}, "working" if when == "clearing up" else "booked"
        )
        if when == "failed":
            await run.cancel()
            await reaches(stepwell.runner, run.workflow_id, "failed", "leaving")
        if when == "clearing up":
            await run.cancel()
            await cleaning.reached()
        ended = await run.cancel(force=True, reason="now")
        assert (ended.status, ended.error, ended.canceling) == ("canceled", "canceled: now", False)
        cleaning.open()
        assert "give back room" not in done
        with pytest.raises(InvalidArgs, match="force='yes' is neither True nor False"):
            await stepwell.runner.cancel(run.workflow_id, force="yes")  # type: ignore[arg-type]


async def test_a_completed_run_cannot_be_cancelled(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        gate.open()
        run = await staying(stepwell, {}, "working")
        await reaches(stepwell.runner, run.workflow_id, "completed")
        for force in (False, True):
            with pytest.raises(RunFinished):
                await run.cancel(force=force)


async def test_the_time_limit_of_the_run_ends_with_the_cancel(harness_on: HarnessOn) -> None:
    async with harness_on([Lingering, Nap]) as harness:
        run = await harness.runner.run(Lingering, **ME)
        await harness.drain()
        await run.cancel()
        await harness.advance(timedelta(days=3))
        waiting = await harness.runner.get(run.workflow_id)
        assert (waiting.status, waiting.place) == ("waiting", "leaving")
        await harness.runner.signal(run.workflow_id, "confirm")
        await harness.drain()
        assert (await harness.runner.get(run.workflow_id)).status == "canceled"


class Lingering(Workflow, on_cancel="leaving", run_timeout=timedelta(days=1)):
    """Waits for a person when it clears up, or for its own moment."""

    def patience(self) -> timedelta:
        return timedelta(days=30)

    @transition(START, END, wait=True)
    async def go(self) -> None: ...

    @transition("leaving", END, wait=True)
    async def confirm(self) -> None: ...

    @transition("leaving", END, after=patience)
    async def give_up(self) -> None: ...


async def test_a_moment_at_the_place_is_worked_out_before_the_run_parks_there(harness_on: HarnessOn) -> None:
    async with harness_on([Lingering]) as harness:
        run = await harness.runner.run(Lingering, **ME)
        await harness.drain()
        canceled = await run.cancel()
        await harness.drain()
        waiting = await run.get()
        assert waiting.due_at == canceled.updated_at + timedelta(days=30)
        await harness.advance(timedelta(days=30))
        assert (await run.get()).status == "canceled"


class Parent(Workflow):
    @transition(START, "waiting")
    async def begin(self) -> None:
        await self.start(Stay, {}, callback="ended")

    @transition("waiting", END, wait=True)
    async def ended(self, end: Signal[Any]) -> str:
        return f"{end.status}: {end.error}"


async def test_a_parent_is_told_when_the_child_is_cancelled_and_not_before(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parent, Stay, Nap]) as stepwell:
        run = await stepwell.runner.run(Parent, **ME)
        child = (await until(lambda: children(stepwell, run.workflow_id)))[0]
        await reaches(stepwell.runner, child.workflow_id, "waiting", "booked")
        await stepwell.runner.cancel(child.workflow_id, reason="rain")
        assert await run.result(timeout=60) == "canceled: canceled: rain"
        assert done == ["book room", *LEFT]


async def children(stepwell: Any, run_id: str) -> Any:
    return (await stepwell.runner.list(parent_id=run_id)).items


async def test_the_children_of_an_ended_parent_clear_up_too(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parent, Stay, Nap]) as stepwell:
        run = await stepwell.runner.run(Parent, **ME)
        child = (await until(lambda: children(stepwell, run.workflow_id)))[0]
        await reaches(stepwell.runner, child.workflow_id, "waiting", "booked")
        await run.cancel()
        await reaches(stepwell.runner, child.workflow_id, "canceled")
        assert done == ["book room", *LEFT]


class Single(Stay, concurrency=Concurrency(1, holds="run", on_conflict="replace")):
    """A new start replaces the old run."""


async def test_a_run_that_is_replaced_clears_up(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Single, Nap]) as stepwell:
        first = await stepwell.runner.run(Single, {}, **ME)
        await reaches(stepwell.runner, first.workflow_id, "waiting", "booked")
        second = await stepwell.runner.run(Single, {}, **ME)
        await reaches(stepwell.runner, first.workflow_id, "canceled")
        await reaches(stepwell.runner, second.workflow_id, "waiting", "booked")
        assert done == ["book room", *LEFT, "book room"]


async def test_many_cancels_at_once_are_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stay, Nap]) as stepwell:
        run = await staying(stepwell, {})
        answers = await asyncio.gather(*(run.cancel(reason=str(n)) for n in range(50)))
        assert len({answer.version for answer in answers if answer.place == "leaving"}) <= 1
        await reaches(stepwell.runner, run.workflow_id, "canceled")
        rows = await stepwell.runner.history(run.workflow_id)
        assert [row.target for row in rows if row.status == "canceled"] == ["leaving"]
        assert done == ["book room", *LEFT]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("nowhere", "its on_cancel 'nowhere' isn't a place of the workflow"),
        (END, "its on_cancel 'end' is the end, which has no way out"),
        (5, "on_cancel=5 isn't the name of a place"),
    ],
)
def test_an_on_cancel_that_is_none_is_refused(place: Any, why: str) -> None:
    with pytest.raises(DefinitionError) as refused:

        class Wrong(Workflow, on_cancel=place):
            @transition(START, END)
            async def go(self) -> None: ...

    assert why in str(refused.value)
