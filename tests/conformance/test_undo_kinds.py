"""`self.undo()` where something goes wrong: a death before its row, a cancel, another deployment, the wrong place (rule 58)."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.support import ME, Gate, StepwellOn, buried, die, reaches
from stepwell import END, START, Step, Workflow, transition
from stepwell.execution.durable import Durable
from stepwell.store.journal import JournalRow

done: list[str] = []
gate = Gate()


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    done.clear()
    gate.clear()


class Books(Workflow[dict[str, Any]], on_cancel="leaving"):
    """Books two things, and gives both back: from a place of its own, or when it is cancelled there."""

    async def book(self, what: str) -> str:
        done.append(f"book {what}")
        return what

    async def give_back(self, what: str) -> None:
        done.append(f"give back {what}")
        if self.args.get("waits") == what:
            await gate.pass_through()

    @transition(START, "booked")
    async def begin(self) -> None:
        for what in ("one", "two"):
            await self.step(Step(what, undo="give_back"), self.book, what)

    @transition("booked", END, wait=True)
    async def stop(self) -> None:
        await self.undo()

    @transition("leaving", END)
    async def leave(self) -> None:
        await self.undo()


async def booked(stepwell: Any, args: dict[str, Any]) -> Any:
    run = await stepwell.runner.run("books", args, **ME)
    await reaches(stepwell.runner, run.workflow_id, "waiting", "booked")
    return run


async def test_a_death_between_an_undo_and_its_row_repeats_only_that_one(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Durable.record

    async def late(self: Durable, run: Any, row: JournalRow, journal: Any) -> None:
        if row.undone_at is not None and row.name == "one":
            await gate.pass_through()
        await record(self, run, row, journal)

    async with stepwell_on([Books]) as first:
        monkeypatch.setattr(Durable, "record", late)
        run = await booked(first, {})
        await run.signal("stop")
        await gate.reached()
        await die(first)
        gate.open()
        async with stepwell_on([Books]) as second:
            await buried(second)
            await reaches(second.runner, run.workflow_id, "completed")
            assert done == ["book one", "book two", "give back two", "give back one", "give back one"]


async def test_a_cancel_in_an_undo_goes_on_with_what_is_left(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Books]) as stepwell:
        run = await booked(stepwell, {"waits": "one"})
        await run.signal("stop")
        await gate.reached()
        await run.cancel()
        gate.open()
        await reaches(stepwell.runner, run.workflow_id, "canceled")
        assert done == ["book one", "book two", "give back two", "give back one", "give back one"]
        assert gate.cancelled == 1
        rows = (await stepwell.runner.steps(run.workflow_id)).items
        assert all(row.undone_at is not None for row in rows)


async def test_a_forced_cancel_in_an_undo_leaves_the_rest_as_it_is(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Books]) as stepwell:
        run = await booked(stepwell, {"waits": "one"})
        await run.signal("stop")
        await gate.reached()
        assert (await run.cancel(force=True)).status == "canceled"
        rows = {row.name: row.undone_at is not None for row in (await stepwell.runner.steps(run.workflow_id)).items}
        assert rows == {"one": False, "two": True}, "what wasn't undone can be seen"


class Renamed(Workflow[dict[str, Any]], name="books", on_cancel="leaving"):
    """A later deployment: its transitions and places have other names."""

    @transition(START, "booked", was="begin")
    async def begin_anew(self) -> None: ...

    @transition("booked", END, wait=True, was="stop")
    async def give_up(self) -> None:
        await self.undo()

    @transition("leaving", END, was="leave")
    async def go_away(self) -> None:
        await self.undo()


class Without(Renamed, name="books"):
    """It has forgotten the undo."""


class With(Renamed, name="books"):
    async def give_back(self, what: str) -> None:
        done.append(f"give back {what} in the later code")


async def test_a_later_deployment_undoes_what_the_earlier_one_did(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Books]) as stepwell:
        run_id = (await booked(stepwell, {})).workflow_id
    async with stepwell_on([Without]) as stepwell:
        await stepwell.runner.signal(run_id, "stop")
        failed = await reaches(stepwell.runner, run_id, "failed", "booked")
        assert "Without has no method 'give_back'" in (failed.error or "")
    async with stepwell_on([With]) as stepwell:
        await stepwell.runner.retry(run_id)
        await reaches(stepwell.runner, run_id, "completed")
        assert done[2:] == ["give back two in the later code", "give back one in the later code"]


class Inside(Workflow[str]):
    """Calls it where it would be half done."""

    async def nothing(self, value: int) -> None:
        done.append(f"undone {value}")
        if self.args == "in an undo":
            await self.undo()

    async def undo_here(self) -> int:
        await self.undo()
        return 1

    async def one(self) -> int:
        return 1

    @transition(START, END)
    async def go(self) -> None:
        await self.step(Step("one", undo="nothing"), self.one)
        if self.args == "in a step":
            await self.step("clears up", self.undo_here)
        if self.args == "in a step with options":
            await self.step(Step("clears up", once=True), self.undo_here)
        await self.undo()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("in a step", "self.undo() in the step 'clears up'"),
        ("in a step with options", "self.undo() in the step 'clears up'"),
        ("in an undo", "self.undo() is under way already"),
        ("behind a step", None),
    ],
)
async def test_inside_a_step_it_is_refused(stepwell_on: StepwellOn, what: str, why: str | None) -> None:
    async with stepwell_on([Inside]) as stepwell:
        run = await stepwell.runner.run(Inside, what, **ME)
        ended = await reaches(stepwell.runner, run.workflow_id, "failed" if why else "completed")
        assert (why or "") in (ended.error or "")
        assert done == ([] if "step" in what and why else ["undone 1"])
