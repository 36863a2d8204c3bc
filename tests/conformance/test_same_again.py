"""A key that comes again stands for the same start, signal or event if the data means the same (rule 49)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from conformance.support import ME, StepwellOn, counts, everything
from stepwell import END, Event, Start, Stepwell, Workflow, transition
from stepwell.errors import IdempotencyConflict

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Basket(BaseModel):
    items: set[str] = set()
    weight: Any = None
    due: datetime | None = None
    order_id: UUID = Field(default_factory=uuid4)


class Pack(Workflow[Basket, None, UUID], on=Event("basket.filled")):
    @transition(target="packed")
    async def pack(self) -> None: ...

    @transition("packed", END, wait=True)
    async def add(self, more: Basket) -> UUID:
        return self.args.order_id

    @transition("packed", END, on=Event("basket.emptied"))
    async def empty(self, rest: Basket) -> UUID:
        return rest.order_id


class Send(Workflow[Basket, None, None]):
    @transition(target=END)
    async def send(self) -> None: ...


FIRST = {"items": ["a", "b", "c"], "weight": 1, "due": NOON}
AGAIN = {"items": ["c", "b", "a"], "weight": 1.0, "due": NOON.astimezone(timezone(timedelta(hours=9)))}
OTHER = {**AGAIN, "items": ["c", "b"]}


def in_json(data: dict[str, Any]) -> Any:
    """As an event holds it."""
    return Basket.model_validate(data).model_dump(mode="json", exclude_unset=True)


async def start(stepwell: Stepwell, args: Any, workflow: Any = Pack) -> tuple[str, bool]:
    handle = await stepwell.runner.run(workflow, args, **ME, idempotency_key="k")
    return handle.workflow_id, handle.created


async def start_inline(stepwell: Stepwell, args: Any, workflow: Any = Pack) -> tuple[str, bool]:
    runs = (await counts(stepwell)).get("stepwell_runs", 0)
    done = await stepwell.runner.run_sync(workflow, args, **ME, idempotency_key="k")
    assert done.workflow_id is not None
    return done.workflow_id, (await counts(stepwell))["stepwell_runs"] > runs


async def start_many(stepwell: Stepwell, args: Any, workflow: Any = Pack) -> tuple[str, bool]:
    starts = [Start(Send, {"weight": 7}), Start(workflow, args, idempotency_key="k")]
    _, handle = await stepwell.runner.run_many(starts, **ME)
    return handle.workflow_id, handle.created


STARTS = {"run": start, "run_sync": start_inline, "run_many": start_many}


@pytest.mark.parametrize("way", STARTS)
@pytest.mark.parametrize("worker", [True, False], ids=["worker", "no worker"])
async def test_a_start_that_means_the_same_is_the_same(stepwell_on: StepwellOn, way: str, worker: bool) -> None:
    async with stepwell_on([Pack, Send], embedded_worker=worker) as stepwell:
        first, created = await STARTS[way](stepwell, FIRST)
        assert created
        assert await STARTS[way](stepwell, AGAIN) == (first, False)
        assert await STARTS[way](stepwell, Basket.model_validate(AGAIN)) == (first, False)


@pytest.mark.parametrize("way", STARTS)
@pytest.mark.parametrize(("args", "workflow"), [(OTHER, Pack), (FIRST, Send)], ids=["args", "workflow"])
async def test_a_start_that_means_something_else_is_refused_and_nothing_of_it_is_stored(
    stepwell_on: StepwellOn, way: str, args: Any, workflow: Any
) -> None:
    async with stepwell_on([Pack, Send], embedded_worker=False) as stepwell:
        await start(stepwell, FIRST)
        before = await everything(stepwell)
        with pytest.raises(IdempotencyConflict, match=r"'k'.*another key"):
            await STARTS[way](stepwell, args, workflow)
        assert await everything(stepwell) == before


async def test_a_refused_start_takes_no_slot_with_it(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pack, Send], worker_concurrency=1) as stepwell:
        await start(stepwell, FIRST)
        for args in (AGAIN, AGAIN, OTHER, OTHER):
            await asyncio.gather(start(stepwell, args), return_exceptions=True)
        assert (await stepwell.runner.run_sync(Send, **ME)).status == "completed"
        assert await (await stepwell.runner.run(Send, **ME)).result(timeout=timedelta(seconds=60)) is None


async def test_a_start_in_the_callers_transaction_is_the_same(stepwell_on: StepwellOn, database: Any) -> None:
    async with stepwell_on([Pack, Send], embedded_worker=False) as stepwell:
        engine = database.engine()
        async with engine.begin() as connection:
            first = await stepwell.runner.run(Pack, FIRST, **ME, idempotency_key="k", connection=connection)
            again = await stepwell.runner.run(Pack, AGAIN, **ME, idempotency_key="k", connection=connection)
            with pytest.raises(IdempotencyConflict):
                await stepwell.runner.run(Pack, OTHER, **ME, idempotency_key="k", connection=connection)
            sent = await stepwell.runner.run(Send, **ME, connection=connection)
        await engine.dispose()
        assert (again.workflow_id, again.created) == (first.workflow_id, False)
        assert (await stepwell.runner.get(sent.workflow_id)).status == "pending", (
            "the refusal left the transaction usable"
        )
        assert (await counts(stepwell))["stepwell_runs"] == 2


async def test_a_signal_that_means_the_same_is_the_same(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pack], embedded_worker=False) as stepwell:
        run = await start_inline(stepwell, FIRST)
        for data in (FIRST, AGAIN, Basket.model_validate(AGAIN)):
            await stepwell.runner.signal(run[0], "add", data, idempotency_key="s")
        assert (await counts(stepwell))["stepwell_signals"] == 1
        before = await everything(stepwell)
        with pytest.raises(IdempotencyConflict, match=r"'s'.*another key"):
            await stepwell.runner.signal(run[0], "add", OTHER, idempotency_key="s")
        assert await everything(stepwell) == before


async def test_an_event_that_means_the_same_starts_and_resumes_nothing_twice(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pack], embedded_worker=False) as stepwell:
        waiting, _ = await start_inline(stepwell, FIRST)
        for name, rows in (("basket.filled", "stepwell_runs"), ("basket.emptied", "stepwell_signals")):
            first = await stepwell.runner.emit(name, in_json(FIRST), event_id="e")
            before = await counts(stepwell)
            again = await stepwell.runner.emit(name, {**in_json(AGAIN), "items": ["c", "b", "a"]}, event_id="e")
            assert (again.started, again.resumed) == (first.started, first.resumed)
            assert await counts(stepwell) == before, rows
            with pytest.raises(IdempotencyConflict):
                await stepwell.runner.emit(name, in_json(OTHER), event_id="e")
            assert await counts(stepwell) == before, rows
        assert waiting in first.resumed


async def test_200_equal_starts_at_once_are_one(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Pack], embedded_worker=False) as one, stepwell_on([Pack], embedded_worker=False) as two:
        calls = [start(each, args) for _ in range(50) for each in (one, two) for args in (FIRST, AGAIN)]
        started = await asyncio.gather(*calls)
        assert len({workflow_id for workflow_id, _ in started}) == 1
        assert sum(created for _, created in started) == 1
        assert (await counts(one))["stepwell_runs"] == 1
