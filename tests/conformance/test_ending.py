"""What an attempt has begun is over before it is: forgotten calls, tasks that are left, clean-up after a stop (rule 52)."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, StepwellOn, reaches, until
from stepwell import END, Depends, Message, Retry, Workflow, transition
from stepwell.execution import scope

calls: list[Any] = []
kept: set[Any] = set()
gate = Gate()
SHORT = timedelta(seconds=0.06)
NOW = timedelta(0)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    kept.clear()
    gate.clear()


async def work() -> str:
    calls.append("worked")
    return "done"


class Child(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Forgets(Workflow[str]):
    @transition(target=END, retry=Retry(retries=1, delay=NOW))
    async def go(self) -> None:
        match self.args:
            case "step":
                self.step("it", work)
            case "start":
                self.start(Child, None)
            case "start_many":
                self.start_many([])
            case "emit":
                self.emit("said", {})
            case "save":
                self.documents.save(Message(role="app", text="x"))
            case "find":
                self.documents.find(Message)
            case "find_by_tag":
                self.documents.find_by_tag("x")
            case "all":
                self.documents.all()
            case "gather":
                asyncio.gather(self.step("it", work))
            case "task":
                self.kept = asyncio.create_task(self.step("it", work))
            case "task that waits":
                self.kept = asyncio.create_task(self.step("it", gate.pass_through))
                await gate.reached()
            case "deep inside a task":
                self.kept = asyncio.create_task(self.helper())
                await gate.reached()

    async def helper(self) -> None:
        await self.step("it", gate.pass_through)


VERBS = [
    ("step", "self.step('it')", "was never awaited: write `await self.step(...)`."),
    ("start", "self.start(Child)", "was never awaited: write `await self.start(...)`."),
    ("start_many", "self.start_many(list)", "was never awaited: write `await self.start_many(...)`."),
    ("emit", "self.emit('said')", "was never awaited: write `await self.emit(...)`."),
    ("save", "self.documents.save(Message)", "was never awaited: write `await self.documents.save(...)`."),
    ("find", "self.documents.find(Message)", "was never awaited: write `await self.documents.find(...)`."),
    (
        "find_by_tag",
        "self.documents.find_by_tag('x')",
        "was never awaited: write `await self.documents.find_by_tag(...)`.",
    ),
    ("all", "self.documents.all()", "was never awaited: write `await self.documents.all(...)`."),
    ("gather", "self.step('it')", "was not over when the method returned: await it, or cancel it."),
    ("task", "self.step('it')", "was not over when the method returned: await it, or cancel it."),
    ("task that waits", "self.step('it')", "was not over when the method returned: await it, or cancel it."),
    ("deep inside a task", "self.step('it')", "was not over when the method returned: await it, or cancel it."),
]


def line_of(text: str) -> int:
    lines, first = inspect.getsourcelines(Forgets)
    return first + next(n for n, line in enumerate(lines) if text in line)


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
@pytest.mark.parametrize(("case", "verb", "why"), VERBS)
async def test_a_call_that_is_never_awaited_fails_the_attempt_and_names_the_line(
    stepwell_on: StepwellOn, case: str, verb: str, why: str, stateless: bool
) -> None:
    async with stepwell_on([Forgets, Child]) as stepwell:
        done = await stepwell.runner.run_sync(Forgets, case, **ME, stateless=stateless)
        line = line_of("await self.step" if case == "deep inside a task" else f'case "{case}"')
        line += case != "deep inside a task"
        assert done.status == "failed"
        assert done.error == f"Forgets.go: TransitionFailed: {verb} at {__file__}:{line} {why}"
        assert len(done.documents) == 2  # an error for each of both attempts
        assert "worked" not in calls
        assert (gate.left, gate.cancelled) == (0, 2 * gate.arrivals // 2)


class Awaits(Workflow[str]):
    """Every way to await what a verb returns, and ways not to want it any more."""

    @transition(target=END)
    async def go(self) -> Any:
        match self.args:
            case "gather":
                return await asyncio.gather(self.step("a", work), self.step("b", work))
            case "task":
                return await asyncio.create_task(self.step("a", work))
            case "wait_for":
                return await asyncio.wait_for(self.step("a", work), 60)
            case "shield":
                return await asyncio.shield(self.step("a", work))
            case "group":
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(self.step("a", work))
                return task.result()
            case "later":
                step = self.step("a", work)
                await self.documents.save(Message(role="app", text="before"))
                return await step
            case "many":
                for n in range(600):
                    await self.step(str(n), work)
                return "many"
            case "cancelled":
                task = asyncio.create_task(self.step("a", gate.pass_through))
                await gate.reached()
                task.cancel()
                return "first"
            case "timed out":
                try:
                    await asyncio.wait_for(self.step("a", gate.pass_through), 0.01)
                except TimeoutError:
                    return "late"
            case "closed":
                self.step("a", work).close()
                return "closed"
        return None


@pytest.mark.parametrize(
    ("case", "result"),
    [
        ("gather", ["done", "done"]),
        ("task", "done"),
        ("wait_for", "done"),
        ("shield", "done"),
        ("group", "done"),
        ("later", "done"),
        ("many", "many"),
        ("cancelled", "first"),
        ("timed out", "late"),
        ("closed", "closed"),
    ],
)
async def test_however_a_call_is_awaited_it_counts(stepwell_on: StepwellOn, case: str, result: Any) -> None:
    async with stepwell_on([Awaits]) as stepwell:
        done = await stepwell.runner.run_sync(Awaits, case, **ME)
        assert (done.status, done.result, done.error) == ("completed", result, None)


class InThreads(Workflow[str]):
    @transition(target=END)
    def go(self) -> None:
        match self.args:
            case "step":
                self.step("it", work)
            case "start":
                self.start(Child, None)
            case "emit":
                self.emit("said")
            case "save":
                self.documents.save(Message(role="app", text="x"))
            case "find":
                self.documents.find(Message)
            case "loop":
                asyncio.run(self.async_())

    async def async_(self) -> None:
        await self.documents.save(Message(role="app", text="x"))


@pytest.mark.parametrize(
    ("case", "verb"),
    [
        ("step", "step"),
        ("start", "start"),
        ("emit", "emit"),
        ("save", "documents.save"),
        ("find", "documents.find"),
        ("loop", "documents.save"),
    ],
)
async def test_in_a_plain_def_a_verb_raises_at_the_call(stepwell_on: StepwellOn, case: str, verb: str) -> None:
    async with stepwell_on([InThreads, Child]) as stepwell:
        done = await stepwell.runner.run_sync(InThreads, case, **ME)
        assert done.status == "failed"
        assert f"self.{verb}: 'go' calls it in a thread, where it can't be awaited. Write `async def`" in (
            done.error or ""
        )
        assert [one.name for one in done.documents] == ["error"]


def forgets(workflow: Any) -> bool:
    workflow.documents.save(Message(role="app", text="x"))
    return True


class Guarded(Workflow):
    @transition(target=END, when=forgets)
    async def go(self) -> None: ...


async def test_a_guard_that_forgets_to_await_is_a_failed_attempt_too(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Guarded]) as stepwell:
        done = await stepwell.runner.run_sync(Guarded, **ME)
        assert "Guarded.go: TransitionFailed: self.documents.save(Message) at " in (done.error or "")


# -- tasks that are left --------------------------------------------------------------------------------------------


async def slow_to_go() -> None:
    calls.append("began")
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(20):
            await asyncio.sleep(0)
        calls.append("over")


class Leaves(Workflow[str]):
    @transition(target=END, retry=Retry(retries=1, delay=NOW))
    async def go(self) -> str:
        calls.append("attempt")
        if self.info.attempt == 2:
            return "done"
        match self.args:
            case "gather of steps":
                await asyncio.gather(self.step("a", slow_to_go), self.step("b", breaks))
            case "a step's task":
                self.kept = asyncio.create_task(self.step("a", slow_to_go))
                await began()
            case "a task":
                self.kept = asyncio.create_task(slow_to_go())
                await began()
            case "a task of a task":
                self.kept = asyncio.create_task(makes_another())
                await began()
            case "shield":
                await asyncio.gather(asyncio.shield(self.step("a", slow_to_go)), self.step("b", breaks))
        raise ValueError("no")


async def began() -> None:
    while "began" not in calls:
        await asyncio.sleep(0)


async def breaks() -> None:
    await began()
    raise ValueError("no")


async def makes_another() -> None:
    kept.add(asyncio.create_task(slow_to_go()))


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
@pytest.mark.parametrize("case", ["gather of steps", "a step's task", "a task", "a task of a task", "shield"])
async def test_no_retry_runs_beside_tasks_of_the_attempt_before(
    stepwell_on: StepwellOn, case: str, stateless: bool
) -> None:
    async with stepwell_on([Leaves]) as stepwell:
        done = await stepwell.runner.run_sync(Leaves, case, **ME, stateless=stateless)
        assert done.result == "done"
        assert calls == ["attempt", "began", "over", "attempt"]


class Quiet(Workflow):
    @transition(target="then")
    async def first(self) -> None:
        self.kept = asyncio.create_task(slow_to_go())
        await began()

    @transition("then", END)
    async def second(self) -> None:
        calls.append("second")


async def test_a_tasks_clean_up_is_over_before_the_next_transition_begins(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Quiet]) as stepwell:
        done = await stepwell.runner.run_sync(Quiet, **ME)
        assert (done.status, calls) == ("completed", ["began", "over", "second"])


class Outlives(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        kept.add(asyncio.create_task(gate.pass_through(), context=contextvars.Context()))
        await gate.reached()


async def test_a_task_in_a_context_of_its_own_is_left_alone(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Outlives]) as stepwell:
        done = await stepwell.runner.run_sync(Outlives, **ME)
        assert (done.status, gate.cancelled) == ("completed", 0)
        gate.open()
        await asyncio.gather(*kept)


class Inner(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        await gate.pass_through()
        return "inner"


inner: list[Any] = []


class Outer(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        result = await inner[0].runner.run_sync(Inner, **ME, timeout=0.01)
        assert result.status == "running"
        return result.workflow_id or ""


class Connects(Workflow[str, None, str]):
    """Uses a client that begins a task of its own at its first use."""

    @transition(target=END)
    async def go(self) -> str:
        task = asyncio.create_task(poll())
        kept.add(task)
        await asyncio.sleep(0)
        if self.args == "cancelled":
            task.cancel()
        if self.args == "fails":
            raise ValueError("no")
        return "done"


async def poll() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("case", "warned"), [("left", True), ("cancelled", False), ("fails", False)])
async def test_a_task_that_a_method_leaves_behind_is_told_with_the_cure(
    stepwell_on: StepwellOn, caplog: pytest.LogCaptureFixture, case: str, warned: bool
) -> None:
    async with stepwell_on([Connects]) as stepwell:
        await stepwell.runner.run_sync(Connects, case, **ME)
    told = [
        record.getMessage()
        for record in caplog.records
        if record.levelname == "WARNING" and "poll" in record.getMessage()
    ]
    assert [("go of run" in text, "create_task(..., context=" in text) for text in told] == [(True, True)] * warned
    assert all(task.cancelled() for task in kept)


async def test_a_run_that_a_method_starts_isnt_a_task_of_its_attempt(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Outer, Inner]) as stepwell:
        inner[:] = [stepwell]
        done = await stepwell.runner.run_sync(Outer, **ME)
        gate.open()
        await reaches(stepwell.runner, done.result, "completed")
        assert gate.cancelled == 0


class CancelsItself(Workflow[str]):
    @transition(target=END)
    async def go(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("my own")
        if self.args == "awaits":
            await asyncio.sleep(0)


@pytest.mark.parametrize("case", ["awaits", "returns"])
async def test_a_method_that_cancels_its_own_task_is_one_failed_attempt(stepwell_on: StepwellOn, case: str) -> None:
    async with stepwell_on([CancelsItself]) as stepwell:
        async with asyncio.timeout(60):
            done = await stepwell.runner.run_sync(CancelsItself, case, **ME)
        assert done.error == (
            "CancelsItself.go: CancelledError: my own (it was cancelled from within: something that it awaited was cancelled)"
        )


# -- time to clean up -----------------------------------------------------------------------------------------------


class Cleans(Workflow):
    @transition(target=END, timeout=SHORT, retry=Retry(retries=1, delay=NOW))
    async def go(self) -> str:
        if self.info.attempt == 2:
            calls.append("again")
            return "done"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            calls.append("cancelled")
            raise
        finally:
            calls.append("cleaning")
            await gate.pass_through()
            calls.append("cleaned")
        return "never"


async def test_after_a_timeout_the_clean_up_comes_to_its_end_before_the_retry(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope, "AGAIN", 0.01)
    async with stepwell_on([Cleans]) as stepwell:
        run = await stepwell.runner.run(Cleans, **ME)
        await gate.reached()
        await asyncio.sleep(0.1)  # longer than what lies between further cancellations
        assert (calls, gate.cancelled) == (["cancelled", "cleaning"], 0)
        gate.open()
        assert await run.result(60) == "done"
        assert calls == ["cancelled", "cleaning", "cleaned", "again"]


async def test_a_clean_up_that_takes_too_long_is_interrupted(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Cleans], cleanup_seconds=0.05) as stepwell:
        run = await stepwell.runner.run(Cleans, **ME)
        assert await run.result(60) == "done"
        assert (calls, gate.cancelled) == (["cancelled", "cleaning", "again"], 1)


class WritesLate(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        try:
            calls.append("began")
            await asyncio.Event().wait()
        finally:
            await gate.pass_through()
            self.state["late"] = True
            await self.documents.save(Message(role="app", text="late"))
            try:
                await self.step("late", work)
            except BaseException as error:
                calls.append(type(error).__name__)
                raise
        return "never"


async def test_a_cancelled_runs_clean_up_runs_and_can_store_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([WritesLate]) as stepwell:
        run = await stepwell.runner.run(WritesLate, **ME)

        async def under_way() -> bool:
            return "began" in calls

        await until(under_way)
        await stepwell.runner.cancel(run.workflow_id)
        await gate.reached()
        gate.open()

        async def refused() -> bool:
            return "LeaseLost" in calls

        await until(refused)
        assert gate.cancelled == 0
        found = await stepwell.runner.get(run.workflow_id)
        assert (found.status, found.state) == ("canceled", {})
        assert await stepwell.runner.documents(run.workflow_id) == []


class Repeats(Workflow):
    @transition(target=END, timeout=SHORT)
    async def go(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await gate.pass_through()


async def test_further_reasons_dont_interrupt_a_clean_up(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Repeats]) as stepwell:
        run = await stepwell.runner.run(Repeats, **ME)
        await gate.reached()
        await stepwell.runner.cancel(run.workflow_id)
        assert stepwell.process is not None
        for _ in range(3):
            stepwell.process.passes.stop(run.workflow_id, "lost")
            await asyncio.sleep(0)
        assert gate.cancelled == 0
        gate.open()

        async def over() -> bool:
            return stepwell.process is not None and not stepwell.process.passes.tasks

        await until(over)
        assert gate.left == 1


class LeavesThread(Workflow[str]):
    @transition(target=END, timeout=SHORT)
    async def go(self) -> None:
        await self.step("it", hangs)


released = threading.Event()


def hangs() -> None:
    calls.append("thread")
    released.wait(120)


async def test_what_cant_be_stopped_isnt_told_as_stopped(stepwell_on: StepwellOn) -> None:
    released.clear()
    async with stepwell_on([LeavesThread]) as stepwell:
        done = await stepwell.runner.run_sync(LeavesThread, "x", **ME)
        assert done.error == (
            "LeavesThread.go: TransitionTimeout: it took longer than 0.06 s. A thread can't be stopped: hangs may still "
            "be running in one, and its result is discarded"
        )
        released.set()


class Tidy(Workflow[None, dict[str, int]]):
    """What a correct program does."""

    @transition(target="then", when=lambda self: True)
    async def go(self) -> None:
        self.state["n"] = 1

    @transition("then", END)
    def blocks(self) -> None:
        calls.append(self.state["n"])


async def test_tasks_are_looked_for_only_where_something_is_left(
    stepwell_on: StepwellOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*given: Any) -> Any:
        raise AssertionError("every task of the loop was looked at")

    monkeypatch.setattr("stepwell.execution.begun.asyncio.all_tasks", looked)
    async with stepwell_on([Tidy]) as stepwell:
        done = await stepwell.runner.run_sync(Tidy, **ME)
        assert (done.status, calls) == ("completed", [1])


def sync_resource() -> Any:
    try:
        yield "open"
    finally:
        calls.append("closed")


class Holds(Workflow[str]):
    @transition(target=END)
    async def go(self, held: Any = Depends(sync_resource)) -> None:  # noqa: B008
        if self.args == "exits":
            raise SystemExit(3)
        await gate.pass_through()


@pytest.mark.parametrize("case", ["exits", "is cancelled"])
async def test_a_dependency_is_cleaned_up_however_the_method_ends(stepwell_on: StepwellOn, case: str) -> None:
    async with stepwell_on([Holds]) as stepwell:
        run = await stepwell.runner.run(Holds, case, **ME)
        if case == "is cancelled":
            await gate.reached()
            await stepwell.runner.cancel(run.workflow_id)

        async def closed() -> bool:
            return "closed" in calls

        await until(closed)
        await reaches(stepwell.runner, run.workflow_id, "failed" if case == "exits" else "canceled")


def swallows() -> Any:
    try:
        yield "given"
    except ValueError:
        calls.append("swallowed")


class Swallowed(Workflow):
    @transition(target=END)
    async def go(self, given: Any = Depends(swallows)) -> None:  # noqa: B008
        raise ValueError("my own")


async def test_a_dependency_that_swallows_a_failure_doesnt_hide_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Swallowed]) as stepwell:
        done = await stepwell.runner.run_sync(Swallowed, **ME)
        assert (done.error, calls) == ("Swallowed.go: ValueError: my own", ["swallowed"])
