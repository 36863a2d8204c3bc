"""Steps with their tries and undos over HTTP, and a cancel that clears up or is forced (rules 58, 61, 62)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_shop import U1, ClientOf, StepwellOf, good, problem, served

from conformance.support import reaches
from stepwell import END, START, App, Retry, Step, Workflow, transition

calls: list[str] = []


async def flaky() -> int:
    calls.append("flaky")
    if calls.count("flaky") % 2:
        raise OSError("no answer")
    return 7


class Stay(Workflow, on_cancel="leaving"):
    @transition(START, "booked")
    async def book(self) -> None:
        await self.step("plain", self.name)
        await self.step(Step("room", retry=Retry(retries=1, delay=timedelta(0)), undo="give_back"), flaky)

    @transition("booked", END, wait=True)
    async def check_out(self) -> None: ...

    @transition("leaving", "left", wait=True)
    async def let_go(self) -> None: ...

    @transition("left", END)
    async def leave(self) -> None:
        await self.undo()

    async def name(self) -> str:
        return "Ada"

    async def give_back(self, room: int) -> None:
        calls.append(f"give back {room}")


def hotel() -> App:
    return App("shop", workflows=[Stay])


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    calls.clear()


async def staying(stepwell: Any) -> str:
    run = await stepwell.runner.run(Stay, app_name="shop", user_id="u1")
    await reaches(stepwell.runner, run.workflow_id, "waiting", "booked")
    return str(run.workflow_id)


async def test_steps_are_shown_with_tries_values_and_undos(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(hotel())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run_id = await staying(stepwell)
        canceled = good(await client.post(f"/api/v1/runs/{run_id}/cancel", json={"reason": "rain"}))
        assert (canceled["place"], canceled["canceling"]) == ("leaving", True)
        again = good(await client.post(f"/api/v1/runs/{run_id}/cancel"))
        assert again["version"] == canceled["version"]
        await reaches(stepwell.runner, run_id, "waiting", "leaving")
        await stepwell.runner.signal(run_id, "let_go")
        await reaches(stepwell.runner, run_id, "canceled")
        steps = {one["name"]: one for one in good(await client.get(f"/api/v1/runs/{run_id}/steps"))}
        shown = {name: (one["status"], one["attempts"], one["value"], one["undo"]) for name, one in steps.items()}
        assert shown == {
            "plain": ("completed", 1, "Ada", None),
            "room": ("completed", 2, 7, "give_back"),
        }
        assert steps["plain"]["undone_at"] is None
        assert steps["room"]["undone_at"] > steps["room"]["finished_at"] >= steps["room"]["started_at"]


async def test_force_cancels_at_once(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(hotel())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run_id = await staying(stepwell)
        refused = await client.post(f"/api/v1/runs/{run_id}/cancel", json={"force": "yes"})
        assert problem(refused, 422)
        ended = good(await client.post(f"/api/v1/runs/{run_id}/cancel", json={"force": True}))
        assert (ended["status"], ended["canceling"]) == ("canceled", False)
        assert "give back 7" not in calls


async def test_the_workflow_says_where_a_cancel_leads(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(hotel())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        assert good(await client.get("/api/v1/workflows/shop/stay"))["on_cancel"] == "leaving"
