"""Groups of children: made with the checkpoint, decided once, and told to their parent once (rule 53)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, HarnessOn, StepwellOn, reaches, until
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, App, Group, GroupItem, Retry, Signal, Start, Workflow, transition
from stepwell.errors import GroupNotFound
from stepwell.store import groups

gate = Gate()
begun: list[int] = []
told: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    begun.clear()
    told.clear()
    Flaky.good = False


class Part(BaseModel):
    n: int
    case: str = ""


class Child(Workflow[Part, dict[str, Any], str]):
    @transition(target="working")
    async def begin(self) -> None:
        begun.append(self.args.n)
        if self.args.case == "waits":
            await gate.pass_through()

    @transition("working", END)
    async def work(self) -> str:
        if self.args.case == "fails":
            raise ValueError(f"{self.args.n} is down")
        return f"done {self.args.n}"


class Asks(Workflow[Part, dict[str, Any], str]):
    @transition(target="open")
    async def begin(self) -> None:
        begun.append(self.args.n)

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


class Ask(BaseModel):
    cases: list[str] = []
    until: Any = "all_ended"
    most: int | None = None
    on_parent_end: Any = None
    workflow: str = "child"


class Parent(Workflow[Ask]):
    @transition(target="waiting")
    async def begin(self) -> None:
        self.state["children"] = await self.start_many(
            [Start(self.args.workflow, Part(n=n, case=case)) for n, case in enumerate(self.args.cases)],
            callback="told",
            until=self.args.until,
            max_in_flight=self.args.most,
            meta={"of": "parent"},
            on_parent_end=self.args.on_parent_end,
        )

    @transition("waiting", END, wait=True)
    async def told(self, end: Signal[Group[str]]) -> Any:
        told.append(end)
        assert end.data is not None
        read = [item async for item in self.children(end.data.group_id)]
        return {"status": end.status, "read": [item.model_dump(mode="json") for item in read]}


ALL = [Parent, Child, Asks]


def items(end: Signal[Group[str]]) -> list[tuple[int, str, str | None]]:
    return [(one.index, one.status, one.result) for one in end.data.results]


async def ended(stepwell: Any, **given: Any) -> tuple[Any, Signal[Group[str]]]:
    """The parent once it has ended, and what it was told."""
    run = await stepwell.runner.run(Parent, Ask(**given), **ME)
    done = await reaches(stepwell.runner, run.workflow_id, "completed")
    [end] = told
    return done, end


async def test_all_ended_is_told_once_with_every_child(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        done, end = await ended(stepwell, cases=["", "fails", ""])
        assert (end.status, end.failed, end.error) == ("completed", False, None)
        assert (end.workflow_id, end.meta) == (done.workflow_id, {"of": "parent"})
        assert items(end) == [(0, "completed", "done 0"), (1, "failed", None), (2, "completed", "done 2")]
        assert "1 is down" in (end.data.results[1].error or "")
        data = end.data
        assert (data.total, data.completed, data.failed, data.canceled, data.truncated) == (3, 2, 1, 0, False)
        assert [one.workflow_id for one in data.results] == done.state["children"]
        history = await stepwell.runner.history(done.workflow_id)
        assert [row.transition for row in history] == [None, "begin", "told"]
        progress = await stepwell.runner.group(data.group_id)
        assert (progress.total, progress.completed, progress.failed, progress.eta) == (3, 2, 1, None)
        assert progress.finished_at is not None
        child = await stepwell.runner.get(done.state["children"][2])
        assert (child.group_id, child.group_index, child.parent_id) == (data.group_id, 2, done.workflow_id)
        assert done.result["read"] == [one.model_dump(mode="json") for one in data.results]


async def test_all_completed_completes_with_the_last_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        _, end = await ended(stepwell, cases=["", "", ""], until="all_completed")
        assert (end.status, end.data.completed, end.error) == ("completed", 3, None)


async def test_all_completed_fails_with_the_first_that_failed_and_stops_the_others(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        done, end = await ended(stepwell, cases=["waits", "fails", "waits"], until="all_completed")
        assert (end.status, end.failed) == ("failed", True)
        assert (end.data.completed, end.data.failed, end.data.canceled) == (0, 1, 2)
        failed = done.state["children"][1]
        assert f"starts[1] (child {failed}) failed: Child.work: ValueError: 1 is down" in (end.error or "")
        assert items(end) == [(0, "canceled", None), (1, "failed", None), (2, "canceled", None)]
        for index in (0, 2):
            other = await reaches(stepwell.runner, done.state["children"][index], "canceled")
            assert other.error == end.data.results[index].error
            assert failed in (other.error or "")
        gate.open()


async def test_first_completed_stops_the_others(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        done, end = await ended(stepwell, cases=["waits", "fails", "", "waits"], until="first_completed")
        assert (end.status, end.error) == ("completed", None)
        assert (end.data.completed, end.data.completed + end.data.failed + end.data.canceled) == (1, 4)
        assert items(end)[2] == (2, "completed", "done 2")
        for index in (0, 3):
            await reaches(stepwell.runner, done.state["children"][index], "canceled")
        gate.open()


async def test_first_completed_fails_if_none_completes(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        _, end = await ended(stepwell, cases=["fails", "fails"], until="first_completed")
        assert (end.status, end.data.failed) == ("failed", 2)
        assert "none of its 2 children completed; the last end: starts[" in (end.error or "")
        assert "is down" in (end.error or "")


@pytest.mark.parametrize(
    ("until_", "status"), [("all_ended", "completed"), ("all_completed", "completed"), ("first_completed", "failed")]
)
async def test_without_children_it_has_ended_at_once(stepwell_on: StepwellOn, until_: str, status: str) -> None:
    async with stepwell_on(ALL) as stepwell:
        done, end = await ended(stepwell, cases=[], until=until_)
        assert (end.status, end.data.total, end.data.results) == (status, 0, ())
        assert done.state["children"] == []
        assert ("has no children" in (end.error or "")) == (status == "failed")
        progress = await stepwell.runner.group(end.data.group_id)
        assert (progress.total, progress.rate, progress.eta) == (0, 0.0, None)
        assert progress.finished_at is not None


class Each(Workflow[Ask]):
    @transition(target="waiting")
    async def begin(self) -> None:
        self.state["ends"] = []
        await self.start_many(
            [Start(Child, Part(n=n, case=case)) for n, case in enumerate(self.args.cases)],
            callback="one",
            meta={"m": 1},
        )

    @transition("waiting", "waiting", wait=True)
    async def one(self, end: Signal[str]) -> None:
        assert end.meta == {"m": 1}
        self.state["ends"].append(end.data if end.status == "completed" else end.status)

    def all_told(self) -> bool:
        return len(self.state["ends"]) == len(self.args.cases)

    @transition("waiting", END, when=all_told)
    async def finish(self) -> Any:
        return sorted(self.state["ends"])


async def test_each_child_is_told_by_itself(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Each, Child]) as stepwell:
        run = await stepwell.runner.run(Each, Ask(cases=["", "fails", ""]), **ME)
        done = await reaches(stepwell.runner, run.workflow_id, "completed")
        assert done.result == ["done 0", "done 2", "failed"]
        [child, *_] = (await stepwell.runner.list(parent_id=run.workflow_id)).items
        assert child.group_id is not None
        progress = await until_finished(stepwell, child.group_id)
        assert (progress.completed, progress.failed) == (2, 1)


async def until_finished(stepwell: Any, group_id: str) -> Any:
    """The progress, once nothing is left to do for the group."""

    async def look() -> Any:
        row = await stepwell.process.store.read(lambda tx: groups.load(tx, group_id))
        return row is not None and row.finished_at is not None

    await until(look)
    return await stepwell.runner.group(group_id)


class Bare(Workflow[Ask]):
    @transition(target="waiting")
    async def begin(self) -> None:
        starts = [Start(Child, Part(n=n, case=case)) for n, case in enumerate(self.args.cases)]
        await self.start_many(starts, callback="told", until=self.args.until)

    @transition("waiting", END, wait=True, error_place="broken")
    async def told(self, end: Group[str]) -> Any:
        return [item.result for item in end.results]

    @transition("broken", END)
    async def mend(self) -> Any:
        return "mended"


async def test_a_bare_group_is_given_and_a_failed_one_fails_the_attempt(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Bare, Child]) as stepwell:
        good = await stepwell.runner.run(Bare, Ask(cases=["", ""]), **ME)
        assert (await reaches(stepwell.runner, good.workflow_id, "completed")).result == ["done 0", "done 1"]
        bad = await stepwell.runner.run(Bare, Ask(cases=["fails"], until="all_completed"), **ME)
        done = await reaches(stepwell.runner, bad.workflow_id, "completed")
        assert done.result == "mended"
        [failed] = [row for row in await stepwell.runner.history(bad.workflow_id) if row.status == "failed"]
        assert "ChildFailed: the group of children failed: starts[0]" in (failed.error or "")


class Quiet(Workflow[Ask]):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start_many([Start(Child, Part(n=1))], callback="told", until="all_ended")

    @transition("waiting", END, wait=True, retry=Retry(retries=1, delay=timedelta(0)))
    async def told(self) -> Any:
        return "heard"


async def test_a_callback_may_take_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quiet, Child]) as stepwell:
        run = await stepwell.runner.run(Quiet, Ask(), **ME)
        assert await run.result() == "heard"


async def test_at_most_so_many_are_begun_and_not_ended_in_the_order_of_the_starts(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        run = await stepwell.runner.run(Parent, Ask(cases=[""] * 6, most=2, workflow="asks"), **ME)
        parent = await reaches(stepwell.runner, run.workflow_id, "waiting")
        children: Sequence[str] = parent.state["children"]
        group_id = (await stepwell.runner.get(children[0])).group_id
        for ended in range(6):

            async def look(ended: int = ended) -> bool:
                found = await stepwell.runner.group(group_id)
                assert found.running + found.waiting + found.pending <= 2
                assert found.held + found.waiting + found.running + found.pending + found.completed == 6
                return found.waiting == min(2, 6 - ended) and found.completed == ended

            await until(look)
            assert sorted(begun) == [*range(min(6, ended + 2))]
            held = [await stepwell.runner.get(one) for one in children[ended + 2 :]]
            assert {one.status for one in held} <= {"pending"}
            await stepwell.runner.signal(children[ended], "answer", f"a{ended}")
        await reaches(stepwell.runner, run.workflow_id, "completed")
        assert items(told[0]) == [(n, "completed", f"a{n}") for n in range(6)]


async def test_a_sequence_stops_at_the_end_that_decides(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        done, end = await ended(stepwell, cases=["", "fails", "", ""], most=1, until="all_completed")
        assert items(end) == [
            (0, "completed", "done 0"),
            (1, "failed", None),
            (2, "canceled", None),
            (3, "canceled", None),
        ]
        for index in (2, 3):
            await reaches(stepwell.runner, done.state["children"][index], "canceled")
        assert begun == [0, 1]
        progress = await until_finished(stepwell, end.data.group_id)
        assert (progress.completed, progress.failed, progress.canceled, progress.held) == (1, 1, 2, 0)


async def test_what_had_not_begun_when_the_group_was_decided_never_begins(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL, worker_concurrency=2) as stepwell:
        # One slot is the parent's, while it waits none: the first two children take both.
        done, end = await ended(stepwell, cases=["waits", "fails", *[""] * 20], most=2, until="all_completed")
        for child in done.state["children"][2:]:
            await reaches(stepwell.runner, child, "canceled")
        assert sorted(begun) == [0, 1]
        assert (end.data.failed, end.data.canceled) == (1, 21)
        gate.open()


async def test_the_end_of_the_parent_ends_all_children_held_ones_too(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        run = await stepwell.runner.run(Parent, Ask(cases=[""] * 5, most=2, workflow="asks"), **ME)
        parent = await reaches(stepwell.runner, run.workflow_id, "waiting")
        await stepwell.runner.cancel(run.workflow_id)
        for child in parent.state["children"]:
            await reaches(stepwell.runner, child, "canceled")
        assert set(begun) <= {0, 1}
        assert told == []
        group_id = (await stepwell.runner.get(parent.state["children"][0])).group_id
        progress = await until_finished(stepwell, group_id or "")
        assert progress.canceled == 5
        assert [row.status for row in await stepwell.runner.history(run.workflow_id)][-1] == "canceled"


async def test_abandoned_children_go_on_after_their_parent(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        given = Ask(cases=[""] * 3, most=1, workflow="asks", on_parent_end="abandon")
        run = await stepwell.runner.run(Parent, given, **ME)
        parent = await reaches(stepwell.runner, run.workflow_id, "waiting")
        await stepwell.runner.cancel(run.workflow_id)
        for child in parent.state["children"]:
            await reaches(stepwell.runner, child, "waiting")
            await stepwell.runner.signal(child, "answer", "yes")
            await reaches(stepwell.runner, child, "completed")
        assert told == []


async def test_a_child_retried_before_the_decision_counts_as_it_ends_then(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([*ALL, Flaky]) as stepwell:
        run = await stepwell.runner.run(Parent, Ask(cases=["waits", "flaky"], workflow="flaky"), **ME)
        parent = await reaches(stepwell.runner, run.workflow_id, "waiting")
        flaky = await reaches(stepwell.runner, parent.state["children"][1], "failed")
        Flaky.good = True
        await stepwell.runner.retry(flaky.workflow_id)
        await reaches(stepwell.runner, flaky.workflow_id, "completed")
        gate.open()
        await reaches(stepwell.runner, run.workflow_id, "completed")
        assert items(told[0]) == [(0, "completed", "ok"), (1, "completed", "ok")]


async def test_a_child_retried_after_the_decision_tells_nobody_and_changes_the_counts(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([*ALL, Flaky]) as stepwell:
        done, end = await ended(stepwell, cases=["flaky"], workflow="flaky", most=1)
        assert end.data.failed == 1
        Flaky.good = True
        await stepwell.runner.retry(done.state["children"][0])
        await reaches(stepwell.runner, done.state["children"][0], "completed")
        progress = await until_finished(stepwell, end.data.group_id)
        assert (progress.completed, progress.failed) == (1, 0)
        assert len(told) == 1


class Flaky(Workflow[Part, dict[str, Any], str]):
    good = False

    @transition(target=END)
    async def work(self) -> str:
        if self.args.case == "waits":
            await gate.pass_through()
        elif not type(self).good:
            raise ValueError("not yet")
        return "ok"


async def test_a_group_of_another_user_or_none_isnt_found(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        _, end = await ended(stepwell, cases=[""])
        group_id = end.data.group_id
        assert (await stepwell.runner.as_user("u1").group(group_id)).total == 1
        for runner, wanted in ((stepwell.runner.as_user("u2"), group_id), (stepwell.runner, "no such id")):
            with pytest.raises(GroupNotFound, match="No group"):
                await runner.group(wanted)
        with pytest.raises(GroupNotFound):
            await stepwell.runner.group(group_id, user_id="u2")
        blocking = stepwell.runner.blocking
        assert (await asyncio.to_thread(blocking.group, group_id)).completed == 1
        with pytest.raises(GroupNotFound):
            await asyncio.to_thread(blocking.as_user("u2").group, group_id)


class Elsewhere(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None:
        self.state["one"] = await self.start("child", Part(n=1), app_name="stock", callback="one")
        self.state["many"] = await self.start_many(
            [Start("child", Part(n=2), app_name="stock", labels=["x"], priority=4)]
        )

    @transition("waiting", END, wait=True)
    async def one(self, text: str) -> str:
        return text


async def test_a_child_of_another_app_is_in_the_users_workspace_there(stepwell_on: StepwellOn) -> None:
    apps = [App("shop", workflows=[Elsewhere]), App("stock", workflows=[Child])]
    async with stepwell_on(apps) as stepwell:
        run = await stepwell.runner.run(Elsewhere, **ME)
        done = await reaches(stepwell.runner, run.workflow_id, "completed")
        assert done.result == "done 1"
        one, many = [await stepwell.runner.get(id_) for id_ in (done.state["one"], done.state["many"][0])]
        assert (one.app_name, many.app_name) == ("stock", "stock")
        assert one.workspace_id == many.workspace_id != done.workspace_id
        assert (many.labels, many.priority) == (("x",), 4)
        mine = await stepwell.runner.run(Child, Part(n=3), app_name="stock", user_id="u1")
        assert (await mine.get()).workspace_id == one.workspace_id


async def test_items_have_the_types_of_results(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        await harness.runner.run(Parent, Ask(cases=[""]), **ME)
        await harness.drain()
        [end] = told
        assert isinstance(end.data, Group)
        assert isinstance(end.data.results[0], GroupItem)
