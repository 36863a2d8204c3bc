"""Calling methods: injection, threads, time limits, cancellation (rules 26, 40)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest

from conformance.support import ME, Gate, HarnessOn, StepwellOn, everything, reaches, until
from stepwell import END, Depends, Message, Retry, Workflow, transition
from stepwell.errors import RunFailed, StepwellError

calls: list[Any] = []
gate = Gate()
released = threading.Event()
SHORT = timedelta(milliseconds=60)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    calls.clear()
    gate.clear()
    released.clear()
    yield
    released.set()


# -- injection --------------------------------------------------------------------------------------------------------


async def on_loop() -> AsyncIterator[str]:
    calls.append(("opened", threading.current_thread() is threading.main_thread()))
    yield "session"
    calls.append("closed")


def plain() -> int:
    return 7


class Injected(Workflow):
    @transition(target="second")
    async def first(self, session: Annotated[str, Depends(on_loop)], n: Annotated[int, Depends(plain)]) -> None:
        calls.append(("first", session, n))

    def closed_in_time(self) -> bool:
        calls.append("guard")
        return True

    @transition("second", "third", when=closed_in_time)
    def second(self, session: Annotated[str, Depends(on_loop)]) -> None:
        calls.append(("second", session, threading.current_thread() is threading.main_thread()))

    @transition("third", END, wait=True)
    async def third(self, text: str, n: Annotated[int, Depends(plain)]) -> Any:
        return [text, n]


async def test_dependencies_are_resolved_on_the_loop_and_closed_before_the_checkpoint(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Injected]) as stepwell:
        parked = await stepwell.runner.run_sync(Injected, **ME)
        assert parked.error is None
        assert calls == [
            ("opened", True),
            ("first", "session", 7),
            "closed",
            "guard",
            ("opened", True),
            ("second", "session", False),
            "closed",
        ]
        await stepwell.runner.signal(parked.workflow_id or "", "third", "hi")
        assert await stepwell.runner.handle(parked.workflow_id or "").result(60) == ["hi", 7]


def broken() -> str:
    raise LookupError("no session")


class NoSession(Workflow):
    @transition(target=END)
    async def first(self, session: Annotated[str, Depends(broken)]) -> None: ...


async def test_a_dependency_that_raises_is_a_failed_attempt(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([NoSession]) as stepwell:
        done = await stepwell.runner.run_sync(NoSession, **ME)
        assert done.error == "NoSession.first: LookupError: no session"


# -- threads ----------------------------------------------------------------------------------------------------------


class InThread(Workflow):
    @transition(target=END)
    def go(self) -> str:
        self.state["by"] = "thread"
        return threading.current_thread().name


async def test_plain_methods_run_in_stepwells_own_pool(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([InThread]) as stepwell:
        done = await stepwell.runner.run_sync(InThread, **ME)
        assert done.result is not None
        assert done.result.startswith("stepwell")
        assert done.state == {"by": "thread"}


# -- time limits ------------------------------------------------------------------------------------------------------


class TooSlow(Workflow):
    @transition(target=END, timeout=SHORT)
    async def go(self) -> None:
        await self.documents.save(Message(role="app", text="early"))
        await gate.pass_through()


async def test_fault_11_a_time_limit_really_stops_async_code(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([TooSlow]) as stepwell:
        done = await stepwell.runner.run_sync(TooSlow, **ME)
        assert done.error == "TooSlow.go: TransitionTimeout: it was stopped after 0.06 s"
        assert (gate.arrivals, gate.cancelled, gate.left) == (1, 1, 0)
        assert [one.name for one in done.documents] == ["error"]


class Stubborn(Workflow):
    @transition(target=END, timeout=SHORT)
    async def go(self) -> str:
        try:
            await gate.pass_through()
        except asyncio.CancelledError:
            calls.append("swallowed")
        await gate.pass_through()
        return "went on"


async def test_fault_11_code_that_swallows_the_cancellation_is_stopped_again(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Stubborn], cleanup_seconds=0.1) as stepwell:
        done = await stepwell.runner.run_sync(Stubborn, **ME)
        assert done.status == "failed"
        assert "TransitionTimeout" in (done.error or "")
        assert (calls, gate.cancelled, gate.left) == (["swallowed"], 2, 0)


class SwallowsAndReturns(Workflow):
    @transition(target=END, timeout=SHORT)
    async def go(self) -> str:
        try:
            await gate.pass_through()
        except asyncio.CancelledError:
            calls.append("swallowed")
        return "as if nothing were"


async def test_a_method_that_returns_after_its_time_has_failed_nevertheless(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([SwallowsAndReturns]) as stepwell:
        done = await stepwell.runner.run_sync(SwallowsAndReturns, **ME)
        assert done.status == "failed"
        assert "TransitionTimeout" in (done.error or "")


class LateThread(Workflow):
    @transition(target=END, timeout=SHORT)
    def go(self) -> str:
        calls.append("began")
        released.wait(120)
        self.state["late"] = True
        try:
            asyncio.run(self.documents.save(Message(role="app", text="late")))
        except StepwellError as error:
            calls.append(str(error))
        calls.append("ended")
        return "late"


async def test_fault_11_a_timed_out_threads_late_writes_are_lost(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([LateThread]) as stepwell:
        done = await stepwell.runner.run_sync(LateThread, **ME)
        assert "TransitionTimeout" in (done.error or "")
        before = await everything(stepwell)
        released.set()

        async def ended() -> bool:
            return "ended" in calls

        await until(ended)
        assert "is over" in calls[1]
        assert await everything(stepwell) == before
        assert (await stepwell.runner.get(done.workflow_id or "")).state == {}


class Timed(Workflow):
    @transition(target=END, timeout=SHORT, retry=Retry(retries=50, delay=timedelta(0)))
    async def go(self) -> int:
        if self.info.attempt == 1:
            await gate.pass_through()
        return self.info.attempt


async def test_a_timeout_is_a_failed_attempt_as_any(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Timed]) as stepwell:
        assert (await stepwell.runner.run_sync(Timed, **ME)).result >= 2


async def test_the_settings_limit_holds_where_none_is_given(stepwell_on: StepwellOn) -> None:
    class Unbounded(Workflow):
        @transition(target=END)
        async def go(self) -> None:
            await gate.pass_through()

    class Free(Workflow):
        @transition(target=END, timeout=timedelta(0))
        async def go(self) -> None:
            await asyncio.sleep(0.1)

    async with stepwell_on([Unbounded, Free], transition_timeout=0.05) as stepwell:
        done = await stepwell.runner.run_sync(Unbounded, **ME)
        assert "stopped after 0.05 s" in (done.error or "")
        assert (await stepwell.runner.run_sync(Free, **ME)).status == "completed"


async def test_a_run_timeout_stops_what_executes(stepwell_on: StepwellOn) -> None:
    for seconds in (0.08, 1, 10):

        class Bounded(Workflow, run_timeout=timedelta(seconds=seconds)):
            @transition(target=END)
            async def go(self) -> None:
                await gate.pass_through()

        async with stepwell_on([Bounded]) as stepwell:
            done = await stepwell.runner.run_sync(Bounded, **ME)
            assert (done.status, done.error) == ("failed", f"Bounded: run_timeout of {seconds:g} s is over")
        if gate.arrivals:  # on a busy machine the time may be over before
            break
    assert gate.cancelled == 1


async def test_fault_11_a_finished_transition_leaves_no_timer_behind(stepwell_on: StepwellOn) -> None:
    class Quick(Workflow, run_timeout=timedelta(days=1)):
        @transition(target="a")
        async def one(self) -> None: ...

        @transition("a", "b", timeout=timedelta(hours=1))
        async def two(self) -> None: ...

        @transition("b", END, timeout=timedelta(0))
        async def three(self) -> None: ...

    async with stepwell_on([Quick]) as stepwell:
        await asyncio.gather(*(stepwell.runner.run_sync(Quick, **ME) for _ in range(30)))
        loop = asyncio.get_running_loop()
        timers = [one for one in loop._scheduled if not one.cancelled() and one.when() > loop.time() + 100]  # type: ignore[attr-defined]
        long = [one for one in timers if one._callback.__module__ != "asyncpg.connection"]  # its statements' expiry
        assert len(long) <= 3, long


# -- cancellation -----------------------------------------------------------------------------------------------------


class Waits(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        try:
            await gate.pass_through()
        except asyncio.CancelledError:
            calls.append("stopped")
            raise
        return "done"


class Defiant(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        try:
            await gate.pass_through()
        except asyncio.CancelledError:
            calls.append("defied")
        return "completed all the same"


async def test_fault_09_cancel_stops_what_executes_at_once(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Waits]) as stepwell:
        handle = await stepwell.runner.run(Waits, **ME)
        await gate.reached()
        run = await handle.cancel(reason="enough")
        assert (run.status, run.place, run.error) == ("canceled", "start", "canceled: enough")
        assert run.finished_at is not None

        async def stopped() -> bool:
            return bool(calls)

        await until(stopped)
        with pytest.raises(RunFailed) as caught:
            await handle.result(60)
        assert caught.value.status == "canceled"
        last = (await stepwell.runner.history(handle.workflow_id))[-1]
        assert (last.transition, last.status, last.version) == ("go", "canceled", 1)


@pytest.mark.parametrize("sync", [False, True], ids=["run", "run_sync"])
async def test_fault_09_the_late_outcome_of_a_canceled_run_loses(stepwell_on: StepwellOn, sync: bool) -> None:
    async with stepwell_on([Defiant]) as stepwell:
        if sync:
            call = asyncio.ensure_future(stepwell.runner.run_sync(Defiant, **ME))
            await gate.reached()
            [run] = (await stepwell.runner.list()).items
            await stepwell.runner.cancel(run.workflow_id)
            assert (await call).status == "canceled"
            run_id = run.workflow_id
        else:
            run_id = (await stepwell.runner.run(Defiant, **ME)).workflow_id
            await gate.reached()
            await stepwell.runner.cancel(run_id)
        before = await everything(stepwell)

        async def defied() -> bool:
            return bool(calls) and not stepwell.process.passes.executing  # type: ignore[union-attr]

        await until(defied)
        assert await everything(stepwell) == before
        assert (await stepwell.runner.get(run_id)).status == "canceled"


async def test_fault_09_a_run_canceled_by_another_process_is_stopped_here(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Waits]) as worker, stepwell_on([Waits], embedded_worker=False) as web:
        handle = await web.runner.run(Waits, **ME)
        await gate.reached()
        assert (await handle.cancel()).status == "canceled"

        async def stopped() -> bool:
            return bool(calls)

        await until(stopped)
        last = (await worker.runner.history(handle.workflow_id))[-1]
        assert (last.transition, last.status) == ("go", "canceled")


async def test_a_delayed_a_waiting_and_a_failed_run_can_be_canceled(stepwell_on: StepwellOn) -> None:
    class Caller(Workflow):
        @transition(target="open")
        async def begin(self) -> None: ...

        @transition("open", END, wait=True)
        async def answer(self) -> None: ...

    class Breaks(Workflow):
        @transition(target=END)
        async def go(self) -> None:
            raise ValueError

    async with stepwell_on([Caller, Breaks]) as stepwell:
        delayed = await stepwell.runner.run(Caller, **ME, delay=timedelta(hours=1))
        waiting = await stepwell.runner.run(Caller, **ME)
        failed = await stepwell.runner.run(Breaks, **ME)
        await reaches(stepwell.runner, waiting.workflow_id, "waiting")
        await reaches(stepwell.runner, failed.workflow_id, "failed")
        for handle in (delayed, waiting, failed):
            run = await handle.cancel()
            assert (run.status, run.due_at, run.waiting_for) == ("canceled", None, ())
            last = (await stepwell.runner.history(handle.workflow_id))[-1]
            assert (last.status, last.transition) == ("canceled", None)


async def test_a_cancel_that_saw_an_earlier_transition_names_the_one_that_is_executed(stepwell_on: StepwellOn) -> None:
    class Two(Workflow):
        @transition(target="next")
        async def one(self) -> None: ...

        @transition("next", END)
        async def two(self) -> None:
            await gate.pass_through()

    async with stepwell_on([Two]) as stepwell:
        handle = await stepwell.runner.run(Two, **ME)
        await gate.reached()
        process = stepwell.process
        assert process is not None
        await process.store.writer.call(process.operations.cancel(handle.workflow_id, None, None, "one"))
        last = (await stepwell.runner.history(handle.workflow_id))[-1]
        assert (last.transition, last.source, last.status) == ("two", "next", "canceled")
        gate.open()


async def test_waiting_for_a_thread_isnt_part_of_a_timeout(stepwell_on: StepwellOn) -> None:
    released = threading.Event()

    class Holds(Workflow):
        @transition(target=END, timeout=timedelta(0))
        def go(self) -> None:
            calls.append("holds")
            released.wait()

    class Blocks(Workflow[str]):
        @transition(target=END, timeout=timedelta(seconds=1))
        def go(self) -> None:
            calls.append(self.args)
            if self.args == "stuck":
                released.wait()

    async with stepwell_on([Holds, Blocks], sync_threads=1) as stepwell:
        holds = asyncio.ensure_future(stepwell.runner.run_sync(Holds, **ME))
        await until(lambda: asyncio.sleep(0, calls))
        waiting = [asyncio.ensure_future(stepwell.runner.run_sync(Blocks, "quick", **ME)) for _ in range(4)]
        await asyncio.sleep(1.5)
        assert calls == ["holds"]
        released.set()
        assert [one.status for one in await asyncio.gather(holds, *waiting)] == ["completed"] * 5
        released.clear()
        stuck = await stepwell.runner.run_sync(Blocks, "stuck", **ME)
        assert (stuck.status, stuck.error) == (
            "failed",
            "Blocks.go: TransitionTimeout: it took longer than 1 s. A thread can't be stopped: go may still be "
            "running in one, and its result is discarded",
        )
        released.set()
        assert calls == ["holds", *["quick"] * 4, "stuck"]


async def test_a_run_that_waits_for_a_thread_can_be_canceled(stepwell_on: StepwellOn) -> None:
    held = threading.Event()

    class Blocks(Workflow):
        @transition(target=END)
        def go(self) -> None:
            calls.append("go")
            held.wait()

    async with stepwell_on([Blocks], sync_threads=1) as stepwell:
        first = await stepwell.runner.run(Blocks, **ME)
        process = stepwell.process
        assert process is not None

        async def begun() -> bool:
            return bool(calls)

        await until(begun)
        second = await stepwell.runner.run(Blocks, **ME)

        async def both() -> bool:
            return len(process.passes.executing) == 2 and bool(calls)

        await until(both)
        await second.cancel()

        async def left() -> bool:
            return len(process.passes.executing) == 1

        await until(left)
        held.set()
        await first.result(60)
        assert calls == ["go"]


async def test_a_method_that_is_cancelled_from_within_has_failed(stepwell_on: StepwellOn) -> None:
    class CancelsItself(Workflow):
        @transition(target=END)
        async def go(self) -> None:
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task

    async with stepwell_on([CancelsItself]) as stepwell:
        done = await stepwell.runner.run_sync(CancelsItself, **ME)
        assert done.status == "failed"
        assert "CancelsItself.go: " in (done.error or "")


async def test_a_retry_in_a_run_sync_that_waits_isnt_executed_twice(harness_on: HarnessOn) -> None:
    class Slow(Workflow):
        @transition(target=END, retry=Retry(retries=1, delay=timedelta(seconds=0.3)))
        async def go(self) -> int:
            calls.append(self.info.attempt)
            if self.info.attempt == 1:
                raise OSError
            return self.info.attempt

    async with harness_on([Slow]) as harness:
        stepwell = harness.stepwell
        call = asyncio.ensure_future(stepwell.runner.run_sync(Slow, **ME))

        async def retrying() -> Any:
            return [run for run in (await stepwell.runner.list()).items if run.status == "retrying"]

        [run] = await until(retrying)
        await stepwell.runner.retry(run.workflow_id)
        assert (await call).result == 2
        await harness.advance(timedelta(seconds=1))
        assert calls == [1, 2]
