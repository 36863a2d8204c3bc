"""Members of groups and batches that are debounced, or expire, and wait for their turn (rules 53, 54)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel

from backends import Database
from conformance.support import ME, HarnessOn
from stepwell import END, Debounce, Start, Workflow, transition
from stepwell.testing import Harness

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
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


class Offer(Workflow[Page], expires=HOUR):
    @transition(target="open")
    async def begin(self) -> None:
        executed.append((self.args.host, self.args.n))

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


class Patient(Offer, debounce=Debounce(10 * SECOND, key="args.host", max_wait=25 * SECOND), expires=30 * SECOND): ...


class Family(Workflow[int]):
    @transition(target="waits")
    async def begin(self) -> None:
        starts = [Start(Offer, Page(host=host), delay=self.args * HOUR) for host in "ab"]
        self.state["ids"] = await self.start_many(starts, callback="done", until="all_ended", max_in_flight=1)

    @transition("waits", END, wait=True)
    async def done(self) -> None: ...


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


# -- those that expire ------------------------------------------------------------------------------------------------


async def _offers(harness: Harness, kind: str, hours: int) -> list[str]:
    """Two members, one at a time, each with such a delay."""
    runner = harness.runner
    if kind == "batch":
        starts = [Start(Offer, Page(host=host), delay=hours * HOUR) for host in "ab"]
        batch = await runner.run_batch(starts, **ME, max_in_flight=1)
        return [item.workflow_id async for item in batch.items()]
    parent = await runner.run(Family, hours, **ME)
    await harness.drain()
    return list((await parent.get()).state["ids"])


@pytest.mark.parametrize("kind", ["batch", "group"])
@pytest.mark.parametrize("hours", [0, 2])
async def test_a_member_expires_by_its_turn_and_its_delay(harness_on: HarnessOn, kind: str, hours: int) -> None:
    async with harness_on([Offer, Family]) as harness:
        first, second = await _offers(harness, kind, hours)
        await harness.advance(hours * HOUR)
        assert executed == [("a", 0)]
        await harness.advance(5 * HOUR)
        assert (await harness.runner.get(second)).status == "pending"
        await harness.runner.signal(first, "close")
        await harness.advance(hours * HOUR)
        assert executed == [("a", 0), ("b", 0)]


@pytest.mark.parametrize("kind", ["batch", "group"])
@pytest.mark.parametrize("hours", [0, 2])
async def test_a_member_that_has_its_turn_and_does_not_begin_in_time_expires(
    harness_on: HarnessOn, kind: str, hours: int
) -> None:
    async with harness_on([Offer, Family]) as harness:
        first, second = await _offers(harness, kind, hours)
        await harness.advance(hours * HOUR)
        await harness.advance(5 * HOUR)
        await harness.runner.pause("shop", "offer")
        await harness.runner.cancel(first)
        await harness.drain()
        await harness.advance((hours + 1) * HOUR - SECOND)
        assert (await harness.runner.get(second)).status == "pending"
        await harness.advance(SECOND)
        assert (await harness.runner.get(second)).status == "canceled"


async def test_a_member_whose_start_named_the_moment_expires_after_it(harness_on: HarnessOn) -> None:
    """Or after its turn, if that comes later."""
    async with harness_on([Offer]) as harness:
        at = harness.clock.now_datetime() + 2 * HOUR
        starts = [Start(Offer, Page(host="a")), Start(Offer, Page(host="b"), at=at)]
        batch = await harness.runner.run_batch(starts, **ME, max_in_flight=1)
        first, second = [item.workflow_id async for item in batch.items()]
        await harness.advance(9 * HOUR)
        assert (await harness.runner.get(second)).status == "pending"
        await harness.runner.signal(first, "close")
        await harness.drain()
        assert executed == [("a", 0), ("b", 0)]


async def test_a_debounced_member_expires_by_its_turn_too(harness_on: HarnessOn) -> None:
    async with harness_on([Patient]) as harness:
        starts = [Start(Patient, Page(host=host)) for host in "ab"]
        batch = await harness.runner.run_batch(starts, **ME, max_in_flight=1)
        first, second = [item.workflow_id async for item in batch.items()]
        await harness.advance(15 * SECOND)
        again = await harness.runner.run(Patient, {"host": "b", "n": 5}, **ME)
        assert (again.workflow_id, again.created) == (second, False)
        await harness.advance(HOUR)
        assert (await harness.runner.get(second)).status == "pending"
        await harness.runner.signal(first, "close")
        await harness.advance(10 * SECOND)
        assert executed == [("a", 0), ("b", 5)]
