"""Groups of children at their limits: what is refused, what is left out, turns, keys, and what retention deletes (rule 53)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, HarnessOn, StepwellOn, counts, reaches, until
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, Concurrency, Group, Signal, Start, Workflow, transition
from stepwell.errors import StatelessError

gate = Gate()
begun: list[int] = []
told: list[Any] = []
asked: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    begun.clear()
    told.clear()
    asked.clear()
    Fails.good = False


class Child(Workflow[int, dict[str, Any], str]):
    @transition(target=END)
    async def work(self) -> str:
        begun.append(self.args)
        return "x" * asked.get("size", 1)


class Slow(Workflow[int, dict[str, Any], str], run_timeout=timedelta(minutes=5)):
    @transition(target="open")
    async def begin(self) -> None:
        begun.append(self.args)

    @transition("open", END, wait=True)
    async def answer(self, text: str) -> str:
        return text

    @transition("open", END, after=timedelta(minutes=4))
    async def give_up(self) -> str:
        return "late"


class Decision(BaseModel):
    note: str = ""


class Many(Workflow):
    """Asks for what the test says."""

    @transition(target="waiting")
    async def begin(self) -> None:
        given = {"callback": "told", "until": "all_ended", **asked.get("options", {})}
        self.state["children"] = await self.start_many(asked["starts"](), **given)
        if asked.get("waits"):
            await gate.pass_through()

    @transition("waiting", END, wait=True)
    async def told(self, end: Signal[Group[str]]) -> Any:
        told.append(end)
        count = 0
        async for item in self.children(end.data.group_id):
            assert item.index == count
            assert item.result == "x" * asked.get("size", 1)
            count += 1
        return count

    @transition("waiting", END, wait=True)
    async def decide(self, decision: Decision) -> None: ...


ALL = [Many, Child, Slow]


def starts(number: int, workflow: Any = Child, **options: Any) -> Callable[[], list[Start]]:
    return lambda: [Start(workflow, n, **options) for n in range(number)]


REFUSED = {
    "a mapping": ({"starts": dict}, "InvalidArgs", r"self.start_many({}): give a list of Start(workflow, args)"),
    "a generator": ({"starts": lambda: (one for one in [])}, "InvalidArgs", "give a list of Start(workflow, args)"),
    "no starts": ({"starts": lambda: [Child]}, "InvalidArgs", "starts[0] is"),
    "too many": (
        {"starts": lambda: [Start(Child, 1)] * 100_001},
        "InvalidArgs",
        "100,001 starts; a group has at most 100,000",
    ),
    "none at once": (
        {"options": {"max_in_flight": 0}},
        "InvalidArgs",
        "max_in_flight=0: give a whole number, 1 or more",
    ),
    "true at once": ({"options": {"max_in_flight": True}}, "InvalidArgs", "max_in_flight=True: give a whole number"),
    "until": (
        {"options": {"until": "all_ende"}},
        "InvalidArgs",
        "(until='all_ende'): it is one of 'each', 'all_ended'",
    ),
    "near": ({"options": {"until": "all_ende"}}, "InvalidArgs", "Did you mean 'all_ended'?"),
    "show": ({"options": {"show": "never"}}, "InvalidArgs", "self.start_many(show='never'): it is one of"),
    "end": ({"options": {"on_parent_end": "kill"}}, "InvalidArgs", "self.start_many(on_parent_end='kill')"),
    "meta": ({"options": {"meta": {"x": object()}}}, "InvalidArgs", "self.start_many(meta="),
    "label": ({"options": {"label": "a\0b"}}, "InvalidPayload", "self.start_many(label="),
    "callback": ({"options": {"callback": "nope"}}, "UnknownTransition", "no signal transition 'nope'"),
    "payload": (
        {"options": {"callback": "decide"}},
        "InvalidArgs",
        "self.start_many(callback='decide', until='all_ended'): Many.decide takes Decision, and is called once",
    ),
    "each": (
        {"options": {"until": "each"}},
        "InvalidArgs",
        "Many.told takes Group[str], and until='each' calls it once",
    ),
    "args": ({"starts": lambda: [Start(Child, 1), Start(Child, "no")]}, "InvalidArgs", "self.start_many: starts[1]: "),
    "workflow": ({"starts": lambda: [Start("chidl", 1)]}, "UnknownWorkflow", "starts[0]: The app 'shop' doesn't list"),
    "app": ({"starts": lambda: [Start(Child, 1, app_name="shpo")]}, "UnknownApp", "starts[0]: No app 'shpo'"),
    "workspace": (
        {"starts": lambda: [Start(Child, 1, workspace_id="0b6a3a5e-5d0c-5f0e-9c55-7a9f2f1f6f10")]},
        "WorkspaceNotFound",
        "No workspace '0b6a3a5e-5d0c-5f0e-9c55-7a9f2f1f6f10' of user 'u1'",
    ),
    "key": ({"starts": lambda: [Start(Child, 1, idempotency_key="event:1")]}, "InvalidArgs", "keys that begin with"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_is_refused_with_its_value_and_nothing_is_made(stepwell_on: StepwellOn, case: str) -> None:
    given, kind, text = REFUSED[case]
    asked.update({"starts": starts(1), **given})
    async with stepwell_on(ALL) as stepwell:
        run = await stepwell.runner.run(Many, **ME)
        failed = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert f"Many.begin: {kind}: " in (failed.error or "")
        assert text in (failed.error or "")
        assert "stepwell_groups" not in await counts(stepwell)
        assert len((await stepwell.runner.list()).items) == 1


async def test_a_stateless_run_has_no_groups(stepwell_on: StepwellOn) -> None:
    asked["starts"] = starts(1)
    async with stepwell_on(ALL) as stepwell:
        with pytest.raises(StatelessError, match=r"self\.start_many: a stateless run has no children"):
            await stepwell.runner.run_sync(Many, **ME, stateless=True)


@pytest.mark.parametrize(("number", "size", "told_"), [(1000, 1, 1000), (1001, 1, 0), (30, 2_000, 0)])
async def test_results_are_left_out_over_a_thousand_children_or_the_payload_limit(
    stepwell_on: StepwellOn, number: int, size: int, told_: int
) -> None:
    asked.update(starts=starts(number), size=size)
    most = 50_000 if size > 1 else 2**20
    async with stepwell_on(ALL, max_payload_bytes=most) as stepwell:
        run = await stepwell.runner.run(Many, **ME)
        done = await reaches(stepwell.runner, run.workflow_id, "completed")
        [end] = told
        assert (end.data.total, end.data.completed) == (number, number)
        assert (len(end.data.results), end.data.truncated) == (told_, told_ == 0)
        assert done.result == number, "self.children reads them all"
        assert [row.transition for row in await stepwell.runner.history(run.workflow_id)] == [None, "begin", "told"]


# -- keys -------------------------------------------------------------------------------------------------------------


async def test_a_key_leads_to_the_child_that_has_it(stepwell_on: StepwellOn) -> None:
    asked["starts"] = lambda: [
        Start(Child, 1, idempotency_key="a"),
        Start(Child, 2),
        Start(Child, 1, idempotency_key="a"),
    ]
    async with stepwell_on(ALL) as stepwell:
        run = await stepwell.runner.run(Many, **ME)
        done = await reaches(stepwell.runner, run.workflow_id, "completed")
        first, second, again = done.state["children"]
        assert first == again != second
        assert told[0].data.total == 2
        assert sorted(begun) == [1, 2]


async def test_a_key_of_the_parent_used_for_other_args_is_a_conflict(stepwell_on: StepwellOn) -> None:
    asked["starts"] = lambda: [Start(Child, 1, idempotency_key="a"), Start(Child, 2, idempotency_key="a")]
    async with stepwell_on(ALL) as stepwell:
        run = await stepwell.runner.run(Many, **ME)
        failed = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert "IdempotencyConflict: self.start_many: starts[1]: The idempotency key 'a'" in (failed.error or "")


@pytest.mark.parametrize("late", [False, True])
async def test_a_key_of_another_run_fails_the_attempt_also_if_it_comes_before_the_commit_only(
    stepwell_on: StepwellOn, late: bool
) -> None:
    asked.update(starts=lambda: [Start(Child, 2), Start(Child, 1, idempotency_key="a")], waits=late)
    async with stepwell_on(ALL) as stepwell:
        if not late:
            await stepwell.runner.run(Child, 1, **ME, idempotency_key="a")
        run = await stepwell.runner.run(Many, **ME)
        if late:
            await gate.reached()
            await stepwell.runner.run(Child, 1, **ME, idempotency_key="a")
            gate.open()
        failed = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert "IdempotencyConflict" in (failed.error or "")
        assert "belongs to run" in (failed.error or "")
        assert "stepwell_groups" not in await counts(stepwell)
        assert (await stepwell.runner.list(parent_id=run.workflow_id)).items == ()


class Once(Workflow[int], concurrency=Concurrency(1, holds="run", on_conflict="skip")):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def leave(self) -> None: ...


async def test_a_child_that_would_be_skipped_to_another_run_fails_the_attempt(stepwell_on: StepwellOn) -> None:
    asked.update(starts=lambda: [Start(Child, 1), Start(Once, 2)])
    async with stepwell_on([*ALL, Once]) as stepwell:
        first = await stepwell.runner.run(Once, 1, **ME)
        run = await stepwell.runner.run(Many, **ME)
        failed = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert "IdempotencyConflict" in (failed.error or "")
        assert first.workflow_id in (failed.error or "")
        assert "stepwell_groups" not in await counts(stepwell)


async def test_an_attempt_that_loses_its_run_leaves_no_children_and_no_group(stepwell_on: StepwellOn) -> None:
    asked.update(starts=starts(3), waits=True)
    async with stepwell_on(ALL) as stepwell:
        run = await stepwell.runner.run(Many, **ME)
        await gate.reached()
        await stepwell.runner.cancel(run.workflow_id)
        gate.open()
        await until(lambda: _nothing_executes(stepwell))
        assert "stepwell_groups" not in await counts(stepwell)
        assert len((await stepwell.runner.list()).items) == 1


async def _nothing_executes(stepwell: Any) -> bool:
    return not stepwell.process.passes.tasks


# -- turns ------------------------------------------------------------------------------------------------------------


async def test_delay_and_run_timeout_count_from_its_turn_on(harness_on: HarnessOn) -> None:
    asked.update(
        starts=starts(3, Slow, delay=timedelta(minutes=10)),
        options={"max_in_flight": 1, "until": "all_completed"},
        size=0,
    )
    async with harness_on(ALL) as harness:
        run = await harness.runner.run(Many, **ME)
        await harness.drain()
        for n in range(3):
            await harness.advance(timedelta(minutes=9, seconds=59))
            assert begun == [*range(n)]
            await harness.advance(timedelta(seconds=1))
            assert begun == [*range(n + 1)]
            child = (await run.get()).state["children"][n]
            assert (await harness.runner.get(child)).status == "waiting"
            await harness.runner.signal(child, "answer", "")
            await harness.drain()
        assert (await run.get()).result == 3


async def test_a_moment_stays_what_it_is_and_is_waited_for_at_its_turn(harness_on: HarnessOn) -> None:
    at = datetime(2026, 1, 5, 1, tzinfo=UTC)
    asked.update(starts=starts(2, Slow, at=at), options={"max_in_flight": 1}, size=0)
    async with harness_on(ALL) as harness:
        run = await harness.runner.run(Many, **ME)
        await harness.drain()
        assert begun == []
        await harness.advance(timedelta(hours=1))
        assert begun == [0]
        await harness.runner.signal((await run.get()).state["children"][0], "answer", "")
        await harness.drain()
        assert begun == [0, 1], "its moment had passed"


async def test_a_retried_child_waits_for_its_turn(stepwell_on: StepwellOn) -> None:
    asked.update(starts=lambda: [Start(Fails, n) for n in range(3)], options={"max_in_flight": 1, "until": "each"})
    async with stepwell_on([Fails, Parentless]) as stepwell:
        run = await stepwell.runner.run(Parentless, **ME)
        parent = await reaches(stepwell.runner, run.workflow_id, "waiting")
        first, second, _ = parent.state["children"]
        await reaches(stepwell.runner, first, "failed")
        await reaches(stepwell.runner, second, "waiting")
        Fails.good = True
        again = await stepwell.runner.retry(first)
        assert (again.status, again.ready_at) == ("retrying", None)
        group_id = again.group_id or ""

        async def held() -> bool:
            found = await stepwell.runner.group(group_id)
            assert found.running + found.waiting + found.pending + found.retrying == 1
            return found.held == 2

        await until(held)
        await stepwell.runner.signal(second, "go")
        await reaches(stepwell.runner, first, "completed")


class Fails(Workflow[int]):
    good = False

    @transition(target="open")
    async def begin(self) -> None:
        if self.args == 0 and not type(self).good:
            raise ValueError("not yet")

    def is_first(self) -> bool:
        return self.args == 0

    @transition("open", END, when=is_first)
    async def leave(self) -> None: ...

    @transition("open", END, wait=True)
    async def go(self) -> None: ...


class Parentless(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None:
        self.state["children"] = await self.start_many(asked["starts"](), **asked["options"])

    @transition("waiting", END, wait=True)
    async def leave(self) -> None: ...


# -- what is deleted --------------------------------------------------------------------------------------------------


async def test_retention_deletes_a_group_with_its_runs_and_none_of_them_before(harness_on: HarnessOn) -> None:
    asked.update(
        starts=lambda: [Start(Child, 0), Start(Slow, 1, delay=timedelta(days=20))], options={"on_parent_end": "abandon"}
    )
    async with harness_on(ALL, retention=timedelta(days=7)) as harness:
        run = await harness.runner.run(Many, **ME)
        await harness.drain()
        await harness.runner.cancel(run.workflow_id)
        await harness.advance(timedelta(days=10))

        async def left(names: set[str]) -> bool:
            # A look that finds the database's clock not confirmed yet deletes nothing: the next one does.
            await harness.advance(timedelta(minutes=1))
            found = {one.workflow_name for one in (await harness.runner.list()).items}
            tables = {"stepwell_groups", "stepwell_slots"} & (await counts(harness.stepwell)).keys()
            return found == names and bool(tables) == bool(names)

        await until(lambda: left({"child", "slow"}), "the end of the parent")
        await harness.advance(timedelta(days=11))
        for _ in range(3):
            assert len((await harness.runner.list()).items) == 2, "all of a group or none of it"
            await harness.advance(timedelta(minutes=1))
        await harness.advance(timedelta(days=7))
        await until(lambda: left(set()), "the end of the group")
