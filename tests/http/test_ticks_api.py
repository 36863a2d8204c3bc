"""Ticks over the API: retried where they failed, and fired once for a key."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_shop import ROOT, ClientOf, Quiet, StepwellOf, being, good, ids, problem, served
from test_triggers_api import HOUR, KEEPER, NOW, U1, WATCHER, Nap, pass_by

from conformance.support import reaches, until
from stepwell import END, App, Tick, Workflow, WorkflowRunner, transition
from stepwell.testing import VirtualClock

OFFICE = "/api/v1/schedules/office"
ALREADY: dict[str, str] = {"Idempotency-Key": "monday's"}
broken: set[str] = set()
"""What fails, for as long as it is named here."""


class Count(Workflow[None, None, str]):
    @transition(target=END)
    async def count(self) -> str:
        if "count" in broken:
            raise ValueError("can't count")
        return "counted"


def office() -> App:
    app = App("office", workflows=[Quiet, Count, Nap])
    app.schedule("count", workflow=Count, user_id="u1", every=HOUR)
    app.schedule("slow", workflow=Nap, user_id="u1", every=HOUR, overlap="queue", misfire="all")

    @app.cron("0 9 * * *", name="daily/report")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None:
        await runner.run(Quiet, app_name="office", user_id="u2")
        if "daily" in broken:
            raise ValueError("no report")

    return app


@pytest.fixture(autouse=True)
def nothing_is_broken() -> None:
    broken.clear()


async def last(client: httpx.AsyncClient, name: str) -> Any:
    return good(await client.get(f"{OFFICE}/{name}"))["last"]


# -- retried ----------------------------------------------------------------------------------------------------------


async def test_the_failed_handler_of_a_tick_runs_again(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    broken.add("daily")
    path = f"{OFFICE}/daily/report"
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        fired = good(await client.post(f"{path}/fire"))
        which = {"scheduled_at": fired["scheduled_at"]}

        async def is_(status: str) -> bool:
            clock.move_to(clock.now() + 60_000_000)  # its own retries are due
            return bool((await last(client, "daily/report"))["status"] == status)

        await until(lambda: is_("failed"))
        for headers in (U1, WATCHER):
            problem(await client.post(f"{path}/retry", json=which, headers=headers), 403)
        problem(await client.post(f"{path}/retry", json=which, headers=being("eve", "admin", apps="annex")), 404)
        broken.clear()
        again = good(await client.post(f"{path}/retry", json=which))
        assert (again["scheduled_at"], again["workflow_id"]) == (fired["scheduled_at"], None)
        assert again["status"] == "retrying"
        await until(lambda: is_("completed"))
        assert "completed" in problem(await client.post(f"{path}/retry", json=which), 409)["detail"]
        # What it had started before it failed isn't started twice.
        assert len((await stepwell.runner.list(user_id="u2")).items) == 1


async def test_the_failed_run_of_a_tick_is_retried(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(), clock=VirtualClock(NOW))
    broken.add("count")
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        fired = good(await client.post(f"{OFFICE}/count/fire"))
        await reaches(stepwell.runner, fired["workflow_id"], "failed")
        broken.clear()
        again = good(await client.post(f"{OFFICE}/count/retry", json={"scheduled_at": fired["scheduled_at"]}))
        assert again["workflow_id"] == fired["workflow_id"]
        await reaches(stepwell.runner, fired["workflow_id"], "completed")


async def test_what_has_not_failed_can_not_be_retried(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        await stepwell.scheduler.fire_due()
        await pass_by(stepwell, clock, HOUR)
        await pass_by(stepwell, clock, HOUR)
        queued, fired = good(await client.get(f"{OFFICE}/slow"))["ticks"]
        assert (queued["outcome"], fired["outcome"]) == ("queued", "fired")
        await reaches(stepwell.runner, fired["workflow_id"], "waiting")
        for tick, said in ((queued, "queued"), (fired, "waiting")):
            answer = await client.post(f"{OFFICE}/slow/retry", json={"scheduled_at": tick["scheduled_at"]})
            assert said in problem(answer, 409)["detail"]
        never = {"scheduled_at": (NOW + timedelta(days=1)).isoformat()}
        assert (
            "no tick of 2026-01-06T12" in problem(await client.post(f"{OFFICE}/slow/retry", json=never), 404)["detail"]
        )
        problem(await client.post(f"{OFFICE}/none/retry", json=never), 404)
        for wrong in ({}, {"scheduled_at": "now"}, {"scheduled_at": 7}, {"scheduled_at": "2026-01-05T12:00:00"}):
            assert "scheduled_at" in problem(await client.post(f"{OFFICE}/slow/retry", json=wrong), 422)["detail"]


# -- fired once for a key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["count", "daily/report"])
async def test_a_key_fires_once(name: str, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:

        async def fire(headers: dict[str, str]) -> Any:
            clock.move_to(clock.now() + 1_000_000)
            return good(await client.post(f"{OFFICE}/{name}/fire", headers=headers))

        first = await fire(ALREADY)
        again = [await fire(ALREADY), *await asyncio.gather(*(fire(ALREADY) for _ in range(3)))]
        assert {one["scheduled_at"] for one in again} == {first["scheduled_at"]}
        assert {one["workflow_id"] for one in again} == {first["workflow_id"]}
        others = [await fire({"Idempotency-Key": "tuesday's"}), await fire({}), await fire({})]
        ticks = good(await client.get(f"{OFFICE}/{name}"))["ticks"]
        assert [one["scheduled_at"] for one in ticks[::-1]] == [one["scheduled_at"] for one in (first, *others)]

        async def all_ran() -> bool:
            return len(ids(good(await client.get("/api/v1/runs?status=completed", headers=ROOT)))) == 4

        await until(all_ran)


async def test_a_key_is_one_of_its_schedule_and_holds_in_every_process(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    clock = VirtualClock(NOW)
    async with stepwell_of(office(), clock=clock, embedded_worker=False) as there:
        one = await there.scheduler.fire("office", "count", "monday's")
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        here = good(await client.post(f"{OFFICE}/count/fire", headers=ALREADY))
        assert here["workflow_id"] == one.run_id
        other = good(await client.post(f"{OFFICE}/slow/fire", headers=ALREADY))
        assert other["workflow_id"] not in (None, one.run_id)
        for wrong in ("", "x" * 513):
            problem(await client.post(f"{OFFICE}/count/fire", headers={"Idempotency-Key": wrong}), 422)


async def test_keys_at_the_same_moment_fire_each_its_own_tick(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(), clock=VirtualClock(NOW))
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        given = [ALREADY, {"Idempotency-Key": "tuesday's"}]
        ran = [good(await client.post(f"{OFFICE}/count/fire", headers=one))["workflow_id"] for one in given * 2]
        assert ran[:2] == ran[2:]
        assert len(set(ran)) == 2


async def test_a_key_holds_when_its_tick_is_forgotten(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        first = good(await client.post(f"{OFFICE}/count/fire", headers=ALREADY))
        await reaches(stepwell.runner, first["workflow_id"], "completed")
        clock.move_to(clock.now() + timedelta(days=40) // timedelta(microseconds=1))
        good(await client.post(f"{OFFICE}/count/fire"))
        await stepwell.scheduler.clean()
        again = good(await client.post(f"{OFFICE}/count/fire", headers=ALREADY))
        assert (again["workflow_id"], again["scheduled_at"]) == (first["workflow_id"], first["scheduled_at"])
