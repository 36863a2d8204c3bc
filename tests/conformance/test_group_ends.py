"""The ends of groups: lost hints, several processes, spoilt rows, and parents that aren't where they were (rules 50, 53)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends import Database
from conformance.support import ME, Gate, StepwellOn, everything, reaches, until
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, Group, Signal, Start, Stepwell, Workflow, transition
from stepwell.errors import UnknownTransition
from stepwell.store import groups
from stepwell.worker.groups import GroupDuty

gate = Gate()
begun: list[int] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    begun.clear()
    Parent.broken = False


class Child(Workflow[int, dict[str, Any], int]):
    @transition(target="open")
    async def begin(self) -> None:
        begun.append(self.args)

    @transition("open", END, wait=True)
    async def go(self) -> int:
        return self.args


class Parent(Workflow[dict[str, Any], dict[str, Any], list[int]]):
    broken = False

    @transition(target="waiting")
    async def begin(self) -> None:
        number = self.args.pop("number", 3)
        options = {"callback": "told", "until": "all_ended", **self.args}
        self.state["children"] = await self.start_many([Start(Child, n) for n in range(number)], **options)

    @transition("waiting", END, wait=True)
    async def told(self, end: Signal[Group[int]]) -> list[int]:
        if type(self).broken:
            raise ValueError("broken")
        return [end.data.completed, end.data.failed, end.data.canceled]


ALL = [Parent, Child]


async def waiting(stepwell: Stepwell, **given: Any) -> tuple[str, list[str]]:
    """A parent whose first children all wait."""
    run = await stepwell.runner.run(Parent, given, **ME)
    parent = await reaches(stepwell.runner, run.workflow_id, "waiting")
    children = parent.state["children"]
    for child in children[: given.get("max_in_flight", len(children))]:
        await reaches(stepwell.runner, child, "waiting")
    return run.workflow_id, children


def duty(stepwell: Stepwell) -> GroupDuty:
    assert stepwell.process is not None
    return stepwell.process.groups


async def ends(stepwell: Stepwell) -> list[Any]:
    """All that parents were told."""
    return [row for row in (await everything(stepwell))["stepwell_signals"] if row[3] == "child"]


async def deaf(stepwell: Stepwell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hints of this process are lost, and it doesn't look by itself."""
    monkeypatch.setattr(duty(stepwell), "changed", lambda group_ids: None)


