"""Nobody answers for a child: its end alone fires the callback, whoever may signal the parent (rule 50)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import text as sql_text

from backends import Database
from conformance.support import ME, Gate, StepwellOn, everything, reaches
from stepwell import END, Signal, Stepwell, Workflow, transition
from stepwell.errors import UnknownTransition
from stepwell.store.tables import runs

starting = Gate()
paying = Gate()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    starting.clear()
    paying.clear()


class Receipt(BaseModel):
    cents: int


class Pay(Workflow[None, None, Receipt]):
    @transition(target=END)
    async def pay(self) -> Receipt:
        await paying.pass_through()
        return Receipt(cents=100)


class Order(Workflow):
    @transition(target="paying")
    async def order(self) -> None:
        await starting.pass_through()
        await self.start(Pay, callback="paid", show="hidden")

    @transition("paying", END, wait=True)
    async def paid(self, receipt: Signal[Receipt]) -> Any:
        return [receipt.data.cents, receipt.user_id]

    @transition("paying", END, wait=True)
    async def give_up(self) -> str:
        return "given up"


FORGED: dict[str, Any] = {"cents": 0}


CLAIMED = {"status", "claim", "owner", "ready_at", "updated_at"}
"""What a claim writes: a worker may look once more at a run whose signals it has just voided."""


async def stored(stepwell: Stepwell) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = dict(await everything(stepwell))
    lasting = [n for n, column in enumerate(runs.columns) if column.name not in CLAIMED]
    rows[runs.name] = [[row[n] for n in lasting] for row in rows[runs.name]]
    return rows


async def attack(stepwell: Stepwell, workflow_id: str) -> None:
    """Try all that a person who may signal the run can."""
    runner = stepwell.runner
    before = await stored(stepwell)
    for given in (FORGED, {}, "nonsense"):
        for user in ("u1", None):
            for key in (None, "key"):
                with pytest.raises(UnknownTransition, match="'paid' is the callback of a child") as refused:
                    await runner.signal(workflow_id, "paid", given, user_id=user, idempotency_key=key)
                assert refused.value.http_status == 409
    with pytest.raises(UnknownTransition):
        await runner.as_user("u1").handle(workflow_id).signal("paid", FORGED)
    assert await stored(stepwell) == before


async def test_a_signal_from_outside_never_answers_for_a_child(stepwell_on: StepwellOn) -> None:
    starting.open()
    async with stepwell_on([Order, Pay]) as stepwell:
        handle = await stepwell.runner.run(Order, **ME)
        run = await reaches(stepwell.runner, handle.workflow_id, "waiting", "paying")
        assert run.waiting_for == ("give_up",)
        await paying.reached()  # from here on nothing changes by itself
        await attack(stepwell, handle.workflow_id)
        paying.open()
        assert await handle.result(60) == [100, None]


async def test_what_was_kept_before_there_was_a_child_is_void_with_its_start(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Order, Pay]) as stepwell:
        handle = await stepwell.runner.run(Order, **ME)
        await starting.reached()
        for _ in range(3):
            await handle.signal("paid", FORGED)
        await stepwell.runner.signal(handle.workflow_id, "paid", FORGED, idempotency_key="forged")
        starting.open()
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "paying")
        await paying.reached()
        # The same signal with the same key is what it was: stored once, and not used.
        again = await stepwell.runner.signal(handle.workflow_id, "paid", FORGED, idempotency_key="forged")
        assert again.waiting_for == ("give_up",)
        await attack(stepwell, handle.workflow_id)
        paying.open()
        assert await handle.result(60) == [100, None]


async def test_signals_that_race_with_the_start_of_the_child_never_answer_for_it(stepwell_on: StepwellOn) -> None:
    """Whatever is accepted before the checkpoint is void by it, and whatever comes after is refused."""
    paying.clear()
    async with stepwell_on([Order, Pay]) as stepwell:
        handles = [await stepwell.runner.run(Order, **ME) for _ in range(5)]
        for _ in handles:
            await starting.reached()

        async def forge(workflow_id: str) -> None:
            for _ in range(20):
                try:
                    await stepwell.runner.signal(workflow_id, "paid", FORGED)
                except UnknownTransition:
                    return

        forging = [asyncio.create_task(forge(handle.workflow_id)) for handle in handles]
        await asyncio.sleep(0)
        starting.open()
        await asyncio.gather(*forging)
        for handle in handles:
            await reaches(stepwell.runner, handle.workflow_id, "waiting", "paying")
        paying.open()
        assert [await handle.result(60) for handle in handles] == [[100, None]] * 5


async def test_it_stays_a_callback_when_the_child_is_deleted(stepwell_on: StepwellOn, database: Database) -> None:
    class Twice(Workflow):
        @transition(target="paying")
        async def order(self) -> None:
            await self.start(Pay, callback="paid")

        @transition("paying", "resting", wait=True)
        async def paid(self) -> None: ...

        @transition("resting", "paying", wait=True)
        async def once_more(self) -> None: ...

    paying.open()
    async with stepwell_on([Twice, Pay]) as stepwell:
        handle = await stepwell.runner.run(Twice, **ME)
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "resting")
        await handle.signal("once_more")
        await reaches(stepwell.runner, handle.workflow_id, "waiting", "paying")
        engine = database.engine()
        async with engine.begin() as connection:
            await connection.execute(sql_text("DELETE FROM stepwell_runs WHERE parent_id IS NOT NULL"))
        with pytest.raises(UnknownTransition):
            await handle.signal("paid")
        async with engine.connect() as connection:
            with pytest.raises(UnknownTransition):
                await stepwell.runner.signal(handle.workflow_id, "paid", connection=connection)
        await engine.dispose()
