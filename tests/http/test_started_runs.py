"""Deliveries name the runs that their handlers started."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from api_shop import ROOT, ClientOf, Quiet, StepwellOf, being, good, ids, served
from test_triggers_api import KEEPER, SECRET, WATCHER, deliver

from conformance.support import until
from stepwell import END, App, Event, Start, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.triggers import github_signature
from stepwell.triggers.handler_runner import TOLD

reached: list[int] = []
"""How many runs the next attempts of the handler start before they fail; nothing left: all, and it returns."""


class Hear(Workflow[None, None, None], on=Event("bell.rung")):
    @transition(target=END)
    async def come(self) -> None: ...


async def starts_in_every_way(event: WebhookEvent, runner: WorkflowRunner) -> None:
    given: dict[str, Any] = {"app_name": "office", "user_id": "u1"}
    await runner.run(Quiet, **given)
    await runner.as_user("u2").run_many([Start(Quiet), Start(Quiet)], app_name="office")
    await runner.run_sync(Quiet, **given)
    await runner.run_sync(Quiet, **given, stateless=True)
    await runner.run(Quiet, **given, idempotency_key="ours")
    await runner.run(Quiet, app_name="annex", user_id="u1")
    await runner.emit("bell.rung")


def starts_in_a_thread(event: WebhookEvent, runner: Any) -> None:
    runner.run(Quiet, app_name="office", user_id="u1")


async def starts_many(event: WebhookEvent, runner: WorkflowRunner) -> None:
    await runner.run_many([Start(Quiet)] * (TOLD + 5), app_name="office", user_id="u1")


async def starts_none(event: WebhookEvent) -> None: ...


async def starts_and_fails(event: WebhookEvent, runner: WorkflowRunner) -> None:
    most = reached.pop(0) if reached else 3
    for number in range(most):
        await runner.run(Quiet, app_name="office", user_id="u1", labels=[str(number)])
    if most < 3:
        raise ValueError("no further")


def apps() -> tuple[App, App]:
    office, annex = App("office", workflows=[Quiet, Hear]), App("annex", workflows=[Quiet])
    for handler in (starts_in_every_way, starts_in_a_thread, starts_many, starts_none, starts_and_fails):
        office.webhook(f"/{handler.__name__}", verify=github_signature(secret=SECRET))(handler)
    return office, annex


async def started(client: httpx.AsyncClient, headers: dict[str, str] = WATCHER) -> list[str]:
    """What the newest delivery tells."""
    found: list[str] = good(await client.get("/api/v1/deliveries?limit=1", headers=headers))["items"][0]["started"]
    return found


async def test_whatever_a_handler_starts_is_told_in_order(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(*apps())
    async with client_of(stepwell, served(stepwell)) as client:
        assert await deliver(client, "one", "/starts_in_every_way") == 200
        found = await started(client)
        every = ids(good(await client.get("/api/v1/runs", headers=ROOT)))
        assert (len(found), sorted(found)) == (7, sorted(every))
        runs = [await stepwell.runner.get(one) for one in found]
        assert [(run.app_name, run.user_id, run.workflow_name) for run in runs[:6]] == [
            ("office", "u1", "quiet"),
            ("office", "u2", "quiet"),
            ("office", "u2", "quiet"),
            ("office", "u1", "quiet"),
            ("office", "u1", "quiet"),
            ("annex", "u1", "quiet"),
        ]
        assert (runs[4].idempotency_key, runs[6].workflow_name) == ("ours", "hear")
        # A run of another app doesn't exist for who sees only this one.
        narrow = being("eve", "admin", apps="office")
        assert await started(client, narrow) == [*found[:5], found[6]]


async def test_a_handler_in_a_thread_and_one_that_starts_nothing(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(*apps())
    async with client_of(stepwell, served(stepwell)) as client:
        assert await deliver(client, "one", "/starts_in_a_thread") == 200
        assert await started(client) == ids(good(await client.get("/api/v1/runs", headers=ROOT)))
        assert await deliver(client, "two", "/starts_none") == 200
        assert await started(client) == []
        page = good(await client.get("/api/v1/deliveries", headers=WATCHER))["items"]
        assert [len(one["started"]) for one in page] == [0, 1]


async def test_of_many_runs_the_first_are_told(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(*apps())
    async with client_of(stepwell, served(stepwell)) as client:
        assert await deliver(client, "one", "/starts_many") == 200
        every = ids(good(await client.get("/api/v1/runs?limit=1000", headers=ROOT)))
        assert (await started(client), len(every)) == (every[::-1][:TOLD], TOLD + 5)


async def test_what_failed_attempts_started_is_told_too(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    stepwell = stepwell_of(*apps())
    reached[:] = [0, 1, 2]
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        for count in range(3):
            assert await deliver(client, "one", "/starts_and_fails") == 500
            assert len(await started(client)) == count
        before = await started(client)
        body = {"delivery_id": "one"}
        again = good(await client.post("/api/v1/deliveries/office/starts_and_fails/redrive", json=body))
        assert (
            again["started"][: len(before)] == before
        )  # the handler may have run again meanwhile, and started one more

        async def handled() -> bool:
            return bool(good(await client.get("/api/v1/deliveries"))["items"][0]["status"] == "completed")

        await until(handled)
        after = await started(client)
        assert (after[:2], len(after)) == (before, 3)
        assert sorted(after) == sorted(ids(good(await client.get("/api/v1/runs"))))
    assert not [one for one in caplog.records if "could not be noted" in one.message and one.levelno >= logging.ERROR]


async def test_the_runs_of_a_batch_are_told(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    office = App("office", workflows=[Quiet])

    @office.webhook("/batch", verify=github_signature(secret=SECRET))
    async def start(event: WebhookEvent, runner: WorkflowRunner) -> None:
        await runner.run_batch([Start(Quiet)] * 3, app_name="office", user_id="u1")

    stepwell = stepwell_of(office)
    async with client_of(stepwell, served(stepwell)) as client:
        assert await deliver(client, "one", "/batch") == 200
        [batch] = (await stepwell.runner.batches()).items
        items = [item.workflow_id async for item in stepwell.runner.batch(batch.batch_id).items()]
        assert await started(client) == items
