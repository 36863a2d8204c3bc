"""What is accepted comes back equal, or is refused where it enters, and nothing of it is stored (rule 47)."""

from __future__ import annotations

import asyncio
import math
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, field_validator

from conformance.support import ME, StepwellOn, counts, reaches
from stepwell import END, App, Document, Event, Message, Signal, Workflow, transition
from stepwell.errors import DefinitionError, InvalidArgs, InvalidPayload

Pair = namedtuple("Pair", "x y")


class Thing(BaseModel):
    n: int = 0


def deep() -> Any:
    value: Any = []
    for _ in range(1_000):
        value = [value]
    return value


GOOD: dict[str, Any] = {
    "plain": {"a": [1, 1.5, None, True, "x\0y", {"b": []}]},
    "large": 10**400,
    "small": 5e-324,
    "empty": {},
    "zero": -0.0,
}
BAD: dict[str, Any] = {
    "infinity": math.inf,
    "nan in a list": [math.nan],
    "set": {"a"},
    "moment": datetime(2026, 1, 1, tzinfo=UTC),
    "bytes": b"x",
    "binary": b"\xff",
    "named tuple": Pair(1, 2),
    "decimal": Decimal("1.5"),
    "model": [Thing()],
    "huge": 10**5_000,
    "surrogate": "\ud800",
    "deep": deep(),
    "tuple key": {(1, 2): 3},
    "object": object(),
}
ALSO_BAD: dict[str, Any] = {"tuple": (1, 2), "number as key": {1: "a"}}
"""Steps without an annotation give these as JSON has them, from their first call on (rule 9)."""
INSIDE = ("state", "result", "document", "document's meta", "start's meta", "event")

found: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _nothing_found() -> None:
    found.clear()


class Case(BaseModel):
    entrance: str = ""
    name: str = ""

    @property
    def value(self) -> Any:
        return {**GOOD, **BAD, **ALSO_BAD}[self.name]


class Holder(Document):
    v: Any = None


class Child(Workflow[None, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return 1


class Listens(Workflow):
    @transition(target="listening")
    async def begin(self) -> None: ...

    @transition("listening", END, on=Event("told"))
    async def hear(self, data: Any) -> None:
        found["it"] = data["v"]


class Enters(Workflow[Case, dict[str, Any], Any]):
    """Lets one value in from the inside, and looks at it in the next transition."""

    @transition(target="look")
    async def go(self) -> Any:
        value = self.args.value
        match self.args.entrance:
            case "state":
                self.state["v"] = value
            case "result":
                self.result = {"v": value}
            case "document":
                await self.documents.save(Holder(v=value))
            case "document's meta":
                await self.documents.save(Message(role="a"), meta={"v": value})
            case "start's meta":
                await self.start(Child, callback="ended", meta={"v": value}, show="hidden")
            case "event":
                await self.emit("told", {"v": value})

    @transition("look", "seen")
    async def look(self) -> None:
        match self.args.entrance:
            case "state":
                found["it"] = self.state["v"]
            case "result":
                found["it"] = self.result["v"]
            case "document":
                [holder] = await self.documents.find(Holder)
                found["it"] = holder.v

    @transition("seen", END, wait=True)
    async def end(self) -> None: ...

    @transition("seen", END, wait=True)
    async def ended(self, child: Signal[Any]) -> None:
        assert child.meta is not None
        found["it"] = child.meta["v"]


class Takes(Workflow[dict[str, Any], None, Any]):
    @transition(target=END)
    async def go(self) -> None:
        found["it"] = self.args["v"]


class Answered(Workflow):
    @transition("start", END, wait=True)
    async def answer(self, data: Any) -> None:
        found["it"] = data

    @transition("start", END, wait=True)
    async def ignore(self) -> None: ...


class Steps(Workflow[Case, None, Any]):
    @transition(target=END)
    async def go(self) -> None:
        found["it"] = await self.step("one", lambda: self.args.value)


@pytest.mark.parametrize("entrance", INSIDE)
async def test_a_value_from_inside_is_equal_in_the_next_transition_or_fails_the_attempt(
    stepwell_on: StepwellOn, entrance: str
) -> None:
    async with stepwell_on([Enters, Child, Listens]) as stepwell:
        for name, value in GOOD.items():
            found.clear()
            listening = await stepwell.runner.run(Listens, **ME)
            await reaches(stepwell.runner, listening.workflow_id, "waiting")
            handle = await stepwell.runner.run(Enters, {"entrance": entrance, "name": name}, **ME)
            await reaches(stepwell.runner, handle.workflow_id, "completed" if entrance == "start's meta" else "waiting")
            if entrance == "event":
                await listening.result(60)
            elif entrance == "document's meta":
                [document] = await stepwell.runner.documents(handle.workflow_id)
                found["it"] = (document.meta or {})["v"]
            assert found["it"] == value, name
            await listening.cancel() if entrance != "event" else None

        before = await counts(stepwell)
        for name in BAD | ALSO_BAD:
            handle = await stepwell.runner.run(Enters, {"entrance": entrance, "name": name}, **ME)
            run = await reaches(stepwell.runner, handle.workflow_id, "failed")
            assert (run.place, run.state, run.result) == ("start", {}, None), name
            assert "v: " in (run.error or "") or "v." in (run.error or "") or "nested" in (run.error or ""), name
        after = await counts(stepwell)
        bad = len(BAD | ALSO_BAD)
        assert after["stepwell_runs"] == before["stepwell_runs"] + bad, "no child"
        assert after["stepwell_documents"] - before.get("stepwell_documents", 0) == bad, "the errors only"
        assert len((await stepwell.runner.list(limit=100)).items) > bad


async def test_args_are_equal_or_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Takes]) as stepwell:
        for name, value in GOOD.items():
            handle = await stepwell.runner.run(Takes, {"v": value}, **ME)
            await handle.result(60)
            assert found["it"] == value, name
        before = await counts(stepwell)
        for name, value in (BAD | ALSO_BAD).items():
            with pytest.raises(InvalidArgs) as caught:
                await stepwell.runner.run(Takes, {"v": value}, **ME)
            assert str(caught.value).startswith("The args of Takes don't fit dict[str, Any]: "), name
            assert ": v" in str(caught.value) or "nested too deeply" in str(caught.value), name
            assert caught.value.errors()[0]["msg"], name
        assert await counts(stepwell) == before


