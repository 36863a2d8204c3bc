"""The shop's App: its workflows, and what starts them without a request of a user: the clock and other systems."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from sqlalchemy import select

from examples.orders.settings import settings
from examples.orders.tables import engine, subscribers
from examples.orders.workflows import (
    AskForReview,
    BookPoints,
    ChangelogArgs,
    DailyReport,
    ImportItem,
    Payment,
    ProcessOrder,
    PublishChangelog,
    RecordPayment,
    ReportArgs,
    SalesOverview,
    Ship,
    SyncStock,
)
from stepwell import App, Tick, WebhookEvent, WorkflowRunner
from stepwell.triggers import github_signature, stripe_signature

orders = App(
    "orders",
    title="Orders",
    workflows=[
        ProcessOrder,
        Ship,
        RecordPayment,
        BookPoints,
        AskForReview,
        ImportItem,
        PublishChangelog,
        DailyReport,
        SalesOverview,
        SyncStock,
    ],
)


@orders.cron("0 9 * * *", timezone="Europe/Berlin")
async def daily_reports(runner: WorkflowRunner, tick: Tick) -> None:
    await send_reports(runner, tick.scheduled_at.date())


orders.schedule("stock", workflow=SyncStock, args={"warehouse": "north"}, user_id="system", every=timedelta(hours=1))
orders.schedule("sales-overview", workflow=SalesOverview, user_id="system", every=settings.sales_every)


@orders.webhook("/webhooks/stripe", verify=stripe_signature(secret=settings.stripe_secret.get_secret_value()))
async def on_stripe(event: WebhookEvent, runner: WorkflowRunner) -> None:
    if event.json["type"] != "payment_intent.succeeded":
        return
    intent = event.json["data"]["object"]
    payment = Payment(payment_id=intent["id"], order_id=intent["metadata"]["order_id"], cents=intent["amount_received"])
    await runner.run(
        RecordPayment,
        payment,
        app_name="orders",
        user_id=intent["metadata"]["user_id"],
        idempotency_key=payment.payment_id,
    )


@orders.webhook("/webhooks/github", verify=github_signature(secret=settings.github_secret.get_secret_value()))
async def on_github(event: WebhookEvent, runner: WorkflowRunner) -> None:
    if event.headers["x-github-event"] != "push":
        return
    push = event.json
    changes = ChangelogArgs(
        repository=push["repository"]["full_name"], messages=[commit["message"] for commit in push["commits"]]
    )
    await runner.run(PublishChangelog, changes, app_name="orders", user_id=settings.operator)


async def send_reports(runner: WorkflowRunner, day: date) -> int:
    """Every subscriber has a report of that day, once, however often this is called; how many they are."""
    async with engine.connect() as connection:
        users = (await connection.scalars(select(subscribers.c.user_id))).all()
    await asyncio.gather(
        *(
            runner.run(
                DailyReport,
                ReportArgs(report_date=day),
                app_name="orders",
                user_id=user,
                idempotency_key=f"daily-report:{day}",
            )
            for user in users
        )
    )
    return len(users)
