"""All ways to start a run, driven over HTTP against the real application."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from typing import Final

from examples.orders.gateway import AT_ONCE
from examples.orders.server import Server
from examples.orders.settings import settings
from examples.orders.stage import Json, Stage, table_of
from examples.orders.workflows.book_points import UNLUCKY_CENTS
from stepwell.testing.webhooks import sign_github, sign_stripe

ENVIRONMENT: Final = {
    "ORDERS_REVIEW_AFTER": "PT3S",
    "ORDERS_SALES_EVERY": "PT4S",
    "STEPWELL_LEASE_SECONDS": "2",
}
"""A demo is in a hurry. Without these: three days, ten minutes, thirty seconds."""

USER: Final = "ada"
IMPORTED: Final = 20
CATALOGUE: Final = "examples/orders/catalogue.csv"
ITEMS: Final = 120
UNLUCKY_ITEMS: Final = 3
"""Two whose supplier doesn't answer, and one that would be sold for less than it costs."""
STATES: Final = {"pending", "running", "waiting", "retrying", "completed", "failed", "canceled"}


async def play(stage: Stage, server: Server) -> None:
    """Everything was shown; what didn't go as expected is in `stage.problems`."""
    since = datetime.now(UTC)
    with stage.act("1. A request: an order, and its run in the same transaction"):
        await place(stage, item="Book", cents=1_900)
        await stage.ended("book_points", since=since)
        stage.expect(True, "its event order.completed started book_points")
    with stage.act("2. A payment gateway that fails: the charge is retried"):
        await flaky(stage)
    with stage.act("3. A large order: a person answers"):
        await large(stage)
    with stage.act("4. A declined card, and a signed Stripe webhook: the event resumes the order"):
        await declined(stage, since)
    with stage.act("5. A signed GitHub webhook"):
        await push(stage, since)
    with stage.act("6. A batch: a catalogue, a run for each line"):
        await catalogue(stage, server)
    with stage.act(f"7. {IMPORTED} orders at once, and a bank that takes {AT_ONCE} calls at a time"):
        await rush(stage, since)
    with stage.act("8. kill -9 in the middle of a payment"):
        await crash(stage, server)
    with stage.act("9. The clock"):
        await clock(stage, since)
    await summary(stage, since)


# -- the acts ---------------------------------------------------------------------------------------------------------


async def place(stage: Stage, *, item: str, cents: int, card: str = "good", until: str = "completed") -> Json:
    """The placed order, once its run has this status."""
    body = {"item": item, "total_cents": cents, "card": card}
    placed: Json = await stage.call("POST", "/orders", user=USER, body=body)
    await stage.follow(placed["workflow_id"], USER, until=until)
    return placed


async def flaky(stage: Stage) -> None:
    placed = await place(stage, item="Lamp", cents=4_900, card="flaky")
    rows = await stage.look(f"/api/v1/runs/{placed['workflow_id']}/history", USER)
    charges = [row["status"] for row in rows if row["transition"] == "charge"]
    stage.expect(charges == ["failed", "failed", "committed"], f"the charge: {', '.join(charges)}")


async def large(stage: Stage) -> None:
    placed = await place(stage, item="Piano", cents=890_000, until="waiting")
    waiting = [run["workflow_id"] for run in await stage.call("GET", "/approvals", user=stage.operator)]
    stage.expect(placed["workflow_id"] in waiting, f"it waits for {stage.operator}")
    answer = {"approved": True, "note": "a known customer"}
    await stage.call("POST", f"/approvals/{placed['workflow_id']}", user=stage.operator, body=answer)
    await stage.follow(placed["workflow_id"], USER, until="completed")


async def declined(stage: Stage, since: datetime) -> None:
    placed = await place(stage, item="Chair", cents=12_000, card="declined", until="waiting")
    body, secret = paid(placed["order_id"], 12_000), settings.stripe_secret.get_secret_value()
    forged = sign_stripe(body, "a guess", datetime.now(UTC))
    await stage.call("POST", "/webhooks/stripe", body=body, headers=forged, status=401)
    stage.expect(True, "a bad signature is refused")
    await deliver(stage, body, secret)
    await stage.follow(placed["workflow_id"], USER)
    await deliver(stage, body, secret)
    payments = [run for run in await stage.runs(since) if run["workflow_name"] == "record_payment"]
    stage.expect(len(payments) == 1, f"the same delivery twice: {len(payments)} run of record_payment")