@pytest.mark.parametrize("name", ["answer", "ignore"])
async def test_payloads_are_equal_or_refused(stepwell_on: StepwellOn, name: str) -> None:
    async with stepwell_on([Answered]) as stepwell:
        for value in GOOD.values():
            handle = await stepwell.runner.run(Answered, **ME)
            await handle.signal("answer", value)
            await handle.result(60)
            assert found["it"] == value
        handle = await stepwell.runner.run(Answered, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        before = await counts(stepwell)
        for value in (BAD | ALSO_BAD).values():
            with pytest.raises(InvalidPayload):
                await handle.signal(name, value)
        assert await counts(stepwell) == before
        await handle.signal(name, None)
        await handle.result(60)


async def test_values_of_steps_are_equal_or_fail_the_attempt_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Steps]) as stepwell:
        for name, value in GOOD.items():
            handle = await stepwell.runner.run(Steps, {"name": name}, **ME)
            await handle.result(60)
            assert found["it"] == value, name
        before = await counts(stepwell)
        for name in BAD:
            handle = await stepwell.runner.run(Steps, {"name": name}, **ME)
            run = await reaches(stepwell.runner, handle.workflow_id, "failed")
            assert "NonRetryable: What the step 'one' returned can't be kept: " in (run.error or ""), name
        assert (await counts(stepwell))["stepwell_steps"] == before["stepwell_steps"]


async def test_a_step_without_an_annotation_gives_json_from_its_first_call_on(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Steps]) as stepwell:
        for name, value in {"tuple": [1, 2], "number as key": {"1": "a"}}.items():
            handle = await stepwell.runner.run(Steps, {"name": name}, **ME)
            await handle.result(60)
            assert found["it"] == value, name


def charged() -> SecretStr:
    found["charged"] = True
    return SecretStr("x")


class Charges(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.step("charge", charged)


async def test_a_step_whose_type_loses_something_isnt_called(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Charges]) as stepwell:
        handle = await stepwell.runner.run(Charges, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "failed")
        assert "The step 'charge' can't be used" in (run.error or "")
        assert "in its return type is a SecretStr" in (run.error or "")
        assert found == {}


