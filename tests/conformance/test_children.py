"""Children: one commit with their parent, told once, ended with it (rules 17 to 19)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, HarnessOn, StepwellOn, counts, reaches, until
from everywhere import backend  # noqa: F401 - on each of them
from stepwell import END, Link, Retry, Signal, Workflow, transition

gate = Gate()
calls: list[Any] = []
other = Gate()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()
    other.clear()
    calls.clear()


class What(BaseModel):
    case: str = ""
    show: str = "inline"
    on_parent_end: str | None = None


class Answer(BaseModel):
    n: int


class Child(Workflow[What]):
    @transition(target=END)
    async def work(self) -> Any:
        calls.append(("child", self.info.user_id, self.info.workspace_id))
        match self.args.case:
            case "fails":
                raise ValueError("child down")
            case "misfit":
                return {"n": "many"}
            case "waits":
                await gate.pass_through()
        return {"n": 5}


class Parks(Workflow[What]):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self) -> Any:
        return {"n": 1}


class Envelope(Workflow[What]):
    @transition(target="waiting")
    async def begin(self) -> None:
        workflow = Parks if self.args.case == "parks" else Child
        self.state["child"] = await self.start(
            workflow,
            self.args,
            callback="done",
            show=self.args.show,  # type: ignore[arg-type]
            label="The work",
            meta={"part": 1},
            on_parent_end=self.args.on_parent_end,  # type: ignore[arg-type]
        )

    @transition("waiting", END, wait=True)
    async def done(self, answer: Signal[Answer]) -> Any:
        calls.append("told")
        return [
            answer.failed,
            answer.status,
            answer.data and answer.data.n,
            answer.meta,
            answer.error,
            answer.workflow_id,
        ]

    @transition("waiting", END, wait=True)
    async def give_up(self) -> str:
        return "gave up"


class Bare(Workflow[What]):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start(Child, self.args, callback="done")

    @transition("waiting", END, wait=True)
    async def done(self, answer: Answer) -> int:
        return answer.n


class Routed(Workflow[What]):
    @transition(target="waiting")
    async def begin(self) -> None:
        await self.start(Child, self.args, callback="done")

    @transition("waiting", END, wait=True, error_place="sad")
    async def done(self, answer: Signal[Answer]) -> str:
        return "happy"

    @transition("sad", END)
    async def mourn(self) -> str:
        return "sad"


class Again(Workflow[What]):
    """Starts a new child for one that failed."""

    @transition(target="starting")
    async def begin(self) -> None: ...

    @transition("starting", "waiting")
    async def start_one(self) -> None:
        calls.append("start")
        good = len([call for call in calls if call == "start"]) > 1
        await self.start(Child, {"case": "" if good else "fails"}, callback="done")

    @transition("waiting", END, wait=True, retry=Retry(retries=1, delay=timedelta(0)), retry_target="starting")
    async def done(self, answer: Answer) -> int:
        return answer.n


ALL = [Child, Parks, Envelope, Bare, Routed, Again]


async def test_a_childs_end_comes_back_with_result_and_meta(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Envelope, **ME)
        result = await handle.result(60)
        run = await handle.get()
        assert result == [False, "completed", 5, {"part": 1}, None, run.state["child"]]
        child = await stepwell.runner.get(run.state["child"])
        assert (child.parent_id, child.status) == (run.workflow_id, "completed")
        assert calls[0] == ("child", "u1", run.workspace_id)
        assert [one.workflow_id for one in (await stepwell.runner.list(parent_id=run.workflow_id)).items] == [
            child.workflow_id
        ]


async def test_an_envelope_learns_of_failure_and_the_parent_is_told_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Envelope, {"case": "fails"}, **ME)
        failed, status, data, meta, error, child = await handle.result(60)
        assert (failed, status, data, meta) == (True, "failed", None, {"part": 1})
        assert error == "Child.work: ValueError: child down"
        assert (await stepwell.runner.get(child)).status == "failed", "how it ended stays to be seen"


class Keeps(Workflow):
    """Is told again and again, if anybody does."""

    @transition(target="open")
    async def begin(self) -> None:
        self.state["child"] = await self.start(Child, {"case": "fails"}, callback="done")

    @transition("open", "open", wait=True)
    async def done(self, answer: Signal[Answer]) -> None:
        calls.append("told")

    @transition("open", END, wait=True)
    async def stop(self) -> None: ...


async def test_fault_05_a_child_that_is_retried_tells_nobody_again(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Keeps, Child]) as stepwell:
        handle = await stepwell.runner.run(Keeps, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "waiting", version=2)
        for version in (2, 3):
            await stepwell.runner.retry(run.state["child"])
            await reaches(stepwell.runner, run.state["child"], "failed", version=version)
        assert (await counts(stepwell))["stepwell_signals"] == 1
        assert calls.count("told") == 1
        await handle.signal("stop")
        await handle.result(60)


async def test_fault_09_a_canceled_child_looks_canceled(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Envelope, {"case": "waits"}, **ME)
        await gate.reached()
        [child] = (await stepwell.runner.list(workflow=Child)).items
        await stepwell.runner.cancel(child.workflow_id, reason="enough")
        failed, status, data, _, error, _ = await handle.result(60)
        assert (failed, status, data, error) == (True, "canceled", None, "canceled: enough")


@pytest.mark.parametrize("case", ["fails", "misfit"])
async def test_a_failed_child_or_a_misfit_fails_a_bare_payload_without_a_retry(
    stepwell_on: StepwellOn, case: str
) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Bare, {"case": case}, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "failed", "waiting")
        assert (run.error or "").startswith("Bare.done: ")
        assert ("child down" if case == "fails" else "'many'") in (run.error or "")


async def test_a_failed_child_takes_the_error_place(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Routed, {"case": "fails"}, **ME)
        assert await handle.result(60) == "sad"


async def test_retry_target_brings_a_new_child(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Again, **ME)
        assert await handle.result(60) == 5
        assert calls.count("start") == 2


@pytest.mark.parametrize("show", ["inline", "link", "hidden"])
async def test_visible_children_leave_a_link_in_their_parent(stepwell_on: StepwellOn, show: str) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Envelope, {"show": show}, **ME)
        await handle.result(60)
        links = [one.content for one in await stepwell.runner.documents(handle.workflow_id) if one.name == "link"]
        child = (await handle.get()).state["child"]
        expected = [] if show == "hidden" else [{"label": "The work", "workflow_id": child, "show": show}]
        assert links == expected
        assert Link(**expected[0]) if expected else True


@pytest.mark.parametrize(
    ("on_parent_end", "how", "status"),
    [
        (None, "cancel", "canceled"),
        ("cancel", "cancel", "canceled"),
        ("cancel", "complete", "canceled"),
        (None, "complete", "canceled"),
        ("abandon", "cancel", "waiting"),
        ("abandon", "complete", "waiting"),
    ],
)
async def test_on_parent_end_says_what_becomes_of_a_child(
    stepwell_on: StepwellOn, on_parent_end: str | None, how: str, status: str
) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Envelope, {"case": "parks", "on_parent_end": on_parent_end}, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "waiting")
        await reaches(stepwell.runner, run.state["child"], "waiting")
        if how == "cancel":
            await handle.cancel()
        else:
            await handle.signal("give_up")
            await handle.result(60)
        child = await reaches(stepwell.runner, run.state["child"], status)
        if status == "canceled":
            assert handle.workflow_id in (child.error or "")
        else:
            await stepwell.runner.signal(child.workflow_id, "answer")
            await stepwell.runner.handle(child.workflow_id).result(60)
            assert "told" not in calls


async def test_a_parent_that_fails_leaves_its_children(stepwell_on: StepwellOn) -> None:
    class FailsThen(Workflow):
        @transition(target="next")
        async def begin(self) -> None:
            self.state["child"] = await self.start(Parks, callback="done", on_parent_end="cancel")

        @transition("next", "waiting")
        async def fail(self) -> None:
            raise ValueError

        @transition("waiting", END, wait=True)
        async def done(self) -> None: ...

    async with stepwell_on([*ALL, FailsThen]) as stepwell:
        handle = await stepwell.runner.run(FailsThen, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "failed")
        child = await reaches(stepwell.runner, run.state["child"], "waiting")
        await stepwell.runner.signal(child.workflow_id, "answer")
        await stepwell.runner.handle(child.workflow_id).result(60)
        assert (await handle.get()).status == "failed"


class Tree(Workflow[int]):
    @transition(target="waiting")
    async def begin(self) -> None:
        if self.args:
            await self.start(Tree, self.args - 1, callback="done")
        else:
            await other.pass_through()

    @transition("waiting", END, wait=True)
    async def done(self) -> None: ...


async def test_fault_09_canceling_reaches_children_of_children_and_stops_what_they_execute(
    stepwell_on: StepwellOn,
) -> None:
    async with stepwell_on([Tree]) as stepwell:
        handle = await stepwell.runner.run(Tree, 3, **ME)
        await other.reached()
        await handle.cancel()

        async def all_canceled() -> bool:
            return {run.status for run in (await stepwell.runner.list()).items} == {"canceled"}

        await until(all_canceled)
        assert len((await stepwell.runner.list()).items) == 4

        async def stopped() -> int:
            return other.cancelled

        await until(stopped)
        assert other.left == 0


class Careless(Workflow[What]):
    @transition(target=END, retry=Retry(retries=1, delay=timedelta(0)))
    async def begin(self) -> str:
        child = await self.start(Child)
        if self.args.case == "fails" or self.info.attempt == 1:
            raise ValueError("after the start")
        return child


@pytest.mark.parametrize(("case", "children"), [("", 1), ("fails", 0)])
async def test_fault_04_a_child_exists_with_its_parents_checkpoint_only(
    stepwell_on: StepwellOn, case: str, children: int
) -> None:
    async with stepwell_on([Careless, Child]) as stepwell:
        done = await stepwell.runner.run_sync(Careless, {"case": case}, **ME)
        found = (await stepwell.runner.list(workflow=Child)).items
        assert [one.workflow_id for one in found] == ([done.result] if children else [])
        links = [one for one in done.documents if one.name == "link"]
        assert len(links) == children


async def test_fault_05_a_parent_that_was_away_is_told_when_it_is_back(stepwell_on: StepwellOn) -> None:
    async with stepwell_on(ALL) as stepwell:
        handle = await stepwell.runner.run(Envelope, {"case": "waits"}, **ME)
        await gate.reached()
        await reaches(stepwell.runner, handle.workflow_id, "waiting")
        gate.open()
        await handle.result(60)
        assert calls.count("told") == 1


async def test_a_callback_that_isnt_a_signal_transition_is_refused(stepwell_on: StepwellOn) -> None:
    class Wrong(Workflow):
        @transition(target=END)
        async def begin(self) -> None:
            await self.start(Child, callback="begin")

    async with stepwell_on([Wrong, Child]) as stepwell:
        done = await stepwell.runner.run_sync(Wrong, **ME)
        assert "UnknownTransition: Wrong has no signal transition 'begin'" in (done.error or "")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("nowhere", None, {}), "UnknownWorkflow"),
        ((Child, {"case": 7}, {}), "InvalidArgs"),
        ((Child, None, {"show": "loud"}), "'loud'"),
        ((Child, None, {"on_parent_end": "kill"}), "'kill'"),
        ((Child, None, {"meta": {"x": object()}}), "meta"),
    ],
    ids=["workflow", "args", "show", "on_parent_end", "meta"],
)
async def test_a_child_that_cant_be_started_fails_the_attempt(stepwell_on: StepwellOn, given: Any, text: str) -> None:
    workflow, args, more = given

    class Starts(Workflow):
        @transition(target=END)
        async def begin(self) -> None:
            await self.start(workflow, args, **more)

    async with stepwell_on([Starts, Child]) as stepwell:
        done = await stepwell.runner.run_sync(Starts, **ME)
        assert done.status == "failed"
        assert text in (done.error or "")
        assert len((await stepwell.runner.list()).items) == 1


async def test_children_run_while_their_parent_waits_out_a_retry(harness_on: HarnessOn) -> None:
    async with harness_on(ALL) as harness:
        handle = await harness.runner.run(Envelope, **ME)
        await harness.drain()
        assert (await handle.result(60))[1] == "completed"


class Counts(Workflow[int, int, int]):
    """The counting loop of docs/children.md: two transitions for each end, one of them automatic."""

    @transition(target="counted")
    async def begin(self) -> None:
        for _ in range(self.args):
            await self.start(Child, What(), callback="done", show="hidden")
        self.state = 0

    @transition("waiting", "counted", wait=True)
    async def done(self, answer: Signal[Answer]) -> None:
        self.state += 1

    def more(self) -> bool:
        return self.state < self.args

    @transition("counted", "waiting", when=more, priority=1)
    async def wait(self) -> None: ...

    @transition("counted", END)
    async def close(self) -> int:
        return self.state


@pytest.mark.parametrize("children", [0, 60])
async def test_any_number_of_children_can_be_counted(stepwell_on: StepwellOn, children: int) -> None:
    gate.open()
    other.open()
    async with stepwell_on([Counts, Child], max_transitions_per_pass=3) as stepwell:
        handle = await stepwell.runner.run(Counts, children, **ME)
        assert await handle.result(60) == children