async def deliver(stage: Stage, body: str, secret: str) -> None:
    headers = sign_stripe(body, secret, datetime.now(UTC))
    await stage.call("POST", "/webhooks/stripe", body=body, headers=headers)


def paid(order_id: str, cents: int) -> str:
    """The body that Stripe sends when a payment has succeeded, as far as it matters here."""
    intent = {
        "id": f"pi_{order_id}",
        "amount_received": cents,
        "metadata": {"order_id": order_id, "user_id": USER},
    }
    return json.dumps({"id": f"evt_{order_id}", "type": "payment_intent.succeeded", "data": {"object": intent}})


async def push(stage: Stage, since: datetime) -> None:
    commits = [{"message": "Sell lamps"}, {"message": "Sell pianos"}]
    body = json.dumps({"repository": {"full_name": "example/shop"}, "commits": commits})
    headers = sign_github(body, settings.github_secret.get_secret_value())
    await stage.call("POST", "/webhooks/github", body=body, headers=headers)
    [run] = await stage.ended("publish_changelog", since=since)
    [document] = await stage.look(f"/api/v1/runs/{run['workflow_id']}/documents", stage.operator)
    stage.expect("Sell pianos" in document["content"]["text"], "publish_changelog wrote a Markdown document")


async def catalogue(stage: Stage, server: Server) -> None:
    what = ["batch", "import_item", CATALOGUE]
    options = ["--label", "catalogue", "--max-in-flight", "16", "--user", stage.operator, "--key", "catalogue"]
    stage.command("stepwell", *what, *options)
    code = await server.command(*what, *options, "--app", "examples.orders.app:stepwell")
    [found] = [one for one in (await stage.look("/api/v1/batches"))["items"] if one["label"] == "catalogue"]
    progress = found["progress"]
    ended = (progress["completed"], progress["failed"], progress["total"])
    stage.expect(
        (code, ended) == (1, (ITEMS - UNLUCKY_ITEMS, UNLUCKY_ITEMS, ITEMS)),
        f"{ended[0]} items of {ended[2]} were imported, {ended[1]} failed: exit code {code}",
    )
    stage.say(f"in Studio: {server.url}/studio/batches/{found['batch_id']}")


async def rush(stage: Stage, since: datetime) -> None:
    for _ in range(AT_ONCE):  # each keeps the bank busy for two seconds
        await stage.call("POST", "/orders", user=USER, body={"item": "Necklace", "total_cents": 9_900, "card": "slow"})
    new = [{"item": f"Imported {n}", "total_cents": 1_000 + n} for n in range(IMPORTED)]
    await stage.call("POST", "/orders/import", user=stage.operator, body=new)
    first = await stage.call("POST", "/orders/process-pending", user=stage.operator)
    await say_why(stage, since)
    again = await stage.call("POST", "/orders/process-pending", user=stage.operator)
    stage.expect((first, again) == (IMPORTED, 0), f"{first} new runs; the second call: {again}")
    async with asyncio.timeout(60):
        while sum("imported" in run["labels"] for run in await stage.ended("process_order", since=since)) < IMPORTED:
            await asyncio.sleep(0.1)
    bank = await stage.look("/bank")
    stage.expect(
        bank["most_at_once"] <= AT_ONCE,
        f"{IMPORTED} orders completed; of {bank['calls']} calls the bank saw {bank['most_at_once']} at once",
    )


async def say_why(stage: Stage, since: datetime) -> None:
    """The stage says why an order isn't begun, while there is one."""
    for run in await stage.runs(since):
        if "imported" in run["labels"] and run["status"] == "pending":
            for reason in await stage.look(f"/runs/{run['workflow_id']}/why"):
                stage.say(reason)
            return


