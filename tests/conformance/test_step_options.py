"""`Step(...)`: tries, time limits, `once` and its marker, on both databases (rule 61)."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import ME, Gate, HarnessOn, StepwellOn, buried, counts, die, reaches
from stepwell import END, START, NonRetryable, Retry, Step, Workflow, transition
from stepwell.errors import DefinitionError, StatelessError, StepTimeout, StepUnknown

calls: list[Any] = []
gate = Gate()
AGAIN = Retry(retries=3, delay=timedelta(0))


@pytest.fixture(autouse=True)
def _nothing_happened() -> None:
    calls.clear()
    gate.clear()


async def flaky(fails: int, name: str = "flaky") -> int:
    calls.append(name)
    if calls.count(name) <= fails:
        raise OSError(f"no {calls.count(name)}")
    return calls.count(name)


class Tried(Workflow[dict[str, int]]):
    @transition(target=END)
    async def go(self) -> int:
        calls.append("go")
        step = Step("fetch", retry=Retry(retries=2, delay=timedelta(seconds=20)))
        return await self.step(step, flaky, self.args["fails"])


async def test_a_step_is_tried_again_within_the_attempt(harness_on: HarnessOn) -> None:
    async with harness_on([Tried]) as harness:
        run = await harness.runner.run(Tried, {"fails": 2}, **ME)
        await harness.drain()
        assert calls == ["go", "flaky"], "its second try waits for its delay"
        await harness.advance(timedelta(seconds=20))
        await harness.advance(timedelta(seconds=30))
        assert (await harness.runner.get(run.workflow_id)).result == 3
        assert calls == ["go", *["flaky"] * 3]
        [row] = (await harness.runner.steps(run.workflow_id)).items
        assert (row.name, row.transition, row.attempts, row.status, row.value) == ("fetch", "go", 3, "completed", 3)
        assert row.finished_at is not None
        assert row.finished_at - row.started_at == timedelta(seconds=50)
        assert (row.error, row.undone_at) == (None, None)


async def test_the_last_failure_of_a_step_fails_the_attempt_and_is_shown(harness_on: HarnessOn) -> None:
    async with harness_on([Tried]) as harness:
        run = await harness.runner.run(Tried, {"fails": 9}, **ME)
        await harness.advance(timedelta(minutes=5))
        stored = await harness.runner.get(run.workflow_id)
        assert (stored.status, stored.error) == ("failed", "Tried.go: OSError: no 3")
        [row] = (await harness.runner.steps(run.workflow_id)).items
        assert (row.status, row.attempts, row.value, row.error) == ("failed", 3, None, "OSError: no 3")
        await harness.runner.retry(run.workflow_id)
        await harness.advance(timedelta(minutes=5))
        assert len(calls) == 2 * 4, "tries are counted per attempt"


class Long(Workflow[dict[str, float], None, int]):
    """The delay is longer than a step may wait, or than the transition has time."""

    @transition(target=END, timeout=timedelta(seconds=30))
    async def go(self) -> int:
        step = Step(
            "fetch", retry=Retry(retries=2, delay=timedelta(seconds=self.args["delay"]), max_delay=timedelta(days=1))
        )
        return await self.step(step, flaky, 1)


@pytest.mark.parametrize("delay", [61, 31], ids=["over a minute", "no time left"])
async def test_a_delay_without_room_fails_the_attempt_instead(stepwell_on: StepwellOn, delay: float) -> None:
    async with stepwell_on([Long]) as stepwell:
        run = await stepwell.runner.run(Long, {"delay": delay}, **ME)
        assert (await reaches(stepwell.runner, run.workflow_id, "failed")).error == "Long.go: OSError: no 1"
        assert calls == ["flaky"]


class Hopeless(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        async def stolen() -> None:
            calls.append("stolen")
            raise NonRetryable("the card was stolen")

        await self.step(Step("pay", retry=AGAIN), stolen)


async def test_an_error_that_no_retry_can_help_is_not_tried_again(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Hopeless]) as stepwell:
        run = await stepwell.runner.run(Hopeless, **ME)
        await reaches(stepwell.runner, run.workflow_id, "failed")
        assert calls == ["stolen"]


# -- timeout ----------------------------------------------------------------------------------------------------------


class Slow(Workflow[dict[str, Any]]):
    @transition(target=END)
    async def go(self) -> Any:
        async def endless() -> str:
            calls.append("began")
            if len(calls) > self.args["endless"]:
                return "quick"
            try:
                await asyncio.Event().wait()
            finally:
                calls.append("cleaned up")
            return "never"

        step = Step("wait", timeout=timedelta(milliseconds=20), retry=AGAIN if self.args.get("retry") else None)
        if self.args.get("gather"):
            return (await asyncio.gather(self.step(step, endless), self.step("other", flaky, 0)))[0]
        try:
            return await self.step(step, endless)
        except StepTimeout as error:
            if self.args.get("caught"):
                return str(error)
            raise


async def test_a_try_beyond_its_time_is_stopped(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Slow]) as stepwell:
        run = await stepwell.runner.run(Slow, {"endless": 9}, **ME)
        stored = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert stored.error == "Slow.go: StepTimeout: the step 'wait' took longer than 0.02 s"
        assert calls == ["began", "cleaned up"]


async def test_each_try_has_the_whole_time_and_a_timeout_may_be_tried_again(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Slow]) as stepwell:
        run = await stepwell.runner.run(Slow, {"endless": 3, "retry": True}, **ME)
        assert await run.result(timeout=60) == "quick"
        [row] = (await stepwell.runner.steps(run.workflow_id)).items
        assert (row.attempts, row.status) == (3, "completed")


@pytest.mark.parametrize("how", ["caught", "gather"])
async def test_a_timeout_of_a_step_leaves_the_transition_alone(stepwell_on: StepwellOn, how: str) -> None:
    async with stepwell_on([Slow]) as stepwell:
        endless = 9 if how == "caught" else 1
        run = await stepwell.runner.run(Slow, {"endless": endless, how: True, "retry": how == "gather"}, **ME)
        expected = "the step 'wait' took longer than 0.02 s" if how == "caught" else "quick"
        assert await run.result(timeout=60) == expected


release = threading.Event()


def stuck() -> str:
    calls.append("thread")
    release.wait(60)
    return "late"


class Threaded(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        return await self.step(Step("stuck", timeout=timedelta(milliseconds=20)), stuck)


async def test_a_thread_that_takes_too_long_is_told(stepwell_on: StepwellOn) -> None:
    release.clear()
    try:
        async with stepwell_on([Threaded]) as stepwell:
            run = await stepwell.runner.run(Threaded, **ME)
            stored = await reaches(stepwell.runner, run.workflow_id, "failed")
            assert "the step 'stuck' took longer than 0.02 s. A thread can't be stopped" in (stored.error or "")
            release.set()
    finally:
        release.set()


# -- once -------------------------------------------------------------------------------------------------------------


class Once(Workflow[dict[str, Any]]):
    @transition(target=END, retry=Retry(retries=2, delay=timedelta(0), on=(OSError,)))
    async def go(self) -> Any:
        async def charge() -> str:
            calls.append("charge")
            if self.args.get("waits"):
                await gate.pass_through()
            if self.args.get("raises"):
                raise OSError("no answer")
            return "charged"

        try:
            found = await self.step(Step("charge", once=True), charge)
        except StepUnknown:
            if not self.args.get("asks"):
                raise
            return "asked the service"
        if self.args.get("fails") and self.info.attempt == 1:
            raise OSError("later")
        return found


async def test_once_keeps_its_value(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Once]) as stepwell:
        run = await stepwell.runner.run(Once, {"fails": True}, **ME)
        assert await run.result(timeout=60) == "charged"
        assert calls == ["charge"]
        assert (await counts(stepwell))["stepwell_steps"] == 1, "the marker and the value are one row"


async def test_what_raised_once_is_not_called_again(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Once]) as stepwell:
        run = await stepwell.runner.run(Once, {"raises": True}, **ME)
        stored = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert calls == ["charge"]
        assert (stored.error or "").startswith("Once.go: StepUnknown: the step 'charge' was begun before")
        [row] = (await stepwell.runner.steps(run.workflow_id)).items
        assert (row.status, row.value) == ("unknown", None)
        await stepwell.runner.retry(run.workflow_id)
        await reaches(stepwell.runner, run.workflow_id, "failed", version=stored.version + 1)
        assert calls == ["charge"], "a retry by hand is in the same visit"


async def test_a_method_may_go_on_without_knowing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Once]) as stepwell:
        run = await stepwell.runner.run(Once, {"raises": True, "asks": True}, **ME)
        assert await run.result(timeout=60) == "asked the service"
        assert calls == ["charge"]


async def test_a_process_that_dies_in_the_body_leaves_the_marker(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Once]) as first:
        run = await first.runner.run(Once, {"waits": True}, **ME)
        await gate.reached()
        [row] = (await first.runner.steps(run.workflow_id)).items
        assert (row.status, row.finished_at) == ("started", None), "the marker is durable before the body runs"
        await die(first)
        gate.open()
        async with stepwell_on([Once]) as second:
            await buried(second)
            stored = await reaches(second.runner, run.workflow_id, "failed")
            assert "StepUnknown" in (stored.error or "")
            assert calls == ["charge"]
            [row] = (await second.runner.steps(run.workflow_id)).items
            assert row.status == "unknown"


class OnceAndAgain(Once):
    """Each visit has a marker of its own."""

    @transition(START, "again")
    async def go(self) -> None:  # type: ignore[override]
        await self.step(Step("charge", once=True), flaky, 0)

    @transition("again", END)
    async def more(self) -> None:
        await self.step(Step("charge", once=True), flaky, 0)


async def test_the_marker_belongs_to_the_visit(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([OnceAndAgain]) as stepwell:
        run = await stepwell.runner.run(OnceAndAgain, {}, **ME)
        await run.result(timeout=60)
        assert calls == ["flaky", "flaky"]


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"once": True, "retry": AGAIN}, "combines once=True and retry="),
        ({"timeout": timedelta(0)}, "leaves no time for a try"),
        ({"timeout": 5}, "isn't a timedelta"),
        ({"retry": 3}, "isn't a Retry"),
        ({"once": "yes"}, "neither True nor False"),
        ({"undo": lambda: None}, "isn't the name of a method"),
        ({"name": ""}, "give a text of 1 to 512 characters"),
        ({"name": "a\0"}, "give a text of 1 to 512 characters"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Step(**{"name": "charge", **options})
    assert why in str(refused.value)


def test_a_keyword_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match=r"retry"):
        Step("charge", retries=3)  # type: ignore[call-arg]


class NoUndo(Workflow[dict[str, str]]):
    async def two(self, value: int, other: int) -> None: ...
    async def none(self) -> None: ...
    async def strange(self, value: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    @transition(target=END)
    async def go(self) -> None:
        await self.step(Step("charge", undo=self.args["undo"]), flaky, 0)


@pytest.mark.parametrize(
    ("undo", "why"),
    [
        ("refund", "NoUndo has no method 'refund'"),
        ("two", "NoUndo.two takes also other"),
        ("none", "NoUndo.none takes no value"),
        ("strange", "the type of 'value' of NoUndo.strange can't be found"),
    ],
)
async def test_an_undo_that_is_none_is_refused_before_the_body(stepwell_on: StepwellOn, undo: str, why: str) -> None:
    async with stepwell_on([NoUndo]) as stepwell:
        run = await stepwell.runner.run(NoUndo, {"undo": undo}, **ME)
        stored = await reaches(stepwell.runner, run.workflow_id, "failed")
        assert why in (stored.error or "")
        assert calls == []


class Stateless(Workflow[dict[str, str]]):
    async def refund(self, value: int) -> None: ...

    @transition(target=END)
    async def go(self) -> Any:
        match self.args["what"]:
            case "once":
                return await self.step(Step("charge", once=True), flaky, 0)
            case "undo":
                return await self.step(Step("charge", undo="refund"), flaky, 0)
            case "undo all":
                return await self.undo()
            case _:
                return await self.step(Step("charge", retry=AGAIN, timeout=timedelta(seconds=60)), flaky, 2)


@pytest.mark.parametrize("what", ["once", "undo", "undo all"])
async def test_what_needs_a_journal_is_refused_without_one(stepwell_on: StepwellOn, what: str) -> None:
    async with stepwell_on([Stateless]) as stepwell:
        with pytest.raises(StatelessError, match="a stateless run has no journal"):
            await stepwell.runner.run_sync(Stateless, {"what": what}, stateless=True, **ME)
        assert calls == []


async def test_tries_and_time_limits_need_none(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stateless]) as stepwell:
        ended = await stepwell.runner.run_sync(Stateless, {"what": "tries"}, stateless=True, **ME)
        assert ended.result == 3


# -- rows of the version before ---------------------------------------------------------------------------------------


async def test_a_row_of_the_version_before_is_a_step_that_completed(stepwell_on: StepwellOn) -> None:
    """A process of the version before writes six columns, and may work beside this one once the tables are upgraded."""
    async with stepwell_on([Waits]) as stepwell:
        run = await stepwell.runner.run(Waits, **ME)
        await gate.reached()
        assert stepwell.process is not None
        sql = (
            "INSERT INTO stepwell_steps (run_id, visit, transition, name, value, recorded_at)"
            " VALUES (?, 0, 'go', 'earlier', '\"kept\"', 1767225600000000)"
        )
        await stepwell.process.store.writer.call(lambda tx: tx.run(sql, run.workflow_id))
        await die(stepwell)
        gate.open()
        async with stepwell_on([Waits]) as second:
            await buried(second)
            assert await second.runner.handle(run.workflow_id).result(timeout=60) == "kept"
            [row] = (await second.runner.steps(run.workflow_id)).items
            assert (row.status, row.attempts, row.value, row.undo) == ("completed", 1, "kept", None)
            assert row.started_at == row.finished_at


class Waits(Workflow[None, None, str]):
    @transition(target=END)
    async def go(self) -> str:
        await gate.pass_through()
        return await self.step(Step("earlier", once=True), self.never)

    async def never(self) -> str:
        raise AssertionError("it is in the journal")
