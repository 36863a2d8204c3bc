"""Schedules, webhooks and routes."""

from datetime import UTC, datetime, timedelta

from fastapi import FastAPI

from stepwell import App, Settings, Stepwell, Tick, WebhookEvent, WorkflowRunner
from stepwell.fastapi import Runner
from stepwell.triggers import github_signature

from .scripts import orders
from .workflows import Cleanup, OrderArgs, ProcessOrder

HOUR = timedelta(hours=1)


@orders.cron("0 9 * * *", timezone="Europe/Berlin", name="daily", overlap="skip", misfire="all", catch_up=HOUR)
async def reports(runner: WorkflowRunner, tick: Tick) -> None:
    await runner.run(Cleanup, app_name="orders", user_id=tick.schedule)


orders.schedule("nightly-cleanup", workflow=Cleanup, args={}, user_id="system", every=6 * HOUR, jitter=HOUR)
orders.schedule("weekly", workflow="cleanup", cron="@weekly", timezone="UTC", catch_up=None)
orders.schedule("hourly", workflow=Cleanup, every=HOUR, anchor=datetime(2026, 1, 1, tzinfo=UTC))


@orders.webhook("/webhooks/github", verify=github_signature(secret="s" * 32))
async def on_github(event: WebhookEvent, runner: WorkflowRunner) -> None:
    await runner.run("cleanup", app_name="orders", user_id=event.id)


def make() -> FastAPI:
    stepwell = Stepwell(apps=[orders], settings=Settings(database_url="sqlite://"), embedded_worker=False)
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    return app


async def run_my_workflow(payload: OrderArgs, runner: Runner) -> dict[str, str]:
    run = await runner.run(ProcessOrder, payload, app_name="orders", user_id="u1")
    return {"message": "Workflow run is queued.", "workflow_id": run.workflow_id}


def wrong(app: App) -> None:
    app.cron("@daily", overlapp="skip")  # error: a slip
    app.cron("@daily", overlap="never")  # error: no choice
    app.cron("@daily", jitter=5)  # error: no timedelta
    app.cron("@daily", user_id="u1")  # error: a handler starts for whom it wants
    app.schedule("a", workflow=Cleanup, every=HOUR, misfire="lastest")  # error: no choice
    app.schedule("a", workflow=Cleanup, every=HOUR, misfires="latest")  # error: a slip
    app.schedule("a", workflow=Cleanup, every=5)  # error: no timedelta
    app.schedule("a", workflow=OrderArgs, every=HOUR)  # error: no workflow
    app.webhook("/in", verify="secret")  # error: no verifier
    Settings(worker_concurency=5)  # error: a slip
    Stepwell(apps=app)  # error: no list