class Tags(BaseModel):
    tags: list[str] = []
    boom: int = 0

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, given: Any) -> Any:
        return given.split(",")

    @field_validator("boom")
    @classmethod
    def refuse(cls, given: int) -> int:
        raise KeyError("boom")


class Tagged(Workflow[Tags]):
    @transition("start", END, wait=True)
    async def tag(self, tags: Tags) -> None: ...


class Tagging(Workflow):
    @transition("start", END, wait=True)
    async def tag(self, tags: Tags) -> None: ...


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tags": "a,b"}, "tags: loading it again raised AttributeError"),
        ({"boom": 1}, "boom: its validation raised KeyError: 'boom'"),
    ],
)
async def test_what_a_validator_doesnt_take_again_is_refused_where_it_enters(
    stepwell_on: StepwellOn, given: Any, text: str
) -> None:
    async with stepwell_on([Tagged, Tagging]) as stepwell:
        with pytest.raises(InvalidArgs, match=text) as caught:
            await stepwell.runner.run(Tagged, given, **ME)
        assert [item["loc"] for item in caught.value.errors()] == [(text.split(":")[0],)]
        assert await counts(stepwell) == {}
        handle = await stepwell.runner.run(Tagging, **ME)
        with pytest.raises(InvalidPayload, match=text):
            await handle.signal("tag", given)


def test_args_of_a_schedule_are_kept_or_a_fault() -> None:
    app = App("shop", workflows=[Takes])
    for name, value in (BAD | ALSO_BAD).items():
        with pytest.raises(DefinitionError, match="The args of Takes don't fit"):
            app.schedule(name, workflow=Takes, args={"v": value}, every=timedelta(hours=1))
    for name, value in GOOD.items():
        app.schedule(name, workflow=Takes, args={"v": value}, every=timedelta(hours=1))
    assert len(app.schedules) == len(GOOD)


class Ends(Workflow[None, None, Any]):
    @transition(target=END)
    async def go(self) -> Any:
        return (n for n in range(3))


async def test_a_generator_is_no_result(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ends]) as stepwell:
        handle = await stepwell.runner.run(Ends, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "failed")
        assert "give a list of its items" in (run.error or "")
        assert run.result is None


class Old(Workflow[dict[str, Any], None, Any]):
    @transition("start", END, wait=True)
    async def go(self) -> int:
        return 3


async def test_what_an_older_version_stored_keeps_nobody_from_reading_the_rest(
    stepwell_on: StepwellOn, database: Any
) -> None:
    digits = "9" * 5_000
    async with stepwell_on([Old]) as stepwell:
        first, second = [await stepwell.runner.run(Old, {"n": 1}, **ME) for _ in range(2)]
        for one in (first, second):
            await one.signal("go")
            await one.result(60)
        sql = "UPDATE stepwell_runs SET result=?, args=? WHERE id=?"
        await asyncio.to_thread(database.execute, sql, digits, f'{{"n":{digits}}}', first.workflow_id)
        listed = {run.workflow_id: run for run in (await stepwell.runner.list()).items}
        assert listed[second.workflow_id].result == 3
        assert listed[first.workflow_id].result == digits
        assert listed[first.workflow_id].args == {"n": digits}


class Receipt(Document):
    total: float = 0.0
    at: datetime | None = None


class Saves(Workflow[Case]):
    @transition(target=END)
    async def go(self) -> None:
        at = datetime(2026, 1, 1)
        match self.args.name:
            case "misfit":
                await self.documents.save(Receipt.model_construct(total="about nine", at=at), validate="safe")
            case "set":
                await self.documents.save(Receipt.model_construct(total={1}), validate="safe")
            case "infinity":
                await self.documents.save(Receipt(total=math.inf), validate="skip")
        found["it"] = await self.documents.all()


async def test_a_document_that_doesnt_fit_is_kept_as_it_was_given_or_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Saves]) as stepwell:
        handle = await stepwell.runner.run(Saves, {"name": "misfit"}, **ME)
        await handle.result(60)
        [receipt] = found["it"]
        assert (type(receipt), receipt.total, receipt.at) == (Receipt, "about nine", datetime(2026, 1, 1))
        for name in ("set", "infinity"):
            handle = await stepwell.runner.run(Saves, {"name": name}, **ME)
            run = await reaches(stepwell.runner, handle.workflow_id, "failed")
            assert "InvalidPayload: The document 'receipt' can't be stored: total: " in (run.error or "")
