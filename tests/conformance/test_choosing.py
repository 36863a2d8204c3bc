"""Which transition fires: order, guards, the limit of automatic ones (rules 1 to 3, 45)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, StepwellOn, everything
from stepwell import END, Message, Workflow, transition

asked: list[str] = []


class Amount(BaseModel):
    value: int = 0


class Sorted(Workflow[Amount]):
    """Of what leaves `sorting`: `urgent` first, for its priority, then `first` and `second` as declared, then `rest`."""

    @transition(target="sorting")
    async def begin(self) -> None:
        asked.clear()

    def above_10(self) -> bool:
        asked.append("above_10")
        return self.args.value > 10

    async def above_20(self) -> bool:
        asked.append("above_20")
        return self.args.value > 20

    def above_30(self) -> bool:
        asked.append("above_30")
        return self.args.value > 30

    @transition("sorting", END, when=above_10)
    async def first(self) -> str:
        return "first"

    @transition("sorting", END, when=above_20)
    async def second(self) -> str:
        return "second"

    @transition("sorting", END, when=above_30, priority=5)
    async def urgent(self) -> str:
        return "urgent"

    @transition("sorting", END)
    async def rest(self) -> str:
        return "rest"


async def test_the_first_whose_guard_is_true_fires_and_no_other_guard_is_asked(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Sorted]) as stepwell:
        for value, expected, guards in (
            (40, "urgent", ["above_30"]),
            (25, "first", ["above_30", "above_10"]),
            (5, "rest", ["above_30", "above_10", "above_20"]),
        ):
            done = await stepwell.runner.run_sync(Sorted, {"value": value}, **ME)
            assert (done.result, asked) == (expected, guards)


class Meddling(Workflow):
    """Its guard tries to change the run."""

    @transition(target="middle")
    async def begin(self) -> None:
        self.state["by"] = "begin"

    def meddle(self) -> bool:
        self.state["by"] = "guard"
        self.result = "guard"
        return False

    @transition("middle", END, when=meddle)
    async def never(self) -> None: ...

    @transition("middle", END)
    async def go(self) -> Any:
        return {"by": self.state["by"], "so far": self.result}


async def test_a_guard_sees_a_copy_and_changes_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Meddling]) as stepwell:
        done = await stepwell.runner.run_sync(Meddling, **ME)
        assert done.result == {"by": "begin", "so far": None}


async def saves(self: Any) -> bool:
    await self.documents.save(Message(role="system", text="from a guard"))
    return True


async def starts(self: Any) -> bool:
    await self.start(Meddling)
    return True


async def emits(self: Any) -> bool:
    await self.emit("asked")
    return True


@pytest.mark.parametrize("guard", [saves, starts, emits])
async def test_what_a_guard_would_write_is_refused_and_not_dropped(stepwell_on: StepwellOn, guard: Any) -> None:
    class Writing(Workflow):
        @transition(target=END, when=guard)
        async def go(self) -> None: ...

    async with stepwell_on([Writing, Meddling]) as stepwell:
        done = await stepwell.runner.run_sync(Writing, **ME)
        assert done.status == "failed"
        assert "the guard of 'go' only decides" in str(done.error)
        found = await stepwell.runner.list()
        assert [one.workflow_id for one in found.items] == [done.workflow_id]


class Broken(Workflow):
    """Its guard raises, once the state says so."""

    open = False

    @transition(target="middle")
    async def begin(self) -> None: ...

    def broken(self) -> bool:
        if not Broken.open:
            raise LookupError("no such rate")
        return True

    @transition("middle", END, when=broken)
    async def go(self) -> str:
        return "went"


async def test_a_guard_that_raises_is_a_failed_attempt_of_its_transition(stepwell_on: StepwellOn) -> None:
    Broken.open = False
    async with stepwell_on([Broken]) as stepwell:
        done = await stepwell.runner.run_sync(Broken, **ME)
        assert (done.status, done.place) == ("failed", "middle")
        assert done.error == "Broken.go: LookupError: no such rate"
        last = (await stepwell.runner.history(done.workflow_id or ""))[-1]
        assert (last.transition, last.status, last.attempt, last.source) == ("go", "failed", 1, "middle")
        Broken.open = True
        await stepwell.runner.retry(done.workflow_id or "")
        assert await stepwell.runner.handle(done.workflow_id or "").result(60) == "went"


class Stuck(Workflow):
    """All its guards are false, and nothing waits."""

    ready = False

    @transition(target="middle")
    async def begin(self) -> None: ...

    def is_ready(self) -> bool:
        return Stuck.ready

    @transition("middle", END, when=is_ready)
    async def go(self) -> str:
        return "went"


async def test_a_run_without_a_way_on_fails_with_place_and_guards_and_retry_asks_again(stepwell_on: StepwellOn) -> None:
    Stuck.ready = False
    async with stepwell_on([Stuck]) as stepwell:
        done = await stepwell.runner.run_sync(Stuck, **ME)
        assert done.status == "failed"
        assert done.error is not None
        assert "Stuck: at 'middle' no guard is true (is_ready)" in done.error
        [error] = done.documents
        assert error.content["message"] == done.error
        Stuck.ready = True
        await stepwell.runner.retry(done.workflow_id or "")
        assert await stepwell.runner.handle(done.workflow_id or "").result(60) == "went"


class GuardedWait(Workflow):
    """Waits at `middle` unless the guard lets it through."""

    @transition(target="middle")
    async def begin(self) -> None: ...

    def is_open(self) -> bool:
        return bool(self.state.get("open"))

    @transition("middle", END, when=is_open)
    async def go(self) -> str:
        return "went"

    @transition("middle", "middle", wait=True)
    async def open(self) -> None:
        self.state["open"] = True


async def test_automatic_transitions_are_tried_before_the_run_parks_and_again_after_each_signal(
    stepwell_on: StepwellOn,
) -> None:
    async with stepwell_on([GuardedWait]) as stepwell:
        parked = await stepwell.runner.run_sync(GuardedWait, **ME)
        assert (parked.status, parked.place) == ("waiting", "middle")
        await stepwell.runner.signal(parked.workflow_id or "", "open")
        assert await stepwell.runner.handle(parked.workflow_id or "").result(60) == "went"


class Spinning(Workflow):
    @transition(target="round")
    async def begin(self) -> None:
        self.state["n"] = 0

    def is_endless(self) -> bool:
        return True

    @transition("round", "round", when=is_endless)
    async def turn(self) -> None:
        self.state["n"] += 1

    @transition("round", END, wait=True)
    async def stop(self) -> None: ...


async def test_fault_12_an_automatic_loop_ends_at_the_limit_and_says_which(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Spinning], max_transitions_per_pass=25) as stepwell:
        done = await stepwell.runner.run_sync(Spinning, **ME)
        assert (done.status, done.place, done.state) == ("failed", "round", {"n": 24})
        assert done.error == (
            "Spinning: 25 automatic transitions in a row without parking (at 'round'; max_transitions_per_pass is 25)"
        )
        pure = await stepwell.runner.run_sync(Spinning, **ME, stateless=True)
        assert (pure.status, pure.error) == ("failed", done.error)


class Rounds(Workflow[Amount]):
    """Many transitions, but it parks in between."""

    @transition(target="round")
    async def begin(self) -> None:
        self.state["n"] = 0

    def is_between(self) -> bool:
        return self.state["n"] % 5 != 4

    @transition("round", "round", when=is_between)
    async def turn(self) -> None:
        self.state["n"] += 1

    @transition("round", "round", wait=True)
    async def on(self) -> None:
        self.state["n"] += 1

    @transition("round", END, wait=True)
    async def stop(self) -> int:
        return int(self.state["n"])


async def test_the_limit_counts_since_the_run_last_parked(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Rounds], max_transitions_per_pass=6) as stepwell:
        parked = await stepwell.runner.run_sync(Rounds, **ME)
        handle = stepwell.runner.handle(parked.workflow_id or "")
        for _ in range(4):
            assert parked.status == "waiting"
            await handle.signal("on")
            await stepwell.process.ends.wait(handle.workflow_id, parked=True)  # type: ignore[union-attr]
        await handle.signal("stop")
        assert await handle.result(60) == 24


async def test_parking_and_waiting_write_no_history(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([GuardedWait]) as stepwell:
        parked = await stepwell.runner.run_sync(GuardedWait, **ME)
        rows = await stepwell.runner.history(parked.workflow_id or "")
        assert [(row.version, row.transition) for row in rows] == [(0, None), (1, "begin")]
        before = await everything(stepwell)
        await stepwell.runner.explain(parked.workflow_id or "")
        assert await everything(stepwell) == before