async def crash(stage: Stage, server: Server) -> None:
    body = {"item": "Clock", "total_cents": 7_500, "card": "slow"}
    placed = await stage.call("POST", "/orders", user=USER, body=body)
    await stage.follow(placed["workflow_id"], USER, until="running")
    await asyncio.sleep(0.5)
    [told] = await stage.look(f"/runs/{placed['workflow_id']}/why")
    stage.say(told)
    process = re.search(r"pid (\d+)", told)
    assert process is not None, told
    stage.say(f"kill -9 {process[1]}, while the gateway is being called")
    await asyncio.to_thread(server.kill, int(process[1]))
    stage.say("another process takes the run over when the lease of this one is over")
    await stage.follow(placed["workflow_id"], USER)
    rows = [row for row in await stage.look("/orders") if row["id"] == placed["order_id"]]
    documents = await stage.look(f"/api/v1/runs/{placed['workflow_id']}/documents", USER)
    receipts = [document for document in documents if document["name"] == "receipt"]
    once = len(rows) == len(receipts) == 1 and rows[0]["receipt"] == receipts[0]["content"]["number"]
    stage.expect(once, f"exactly once: {len(rows)} row, {len(receipts)} receipt")


async def clock(stage: Stage, since: datetime) -> None:
    reviews = await stage.ended("ask_for_review", at_least=5, since=since)
    stage.expect(True, f"delayed by 3 s (really: 3 days): {len(reviews)} runs of ask_for_review")
    ticks = await stage.ended("sales_overview", at_least=2, since=since)
    stage.expect(True, f"a schedule, every 4 s: {len(ticks)} runs of sales_overview so far")
    stage.say("daily_reports is due at 09:00 in Berlin, which the demo doesn't wait for: the operator sends them now")
    await stage.call("PUT", "/daily-report", user=USER)
    await stage.call("POST", "/daily-report/send", user=stage.operator)
    async with asyncio.timeout(60):
        while not [
            run for run in await stage.look("/runs") if run["result"] and run["workflow_name"] == "daily_report"
        ]:
            await asyncio.sleep(0.1)
    stage.expect(True, "daily_report wrote a report")


async def furnish(stage: Stage) -> None:
    """There is a run in every state, to be looked at in Studio."""
    with stage.act("For Studio: runs in every state"):
        for item in ("Grand piano", "Church organ"):
            await place(stage, item=item, cents=1_250_000, until="waiting")
        unlucky = await place(stage, item="Lucky charm", cents=UNLUCKY_CENTS)
        cancelled = await place(stage, item="Harp", cents=480_000, until="waiting")
        path = f"/api/v1/runs/{cancelled['workflow_id']}/cancel"
        await stage.call("POST", path, user=USER, body={"reason": "found a cheaper one"})
        await start(stage, "sync_stock", {"warehouse": "south"})
        first = await start(stage, "sync_stock", {"warehouse": "east"})
        await stage.follow(first, USER, until="running")
        await start(stage, "sync_stock", {"warehouse": "east"})  # held back until the first one is done
        await start(stage, "ask_for_review", {"order_id": unlucky["order_id"]}, delay_seconds=86_400)
        async with asyncio.timeout(60):
            while (await states(stage)) < STATES:
                await asyncio.sleep(0.1)
        stage.expect(True, f"there are runs that are {', '.join(sorted(STATES))}")


async def start(stage: Stage, workflow: str, args: Json, **options: object) -> str:
    """The new run's id."""
    body = {"app_name": "orders", "workflow": workflow, "args": args, **options}
    started = await stage.call("POST", "/api/v1/runs", user=USER, body=body, status=202)
    return str(started["workflow_id"])


async def states(stage: Stage) -> set[str]:
    counts = (await stage.look("/api/v1/counts"))["counts"]
    return {status for status, count in counts.items() if count}


async def summary(stage: Stage, since: datetime) -> None:
    """All runs in a table; those that aren't completed are problems."""
    async with asyncio.timeout(60):
        while [run for run in await stage.runs(since) if run["status"] in ("pending", "running", "retrying")]:
            await asyncio.sleep(0.1)
    runs = await stage.runs(since)
    stage.console.print()
    stage.console.print(table_of(runs))
    for run in runs:
        if run["status"] != "completed" and run["group_id"] is None:  # the batch was counted when it ended
            stage.problems.append(f"{run['workflow_name']} {run['workflow_id']} is {run['status']}: {run['error']}")
