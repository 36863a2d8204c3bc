"""What comes from outside while an app is paused: ticks fire, webhooks are answered, and the runs that they start wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from stepwell import END, App, Stepwell, Tick, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.testing import Harness
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature

HOUR = timedelta(hours=1)
SECRET = "c2VjcmV0"
written: list[str] = []


class Report(Workflow[dict[str, str]]):
    @transition(target="written")
    async def write(self) -> None:
        written.append(self.args["name"])

    @transition("written", END, after=timedelta(minutes=10))
    async def file_it(self) -> None:
        written.append(f"{self.args['name']} filed")


def office() -> App:
    written.clear()
    app = App("office", workflows=[Report])
    app.schedule("direct", workflow=Report, args={"name": "direct"}, user_id="u1", every=HOUR, overlap="allow")

    @app.cron("30 * * * *", name="handled")
    async def handled(runner: WorkflowRunner, tick: Tick) -> None:
        await runner.run(Report, {"name": f"tick {tick.scheduled_at:%H:%M}"}, app_name="office", user_id="u2")

    @app.webhook("/in", verify=github_signature(secret=SECRET))
    async def received(event: WebhookEvent, runner: WorkflowRunner) -> None:
        await runner.run(Report, {"name": event.json["name"]}, app_name="office", user_id="u3")

    return app


async def test_ticks_of_a_paused_app_fire_and_their_runs_wait(harness_of: Callable[..., Harness]) -> None:
    async with harness_of([office()]) as harness:
        runner = harness.runner
        await runner.pause("office")
        await harness.advance(HOUR)
        runs = (await runner.list(app_name="office")).items
        assert sorted(run.args["name"] for run in runs) == ["direct", "tick 00:30"]
        assert {run.status for run in runs} == {"pending"}
        assert written == []
        await runner.resume("office")
        await harness.drain()
        assert sorted(written) == ["direct", "tick 00:30"]


async def test_timers_of_a_paused_app_become_due_and_wait(harness_of: Callable[..., Harness]) -> None:
    async with harness_of([office()]) as harness:
        runner = harness.runner
        handle = await runner.run(Report, {"name": "a"}, app_name="office", user_id="u1")
        await harness.drain()
        await runner.pause(workflow=Report)
        await harness.advance(timedelta(minutes=20))
        run = await handle.get()
        assert (run.status, run.place, written) == ("waiting", "written", ["a"])
        assert run.ready_at is not None
        assert "has been paused since" in str(await runner.explain(run.workflow_id))
        await runner.resume(workflow=Report)
        await harness.drain()
        assert written == ["a", "a filed"]


async def test_a_webhook_of_a_paused_app_is_answered(stepwell_on: Callable[..., Stepwell]) -> None:
    stepwell = stepwell_on([office()])
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    transport = httpx.ASGITransport(app)
    async with stepwell.lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await stepwell.runner.pause("office")
        await stepwell.runner.pause()
        answer = await _deliver(client, "by post")
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        [run] = (await stepwell.runner.list(app_name="office")).items
        assert (run.status, run.args["name"], written) == ("pending", "by post", [])


async def _deliver(client: httpx.AsyncClient, name: str) -> Any:
    body = json.dumps({"name": name})
    return await client.post("/in", content=body, headers=sign_github(body, SECRET, delivery=name))
