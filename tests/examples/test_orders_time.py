"""What the shop does in days, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import create_async_engine

from stepwell.testing import Harness

Shop = Callable[[str], ModuleType]


async def test_every_subscriber_has_one_report_a_day(shop: Shop) -> None:
    tables, triggers = shop("tables"), shop("triggers")
    await tables.create_tables()
    async with tables.engine.begin() as connection:
        await connection.execute(insert(tables.subscribers), [{"user_id": "ada"}, {"user_id": "bob"}])

    async with Harness(apps=[triggers.orders], now=datetime(2026, 1, 5, 7, tzinfo=UTC)) as harness:
        await harness.advance(timedelta(minutes=59))
        assert (await harness.runner.list(workflow="daily_report")).items == ()
        await harness.advance(timedelta(minutes=1))
        first = (await harness.runner.list(workflow="daily_report")).items
        assert {(run.user_id, run.args["report_date"]) for run in first} == {
            ("ada", "2026-01-05"),
            ("bob", "2026-01-05"),
        }
        assert await triggers.send_reports(harness.runner, datetime(2026, 1, 5, tzinfo=UTC).date()) == 2
        await harness.drain()
        assert len((await harness.runner.list(workflow="daily_report")).items) == 2
        await harness.advance(timedelta(days=1))
        assert len((await harness.runner.list(workflow="daily_report")).items) == 4
        [document] = await harness.runner.documents(first[0].workflow_id)
        assert document.content["text"].startswith("# Your orders on 2026-01-05")
    await tables.engine.dispose()


async def test_a_large_order_that_nobody_answers_expires(shop: Shop) -> None:
    tables, triggers, workflows = shop("tables"), shop("triggers"), shop("workflows")
    async with Harness(apps=[triggers.orders]) as harness:
        engine = create_async_engine(harness.stepwell.settings.database_url)
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
            new = tables.NewOrder(item="Piano", total_cents=890_000)
            order_id = await tables.add_order(connection, new, "ada", "processing")
        args = workflows.OrderArgs(order_id=order_id, **new.model_dump())
        run = await harness.runner.run(workflows.ProcessOrder, args, app_name="orders", user_id="ada")
        await harness.drain()
        assert (await run.get()).waiting_for == ("approve", "reject")
        await harness.advance(timedelta(days=2))
        assert (await run.result()).outcome == "expired"
        async with engine.connect() as connection:
            assert await connection.scalar(select(tables.orders.c.status)) == "expired"
        await engine.dispose()
