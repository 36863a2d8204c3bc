"""The ready-made questions of `stepwell.people`: known to every app, asked in three lines, valid for their own args."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import HarnessOn
from stepwell import END, App, Question, Signal, Workflow, transition
from stepwell.console.reading.overview import Overview
from stepwell.errors import DefinitionError, InvalidArgs, InvalidPayload, RunFailed, UnknownWorkflow, WorkflowNotFound
from stepwell.people import AskOptions, AskText, Confirm
from stepwell.testing import Harness

QUESTIONS: list[tuple[Any, dict[str, Any], Any, Any]] = [
    (AskText, {}, "ask Bob", "ask Bob"),
    (AskOptions, {"options": ["red", "blue"]}, ["blue"], ["blue"]),
    (AskOptions, {"options": ["red", "blue"]}, "blue", ["blue"]),
    (AskOptions, {"options": ["red", "blue"], "many": True}, ["blue", "red"], ["blue", "red"]),
    (AskOptions, {"options": ["red", "blue"], "many": True}, [], []),
    (Confirm, {}, True, True),
    (Confirm, {}, False, False),
]


class Inquiry(BaseModel):
    asks: str
    args: dict[str, Any]


class Parent(Workflow[Inquiry, None, Any]):
    """A workflow that asks in three lines."""

    @transition(target="asking")
    async def ask(self) -> None:
        child = {one.__name__: one for one in (AskText, AskOptions, Confirm)}[self.args.asks]
        await self.start(child, self.args.args, callback="told")

    @transition("asking", END, wait=True)
    async def told(self, found: Signal[Any]) -> Any:
        return found.error if found.failed else found.data


class OwnConfirm(Workflow[None, None, str], name="confirm"):
    """An app's own workflow by a name that resembles that of a ready-made one."""

    @transition(target=END)
    async def act(self) -> str:
        return "mine"


async def asking(harness: Harness, asks: Any, **args: Any) -> tuple[Any, Question]:
    given = Inquiry(asks=asks.__name__, args={"text": "Refund **A1**?", **args})
    run = await harness.runner.run(Parent, given, app_name="shop", user_id="u1")
    await harness.drain()
    [question] = (await harness.runner.inbox()).items
    return run, question


@pytest.mark.parametrize(("asks", "args", "answer", "result"), QUESTIONS)
async def test_a_parent_gets_the_answer_of_the_person_who_is_asked(
    harness_on: HarnessOn, asks: Any, args: dict[str, Any], answer: Any, result: Any
) -> None:
    async with harness_on([Parent]) as harness:
        run, question = await asking(harness, asks, assignee="ann", title="A refund", **args)
        assert (question.title, question.text, question.assignee) == ("A refund", "Refund **A1**?", "ann")
        with pytest.raises(WorkflowNotFound):
            await harness.runner.answer(question.workflow_id, question.transition, answer, by="u1")
        await harness.runner.answer(question.workflow_id, question.transition, answer, by="ann", visit=question.visit)
        await harness.drain()
        assert await run.result() == result


