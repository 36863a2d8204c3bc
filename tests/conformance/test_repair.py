"""Repairs: retries with other data or another state, other labels, and deleting finished runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, StepwellOn, counts, reaches, until
from conformance.test_forks import Progress, Write, refused, written
from conformance.test_versions import NewOrder, OldArgs, OldOrder, OldState
from stepwell import END, Ask, Event, Signal, Start, Stepwell, Workflow, transition
from stepwell.errors import InvalidArgs, InvalidPayload, InvalidState, RunFinished, RunNotFinished, WorkflowNotFound
from stepwell.store import groups, runs


class Sum(BaseModel):
    cents: int


class Pay(Workflow[None, Progress, Any], name="pay"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", "paid", wait=True)
    async def pay(self, amount: Sum) -> None:
        if amount.cents > 100 or self.state.words < 0:
            raise ValueError("too much")
        self.state.words += amount.cents

    @transition("open", END, on=Event("stop", match={"n": "state.words"}))
    async def stop(self) -> None: ...

    @transition("paid", END)
    async def close(self) -> int:
        if self.state.words == 13:
            raise ValueError("unlucky")
        return self.state.words


async def test_a_retry_with_other_data(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pay]) as stepwell:
        runner = stepwell.runner
        run = (await runner.run(Pay, **ME)).workflow_id
        await reaches(runner, run, "waiting", "open")
        await refused(stepwell, RunFinished, "waiting", runner.retry(run, data={"cents": 1}))
        await runner.signal(run, "pay", {"cents": 900})
        await reaches(runner, run, "failed", "open")
        await refused(stepwell, InvalidPayload, "cents", runner.retry(run, data={"cents": "many"}))
        await refused(stepwell, WorkflowNotFound, "No run", runner.as_user("u2").retry(run, data={"cents": 1}))
        await runner.as_user("u1").retry(run, data={"cents": 13})
        await reaches(runner, run, "failed", "paid")
        await refused(stepwell, InvalidArgs, "without one", runner.retry(run, data={"cents": 1}))
        await refused(stepwell, InvalidState, "words", runner.retry(run, state={"words": []}))
        await runner.handle(run).retry(state={"words": 14})
        assert (await reaches(runner, run, "completed")).result == 14
        rows = await runner.history(run)
        [repair] = [row for row in rows if row.transition is None and row.version > 0]
        assert (repair.source, repair.target, repair.state) == ("paid", None, {"words": 14, "notes": []})
        assert rows[-1].state == {"words": 14, "notes": []}
        await refused(stepwell, InvalidArgs, "leads to no place", runner.fork(run, checkpoint=repair.version))


class Approve(Workflow[None, None, bool]):
    """A rejection fails, so that it can be retried."""

    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", END, wait=True, ask=Ask("May it be?", group="ops"))
    async def decide(self, approved: bool) -> bool:
        if not approved:
            raise ValueError("no")
        return approved


async def test_the_runs_user_replaces_no_answer_of_another_person(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Approve]) as stepwell:
        runner = stepwell.runner

        async def answered_no(by: str) -> str:
            run = (await runner.run(Approve, **ME)).workflow_id
            await reaches(runner, run, "waiting", "review")
            await runner.answer(run, "decide", False, by=by, groups={"ops"})
            await reaches(runner, run, "failed", "review")
            return run

        run = await answered_no("ann")
        restricted = runner.as_user("u1")
        for retried in (restricted.retry(run, data=True), restricted.handle(run).retry(data=True)):
            await refused(stepwell, InvalidArgs, "'decide'", retried)
        await refused(stepwell, InvalidArgs, "'decide'", runner.retry(run, data=True, user_id="u1"))
        await restricted.retry(run)
        await reaches(runner, run, "failed", "review", version=3)
        # The application may, and the history doesn't say that it was the person's.
        await runner.retry(run, data=True)
        assert (await reaches(runner, run, "completed")).result is True
        told = [(row.status, row.answered_by) for row in await runner.history(run) if row.transition == "decide"]
        assert told == [("failed", "ann"), ("failed", "ann"), ("committed", None)]
        # What one has answered oneself may be corrected.
        run = await answered_no("u1")
        await restricted.retry(run, data=True)
        assert (await reaches(runner, run, "completed")).result is True
        assert (await runner.history(run))[-1].answered_by == "u1"


async def test_a_state_that_is_replaced_is_what_events_are_matched_with(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pay]) as stepwell:
        runner = stepwell.runner
        run = (await runner.run(Pay, **ME)).workflow_id
        await reaches(runner, run, "waiting", "open")
        await runner.signal(run, "pay", {"cents": 900})
        await reaches(runner, run, "failed", "open")
        await runner.retry(run, state={"words": 7})
        again = await reaches(runner, run, "failed", "open", version=4)
        assert again.attempt == 2, "attempts of the visit count on"
        assert (await runner.emit("stop", {"n": 0})).resumed == ()
        assert (await runner.emit("stop", {"n": 7})).resumed == (run,)


async def test_other_data_stands_for_the_result_of_a_failed_child(stepwell_on: StepwellOn) -> None:
    class Fails(Workflow, name="fails"):
        @transition(target=END)
        async def go(self) -> int:
            raise ValueError("no")

    class Asks(Workflow[None, Progress, Any], name="asks"):
        @transition(target="open")
        async def begin(self) -> None:
            await self.start(Fails, callback="got")

        @transition("open", END, wait=True)
        async def got(self, number: int) -> int:
            return number

    class Envelope(Asks, name="envelope"):
        @transition(target="open")
        async def begin(self) -> None:
            await self.start(Fails, callback="got")

        @transition("open", END, wait=True)
        async def got(self, number: Signal[int]) -> Any:  # type: ignore[override]
            if number.failed:
                raise ValueError(number.error)
            return number.data

    async with stepwell_on([Fails, Asks, Envelope]) as stepwell:
        for workflow in (Asks, Envelope):
            run = (await stepwell.runner.run(workflow, **ME)).workflow_id
            await reaches(stepwell.runner, run, "failed", "open")
            await stepwell.runner.retry(run, data=42)
            assert (await reaches(stepwell.runner, run, "completed")).result == 42


async def test_a_state_of_the_code_that_is_there(stepwell_on: StepwellOn) -> None:
    """The run of earlier code is migrated by the same commit, and its earlier rows are forked as they were."""

    class Failing(Workflow[OldArgs, OldState, Any], name="order"):
        @transition(target="review")
        async def begin(self) -> None: ...

        @transition("review", END, wait=True)
        async def decide(self, answer: str) -> None:
            raise ValueError(answer)

        @transition("review", "review", wait=True)
        async def note(self, text: str) -> None: ...

    async with stepwell_on([Failing]) as before:
        run = (await before.runner.run(Failing, {"amount": 3}, **ME)).workflow_id
        await reaches(before.runner, run, "waiting", "review")
        await before.runner.signal(run, "decide", "x")
        await reaches(before.runner, run, "failed")
    async with stepwell_on([NewOrder]) as after:
        await refused(after, InvalidState, "total", after.runner.retry(run, state={"total": 5}))
        await after.runner.retry(run, state={"urgent": True})
        done = await reaches(after.runner, run, "completed")
        assert (done.workflow_version, done.args["currency"], done.state["urgent"]) == (3, "EUR", True)
        fork = await after.runner.fork(run, checkpoint=1)
        again = await reaches(after.runner, fork.workflow_id, "waiting", "desk")
        assert (again.args["currency"], again.state["urgent"]) == ("EUR", False)
    assert OldOrder is not None


async def test_labels_and_subject_are_updated(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        run = await written(stepwell)
        updated = await runner.update(run, labels=["a", "b", "a"], subject="Letter " + "x" * 300)
        assert updated == await runner.get(run)
        assert updated.labels == ("a", "b")
        assert updated.subject == ("Letter " + "x" * 300)[:200]
        assert (await runner.update(run, labels=[])).subject == updated.subject
        assert (await runner.update(run, subject="")).subject is None
        assert (await runner.get(run)).labels == ()
        await refused(stepwell, InvalidArgs, "labels=", runner.update(run, labels="x"))
        await refused(stepwell, InvalidArgs, "subject=", runner.update(run, subject="\0"))
        await refused(stepwell, WorkflowNotFound, "No run", runner.as_user("u2").update(run, labels=[]))


async def test_a_finished_run_is_deleted_with_what_it_owns(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Write, Pay]) as stepwell:
        runner = stepwell.runner
        await runner.run(Write, {"to": "bob"}, idempotency_key="other", **ME)
        run = (await runner.run(Write, {"to": "ann"}, idempotency_key="k", **ME)).workflow_id
        await reaches(runner, run, "waiting", "review")
        await refused(stepwell, RunNotFinished, "Cancel it first", runner.delete(run))
        failed = (await runner.run(Pay, **ME)).workflow_id
        await reaches(runner, failed, "waiting", "open")
        await runner.signal(failed, "pay", {"cents": 900})
        await reaches(runner, failed, "failed")
        await refused(stepwell, RunNotFinished, "Retry or cancel", runner.delete(failed))
        await runner.cancel(failed)
        await runner.signal(run, "decide", "yes")
        await reaches(runner, run, "completed")
        await refused(stepwell, WorkflowNotFound, "No run", runner.as_user("u2").delete(run))
        before = await counts(stepwell)
        await runner.delete(failed)
        await runner.as_user("u1").delete(run)
        after = await counts(stepwell)
        for run_id in (run, failed):
            await refused(stepwell, WorkflowNotFound, "No run", runner.delete(run_id))
        assert before["stepwell_runs"] - after["stepwell_runs"] == 2
        assert before["stepwell_documents"] - after["stepwell_documents"] == 4, "one tells of the failure"
        assert (after.get("stepwell_signals", 0), after.get("stepwell_listeners", 0)) == (0, 0)
        again = await runner.run(Write, {"to": "carl"}, idempotency_key="k", **ME)
        assert again.created, "a key lives as long as its run"


async def test_a_member_of_a_group_is_deleted_once_all_of_it_has_ended(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pay]) as stepwell:
        runner = stepwell.runner
        batch = await runner.run_batch([Start(Pay), Start(Pay)], **ME)
        members = [one.workflow_id for one in (await runner.list(workflow=Pay)).items]
        for one in members:
            await reaches(runner, one, "waiting", "open")
        await runner.cancel(members[0])
        await refused(stepwell, RunNotFinished, "haven't ended", runner.delete(members[0]))
        await runner.signal(members[1], "pay", {"cents": 1})
        await reaches(runner, members[1], "completed")
        await batch.result(60)

        async def deleted() -> bool:
            try:
                await runner.delete(members[0])
            except RunNotFinished:  # until it is noted that all of them have ended
                return False
            return True

        await until(deleted)
        progress = (await batch.get()).progress
        assert (progress.total, progress.completed, progress.canceled) == (2, 2, 0), "it counts as completed"


class Ends(Workflow[bool, None, None], name="ends"):
    @transition(target=END)
    async def go(self) -> None:
        if self.args:
            raise ValueError("as asked")


@pytest.mark.parametrize("max_in_flight", [None, 1])
async def test_runs_that_are_retried_are_counted_beside_those_that_are_deleted(
    stepwell_on: StepwellOn, max_in_flight: int | None
) -> None:
    async with stepwell_on([Ends]) as stepwell:
        runner = stepwell.runner
        starts = [Start(Ends, False), Start(Ends, False), Start(Ends, True)]
        batch = await runner.run_batch(starts, **ME, max_in_flight=max_in_flight)
        before = await batch.result(60)
        assert (before.completed, before.failed) == (2, 1)
        await until(lambda: is_finished(stepwell, batch.batch_id))
        for one in (await runner.list(status="completed")).items:
            await runner.delete(one.workflow_id)
        gone = await batch.progress()
        assert (gone.completed, gone.failed, gone.total) == (2, 1, 3)
        await runner.pause("shop")
        assert await batch.retry_failed() == 1
        open_again = await batch.progress()
        assert (open_again.completed, open_again.failed, open_again.finished_at) == (2, 0, None)
        assert open_again.held + open_again.pending + open_again.retrying == 1
        await runner.resume("shop")
        after = await batch.result(60)
        assert (after.completed, after.failed, after.total) == (2, 1, 3)
        assert (await batch.get()).status == "ended"
        await until(lambda: is_finished(stepwell, batch.batch_id))


async def is_finished(stepwell: Stepwell, group_id: str) -> bool:
    assert stepwell.process is not None
    group = await stepwell.process.store.read(lambda tx: groups.load(tx, group_id))
    return group is not None and group.finished_at is not None


class Family(Workflow[None, None, str], name="family"):
    @transition(target="open")
    async def begin(self) -> None:
        await self.start(Pay, callback="told", on_parent_end="abandon")

    @transition("open", END, wait=True)
    async def told(self, end: Signal[Any]) -> str:
        return str(end.status)

    @transition("open", END, wait=True)
    async def leave(self) -> str:
        return "left"


async def test_a_child_outlives_its_deleted_parent_and_tells_nobody(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Family, Pay]) as stepwell:
        runner = stepwell.runner
        parent = (await runner.run(Family, **ME)).workflow_id
        await reaches(runner, parent, "waiting", "open")
        [child] = (await runner.list(parent_id=parent)).items
        await reaches(runner, child.workflow_id, "waiting", "open")
        await runner.signal(parent, "leave")
        await reaches(runner, parent, "completed")
        await runner.delete(parent)
        await runner.signal(child.workflow_id, "pay", {"cents": 5})
        assert (await reaches(runner, child.workflow_id, "completed")).parent_id == parent
        await runner.delete(child.workflow_id)
        assert not {"stepwell_runs", "stepwell_signals", "stepwell_history"} & (await counts(stepwell)).keys()


async def test_a_parent_keeps_what_a_deleted_child_has_told_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Family, Pay]) as stepwell:
        runner = stepwell.runner
        parent = (await runner.run(Family, **ME)).workflow_id
        await reaches(runner, parent, "waiting", "open")
        await runner.pause(workflow=Family)
        [child] = (await runner.list(parent_id=parent)).items
        await reaches(runner, child.workflow_id, "waiting", "open")
        await runner.cancel(child.workflow_id)
        await runner.delete(child.workflow_id)
        await runner.resume(workflow=Family)
        assert (await reaches(runner, parent, "completed")).result == "canceled"


async def test_a_run_is_deleted_as_a_whole_or_from_its_history_on(stepwell_on: StepwellOn) -> None:
    """A fork finds all documents of then, or is refused: also of a run that another call is deleting."""
    async with stepwell_on([Write]) as stepwell:
        runner = stepwell.runner
        runs_of = [await written(stepwell) for _ in range(2)]
        for one in runs_of:
            await runner.signal(one, "decide", "yes")
            await reaches(runner, one, "completed")
        small, large = runs_of
        store = stepwell.process and stepwell.process.store
        assert store is not None
        assert await store.writer.call(lambda tx: runs.delete_some(tx, small, 1_000)) is False
        assert await store.writer.call(lambda tx: runs.delete_some(tx, small, 1_000)) is False, "it is gone already"
        documents = (await counts(stepwell))["stepwell_documents"]
        assert await store.writer.call(lambda tx: runs.delete_some(tx, large, 1)) is True
        assert (await counts(stepwell))["stepwell_documents"] == documents
        while (await counts(stepwell)).get("stepwell_history"):
            await store.writer.call(lambda tx: runs.delete_some(tx, large, 1))
        await refused(stepwell, InvalidArgs, "no such row", runner.fork(large, checkpoint=1))
        await runner.delete(large)  # as after a crash in the midst of it
        assert not {"stepwell_runs", "stepwell_documents", "stepwell_steps"} & (await counts(stepwell)).keys()


@pytest.mark.parametrize("verb", ["update", "delete", "retry"])
async def test_an_unknown_run_is_named(stepwell_on: StepwellOn, verb: str) -> None:
    async with stepwell_on([Write]) as stepwell:
        await refused(stepwell, WorkflowNotFound, "'nothing'", getattr(stepwell.runner, verb)("nothing"))
