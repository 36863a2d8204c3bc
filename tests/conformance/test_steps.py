"""`self.step`: journaled once, never run again in the visit, always round-tripped (rule 9)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from conformance.support import ME, Gate, StepwellOn, counts, reaches
from stepwell import END, Retry, Workflow, transition

calls: list[Any] = []
gate = Gate()
AGAIN = Retry(retries=3, delay=timedelta(0))


@pytest.fixture(autouse=True)
def _nothing_happened() -> None:
    calls.clear()
    gate.clear()


class Charge(BaseModel):
    id: str
    at: datetime


@dataclass
class Point:
    x: int


async def charge(order_id: str, *, cents: int) -> Charge:
    calls.append(("charge", order_id, cents))
    return Charge(id=f"ch-{len(calls)}", at=datetime(2026, 1, 5, 12, 0))


def count() -> int:
    calls.append(("count", threading.current_thread() is threading.main_thread()))
    return len(calls)


def pair() -> tuple[int, str]:
    return [1, "a"]  # type: ignore[return-value]


def point() -> Point:
    return Point(3)


def plain():  # type: ignore[no-untyped-def]
    return {"at": (1, 2)}


async def lookup(n: int) -> int:
    calls.append(("lookup", n))
    if n == 3 and len([call for call in calls if call == ("lookup", 3)]) == 1:
        raise OSError("the third fails once")
    return n * 10


class Kinds(Workflow):
    @transition(target=END)
    async def go(self) -> Any:
        charged = await self.step("charge", charge, "A1", cents=5)
        return [
            [type(charged).__name__, charged.id, charged.at.isoformat()],
            await self.step("count", count),
            repr(await self.step("pair", pair)),
            repr(await self.step("point", point)),
            repr(await self.step("plain", plain)),
            repr(await self.step("method", self.twice, 4)),
            repr(await self.step("lambda", lambda: {1: 2})),
        ]

    def twice(self, n: int) -> int:
        return 2 * n


@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
async def test_a_step_answers_with_the_round_tripped_value_on_its_first_call_too(
    stepwell_on: StepwellOn, stateless: bool
) -> None:
    async with stepwell_on([Kinds]) as stepwell:
        done = await stepwell.runner.run_sync(Kinds, **ME, stateless=stateless)
        assert done.error is None
        assert done.result == [
            ["Charge", "ch-1", "2026-01-05T12:00:00"],
            2,
            "(1, 'a')",
            "Point(x=3)",
            "{'at': [1, 2]}",
            "8",
            "{'1': 2}",
        ]
        assert calls == [("charge", "A1", 5), ("count", False)], "plain functions run in a thread"
        assert (await counts(stepwell)).get("stepwell_steps", 0) == (0 if stateless else 7)


class FailsAfter(Workflow):
    @transition(target="second", retry=AGAIN)
    async def first(self) -> None:
        value = await self.step("count", count)
        self.state["values"] = [*self.state.get("values", []), value]
        if self.info.attempt < 3:
            raise OSError("after the step")

    @transition("second", END)
    async def second(self) -> Any:
        return [*self.state["values"], await self.step("count", count)]


async def test_a_journaled_step_isnt_run_again_by_a_retry_and_is_by_another_visit(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([FailsAfter]) as stepwell:
        done = await stepwell.runner.run_sync(FailsAfter, **ME)
        assert done.result == [1, 2], "once in the visit of `first`, once in that of `second`"
        assert len(calls) == 2


class Loops(Workflow):
    @transition(["start", "again"], "again", wait=True)
    async def turn(self) -> None:
        self.state["last"] = await self.step("count", count)

    @transition("again", END, wait=True)
    async def stop(self) -> Any:
        return self.state["last"]


async def test_coming_back_to_a_place_is_a_new_visit(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Loops]) as stepwell:
        handle = await stepwell.runner.run(Loops, **ME)
        for turn in (1, 2, 3):
            await handle.signal("turn")
            await reaches(stepwell.runner, handle.workflow_id, "waiting", "again", version=turn)
        await handle.signal("stop")
        assert await handle.result(60) == 3


class Gathers(Workflow):
    @transition(target=END, retry=AGAIN)
    async def go(self) -> Any:
        return await asyncio.gather(*(self.step(f"lookup {n}", lookup, n) for n in range(5)))


async def test_steps_run_concurrently_and_what_raised_isnt_journaled(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Gathers]) as stepwell:
        done = await stepwell.runner.run_sync(Gathers, **ME)
        assert done.result == [0, 10, 20, 30, 40]
        assert calls.count(("lookup", 3)) == 2
        assert all(calls.count(("lookup", n)) <= 2 for n in range(5))
        assert [one.name for one in done.documents] == ["error"]


class Twice(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.step("count", count)
        await self.step("count", count)


class TwiceAtOnce(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await asyncio.gather(self.step("count", count), self.step("count", count))


@pytest.mark.parametrize("workflow", [Twice, TwiceAtOnce])
async def test_a_name_used_twice_in_a_visit_is_an_error(stepwell_on: StepwellOn, workflow: Any) -> None:
    async with stepwell_on([workflow]) as stepwell:
        done = await stepwell.runner.run_sync(workflow, **ME)
        assert done.status == "failed"
        assert "self.step('count'): this visit has a step of that name already" in (done.error or "")


def not_json() -> Any:
    return object()


def wrong() -> int:
    return "seven"  # type: ignore[return-value]


class Odd(Workflow[dict[str, str]]):
    @transition(target=END)
    async def go(self) -> None:
        await self.step("odd", {"not json": not_json, "wrong": wrong}[self.args["case"]])


@pytest.mark.parametrize("case", ["not json", "wrong"])
async def test_a_value_that_cant_come_back_fails_the_attempt_and_isnt_journaled(
    stepwell_on: StepwellOn, case: str
) -> None:
    async with stepwell_on([Odd]) as stepwell:
        done = await stepwell.runner.run_sync(Odd, {"case": case}, **ME)
        assert done.status == "failed"
        assert (done.error or "").startswith("Odd.go: ")
        assert "stepwell_steps" not in await counts(stepwell)


async def wait_at_the_gate() -> str:
    await gate.pass_through()
    return "through"


class CutOff(Workflow):
    @transition(target=END)
    async def go(self) -> Any:
        first = await self.step("count", count)
        key = self.info.idempotency_key
        calls.append(("key", key))
        return [first, await self.step("wait", wait_at_the_gate), self.info.attempt]


async def test_a_step_cut_off_runs_again_with_the_same_key_and_what_was_journaled_doesnt(
    stepwell_on: StepwellOn,
) -> None:
    async with stepwell_on([CutOff], drain_seconds=0) as stepwell:
        handle = await stepwell.runner.run(CutOff, **ME)
        await gate.reached()
    assert (gate.arrivals, gate.cancelled) == (1, 1), "closing stops it after the grace time"
    gate.open()
    async with stepwell_on([CutOff]) as stepwell:
        assert await stepwell.runner.handle(handle.workflow_id).result(60) == [1, "through", 1]
        assert len([call for call in calls if call[0] == "count"]) == 1
        assert len({call for call in calls if call[0] == "key"}) == 1
        assert gate.arrivals == 2


class Late(Workflow):
    """Leaves a task behind, in a context of its own, that wants a step when the attempt is over."""

    tasks: list[asyncio.Task[Any]] = []

    @transition(target=END)
    async def go(self) -> None:
        async def later() -> None:
            await gate.pass_through()
            await self.step("count", count)

        Late.tasks.append(asyncio.create_task(later(), context=contextvars.Context()))


async def test_a_step_after_the_attempt_is_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Late]) as stepwell:
        await stepwell.runner.run_sync(Late, **ME)
        gate.open()
        with pytest.raises(Exception, match=r"self\.step: the attempt of 'go' is over"):
            await Late.tasks.pop()
        assert not calls


def much() -> str:
    return "x" * 3000


class Bulky(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.step("much", much)


async def test_fault_12_a_step_journals_no_more_than_a_payload_may_have(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Bulky], max_payload_bytes=2000) as stepwell:
        done = await stepwell.runner.run_sync(Bulky, **ME)
        assert done.status == "failed"
        assert "PayloadTooLarge: What the step 'much' returned would take 3,002 bytes" in (done.error or "")