async def test_without_assignee_and_group_the_user_of_the_parent_is_asked(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        _, question = await asking(harness, Confirm)
        assert question.title == "Confirmation"
        assert [one.workflow_id for one in (await harness.runner.inbox(user_id="u1")).items] == [question.workflow_id]
        child = await harness.runner.get(question.workflow_id)
        assert child.subject == "Refund **A1**?"


async def test_the_schema_of_an_answer_is_that_of_the_args(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        runner = harness.runner
        for asks, args in ((AskOptions, {"options": ["a", "b"]}), (Confirm, {"yes": "Refund", "no": "Keep"})):
            await runner.run(asks, {"text": "?", **args}, app_name="shop", user_id="u1")
        await runner.run(AskText, {"text": "?", "multiline": True}, app_name="shop", user_id="u1")
        await harness.drain()
        schemas = [one.payload_schema for one in (await runner.inbox()).items]
        assert schemas == [
            {"items": {"enum": ["a", "b"], "type": "string"}, "maxItems": 1, "minItems": 1, "type": "array"},
            {"type": "boolean", "x-widget": {"labels": {"false": "Keep", "true": "Refund"}, "type": "radio"}},
            {"minLength": 1, "type": "string", "x-widget": {"type": "textarea"}},
        ]


async def test_the_options_of_each_question_have_the_order_of_its_own_args(harness_on: HarnessOn) -> None:
    orders = [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"]]
    async with harness_on([Parent]) as harness:
        runner = harness.runner
        for options in orders:
            await runner.run(AskOptions, {"text": "?", "options": options, "many": True}, app_name="shop", user_id="u1")
            await harness.drain()
            await harness.advance(timedelta(seconds=1))
        schemas = [one.payload_schema for one in (await runner.inbox()).items]
        assert [one["items"]["enum"] for one in schemas if one is not None] == orders


@pytest.mark.parametrize(
    ("asks", "args", "answer"),
    [
        (AskText, {}, ""),
        (AskText, {}, None),
        (AskOptions, {"options": ["a", "b"]}, ["c"]),
        (AskOptions, {"options": ["a", "b"]}, []),
        (AskOptions, {"options": ["a", "b"]}, ["a", "b"]),
        (AskOptions, {"options": ["a", "b"], "many": True}, ["a", "a"]),
        (Confirm, {}, "perhaps"),
    ],
)
async def test_an_answer_that_isnt_one_of_the_options_is_refused_and_the_question_stays(
    harness_on: HarnessOn, asks: Any, args: dict[str, Any], answer: Any
) -> None:
    async with harness_on([Parent]) as harness:
        _, question = await asking(harness, asks, **args)
        before = await harness.runner.get(question.workflow_id)
        with pytest.raises(InvalidPayload):
            await harness.runner.answer(question.workflow_id, "answer", answer, by="u1")
        with pytest.raises(InvalidPayload):
            await harness.runner.signal(question.workflow_id, "answer", answer)
        await harness.drain()
        assert await harness.runner.get(question.workflow_id) == before
        assert len((await harness.runner.inbox()).items) == 1


@pytest.mark.parametrize("moment", [False, True])
async def test_without_an_answer_in_time_the_child_fails(harness_on: HarnessOn, moment: bool) -> None:
    async with harness_on([Parent]) as harness:
        due = (harness.clock.now_datetime() + timedelta(days=2)).isoformat() if moment else "P2D"
        run, question = await asking(harness, Confirm, due=due, expires=True)
        assert question.due_at is not None
        await harness.advance(timedelta(days=1))
        await harness.drain()
        assert len((await harness.runner.inbox()).items) == 1
        await harness.advance(timedelta(days=1, seconds=1))
        await harness.drain()
        child = await harness.runner.get(question.workflow_id)
        assert child.status == "failed"
        assert "not answered in time" in (child.error or "")
        assert "not answered in time" in (await run.result())
        assert (await harness.runner.inbox()).items == ()


async def test_a_due_date_alone_ends_nothing(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        _, question = await asking(harness, Confirm, due="P2D")
        await harness.advance(timedelta(days=3))
        await harness.drain()
        [overdue] = (await harness.runner.inbox(overdue=True)).items
        assert overdue.workflow_id == question.workflow_id


async def test_a_name_that_may_answer_may_be_asked(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        run, question = await asking(harness, Confirm, group="g" * 256)
        await harness.runner.answer(question.workflow_id, "answer", True, by="b" * 256, groups=["g" * 256])
        await harness.drain()
        assert await run.result() is True


async def test_a_page_has_a_bound_in_bytes_of_schemas_too(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        options = [f"{n}".ljust(500, "x") for n in range(1_000)]
        args = {"text": "?", "options": options, "assignee": "ann"}
        for _ in range(40):
            await harness.runner.run(AskOptions, args, app_name="shop", user_id="u1")
        await harness.drain()
        found: list[str] = []
        sizes: list[int] = []
        cursor = None
        while cursor is not None or not sizes:
            page = await harness.runner.inbox(user_id="ann", cursor=cursor)
            sizes.append(len(page.model_dump_json()))
            found += [one.workflow_id for one in page.items]
            cursor = page.next_cursor
        assert len(set(found)) == len(found) == 40
        assert len(sizes) > 1
        assert max(sizes) < 16.1 * 1024 * 1024


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"text": ""},
        {"text": "nul \0"},
        {"text": "?", "assignee": ""},
        {"text": "?", "title": "t" * 201},
        {"text": "?", "expires": True},
        {"text": "?", "due": "-P1D"},
        {"text": "?", "due": datetime(2030, 1, 1)},
        {"text": "?", "due": -5},
        {"text": "?", "due": -0.5},
        {"text": "?", "due": "-5"},
        {"text": "?", "due": 10**15},
        {"text": "?", "due": 10**400},
        {"text": "?", "assignee": "a" * 257},
        {"text": "?", "group": "g" * 257},
        {"text": "?", "asignee": "ann"},
    ],
)
async def test_args_that_cant_be_asked_are_refused_at_the_start(harness_on: HarnessOn, args: dict[str, Any]) -> None:
    async with harness_on([Parent]) as harness:
        with pytest.raises(InvalidArgs):
            await harness.runner.run(Confirm, args, app_name="shop", user_id="u1")
        for options in ([], ["a", "a"], [""]):
            with pytest.raises(InvalidArgs):
                await harness.runner.run(AskOptions, {"text": "?", "options": options}, app_name="shop", user_id="u1")
        assert (await harness.runner.list()).items == ()


async def test_an_apps_own_workflow_of_such_a_name_is_neither_hidden_nor_taken_for_it(harness_on: HarnessOn) -> None:
    async with harness_on([OwnConfirm, Parent]) as harness:
        own = await harness.runner.run("confirm", app_name="shop", user_id="u1")
        run, question = await asking(harness, Confirm)
        assert await own.result() == "mine"
        assert question.workflow_name == "stepwell.confirm"
        await harness.runner.answer(question.workflow_id, "answer", True, by="u1")
        await harness.drain()
        assert await run.result() is True
        listed = await harness.runner.list(workflow=Confirm)
        assert [one.workflow_name for one in listed.items] == ["stepwell.confirm"]
        assert await harness.stepwell.check() == []


def test_the_names_of_ready_made_workflows_are_reserved() -> None:
    class Taken(Workflow[None, None, str], name="stepwell.confirm"):
        @transition(target=END)
        async def act(self) -> str:
            return ""

    with pytest.raises(DefinitionError, match=r"names that begin with 'stepwell\.' are those of ready-made workflows"):
        App("shop", workflows=[Taken])
    assert App("shop", workflows=[Confirm]).definitions.keys() == {"stepwell.confirm"}


async def test_lists_of_workflows_leave_ready_made_ones_out(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        assert [one.name for _, one in Overview(harness.runner).definitions()] == ["parent"]
        with pytest.raises(UnknownWorkflow, match=r"It lists: parent\."):
            await harness.runner.run("confirm", app_name="shop", user_id="u1")


async def test_a_moment_that_has_passed_fails_the_child_at_once(harness_on: HarnessOn) -> None:
    async with harness_on([Parent]) as harness:
        given = {"text": "?", "due": datetime(2020, 1, 1, tzinfo=UTC), "expires": True}
        run = await harness.runner.run(Confirm, given, app_name="shop", user_id="u1")
        await harness.drain()
        with pytest.raises(RunFailed, match="not answered in time"):
            await run.result()


async def test_a_ready_made_question_survives_a_crash_at_every_commit() -> None:
    async with Harness(apps=[App("shop", workflows=[Parent])]) as harness:
        report = await harness.crash_everywhere(
            Confirm, {"text": "?"}, app_name="shop", signals=[("answer", True)], expect="completed"
        )
        assert report.crashes > 3
        late = {"text": "?", "due": timedelta(days=1), "expires": True}
        report = await harness.crash_everywhere(
            Confirm, late, app_name="shop", signals=[timedelta(days=2)], expect="failed"
        )
        assert report.crashes > 3
