"""Debounced members of groups and batches that wait for their turn (rules 53, 54)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel

from backends import Database
from conformance.support import ME, HarnessOn
from stepwell import END, Debounce, Start, Workflow, transition

SECOND = timedelta(seconds=1)
executed: list[tuple[str, int]] = []


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    executed.clear()


class Page(BaseModel):
    host: str = "a"
    n: int = 0


class Open(Workflow[Page], debounce=Debounce(10 * SECOND, key="args.host", max_wait=25 * SECOND)):
    @transition(target="open")
    async def begin(self) -> None:
        executed.append((self.args.host, self.args.n))

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


class Parent(Workflow):
    @transition(target="waits")
    async def begin(self) -> None:
        starts = [Start(Open, Page(host=host)) for host in "ab"]
        self.state["ids"] = await self.start_many(starts, callback="done", until="all_ended", max_in_flight=1)

    @transition("waits", END, wait=True)
    async def done(self) -> None: ...


async def _members(harness: object, kind: str) -> list[str]:
    runner = harness.runner  # type: ignore[attr-defined]
    if kind == "batch":
        batch = await runner.run_batch([Start(Open, Page(host=host)) for host in "ab"], **ME, max_in_flight=1)
        return [item.workflow_id async for item in batch.items()]
    parent = await runner.run(Parent, **ME)
    await harness.drain()  # type: ignore[attr-defined]
    return list((await parent.get()).state["ids"])


@pytest.mark.parametrize("kind", ["batch", "group"])
async def test_the_delay_counts_from_the_turn(harness_on: HarnessOn, kind: str) -> None:
    async with harness_on([Open, Parent]) as harness:
        first, _ = await _members(harness, kind)
        await harness.advance(10 * SECOND)
        assert executed == [("a", 0)]
        await harness.advance(60 * SECOND)
        await harness.runner.signal(first, "close")
        await harness.advance(9 * SECOND)
        assert executed == [("a", 0)]
        await harness.advance(SECOND)
        assert executed == [("a", 0), ("b", 0)]


@pytest.mark.parametrize("kind", ["batch", "group"])
async def test_a_member_that_is_put_off_keeps_its_place_and_its_delay(
    harness_on: HarnessOn, database: Database, kind: str
) -> None:
    """It has new args. It begins neither before its turn, nor at once when that comes."""
    async with harness_on([Open, Parent]) as harness:
        first, second = await _members(harness, kind)
        await harness.advance(10 * SECOND)
        again = await harness.runner.run(Open, {"host": "b", "n": 5}, **ME)
        assert (again.workflow_id, again.created) == (second, False)
        [before] = database.read("SELECT held_by, held_rank, due_at FROM stepwell_runs WHERE id=?", second)
        assert str(before[0]).startswith("group:")
        assert tuple(before[1:]) == (1, None)
        await harness.advance(60 * SECOND)
        assert executed == [("a", 0)]
        await harness.runner.signal(first, "close")
        await harness.advance(9 * SECOND)
        assert executed == [("a", 0)]
        await harness.advance(SECOND)
        assert executed == [("a", 0), ("b", 5)]
        await harness.runner.signal(second, "close")
        await harness.drain()
        assert database.read("SELECT count(*) FROM stepwell_slots") == [(0,)]


async def test_a_member_that_is_put_off_until_no_delay_is_left_begins_with_its_turn(
    harness_on: HarnessOn, database: Database
) -> None:
    """`max_wait` is over while it waits for its turn."""
    async with harness_on([Open, Parent]) as harness:
        first, second = await _members(harness, "batch")
        await harness.advance(30 * SECOND)
        await harness.runner.run(Open, {"host": "b", "n": 5}, **ME)
        await harness.runner.signal(first, "close")
        await harness.drain()
        assert executed == [("a", 0), ("b", 5)]
        assert (await harness.runner.get(second)).args["n"] == 5


async def test_a_member_that_has_its_turn_is_put_off_and_keeps_it(harness_on: HarnessOn) -> None:
    async with harness_on([Open, Parent]) as harness:
        _, second = await _members(harness, "batch")
        await harness.advance(9 * SECOND)
        await harness.runner.run(Open, {"host": "a", "n": 7}, **ME)
        await harness.advance(9 * SECOND)
        assert executed == []
        await harness.advance(SECOND)
        assert executed == [("a", 7)]
        assert (await harness.runner.get(second)).status == "pending"
