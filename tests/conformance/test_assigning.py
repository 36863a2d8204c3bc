"""Assignments: to whom a question goes, who may give it on, and what stays of it (rule 57)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, HarnessOn, StepwellOn, everything
from conformance.test_answering import YES, Waits
from conformance.test_asking import Purchase, Review, begun, keys
from stepwell import END, Ask, Workflow, transition
from stepwell.errors import AlreadyAnswered, InvalidArgs, RunBusy, RunFinished, UnknownTransition, WorkflowNotFound


async def test_a_question_is_asked_to_those_to_whom_it_is_assigned_and_to_nobody_else(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann", group="ops"))
        before = (await runner.get(run_id)).version
        question = await runner.assign(run_id, Review.decide, assignee="bob", by="eve")
        assert (question.assignee, question.group, question.workflow_id) == ("bob", None, run_id)
        assert keys(await runner.inbox(user_id="ann", groups={"ops"})) == []
        assert keys(await runner.inbox(user_id="bob")) == [(run_id, "decide")]
        [row] = await runner.history(run_id, after=before)
        assert (row.transition, row.target, row.status) == ("decide", None, "committed")
        assert row.error == "assigned to user 'bob' by 'eve'"
        run = await runner.get(run_id)
        assert (run.version, run.status, run.place) == (before + 1, "waiting", "review")
        for by in ("ann", "u1"):
            with pytest.raises(WorkflowNotFound):
                await runner.answer(run_id, "decide", YES, by=by, groups={"ops"})
        await runner.answer(run_id, "decide", YES, by="bob", visit=question.visit)
        await harness.drain()
        assert (await runner.get(run_id)).result == "True fine"


async def test_a_group_may_be_asked_next_and_the_timers_of_the_place_go_on(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann"))
        [first] = (await runner.inbox()).items
        await harness.advance(timedelta(days=1))
        second = await runner.assign(run_id, "decide", group="ops")
        assert (second.due_at, second.asked_at, second.visit) == (first.due_at, first.asked_at, first.visit)
        [row] = (await runner.history(run_id))[-1:]
        assert row.error == "assigned to group 'ops'"
        assert keys(await runner.inbox(groups=["ops"])) == [(run_id, "decide")]
        await harness.advance(timedelta(days=31))
        assert (await runner.get(run_id)).status == "completed"


@pytest.mark.parametrize(
    ("by", "groups", "may"),
    [("ann", (), True), ("bob", {"ops"}, True), ("bob", (), False), ("u1", (), False), ("u1", {"ops"}, True)],
)
async def test_a_restricted_runner_assigns_what_its_user_may_answer(
    harness_on: HarnessOn, by: str, groups: Any, may: bool
) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, Purchase(assignee="ann", group="ops"))
        restricted, before = harness.runner.as_user(by), await everything(harness.stepwell)
        if may:
            await restricted.assign(run_id, "decide", assignee="zoe", groups=groups)
            [row] = (await harness.runner.history(run_id))[-1:]
            assert row.error == f"assigned to user 'zoe' by {by!r}"
            return
        for transition_name in ("decide", "nothing") if by != "u1" else ("decide",):
            with pytest.raises(WorkflowNotFound):
                await restricted.assign(run_id, transition_name, assignee=by, groups=groups)
        assert await everything(harness.stepwell) == before


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, InvalidArgs),
        ({"assignee": ""}, InvalidArgs),
        ({"assignee": "a\0"}, InvalidArgs),
        ({"assignee": "\ud800"}, InvalidArgs),
        ({"assignee": "a" * 257}, InvalidArgs),
        ({"assignee": 7}, InvalidArgs),
        ({"group": ["ops"]}, InvalidArgs),
        ({"assignee": "bob", "by": ""}, InvalidArgs),
        ({"assignee": "bob", "groups": "ops"}, InvalidArgs),
        ({"assignee": "bob", "visit": -1}, InvalidArgs),
        ({"assignee": "bob", "visit": 7}, UnknownTransition),
    ],
)
async def test_an_assignment_that_cant_be_is_refused_and_nothing_is_stored(
    harness_on: HarnessOn, given: dict[str, Any], error: type[Exception]
) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, Purchase(assignee="ann"))
        before = await everything(harness.stepwell)
        with pytest.raises(error):
            await harness.runner.assign(run_id, "decide", **given)
        assert await everything(harness.stepwell) == before


async def test_what_isnt_asked_any_more_or_at_all_cant_be_assigned(harness_on: HarnessOn) -> None:
    async with harness_on([Review, Waits]) as harness:
        runner = harness.runner
        answered, expired = [await begun(harness, Purchase(assignee="ann")) for _ in range(2)]
        await runner.answer(answered, "decide", YES, by="ann")
        for _ in range(2):  # before and after its transition is executed
            with pytest.raises(AlreadyAnswered) as caught:
                await runner.assign(answered, "decide", assignee="bob")
            assert caught.value.by == "ann"
            await harness.drain()
        waits = (await runner.run(Waits, **ME)).workflow_id
        await harness.advance(timedelta(days=31))
        with pytest.raises(RunFinished):
            await runner.assign(expired, "decide", assignee="bob")
        with pytest.raises(UnknownTransition, match="without a question"):
            await runner.assign(waits, "say_when", assignee="bob")
        with pytest.raises(UnknownTransition):
            await runner.assign(waits, "nothing", assignee="bob")


class Asked(Workflow[None, None, str], subject="Rent"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True, ask=Ask("Pay?", group="ops"))
    async def pay(self) -> str:
        return "paid"


async def test_a_question_says_the_subject_and_labels_of_its_run(harness_on: HarnessOn) -> None:
    async with harness_on([Asked, Waits]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Asked, labels=["a"], **ME)).workflow_id
        waits = (await runner.run(Waits, **ME)).workflow_id
        await harness.drain()
        await runner.update(waits, subject="Dinner")
        shown = {one.workflow_id: (one.subject, one.labels) for one in (await runner.inbox()).items}
        assert shown == {run_id: ("Rent", ("a",)), waits: ("Dinner", ())}
        assert (await runner.assign(run_id, "pay", assignee="ann")).subject == "Rent"


async def test_the_group_of_a_signals_user_counts_as_in_an_answer(harness_on: HarnessOn) -> None:
    async with harness_on([Asked]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Asked, **ME)).workflow_id
        await harness.drain()
        for given in ({"user_id": "bob"}, {"answered_by": "bob", "groups": {"sales"}}, {"user_id": "u1"}):
            with pytest.raises(WorkflowNotFound):
                await runner.signal(run_id, "pay", **given)  # type: ignore[arg-type]
        for refused in ({"groups": {"ops"}}, {"answered_by": "bob", "groups": "ops"}, {"answered_by": ""}):
            with pytest.raises(InvalidArgs):
                await runner.signal(run_id, "pay", **refused)  # type: ignore[arg-type]
        await runner.signal(run_id, "pay", answered_by="bob", groups={"ops"})
        await harness.drain()
        assert (await runner.get(run_id)).result == "paid"


async def test_explain_says_who_has_been_asked_since_when_and_until_when(harness_on: HarnessOn) -> None:
    async with harness_on([Review, Asked]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann", group="ops"))
        [question] = (await runner.inbox()).items
        reasons = (await runner.explain(run_id)).reasons
        since = question.asked_at.isoformat(timespec="seconds")
        [asked] = [one for one in reasons if one.startswith("It has asked")]
        assert asked.startswith(f"It has asked user 'ann' and group 'ops' since {since}: {question.title!r} (decide)")
        await runner.assign(run_id, "decide", assignee="bob")
        assert any("It has asked user 'bob' since" in one for one in (await runner.explain(run_id)).reasons)
        await runner.answer(run_id, "decide", YES, by="bob")
        assert not any("It has asked" in one for one in (await runner.explain(run_id)).reasons)
        await harness.drain()
        assert not any("It has asked" in one for one in (await runner.explain(run_id)).reasons)


class Slow(Workflow[None, None, str]):
    """Executes a reminder at the place while its question stays open."""

    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True, ask=Ask("Pay?", assignee="ann"))
    async def pay(self) -> str:
        return "paid"

    @transition("open", "open", after=timedelta(seconds=0))
    async def remind(self) -> None:
        moments["reminding"].set()
        await moments["release"].wait()


moments: dict[str, asyncio.Event] = {}


async def test_while_a_transition_executes_at_the_place_nothing_is_assigned(stepwell_on: StepwellOn) -> None:
    moments.update(reminding=asyncio.Event(), release=asyncio.Event())
    async with stepwell_on([Slow]) as stepwell:
        runner = stepwell.runner
        run_id = (await runner.run(Slow, **ME)).workflow_id
        async with asyncio.timeout(120):
            await moments["reminding"].wait()
        before = await runner.get(run_id)
        with pytest.raises(RunBusy, match="is executing a transition at 'open'"):
            await runner.assign(run_id, "pay", assignee="bob")
        assert await runner.get(run_id) == before
        await runner.cancel(run_id)
        moments["release"].set()


async def test_pages_of_an_inbox_that_changes_show_no_question_twice_and_none_that_is_gone(
    harness_on: HarnessOn,
) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        first, second, third = [await begun(harness, Purchase(assignee="ann")) for _ in range(3)]
        page = await runner.inbox(user_id="ann", limit=1)
        assert keys(page) == [(first, "decide")]
        await runner.answer(first, "decide", YES, by="ann")
        await runner.assign(second, "decide", assignee="bob")
        fourth = await begun(harness, Purchase(assignee="ann"))
        found: list[tuple[str, str]] = []
        while page.next_cursor is not None:
            page = await runner.inbox(user_id="ann", limit=1, cursor=page.next_cursor)
            found += keys(page)
        assert found == [(third, "decide"), (fourth, "decide")]


async def test_overdue_is_told_by_the_clock_of_the_runs(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann", days=2))
        for past in (False, True):
            for overdue in (False, True):
                expected = [(run_id, "decide")] if overdue is past else []
                assert keys(await runner.inbox(user_id="ann", overdue=overdue)) == expected
            reasons = " ".join((await runner.explain(run_id)).reasons)
            assert f"which {'was' if past else 'is'} due at" in reasons
            await harness.advance(timedelta(days=2, seconds=1))


async def test_the_questions_of_a_run_are_deleted_with_it(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann"))
        assert (await everything(harness.stepwell))["stepwell_questions"]
        await runner.answer(run_id, "decide", YES, by="ann")
        await harness.drain()
        await runner.delete(run_id)
        assert not (await everything(harness.stepwell)).get("stepwell_questions")
