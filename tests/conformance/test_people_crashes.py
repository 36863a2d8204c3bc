"""Answers and assignments count as a whole or not at all, whenever the process that takes them dies; also many at once."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from backends import Database
from conformance.people_victim import KEY, Approve
from conformance.support import ME, StepwellOn, everything, reaches
from stepwell import END, Workflow, transition
from stepwell.errors import AlreadyAnswered, WorkflowNotFound

AT_ONCE = 200


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database."""
    return str(request.param)


async def killed(database: Database, verb: str, moment: str, run_id: str) -> None:
    """The process that answers or assigns has died at this moment."""
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("people_victim.py")), database.url, verb, moment, run_id
    )
    assert await victim.wait() == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_answer_that_was_given_again_counts_once(
    stepwell_on: StepwellOn, database: Database, moment: str
) -> None:
    async with stepwell_on([Approve], embedded_worker=False) as stepwell:
        runner = stepwell.runner
        run_id = (await runner.run_sync(Approve, **ME, timeout=120)).workflow_id
        before = await everything(stepwell)
        await killed(database, "answer", moment, run_id)
        if moment == "before":
            assert await everything(stepwell) == before
        else:
            assert (await runner.inbox()).items == ()
            with pytest.raises(AlreadyAnswered) as caught:
                await runner.answer(run_id, "decide", "no", by="bob", groups={"ops"})
            assert caught.value.by == "ann"
        await runner.answer(run_id, "decide", "yes", by="ann", idempotency_key=KEY)
    async with stepwell_on([Approve]) as stepwell:
        assert (await reaches(stepwell.runner, run_id, "completed")).result == "yes"
        assert [one.answered_by for one in await stepwell.runner.history(run_id)] == [None, None, "ann"]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_an_assignment_counts_with_its_row_or_not_at_all(
    stepwell_on: StepwellOn, database: Database, moment: str
) -> None:
    async with stepwell_on([Approve], embedded_worker=False) as stepwell:
        runner = stepwell.runner
        run_id = (await runner.run_sync(Approve, **ME, timeout=120)).workflow_id
        before = await everything(stepwell)
        await killed(database, "assign", moment, run_id)
        if moment == "before":
            assert await everything(stepwell) == before
            return
        [question] = (await runner.inbox(user_id="bob")).items
        assert (question.assignee, question.group) == ("bob", None)
        assert (await runner.history(run_id))[-1].error == "assigned to user 'bob' by 'ann'"
        assert (await runner.get(run_id)).version == 2


async def test_of_200_answers_at_once_one_wins_and_all_others_learn_who(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Approve]) as stepwell:
        runner = stepwell.runner
        run_id = (await runner.run_sync(Approve, **ME, timeout=120)).workflow_id

        async def told(by: str) -> str | None:
            try:
                await runner.answer(run_id, "decide", by, by=by, groups={"ops"})
            except AlreadyAnswered as error:
                return error.by
            return by

        [(winner, count)] = Counter(await asyncio.gather(*(told(f"m{n}") for n in range(AT_ONCE)))).items()
        assert count == AT_ONCE
        assert (await reaches(runner, run_id, "completed")).result == winner


async def test_of_200_assignments_at_once_each_has_its_row_and_the_last_one_holds(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Approve]) as stepwell:
        runner = stepwell.runner
        run_id = (await runner.run_sync(Approve, **ME, timeout=120)).workflow_id
        await asyncio.gather(*(runner.assign(run_id, "decide", assignee=f"m{n}") for n in range(AT_ONCE)))
        rows = [one.error for one in await runner.history(run_id, after=1)]
        assert sorted(map(str, rows)) == sorted(f"assigned to user 'm{n}'" for n in range(AT_ONCE))
        [question] = (await runner.inbox()).items
        assert rows[-1] == f"assigned to user {question.assignee!r}"
        assert (await runner.get(run_id)).version == 1 + AT_ONCE


class Before(Workflow[None, None, str], name="approve"):
    """The code before, which asks nobody."""

    @transition(target="review")
    async def hand_in(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, words: str) -> str:
        return words


async def test_code_that_asks_and_code_that_doesnt_work_side_by_side(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Before]) as old, stepwell_on([Approve]) as new:
        unasked = (await old.runner.run_sync(Before, **ME, timeout=120)).workflow_id
        asked = (await new.runner.run_sync(Approve, **ME, timeout=120)).workflow_id
        for stepwell in (old, new):  # a run that waits already is its user's, as the code said that entered the place
            shown = {one.workflow_id: (one.assignee, one.title) for one in (await stepwell.runner.inbox()).items}
            assert shown == {unasked: (None, "Decide"), asked: ("ann", "May I?")}
            for refused in (
                stepwell.runner.signal(asked, "decide", "mine", user_id="u1"),
                stepwell.runner.answer(asked, "decide", "mine", by="u1"),
            ):
                with pytest.raises(WorkflowNotFound):
                    await refused
        await old.runner.answer(asked, "decide", "yes", by="ann")
        await new.runner.answer(unasked, "decide", "mine", by="u1")
        assert (await reaches(new.runner, asked, "completed")).result == "yes"
        assert (await reaches(old.runner, unasked, "completed")).result == "mine"
