"""A signal may be named by the method of its transition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from backends import Database
from conformance.support import ME, StepwellOn, everything, reaches
from stepwell import END, Event, Signal, Workflow, WorkflowRunner, transition
from stepwell.errors import IdempotencyConflict, UnknownTransition
from stepwell.triggers.handler_runner import Calls


class Decision(BaseModel):
    approved: bool


class Order(Workflow[None, dict[str, Any], Any]):
    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", END, wait=True, name="decided")
    async def decide(self, decision: Decision) -> bool:
        return decision.approved

    @transition("review", END, wait=True)
    async def hand_over(self, to: Signal[str]) -> str:
        return to.data

    @transition("review", END, after=timedelta(days=1))
    async def expire(self) -> None: ...

    @transition("review", END, on=Event("order.withdrawn"))
    async def withdraw(self) -> None: ...


class Rush(Order):
    async def decide(self, decision: Decision) -> Any:
        return f"at once: {decision.approved}"


class Cycle(Workflow[None, dict[str, Any], str]):
    @transition(target="red")
    async def begin(self) -> None: ...

    @transition("red", "green", wait=True, name="go")
    @transition("green", "blue", wait=True, name="halt")
    async def turn(self) -> None: ...

    @transition("blue", END, wait=True)
    async def stop(self) -> str:
        return "stopped"


def known_to_no_class(self: Any) -> None: ...


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """The application's own engine on the same database."""
    made = database.engine()
    yield made
    await made.dispose()


async def test_the_method_names_the_signal(stepwell_on: StepwellOn, engine: AsyncEngine) -> None:
    async with stepwell_on([Order]) as stepwell:
        runner = stepwell.runner
        runs = [await runner.run_sync(Order, **ME) for _ in range(3)]
        first, second, third = (runner.handle(run.workflow_id or "") for run in runs)
        await runner.signal(first.workflow_id, Order.decide, Decision(approved=True), user_id="u1")
        await second.signal(Order.hand_over, "ada", idempotency_key="k")
        await second.signal("hand_over", "ada", idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            await second.signal(Order.decide, Decision(approved=True), idempotency_key="k")
        async with engine.begin() as connection:
            await runner.signal(third.workflow_id, Order.hand_over, "bob", connection=connection)
        assert [await one.result(60) for one in (first, second, third)] == [True, "ada", "bob"]


async def test_a_method_of_a_base_names_that_of_the_subclass(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order, Rush]) as stepwell:
        runs = [await stepwell.runner.run_sync(Rush, **ME) for _ in range(2)]
        for run, method in zip(runs, (Order.decide, Rush.decide), strict=True):
            await stepwell.runner.signal(run.workflow_id or "", method, Decision(approved=True))
            assert await stepwell.runner.handle(run.workflow_id or "").result(60) == "at once: True"


async def test_of_several_names_that_which_leaves_the_place_is_meant(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Cycle]) as stepwell:
        runner = stepwell.runner
        run = (await runner.run_sync(Cycle, **ME)).workflow_id or ""
        for place in ("green", "blue"):
            await runner.signal(run, Cycle.turn)
            await reaches(runner, run, "waiting", place)
        with pytest.raises(UnknownTransition, match=r"has the names go, halt, and run .* is at 'blue'.*: give one"):
            await runner.signal(run, Cycle.turn)
        await runner.signal(run, Cycle.stop)
        assert await runner.handle(run).result(60) == "stopped"


async def sent(runner: WorkflowRunner, run: str, method: Any, engine: AsyncEngine | None) -> None:
    """The signal, in a transaction of the application's if it has an engine."""
    if engine is None:
        await runner.signal(run, method, "data")
        return
    async with engine.begin() as connection:
        await runner.signal(run, method, "data", connection=connection)


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (Order.begin, "The method Order.begin is an automatic transition"),
        (Order.expire, "The method Order.expire is a timer transition"),
        (Order.withdraw, "The method Order.withdraw is an event transition"),
        (Rush.decide, "The method Rush.decide isn't a transition of Order"),
        (Cycle.stop, "The method Cycle.stop isn't a transition of Order"),
        (known_to_no_class, "The method known_to_no_class isn't a transition of Order"),
        (Decision, "Order has no signal transition"),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a transaction"])
async def test_other_methods_are_refused(
    stepwell_on: StepwellOn, engine: AsyncEngine, method: Callable[..., Any], text: str, inside: bool
) -> None:
    async with stepwell_on([Order, Rush, Cycle]) as stepwell:
        run = (await stepwell.runner.run_sync(Order, **ME)).workflow_id or ""
        before = await everything(stepwell)
        with pytest.raises(UnknownTransition, match=text) as caught:
            await sent(stepwell.runner, run, method, engine if inside else None)
        assert "Order.decide, Order.hand_over" in str(caught.value) or method is Decision
        assert await everything(stepwell) == before


def test_a_call_of_a_handler_has_the_same_key_by_method_and_by_name() -> None:
    assert Calls("tick").key("signal", "r", Cycle.stop, None) == Calls("tick").key("signal", "r", "stop", None)