async def test_a_lost_hint_is_made_good_by_a_look_at_all_groups(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on(ALL) as stepwell:
        parent, children = await waiting(stepwell, max_in_flight=1)
        await deaf(stepwell, monkeypatch)
        for child in children:
            await reaches(stepwell.runner, child, "waiting")
            await stepwell.runner.signal(child, "go")
            await reaches(stepwell.runner, child, "completed")
            assert (await stepwell.runner.get(parent)).status == "waiting"
            assert await duty(stepwell).take_all() == 1
        assert (await reaches(stepwell.runner, parent, "completed")).result == [3, 0, 0]


async def test_another_process_decides_what_its_own_has_left(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stepwell_on(ALL) as worker, stepwell_on(ALL, embedded_worker=False) as other:
        await deaf(worker, monkeypatch)
        parent, children = await waiting(worker)
        for child in children:
            await other.runner.signal(child, "go")
            await reaches(other.runner, child, "completed")
        assert await duty(other).take_all() == 1
        assert (await reaches(other.runner, parent, "completed")).result == [3, 0, 0]


async def test_two_processes_decide_once(stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stepwell_on(ALL) as first, stepwell_on(ALL, embedded_worker=False) as second:
        for one in (first, second):
            await deaf(one, monkeypatch)
        made = [await waiting(first, number=2) for _ in range(5)]
        for _, children in made:
            await asyncio.gather(*(first.runner.signal(child, "go") for child in children))
            for child in children:
                await reaches(first.runner, child, "completed")
        await asyncio.gather(*(duty(one).take_all() for one in (first, second, first, second)))
        for parent, _ in made:
            assert (await reaches(first.runner, parent, "completed")).result == [2, 0, 0]
            rows = [row.transition for row in await first.runner.history(parent)]
            assert rows == [None, "begin", "told"]
        assert len(await ends(first)) == 5


async def test_a_spoilt_group_keeps_no_other_waiting(stepwell_on: StepwellOn, database: Database) -> None:
    async with stepwell_on(ALL) as stepwell:
        spoilt, children = await waiting(stepwell)
        sound, others = await waiting(stepwell)
        group_id = (await stepwell.runner.get(children[0])).group_id
        database.execute("UPDATE stepwell_groups SET callback_meta='{', until='nonsense' WHERE id=?", group_id)
        for child in (*children, *others):
            await stepwell.runner.signal(child, "go")
        assert (await reaches(stepwell.runner, sound, "completed")).result == [3, 0, 0]
        for child in children:
            await reaches(stepwell.runner, child, "completed")
        assert (await stepwell.runner.get(spoilt)).status == "waiting"
        assert group_id is not None
        assert (await stepwell.runner.group(group_id)).completed == 3


async def test_only_the_end_of_the_group_fires_its_callback(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        parent, _ = await waiting(stepwell)
        with pytest.raises(UnknownTransition, match="is the callback of a child"):
            await stepwell.runner.signal(parent, "told", {"group_id": "forged"})
        assert (await stepwell.runner.get(parent)).waiting_for == ()


async def test_a_failed_parent_keeps_its_children_and_hears_of_them_once_it_is_retried(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        parent, children = await waiting(stepwell)
        Parent.broken = True
        for child in children:
            await stepwell.runner.signal(child, "go")
        failed = await reaches(stepwell.runner, parent, "failed")
        assert "broken" in (failed.error or "")
        Parent.broken = False
        await stepwell.runner.retry(parent)
        assert (await reaches(stepwell.runner, parent, "completed")).result == [3, 0, 0]
        assert len(await ends(stepwell)) == 1


async def test_an_end_that_comes_after_the_parents_leaves_a_trace(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        parent, children = await waiting(stepwell, on_parent_end="abandon")
        await stepwell.runner.cancel(parent)
        for child in children:
            await stepwell.runner.signal(child, "go")

        async def trace() -> Any:
            rows = await stepwell.runner.history(parent)
            return rows[-1] if rows[-1].status == "void" else None

        row = await until(trace)
        assert (row.transition, row.error) == (
            "told",
            "The end of a child for 'told' of its group was not used: the run was cancelled before",
        )


async def test_a_cancelled_child_fails_a_group_that_wants_all_completed(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        parent, children = await waiting(stepwell, until="all_completed", number=3)
        await stepwell.runner.cancel(children[1], reason="no longer wanted")
        done = await reaches(stepwell.runner, parent, "completed")
        assert done.result == [0, 0, 3]
        [end] = await ends(stepwell)
        assert f"starts[1] (child {children[1]}) was cancelled: canceled: no longer wanted" in str(end)
        for child in (children[0], children[2]):
            await reaches(stepwell.runner, child, "canceled")


async def test_what_is_ready_when_the_group_is_decided_never_begins(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision itself takes it out of the queue: it is cancelled later."""
    async with stepwell_on([Sieve, Nop, Quick], worker_concurrency=1) as stepwell:
        run = await stepwell.runner.run(Sieve, **ME)
        await gate.reached()
        children = [one.workflow_id for one in (await stepwell.runner.list(parent_id=run.workflow_id)).items][::-1]
        assert stepwell.process is not None
        sweep = stepwell.process.sweep

        async def nothing() -> int:
            return 0

        with monkeypatch.context() as patched:
            patched.setattr(sweep, "end_children", nothing)
            await stepwell.runner.cancel(children[1])
            await until(lambda: _decided(stepwell, children[1]))
            gate.open()
            await (await stepwell.runner.run(Quick, **ME)).result()
            statuses = [(await stepwell.runner.get(child)).status for child in children]
            assert statuses == ["completed", "canceled", *["pending"] * 28]
        await sweep.end_children()
        for child in children[2:]:
            await reaches(stepwell.runner, child, "canceled")
        assert await run.result() == 30
        assert gate.arrivals == 1


async def _decided(stepwell: Stepwell, child: str) -> bool:
    run = await stepwell.runner.get(child)
    row = await stepwell.runner.read(lambda tx: groups.load(tx, run.group_id or ""))
    return row is not None and row.decided_at is not None


class Sieve(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start_many([Start(Nop, 0) for _ in range(30)], callback="told", until="all_completed")

    @transition("waiting", END, wait=True)
    async def told(self, end: Signal[Group[None]]) -> int:
        return end.data.canceled


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])  # BullMQ takes jobs as they come
async def test_others_are_not_delayed_behind_thousands_of_ends(stepwell_on: StepwellOn) -> None:
    """A run that starts while a large group executes ends long before the group does."""
    async with stepwell_on([Crowd, Nop, Quick], worker_concurrency=10) as stepwell:
        crowd = await stepwell.runner.run(Crowd, 1500, **ME)
        await reaches(stepwell.runner, crowd.workflow_id, "waiting")
        await gate.reached()
        gate.open()
        quick = await stepwell.runner.run(Quick, **ME)
        await quick.result()
        [child, *_] = (await stepwell.runner.list(parent_id=crowd.workflow_id, limit=1)).items
        progress = await stepwell.runner.group(child.group_id or "")
        assert progress.completed < 1400, "the run was claimed between the children"
        assert (await reaches(stepwell.runner, crowd.workflow_id, "completed")).result == 1500


class Nop(Workflow[int]):
    @transition(target=END)
    async def go(self) -> None:
        if self.args < 10:
            await gate.pass_through()


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Crowd(Workflow[int]):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start_many([Start(Nop, n) for n in range(self.args)], callback="told", until="all_completed")

    @transition("waiting", END, wait=True)
    async def told(self, end: Group[None]) -> int:
        return end.completed
