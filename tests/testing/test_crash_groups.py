"""Groups of children in the testing kit: drained, advanced, and crashed at each of their commits (rule 53, faults 4, 5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell import END, App, Group, Signal, Start, Workflow, transition
from stepwell.testing import Harness


class Part(Workflow[int, dict[str, Any], int]):
    @transition(target=END)
    async def go(self) -> int:
        if self.args < 0:
            raise ValueError(f"{self.args} is negative")
        return self.args * 10


class Late(Workflow[int, dict[str, Any], int]):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, after=timedelta(hours=1))
    async def go(self) -> int:
        return self.args


class Whole(Workflow[list[int]]):
    until: Any = "all_ended"
    most: int | None = None

    @transition(target="waiting")
    async def begin(self) -> None:
        starts = [Start(Part, n) for n in self.args]
        await self.start_many(starts, callback="told", until=type(self).until, max_in_flight=type(self).most)

    @transition("waiting", END, wait=True)
    async def told(self, end: Signal[Group[int]]) -> Any:
        counts = [end.data.total, end.data.completed, end.data.failed, end.data.canceled]
        return [end.status, counts, [[one.status, one.result] for one in end.data.results]]


class OneByOne(Whole):
    until = "all_completed"
    most = 1


class Hours(Workflow[int]):
    @transition(target="waiting")
    async def begin(self) -> None:
        starts = [Start(Late, n) for n in range(self.args)]
        await self.start_many(starts, callback="told", until="all_completed", max_in_flight=1)

    @transition("waiting", END, wait=True)
    async def told(self, end: Group[int]) -> Any:
        return [one.result for one in end.results]


SHOP = App("shop", workflows=[Part, Late, Whole, OneByOne, Hours])


@pytest.mark.parametrize(
    ("workflow", "args", "commits"),
    # The start, begin, a checkpoint of each child that ends, cancels, steps of the group, told.
    [(Whole, [1, -2, 3], 7), (OneByOne, [1, 2], 7), (OneByOne, [1, -2, 3], 8), (Whole, [], 4)],
    ids=["all ended", "one by one", "stopped", "none"],
)
async def test_a_group_ends_the_same_wherever_a_process_dies(workflow: Any, args: list[int], commits: int) -> None:
    async with Harness(apps=[SHOP]) as harness:
        report = await harness.crash_everywhere(workflow, args, app_name="shop")
        assert report.commits >= commits - 1
        assert "a step of a group" in report.names
        assert report.crashes >= report.commits


async def test_turns_are_taken_while_time_passes() -> None:
    async with Harness(apps=[SHOP]) as harness:
        run = await harness.runner.run(Hours, 3, app_name="shop", user_id="u1")
        await harness.drain()
        await harness.advance(timedelta(hours=2, minutes=59))
        assert (await run.get()).status == "waiting"
        await harness.advance(timedelta(minutes=1))
        assert (await run.get()).result == [0, 1, 2]
