"""Forks: new runs from a row of another run's history, with the state and the documents of then (rule 55)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field

from conformance.support import ME, StepwellOn, counts, everything, reaches
from conformance.test_versions import NewOrder, OldOrder, parked
from stepwell import END, START, UNSET, Concurrency, Document, Event, Stepwell, StepwellError, Workflow, transition
from stepwell.errors import CheckpointGone, IdempotencyConflict, InvalidArgs, InvalidState, WorkflowNotFound
from stepwell.store import runs

ran: list[str] = []


class Draft(Document):
    text: str


class Letter(BaseModel):
    to: str
    copies: int = 1


class Progress(BaseModel):
    words: int = 0
    notes: list[str] = []


async def count_words(to: str) -> int:
    ran.append(to)
    return len(to)


class Write(Workflow[Letter, Progress, Any], name="write"):
    @transition(target="drafted")
    async def draft(self) -> None:
        self.state.words = await self.step("count", count_words, self.args.to)
        await self.documents.save(Draft(text="first"), key="draft")
        await self.documents.save(Draft(text="enclosed"))

    @transition("drafted", "review")
    async def polish(self) -> None:
        self.state.notes.append("polished")
        await self.documents.save(Draft(text="second"), key="draft")

    @transition("review", END, wait=True)
    async def decide(self, answer: str) -> list[Any]:
        texts = [one.text for one in await self.documents.find(Draft)]
        return [answer, self.args.to, self.state.words, self.state.notes, texts]


async def written(stepwell: Stepwell, to: str = "ann") -> str:
    """A run that waits at `review`, with three rows of history."""
    run = await stepwell.runner.run(Write, {"to": to}, labels=["post"], **ME)
    await reaches(stepwell.runner, run.workflow_id, "waiting", "review")
    return run.workflow_id


async def test_a_fork_begins_at_the_target_of_a_row_with_its_state_and_documents(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        origin = await written(stepwell)
        await runner.signal(origin, "decide", "no")
        before = await reaches(runner, origin, "completed")
        handle = await runner.fork(origin, checkpoint=1)
        assert handle.created
        fork = await reaches(runner, handle.workflow_id, "waiting", "review")
        assert fork.forked_from == (origin, 1)
        assert (fork.parent_id, fork.labels, fork.args, fork.user_id) == (None, ("post",), before.args, "u1")
        history = await runner.history(fork.workflow_id)
        assert [(row.version, row.transition, row.source, row.target) for row in history] == [
            (0, None, None, "drafted"),
            (1, "polish", "drafted", "review"),
        ]
        assert history[0].state == {"words": 3, "notes": []}
        await runner.signal(fork.workflow_id, "decide", "yes")
        done = await reaches(runner, fork.workflow_id, "completed")
        assert done.result == ["yes", "ann", 3, ["polished"], ["second", "enclosed"]]
        assert await runner.get(origin) == before, "the origin isn't touched"


async def test_documents_are_those_of_then_and_shared_until_they_are_replaced(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        origin = await written(stepwell)
        rows = (await counts(stepwell))["stepwell_documents"]
        late = await runner.fork(origin, checkpoint=2)
        await reaches(runner, late.workflow_id, "waiting", "review")
        assert (await counts(stepwell))["stepwell_documents"] == rows, "nothing is copied"
        assert [one.content["text"] for one in await runner.documents(late.workflow_id)] == ["second", "enclosed"]
        early = await runner.fork(origin, checkpoint=1)
        await reaches(runner, early.workflow_id, "waiting", "review")
        found = await runner.documents(early.workflow_id, replaced=True)
        assert [(one.content["text"], one.version, one.replaced_at is None) for one in found] == [
            ("first", 0, False),
            ("second", 1, True),
            ("enclosed", 0, True),
        ]
        assert {one.workflow_id for one in found} == {early.workflow_id}
        again = await runner.fork(early.workflow_id, checkpoint=1)
        await reaches(runner, again.workflow_id, "waiting", "review")
        assert [one.content["text"] for one in await runner.documents(again.workflow_id)] == ["second", "enclosed"]
        assert [one.content["text"] for one in await runner.documents(origin)] == ["second", "enclosed"]


@pytest.mark.parametrize("pieces", [False, True])
async def test_what_forks_share_outlives_its_origin(stepwell_on: StepwellOn, pieces: bool) -> None:
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        origin = await written(stepwell)
        forks = [(await runner.fork(origin, checkpoint=1)).workflow_id for _ in range(2)]
        for one in forks:
            await reaches(runner, one, "waiting", "review")
        store = stepwell.process and stepwell.process.store
        assert store is not None
        while pieces and await store.writer.call(lambda tx: runs.shrink(tx, [origin], 1)):
            pass
        await store.writer.call(lambda tx: runs.delete(tx, [origin]))
        for one in forks:
            assert [doc.content["text"] for doc in await runner.documents(one)] == ["second", "enclosed"]
            again = await runner.documents(one, replaced=True)
            assert [doc.content["text"] for doc in again] == ["first", "second", "enclosed"]
        await store.writer.call(lambda tx: runs.delete(tx, forks))
        assert (
            not {"stepwell_documents", "stepwell_shared_documents", "stepwell_history"}
            & (await counts(stepwell)).keys()
        )


async def test_a_fork_takes_another_state_and_other_args_and_its_steps_run_again(stepwell_on: StepwellOn) -> None:
    ran.clear()
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        origin = await written(stepwell)
        fork = await runner.fork(
            origin, checkpoint=2, state={"words": 7}, args={"to": "bob", "copies": 2}, labels=["again"]
        )
        run = await reaches(runner, fork.workflow_id, "waiting", "review")
        assert (run.state, run.args) == ({"words": 7, "notes": []}, {"to": "bob", "copies": 2})
        assert run.labels == ("again",)
        assert (await runner.history(fork.workflow_id))[0].target == "review"
        assert ran == ["ann"]

    class Retold(Workflow[None, Progress], name="retold"):
        @transition(target="told")
        async def go(self) -> None: ...

        @transition("told", "told", wait=True)
        async def tell(self) -> None:
            self.state.words = await self.step("count", count_words, "carl")

        @transition("told", END, wait=True)
        async def stop(self) -> None: ...

    async with stepwell_on([Retold]) as stepwell:
        told = (await stepwell.runner.run(Retold, **ME)).workflow_id
        await reaches(stepwell.runner, told, "waiting", "told")
        await stepwell.runner.signal(told, "tell")
        await reaches(stepwell.runner, told, "waiting", "told", version=2)
        again = (await stepwell.runner.fork(told, checkpoint=1)).workflow_id
        await stepwell.runner.signal(again, "tell")
        await reaches(stepwell.runner, again, "waiting", "told", version=1)
    assert ran == ["ann", "carl", "carl"]


async def refused(stepwell: Stepwell, error: type[StepwellError], text: str, coroutine: Any) -> StepwellError:
    """The call raises this, and nothing at all has changed."""
    before = await everything(stepwell)
    with pytest.raises(error, match=text) as raised:
        await coroutine
    assert await everything(stepwell) == before
    return raised.value


async def test_what_can_not_be_forked_is_refused_and_nothing_is_stored(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        origin = await written(stepwell)
        await runner.signal(origin, "decide", "no")
        await reaches(runner, origin, "completed")
        await refused(stepwell, InvalidArgs, "leads to no place", runner.fork(origin, checkpoint=0))
        await refused(stepwell, InvalidArgs, "leads to END", runner.fork(origin, checkpoint=3))
        await refused(stepwell, InvalidArgs, "no such row", runner.fork(origin, checkpoint=4))
        for wrong in (-1, True, "1", None, 2**70):
            await refused(stepwell, InvalidArgs, "checkpoint=", runner.fork(origin, checkpoint=wrong))  # type: ignore[arg-type]
        invalid = await refused(
            stepwell, InvalidState, "words", runner.fork(origin, checkpoint=1, state={"words": "x"})
        )
        assert isinstance(invalid, InvalidState)
        assert invalid.errors()[0]["loc"] == ("words",)
        await refused(stepwell, InvalidState, "doesn't fit", runner.fork(origin, checkpoint=1, state=None))
        await refused(stepwell, InvalidArgs, "to: Field required", runner.fork(origin, checkpoint=1, args=None))
        await refused(stepwell, InvalidArgs, "labels=", runner.fork(origin, checkpoint=1, labels="x"))
        stranger = runner.as_user("u2")
        await refused(stepwell, WorkflowNotFound, "No run", stranger.fork(origin, checkpoint=1))
        await refused(stepwell, WorkflowNotFound, "No run", runner.fork(origin, checkpoint=1, user_id="u2"))
        own = await runner.as_user("u1").fork(origin, checkpoint=1)
        assert (await runner.get(own.workflow_id)).user_id == "u1"


async def test_a_state_that_is_no_longer_kept(stepwell_on: StepwellOn) -> None:
    class Counting(Workflow[None, Progress], name="counting"):
        @transition(target="open")
        async def begin(self) -> None:
            self.state.words = 1

        @transition("open", "open", wait=True)
        async def add(self) -> None:
            self.state.words += 1

        @transition("open", END, wait=True)
        async def stop(self) -> None: ...

    async with stepwell_on([Counting], history_states=2) as stepwell:
        runner = stepwell.runner
        run = (await runner.run(Counting, **ME)).workflow_id
        for version in range(2, 7):
            await runner.signal(run, "add")
            await reaches(runner, run, "waiting", "open", version=version)
        await refused(stepwell, CheckpointGone, "history_states", runner.fork(run, checkpoint=2))
        await refused(stepwell, CheckpointGone, "no longer", runner.fork(run, checkpoint=2, state={"words": 3}))
        fork = await runner.fork(run, checkpoint=6)
        assert (await runner.get(fork.workflow_id)).state["words"] == 6


class Stamped(BaseModel):
    words: int = 0
    stamp: int = Field(default_factory=iter(range(1000)).__next__)
    marks: set[str] = set()


class Stamps(Workflow[Letter, Stamped], name="stamps"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def stop(self) -> None: ...


async def test_a_key_stands_for_one_fork(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stamps]) as stepwell:
        runner = stepwell.runner
        origin = (await runner.run(Stamps, {"to": "ann"}, **ME)).workflow_id
        await reaches(runner, origin, "waiting", "open")
        first = await runner.fork(origin, checkpoint=1, idempotency_key="k")
        again = await runner.fork(origin, checkpoint=1, idempotency_key="k", labels=["other"])
        assert (again.workflow_id, again.created) == (first.workflow_id, False)
        state = {"words": 2, "marks": ["b", "a"]}
        given = await runner.fork(origin, checkpoint=1, state=state, args={"to": "bob"}, idempotency_key="s")
        meant = {"words": 2.0, "marks": {"a", "b"}}
        same = await runner.fork(
            origin, checkpoint=1, state=meant, args={"to": "bob", "copies": 1}, idempotency_key="s"
        )
        assert same.workflow_id == given.workflow_id, "equal is what means the same (rule 49)"
        for one in (first, given):
            await reaches(runner, one.workflow_id, "waiting", "open")
        for changed in ({"state": {"words": 3}}, {"state": state}, {"args": {"to": "bob"}}, {}):
            await refused(
                stepwell, IdempotencyConflict, "'s'", runner.fork(origin, checkpoint=1, idempotency_key="s", **changed)
            )
        await refused(
            stepwell, IdempotencyConflict, "'s'", runner.run(Stamps, {"to": "bob"}, idempotency_key="s", **ME)
        )
        plain = await runner.run(Stamps, {"to": "ann"}, idempotency_key="run", **ME)
        await reaches(runner, plain.workflow_id, "waiting", "open")
        await refused(stepwell, IdempotencyConflict, "'run'", runner.fork(origin, checkpoint=1, idempotency_key="run"))


async def test_a_key_stands_for_its_fork_when_the_origin_is_gone(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stamps]) as stepwell:
        runner, mine = stepwell.runner, stepwell.runner.as_user("u1")
        origin = (await runner.run(Stamps, {"to": "ann"}, **ME)).workflow_id
        await reaches(runner, origin, "waiting", "open")
        state = {"words": 2, "marks": ["b", "a"]}
        first = await runner.fork(origin, checkpoint=1, idempotency_key="k")
        given = await runner.fork(origin, checkpoint=1, state=state, args={"to": "bob"}, idempotency_key="s")
        explained = (await runner.explain(first.workflow_id)).reasons
        assert f"It is a fork of run {origin}, and began at the target of checkpoint 1." in explained
        for one in (first, given):
            await reaches(runner, one.workflow_id, "waiting", "open")
        await runner.signal(origin, "stop")
        await reaches(runner, origin, "completed")
        await runner.delete(origin)
        for who in (runner, mine):
            again = await who.fork(origin, checkpoint=1, idempotency_key="k", labels=["other"])
            assert (again.workflow_id, again.created) == (first.workflow_id, False)
            meant = {"words": 2.0, "marks": {"a", "b"}}
            same = await who.fork(
                origin, checkpoint=1, state=meant, args={"to": "bob", "copies": 1}, idempotency_key="s"
            )
            assert (same.workflow_id, same.workspace_id) == (given.workflow_id, given.workspace_id)
        for changed in ({"state": {"words": 3}}, {"state": state}, {"args": {"to": "bob"}}, {}):
            await refused(
                stepwell, IdempotencyConflict, "'s'", runner.fork(origin, checkpoint=1, idempotency_key="s", **changed)
            )
        await refused(stepwell, IdempotencyConflict, "'k'", runner.fork(origin, checkpoint=0, idempotency_key="k"))
        for wrong in (
            runner.fork(origin, checkpoint=1),
            runner.fork(origin, checkpoint=1, idempotency_key="other"),
            runner.as_user("u2").fork(origin, checkpoint=1, idempotency_key="k"),
        ):
            await refused(stepwell, WorkflowNotFound, "No run", wrong)
        assert (await runner.get(first.workflow_id)).forked_from == (origin, 1)


async def test_many_forks_with_one_key_at_once_are_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stamps]) as stepwell:
        runner = stepwell.runner
        origin = (await runner.run(Stamps, {"to": "ann"}, **ME)).workflow_id
        await reaches(runner, origin, "waiting", "open")
        calls = (runner.fork(origin, checkpoint=1, state={"words": 2}, idempotency_key="k") for _ in range(50))
        handles = await asyncio.gather(*calls)
        assert len({one.workflow_id for one in handles}) == 1
        assert [one.created for one in handles].count(True) == 1


async def test_a_fork_goes_by_the_code_that_is_there(stepwell_on: StepwellOn) -> None:
    """Also from a row that earlier code wrote, of a run that was migrated since: with the version and the args of then."""
    origin = await parked(stepwell_on)
    async with stepwell_on([NewOrder]) as after:
        runner = after.runner
        unmoved = await runner.fork(origin, checkpoint=1)
        await runner.signal(origin, "note", "x")
        await reaches(runner, origin, "waiting", "desk", version=2)
        for handle in (unmoved, await runner.fork(origin, checkpoint=1)):
            run = await reaches(runner, handle.workflow_id, "waiting", "desk")
            assert (run.workflow_version, run.args) == (3, {"amount": 3, "currency": "EUR"})
            assert run.state == {"total": {"amount": 3, "currency": "EUR"}, "seen": [], "urgent": False}
        late = await runner.fork(origin, checkpoint=2)
        assert (await reaches(runner, late.workflow_id, "waiting", "desk")).state["seen"] == ["x"]
    async with stepwell_on([OldOrder]) as before:
        await refused(before, InvalidState, "version 3", before.runner.fork(origin, checkpoint=2))


async def test_timers_and_events_of_a_fork_are_its_own(stepwell_on: StepwellOn) -> None:
    class Waits(Workflow[Letter, Progress, Any], name="waits", concurrency=Concurrency(1, holds="run")):
        @transition(target="open")
        async def begin(self) -> None:
            self.state.words = 5

        def in_some_days(self) -> timedelta:
            return timedelta(days=self.state.words)

        @transition("open", END, after=in_some_days)
        async def expire(self) -> str:
            return "expired"

        @transition("open", END, on=Event("paid", match={"n": "state.words"}))
        async def paid(self) -> str:
            return "paid"

    async with stepwell_on([Waits]) as stepwell:
        runner = stepwell.runner
        origin = (await runner.run(Waits, {"to": "ann"}, **ME)).workflow_id
        first = await reaches(runner, origin, "waiting", "open")
        fork = (await runner.fork(origin, checkpoint=1, state={"words": 6})).workflow_id
        assert (await runner.get(fork)).status == "pending", "it is under the limits of its workflow"
        await runner.cancel(origin)
        second = await reaches(runner, fork, "waiting", "open")
        assert first.due_at is not None
        assert second.due_at is not None
        assert second.due_at - first.due_at >= timedelta(days=1)
        assert (await runner.emit("paid", {"n": 5})).resumed == ()
        assert (await runner.emit("paid", {"n": 6})).resumed == (fork,)
        assert (await reaches(runner, fork, "completed")).result == "paid"


def test_unset_is_nothing_else() -> None:
    assert repr(UNSET) == "UNSET"
    assert not UNSET
    assert START != UNSET
