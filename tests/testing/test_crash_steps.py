"""`crash_everywhere` over steps with options: `once` runs at most once, undos are repeated and not forgotten."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from stepwell import END, START, App, Retry, Step, Workflow, transition
from stepwell.errors import StepUnknown
from stepwell.testing import Harness

calls: Counter[tuple[str, str]] = Counter()


class Transfer(Workflow[None, None, str]):
    @transition(START, "sent")
    async def send(self) -> None:
        try:
            await self.step(Step("transfer", once=True), self.called, "transfer")
        except StepUnknown:
            calls[self.info.workflow_id, "asked"] += 1

    @transition("sent", END)
    async def note(self) -> str:
        return "sent"

    async def called(self, what: str) -> str:
        calls[self.info.workflow_id, what] += 1
        return what


async def test_once_is_at_most_once_at_each_crash() -> None:
    calls.clear()
    async with Harness(apps=[App("bank", workflows=[Transfer])]) as harness:
        report = await harness.crash_everywhere(Transfer, app_name="bank")
    assert "the step 'transfer' of 'send': started" in report.names
    bodies = [count for (_, what), count in calls.items() if what == "transfer"]
    assert bodies
    assert max(bodies) == 1, "the body ran at most once in each run"
    assert any(what == "asked" for _, what in calls), "an unknown outcome was told"


class Trip(Workflow[None, None, Any]):
    @transition(START, "booked", error_place="failed")
    async def book(self) -> None:
        for name in ("flight", "hotel"):
            await self.step(
                Step(name, retry=Retry(retries=1, delay=timedelta(seconds=5)), undo="give_back"), self.made, name
            )

    @transition("booked", END, error_place="failed")
    async def go(self) -> None:
        raise ValueError("rain")

    @transition("failed", END)
    async def give_up(self) -> str:
        await self.undo()
        return "at home"

    async def made(self, name: str) -> str:
        calls[self.info.workflow_id, f"book {name}"] += 1
        if name == "hotel" and calls[self.info.workflow_id, "book hotel"] == 1:
            raise OSError("no answer")
        return name

    async def give_back(self, name: str) -> None:
        calls[self.info.workflow_id, f"give back {name}"] += 1


async def test_each_step_is_undone_whatever_dies() -> None:
    calls.clear()
    async with Harness(apps=[App("trips", workflows=[Trip])]) as harness:
        report = await harness.crash_everywhere(Trip, app_name="trips")
    assert "the undo of step 'hotel' of 'book'" in report.names
    undone = Counter(run_id for run_id, what in calls if what.startswith("give back"))
    assert set(undone.values()) == {2}, "each run gave both back"
    assert len(undone) == report.crashes + 1
