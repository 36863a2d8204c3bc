"""`self.undo()`: newest first by the steps' commits, over all visits, each journaled once (rule 58); pages of steps."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, StepwellOn, buried, counts, die, reaches
from stepwell import END, START, Retry, Step, Workflow, transition
from stepwell.errors import InvalidArgs, WorkflowNotFound

done: list[Any] = []
gate = Gate()
AT_ONCE = Retry(retries=3, delay=timedelta(0))


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()
    gate.clear()


class Booking(BaseModel):
    id: str


async def book(what: str) -> Booking:
    done.append(f"book {what}")
    return Booking(id=what)


def plain_book(what: str) -> dict[str, str]:
    done.append(f"book {what}")
    return {"id": what}


class Trip(Workflow[dict[str, Any]]):
    """Books a flight, a hotel and a car, in two visits; `fails` says at what."""

    async def cancel_booking(self, booking: Booking) -> None:
        done.append(f"cancel {booking.id}")
        if self.args.get("undo fails") == booking.id and self.info.attempt == 1:
            raise OSError("no answer")
        if self.args.get("undo waits") == booking.id:
            await gate.pass_through()

    def cancel_hotel(self, booking: Booking) -> None:
        done.append(f"cancel {booking.id} in a thread")

    @transition(START, "flown", error_place="failed", retry=AT_ONCE)
    async def fly(self) -> None:
        await self.step(Step("flight", undo="cancel_booking"), book, "flight")
        await self.step("seats", book, "seats")
        if self.args.get("fails") == "attempt":
            raise OSError("after a step")

    @transition("flown", "booked", error_place="failed")
    async def stay(self) -> None:
        await asyncio.gather(
            self.step(Step("hotel", undo="cancel_hotel", timeout=timedelta(seconds=60)), plain_book, "hotel"),
            self.step(Step("car", undo="cancel_booking", retry=AT_ONCE), self.car),
        )

    async def car(self) -> Booking:
        while "book hotel" not in done:
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while len((await self.rows()).get("hotel", [])) == 0:
                await asyncio.sleep(0)
        if self.args.get("fails") == "car":
            raise OSError("no car")
        return await book("car")

    async def rows(self) -> dict[str, Any]:
        rows = (await running[0].runner.steps(self.info.workflow_id)).items
        return {row.name: [row] for row in rows}

    @transition("booked", END, wait=True, error_place="failed")
    async def go(self) -> str:
        if self.args.get("fails") == "go":
            raise OSError("rain")
        return "gone"

    @transition("failed", END, retry=AT_ONCE)
    async def give_up(self) -> str:
        await self.undo()
        done.append("undone")
        return "undone"


running: list[Any] = []


async def travelled(stepwell: Any, args: dict[str, Any]) -> Any:
    running[:] = [stepwell]
    run = await stepwell.runner.run(Trip, args, **ME)
    if args.get("fails") not in ("car", "attempt"):
        await reaches(stepwell.runner, run.workflow_id, "waiting", "booked")
        await stepwell.runner.signal(run.workflow_id, "go")
    return run


async def test_steps_are_undone_newest_first_over_all_visits(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Trip]) as stepwell:
        run = await travelled(stepwell, {"fails": "go"})
        assert await run.result(timeout=60) == "undone"
        undone = ["cancel car", "cancel hotel in a thread", "cancel flight", "undone"]
        assert done == ["book flight", "book seats", "book hotel", "book car", *undone]
        rows = {row.name: row for row in (await stepwell.runner.steps(run.workflow_id)).items}
        assert {name: row.undone_at is not None for name, row in rows.items()} == {
            "flight": True,
            "seats": False,
            "hotel": True,
            "car": True,
        }
        assert rows["hotel"].value == {"id": "hotel"}


async def test_a_step_without_a_value_is_not_undone(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Trip]) as stepwell:
        run = await travelled(stepwell, {"fails": "car"})
        assert await run.result(timeout=60) == "undone"
        assert [one for one in done if one.startswith("cancel")] == ["cancel hotel in a thread", "cancel flight"]


async def test_steps_of_failed_attempts_count(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Trip]) as stepwell:
        run = await travelled(stepwell, {"fails": "attempt"})
        assert await run.result(timeout=60) == "undone"
        assert done == ["book flight", "book seats", "cancel flight", "undone"]


async def test_a_retry_goes_on_where_an_undo_raised(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Trip]) as stepwell:
        run = await travelled(stepwell, {"fails": "go", "undo fails": "flight"})
        assert await run.result(timeout=60) == "undone"
        undone = [one for one in done if one.startswith("cancel")]
        assert undone == ["cancel car", "cancel hotel in a thread", "cancel flight", "cancel flight"]


async def test_a_process_that_dies_in_an_undo_repeats_only_that_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Trip]) as first:
        run = await travelled(first, {"fails": "go", "undo waits": "flight"})
        await gate.reached()
        await die(first)
        gate.open()
        async with stepwell_on([Trip]) as second:
            await buried(second)
            assert await second.runner.handle(run.workflow_id).result(timeout=60) == "undone"
            undone = [one for one in done if one.startswith("cancel")]
            assert undone == ["cancel car", "cancel hotel in a thread", "cancel flight", "cancel flight"]


class Twice(Workflow[str]):
    """Undoes twice, with a step between."""

    async def back(self, value: int) -> None:
        done.append(f"back {value}")

    async def number(self, value: int) -> int:
        return value

    @transition(START, "next")
    async def one(self) -> None:
        await self.step(Step("one", undo="back"), self.number, 1)
        await self.undo()
        await self.step(Step("two", undo="back"), self.number, 2)

    @transition("next", END)
    async def two(self) -> None:
        if self.args == "at once":
            await asyncio.gather(self.undo(), self.undo())
        await self.undo()
        await self.undo()
        if self.args == "after a transaction":
            async with self.transaction():
                await self.undo()


async def test_each_step_is_undone_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Twice]) as stepwell:
        run = await stepwell.runner.run(Twice, "", **ME)
        await run.result(timeout=60)
        assert done == ["back 1", "back 2"]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("at once", "self.undo() is under way already"),
        ("after a transaction", "self.undo(): self.transaction() comes last in a transition; do that before."),
    ],
)
async def test_where_it_may_not_be_called_it_says_so(stepwell_on: StepwellOn, what: str, why: str) -> None:
    async with stepwell_on([Twice]) as stepwell:
        run = await stepwell.runner.run(Twice, what, **ME)
        assert why in ((await reaches(stepwell.runner, run.workflow_id, "failed")).error or "")


class ValueMisfit(Workflow):
    async def back(self, value: int) -> None:
        done.append(value)

    @transition(START, END)
    async def go(self) -> None:
        await self.step(Step("word", undo="back"), self.word)
        await self.undo()

    async def word(self) -> str:
        return "a word"


async def test_a_value_that_does_not_fit_the_undo_fails_the_transition(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([ValueMisfit]) as stepwell:
        run = await stepwell.runner.run(ValueMisfit, **ME)
        stored = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert "the value of the step 'word' doesn't fit ValueMisfit.back" in (stored.error or "")
        assert done == []


class Many(Workflow[int, None, int]):
    async def back(self, value: int) -> None:
        done.append(value)

    @transition(START, END)
    async def go(self) -> int:
        for n in range(self.args):
            options = [f"step {n:03}", Step(f"step {n:03}", undo="back"), Step(f"step {n:03}", retry=AT_ONCE)]
            await self.step(options[n % 3], self.number, n)
        await self.undo()
        return len(done)

    async def number(self, n: int) -> int:
        return n


async def test_pages_of_steps_have_each_row_once_in_order(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Many]) as stepwell:
        run = await stepwell.runner.run(Many, 450, **ME)
        assert await run.result(timeout=60) == 150
        assert done == [*range(448, -1, -3)], "more than one page of what is undone"
        rows, cursor = [], None
        while True:
            page = await stepwell.runner.steps(run.workflow_id, limit=37, cursor=cursor)
            rows += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert [row.value for row in rows] == [*range(450)]
        assert (await counts(stepwell))["stepwell_steps"] == 450, "a step with options has no row more"


@pytest.mark.parametrize("cursor", ["", "x", "bm8", 7, "WzEsMV0", "WzEsMSwiIiwiXHUwMDAwIl0"])
async def test_a_cursor_that_is_none_is_refused(stepwell_on: StepwellOn, cursor: Any) -> None:
    async with stepwell_on([ValueMisfit]) as stepwell:
        run = await stepwell.runner.run(ValueMisfit, **ME)
        with pytest.raises(InvalidArgs, match="give the next_cursor of the page before"):
            await stepwell.runner.steps(run.workflow_id, cursor=cursor)


async def test_steps_of_another_user_do_not_exist(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([ValueMisfit]) as stepwell:
        run = await stepwell.runner.run(ValueMisfit, **ME)
        await reaches(stepwell.runner, run.workflow_id, "failed")
        with pytest.raises(WorkflowNotFound):
            await stepwell.runner.as_user("u2").steps(run.workflow_id)
        assert len((await stepwell.runner.as_user("u1").steps(run.workflow_id)).items) == 1
