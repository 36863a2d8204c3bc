"""Answers: who may give them, which of two wins, and what others see of the run (rules 44, 57)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, HarnessOn, StepwellOn, everything
from conformance.test_asking import Purchase, Review, Waits, begun, keys
from stepwell import END, START, Ask, Workflow, transition
from stepwell.errors import (
    AlreadyAnswered,
    IdempotencyConflict,
    InvalidArgs,
    InvalidPayload,
    NonRetryable,
    RunFinished,
    UnknownTransition,
    WorkflowNotFound,
)

YES = {"approved": True, "note": "fine"}
RACES = 250
"""Of each way in which two answers race: 500 on each database."""


@pytest.mark.parametrize(
    ("asked", "by", "groups", "may"),
    [
        (Purchase(assignee="ann"), "ann", (), True),
        (Purchase(assignee="ann"), "bob", {"ops"}, False),
        (Purchase(assignee="ann"), "u1", (), False),  # nobody approves their own
        (Purchase(group="ops"), "bob", {"ops"}, True),
        (Purchase(group="ops"), "bob", {"sales"}, False),
        (Purchase(group="ops"), "ops", (), False),  # a user who is named like the group
        (Purchase(group="ops"), "u1", (), False),
        (Purchase(group="ops"), "u1", ["ops"], True),
        (Purchase(assignee="ann", group="ops"), "ann", (), True),
        (Purchase(assignee="ann", group="ops"), "bob", {"ops"}, True),
        (Purchase(assignee="ann", group="ops"), "u1", (), False),
        (Purchase(), "u1", (), True),
        (Purchase(), "ann", {"ops"}, False),
    ],
)
async def test_the_assignee_the_group_or_else_the_runs_user_may_answer(
    harness_on: HarnessOn, asked: Purchase, by: str, groups: Any, may: bool
) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, asked)
        runner, before = harness.runner, await everything(harness.stepwell)
        if not may:
            with pytest.raises(WorkflowNotFound, match=f"No run '{run_id}' of user '{by}'"):
                await runner.answer(run_id, "decide", YES, by=by, groups=groups)
            # Nor do they learn it by data that doesn't fit, or by a transition that there isn't.
            with pytest.raises(WorkflowNotFound):
                await runner.answer(run_id, "decide", {"approved": "perhaps"}, by=by, groups=groups)
            if by != "u1":
                with pytest.raises(WorkflowNotFound):
                    await runner.answer(run_id, "nothing", by=by, groups=groups)
            assert await everything(harness.stepwell) == before
            return
        run = await runner.answer(run_id, Review.decide, YES, by=by, groups=groups)
        hidden = (run.args, run.state, run.result, run.error)
        assert (hidden == (None, None, None, None)) is (by != "u1")
        assert keys(await runner.inbox()) == []  # before its transition is executed
        await harness.drain()
        assert (await runner.get(run_id)).result == "True fine"
        assert [one.answered_by for one in await runner.history(run_id)] == [None, None, by]


async def test_a_signal_of_a_user_follows_the_same_rule_and_the_systems_does_not(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann"))
        for restricted in (runner.as_user("u1"), runner.as_user("bob")):
            with pytest.raises(WorkflowNotFound):
                await restricted.signal(run_id, "decide", YES)
        for given in ({"user_id": "u1"}, {"answered_by": "u1"}, {"user_id": "u1", "answered_by": "bob"}):
            with pytest.raises(WorkflowNotFound):
                await runner.signal(run_id, "decide", YES, **given)  # type: ignore[arg-type]
        run = await runner.as_user("ann").signal(run_id, "decide", YES)
        assert (run.args, run.state) == (None, None)
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.signal(run_id, "decide", YES, user_id="ann")
        assert caught.value.by == "ann"
        other = await begun(harness, Purchase(assignee="ann"))
        assert (await runner.signal(other, "decide", YES)).args is not None
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.answer(other, "decide", YES, by="ann")
        assert caught.value.by is None


async def test_a_restricted_runner_answers_in_no_other_users_name(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, Purchase(assignee="ann", group="ops"))
        before = await everything(harness.stepwell)
        for user in ("mallory", "u1", "bob"):
            restricted = harness.runner.as_user(user)
            with pytest.raises(WorkflowNotFound, match=f"of user '{user}'"):
                await restricted.signal(run_id, "decide", YES, answered_by="ann", groups={"ops"})
        assert await everything(harness.stepwell) == before
        await harness.runner.as_user("ann").signal(run_id, "decide", YES, answered_by="ann")


async def test_an_early_signal_of_a_user_is_no_answer(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Review, Purchase(), delay=timedelta(hours=1), **ME)).workflow_id
        with pytest.raises(UnknownTransition, match="doesn't ask for 'decide' now"):
            await runner.signal(run_id, "decide", YES, user_id="u1")
        with pytest.raises(WorkflowNotFound):
            await runner.signal(run_id, "decide", YES, user_id="ann")
        await runner.signal(run_id, "decide", YES)  # the system's is kept
        await harness.advance(timedelta(hours=1))
        assert (await runner.get(run_id)).result == "True fine"


async def test_a_later_answer_learns_who_won_also_after_the_end(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(group="ops"))
        await runner.answer(run_id, "decide", YES, by="ann", groups={"ops"})
        at = harness.clock.now_datetime()
        for _ in range(2):  # before and after its transition is executed
            with pytest.raises(AlreadyAnswered) as caught:
                await runner.answer(run_id, "decide", {"approved": False}, by="bob", groups={"ops"})
            assert (caught.value.by, caught.value.at) == ("ann", at)
            with pytest.raises(WorkflowNotFound):  # a stranger doesn't learn it
                await runner.answer(run_id, "decide", YES, by="stranger")
            await harness.advance(timedelta(hours=1))
        assert (await runner.get(run_id)).status == "completed"


async def test_a_question_that_ended_without_an_answer_takes_none(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        expired, canceled = [await begun(harness, Purchase(assignee="ann")) for _ in range(2)]
        await runner.cancel(canceled)
        await harness.advance(timedelta(days=31))
        for run_id, status in ((expired, "completed"), (canceled, "canceled")):
            with pytest.raises(RunFinished, match=f"is {status}: its question 'decide' has ended with it"):
                await runner.answer(run_id, "decide", YES, by="ann")
            with pytest.raises(WorkflowNotFound):
                await runner.answer(run_id, "decide", YES, by="bob")


class Reminded(Workflow[None, None, None]):
    @transition(target="review")
    async def prepare(self) -> None: ...

    @transition("review", END, wait=True, ask=Ask("So?", assignee="ann"))
    async def decide(self) -> None: ...

    @transition("review", END, wait=True)
    async def withdraw(self) -> None: ...

    @transition("review", "review", after=timedelta(hours=1))
    async def remind(self) -> None:
        raise NonRetryable("SECRET")


async def test_a_failed_run_takes_no_answer_until_it_is_retried_and_tells_no_error(harness_on: HarnessOn) -> None:
    async with harness_on([Reminded]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Reminded, **ME)).workflow_id
        await harness.advance(timedelta(hours=1))
        assert (await runner.get(run_id)).status == "failed"
        before = await everything(harness.stepwell)
        for refused in (
            runner.answer(run_id, "decide", by="ann"),
            runner.answer(run_id, "withdraw", by="u1"),
            runner.signal(run_id, "decide", user_id="ann"),
        ):
            with pytest.raises(RunFinished, match=r"takes no answer .* until it is retried") as caught:
                await refused
            assert "SECRET" not in str(caught.value)
        assert await everything(harness.stepwell) == before


async def test_the_same_key_answers_once(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann"))
        for _ in range(2):
            await runner.answer(run_id, "decide", YES, by="ann", idempotency_key="k")
            await harness.drain()
        with pytest.raises(IdempotencyConflict):
            await runner.answer(run_id, "decide", {"approved": False}, by="ann", idempotency_key="k")
        with pytest.raises(WorkflowNotFound):
            await runner.answer(run_id, "decide", YES, by="bob", idempotency_key="k")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"by": ""}, InvalidArgs),
        ({"by": None}, InvalidArgs),
        ({"by": "ann", "groups": "ops"}, InvalidArgs),
        ({"by": "ann", "groups": [""]}, InvalidArgs),
        ({"by": "ann", "visit": "1"}, InvalidArgs),
        ({"by": "ann", "visit": -1}, InvalidArgs),
        ({"by": "ann", "visit": 7}, WorkflowNotFound),
        ({"by": "ann", "data": {"approved": "perhaps"}}, InvalidPayload),
        ({"by": "ann", "data": None}, InvalidPayload),
    ],
)
async def test_an_answer_that_cant_be_is_refused_and_nothing_is_stored(
    harness_on: HarnessOn, given: dict[str, Any], error: type[Exception]
) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, Purchase(assignee="ann"))
        before = await everything(harness.stepwell)
        with pytest.raises(error):
            await harness.runner.answer(run_id, "decide", **({"data": YES} | given))
        assert await everything(harness.stepwell) == before


async def test_a_key_is_the_key_of_the_person_who_answered(harness_on: HarnessOn) -> None:
    async with harness_on([Review, Chapters]) as harness:
        answer = harness.runner.answer
        run_id = await begun(harness, Purchase(group="ops"))
        await answer(run_id, "decide", YES, by="ann", groups={"ops"}, idempotency_key="k")
        for _ in range(2):  # before and after its transition is executed
            with pytest.raises(AlreadyAnswered) as caught:
                await answer(run_id, "decide", YES, by="bob", groups={"ops"}, idempotency_key="k")
            assert caught.value.by == "ann"
            await answer(run_id, "decide", YES, by="ann", groups={"ops"}, idempotency_key="k")
            await harness.drain()
        run_id = (await harness.runner.run(Chapters, **ME)).workflow_id
        await harness.drain()
        await answer(run_id, "write", "once", by="ann", idempotency_key="k")
        await harness.drain()
        with pytest.raises(IdempotencyConflict, match="another user"):  # it is another question, and it is open
            await answer(run_id, "finish", by="bob", idempotency_key="k")


async def test_an_answer_is_refused_once_a_timer_of_the_visit_is_due(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann"))
        await runner.pause("shop")  # no worker takes the run
        harness.clock.move_to(harness.clock.now() + 31 * 86_400_000_000)
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.answer(run_id, "decide", YES, by="ann")
        assert caught.value.by is None
        assert not (await everything(harness.stepwell))["stepwell_signals"]
        await runner.resume("shop")
        await harness.drain()
        assert (await runner.get(run_id)).result == "expired"


async def test_an_answer_that_isnt_used_is_nobodys(harness_on: HarnessOn) -> None:
    """It was accepted, and before its transition is executed the run is cancelled."""
    async with harness_on([Review]) as harness:
        runner = harness.runner
        run_id = await begun(harness, Purchase(assignee="ann"))
        await runner.answer(run_id, "decide", YES, by="ann")
        await runner.cancel(run_id)
        with pytest.raises(RunFinished, match="has ended with it"):
            await runner.answer(run_id, "decide", YES, by="ann")
        void = (await runner.history(run_id))[-1]
        assert (void.status, void.answered_by) == ("void", "ann")


class Twice(Workflow[None, None, None]):
    """Two places take a signal by the same name, and only the first one asks a person."""

    @transition(target="checking")
    async def begin(self) -> None: ...

    @transition("checking", "paying", wait=True, ask=Ask("Checked?", assignee="ann"), name="go_on")
    async def check(self) -> None: ...

    @transition("paying", END, wait=True, name="go_on")
    async def pay(self) -> None: ...


async def test_the_runs_user_answers_what_the_inbox_shows_whatever_was_asked_before(harness_on: HarnessOn) -> None:
    async with harness_on([Twice]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Twice, **ME)).workflow_id
        await harness.drain()
        with pytest.raises(WorkflowNotFound):
            await runner.answer(run_id, "go_on", by="u1")
        await runner.answer(run_id, "go_on", by="ann")
        await harness.drain()
        assert keys(await runner.inbox(user_id="u1")) == [(run_id, "go_on")]
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.answer(run_id, "go_on", by="ann")
        assert caught.value.by == "ann"
        await runner.answer(run_id, "go_on", by="u1")
        await harness.drain()
        assert (await runner.get(run_id)).status == "completed"


class Chapters(Workflow[None, None, int]):
    """Each answer leads back to the place, and the question is asked anew."""

    @transition(target="writing")
    async def begin(self) -> None: ...

    @transition("writing", "writing", wait=True, ask=Ask("Next chapter", assignee="ann"))
    async def write(self, text: str) -> None: ...

    @transition("writing", END, wait=True, ask=Ask("Done?", assignee="bob"))
    async def finish(self) -> None: ...


async def test_an_answer_belongs_to_the_visit_that_asked(harness_on: HarnessOn) -> None:
    async with harness_on([Chapters]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Chapters, **ME)).workflow_id
        await harness.drain()
        [first] = (await runner.inbox(user_id="ann")).items
        await runner.answer(run_id, "write", "once", by="ann", visit=first.visit)
        # It leads back: the other question of the place is still open.
        assert keys(await runner.inbox()) == [(run_id, "finish")]
        await harness.drain()
        [second] = (await runner.inbox(user_id="ann")).items
        assert second.visit > first.visit
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.answer(run_id, "write", "again", by="ann", visit=first.visit)
        assert caught.value.by == "ann"
        await runner.answer(run_id, "write", "twice", by="ann", visit=second.visit)
        await harness.drain()
        await runner.answer(run_id, "finish", by="bob")
        # It leads on: with it all questions of the place are answered.
        assert keys(await runner.inbox()) == []
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.answer(run_id, "write", "late", by="ann")
        assert caught.value.by == "bob"


class Handed(BaseModel):
    who: str = "ann"


class PassOn(Workflow[None, Handed, str]):
    """A transition back to the place may ask another person, or the same one again."""

    def person(self) -> str:
        return self.state.who

    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", "review", wait=True, ask=Ask("Pass on", assignee=person))
    async def pass_on(self, to: str) -> None:
        self.state.who = to

    @transition("review", END, wait=True, keep=True, ask=Ask("Approve", assignee=person))
    async def approve(self) -> str:
        return f"{self.state.who} was asked"


async def test_an_answer_counts_for_no_later_visit_that_asks_others(harness_on: HarnessOn) -> None:
    async with harness_on([PassOn]) as harness:
        runner = harness.runner
        run_id = (await runner.run(PassOn, **ME)).workflow_id
        await harness.drain()
        await runner.pause("shop")  # both answers are there before the first one is taken
        for name, data in (("pass_on", "bob"), ("approve", None)):
            await runner.answer(run_id, name, data, by="ann")
        await runner.resume("shop")
        await harness.drain()
        assert (await runner.get(run_id)).status == "waiting"
        assert keys(await runner.inbox(user_id="bob")) == [(run_id, "approve"), (run_id, "pass_on")]
        unused = (await runner.history(run_id))[-1]
        assert (unused.transition, unused.status, unused.answered_by) == ("approve", "void", "ann")
        await runner.answer(run_id, "approve", by="bob")
        await harness.drain()
        assert (await runner.get(run_id)).result == "bob was asked"


async def test_an_answer_counts_where_the_same_person_is_asked_the_same_again(harness_on: HarnessOn) -> None:
    async with harness_on([PassOn]) as harness:
        runner = harness.runner
        run_id = (await runner.run(PassOn, **ME)).workflow_id
        await harness.drain()
        await runner.pause("shop")
        for name, data in (("pass_on", "ann"), ("approve", None)):
            await runner.answer(run_id, name, data, by="ann")
        await runner.resume("shop")
        await harness.drain()
        assert (await runner.get(run_id)).result == "ann was asked"


async def test_an_answer_of_a_person_to_whom_it_was_assigned_counts_for_its_visit(harness_on: HarnessOn) -> None:
    async with harness_on([PassOn]) as harness:
        runner = harness.runner
        run_id = (await runner.run(PassOn, **ME)).workflow_id
        await harness.drain()
        await runner.assign(run_id, "approve", assignee="carl")
        await runner.pause("shop")
        await runner.answer(run_id, "pass_on", "ann", by="ann")
        await runner.answer(run_id, "approve", by="carl")
        await runner.resume("shop")
        await harness.drain()
        assert keys(await runner.inbox(user_id="ann")) == [(run_id, "approve"), (run_id, "pass_on")]


class TwoEyes(Workflow[None, Handed, str]):
    """Two people approve, one after the other, at the same place."""

    def person(self) -> str:
        return self.state.who

    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", "next", wait=True, keep=True, ask=Ask("Approve", assignee=person))
    async def approve(self) -> None: ...

    @transition("next", END, when=lambda self: self.state.who == "bob")
    async def finish(self) -> str:
        return "both"

    @transition("next", "review")
    async def again(self) -> None:
        self.state.who = "bob"


async def test_a_person_answers_once_in_a_visit_also_where_signals_are_kept(harness_on: HarnessOn) -> None:
    async with harness_on([TwoEyes]) as harness:
        runner = harness.runner
        run_id = (await runner.run(TwoEyes, **ME)).workflow_id
        await harness.drain()
        await runner.pause("shop")
        await runner.answer(run_id, "approve", by="ann")
        for visit in (None, 1):
            with pytest.raises(AlreadyAnswered) as caught:
                await runner.answer(run_id, "approve", by="ann", visit=visit)
            assert caught.value.by == "ann"
        await runner.resume("shop")
        await harness.drain()
        assert keys(await runner.inbox()) == [(run_id, "approve")]
        await runner.answer(run_id, "approve", by="bob")
        await harness.drain()
        assert (await runner.get(run_id)).result == "both"


async def test_what_waits_without_a_question_is_answered_by_the_runs_user(harness_on: HarnessOn) -> None:
    async with harness_on([Waits]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Waits, delay=timedelta(hours=1), **ME)).workflow_id
        with pytest.raises(UnknownTransition, match="doesn't ask for 'say_when' now"):
            await runner.answer(run_id, "say_when", "now", by="u1")
        await harness.advance(timedelta(hours=1))
        with pytest.raises(WorkflowNotFound):
            await runner.answer(run_id, "say_when", "now", by="ann")
        await runner.answer(run_id, "say_when", "now", by="u1")
        assert keys(await runner.inbox()) == []
        await harness.drain()
        assert (await runner.get(run_id)).result == "now"
        with pytest.raises(AlreadyAnswered) as caught:
            await runner.answer(run_id, "say_when", "now", by="u1")
        assert caught.value.by == "u1"


class Parent(Workflow[None, None, str]):
    @transition(START, "working")
    async def begin(self) -> None:
        await self.start(Review, Purchase(assignee="ann"), callback="reviewed")

    @transition("working", END, wait=True)
    async def reviewed(self, end: str) -> str:
        return end


async def test_a_callback_is_in_no_inbox_and_takes_no_answer(harness_on: HarnessOn) -> None:
    async with harness_on([Parent, Review]) as harness:
        runner = harness.runner
        run_id = (await runner.run(Parent, **ME)).workflow_id
        await harness.drain()
        [question] = (await runner.inbox()).items
        assert (question.workflow_name, (await runner.get(run_id)).waiting_for) == ("review", ())
        for answered in (runner.answer(run_id, "reviewed", "x", by="u1"), runner.signal(run_id, "reviewed", "x")):
            with pytest.raises(UnknownTransition):
                await answered
        await runner.answer(question.workflow_id, "decide", YES, by="ann")
        await harness.drain()
        assert (await runner.get(run_id)).result == "True fine"


async def test_a_restricted_runner_answers_as_its_user_only(harness_on: HarnessOn) -> None:
    async with harness_on([Review]) as harness:
        run_id = await begun(harness, Purchase(assignee="ann"))
        with pytest.raises(WorkflowNotFound):
            await harness.runner.as_user("bob").answer(run_id, "decide", YES, by="ann")
        await harness.runner.as_user("ann").answer(run_id, "decide", YES, by="ann")


@pytest.mark.parametrize("ways", [("answer", "answer"), ("answer", "signal")])
async def test_of_two_answers_at_once_one_wins_and_the_other_learns_who_won(
    stepwell_on: StepwellOn, ways: tuple[str, str]
) -> None:
    async with stepwell_on([Review]) as stepwell:
        runner = stepwell.runner

        async def give(run_id: str, way: str, by: str) -> str:
            try:
                if way == "signal":
                    await runner.signal(run_id, "decide", YES | {"note": by}, answered_by=by)
                else:
                    await runner.answer(run_id, "decide", YES | {"note": by}, by=by, groups={"ops"})
            except AlreadyAnswered as error:
                return error.by or "the system"
            return by

        async def race(assignee: str) -> None:
            handle = await runner.run(Review, Purchase(assignee=assignee, group="ops"), **ME)
            async with asyncio.timeout(120):
                while not (await runner.inbox(user_id=assignee)).items:
                    await asyncio.sleep(0)
            told = await asyncio.gather(
                give(handle.workflow_id, ways[0], "b"), give(handle.workflow_id, ways[1], assignee)
            )
            assert len(set(told)) == 1
            assert await handle.result(timeout=timedelta(minutes=2)) == f"True {told[0]}"
            answered = [one.answered_by for one in await runner.history(handle.workflow_id)]
            assert answered == [None, None, told[0]]
            wins.append(told[0])

        wins: list[str] = []
        for start in range(0, RACES, 10):
            await asyncio.gather(*(race(f"a{n}") for n in range(start, start + 10)))
        assert len(wins) == RACES
