"""Schedules, webhooks, workers, workspaces and tokens, as operators use them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import storefront
from filling import fill, start, until
from opening import OpenPage, pages
from playwright.async_api import Browser, expect
from sites import Site, open_site
from watching import Watch, check_accessible

from stepwell import App, NonRetryable, Schedule, Tick, WorkflowRunner
from stepwell.testing.webhooks import sign_stripe


async def test_a_schedule_is_paused_resumed_and_fired(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/schedules")
    await expect(page.get_by_role("row")).to_have_count(3)
    await expect(page.get_by_role("row", name=re.compile("nightly-stock"))).to_contain_text("Daily at 02:30")
    await expect(page.get_by_role("row", name=re.compile("nightly-stock"))).to_contain_text("02:30 Europe/Berlin")
    await page.get_by_role("button", name="Pause: reminders").click()
    row = page.get_by_role("row", name=re.compile("reminders"))
    await expect(row).to_contain_text("Paused")
    await page.get_by_role("button", name="Resume: reminders").click()
    await expect(row).to_contain_text("Active")
    await page.get_by_role("link", name="reminders").click()
    await page.get_by_role("button", name="Fire now: reminders").click()
    await expect(page.get_by_role("table", name="Ticks").locator("tbody tr")).to_have_count(1)
    found = await site.call(site.runner.list(workflow="remind_customer"))
    assert len(found.items) == 1


async def test_a_user_makes_edits_and_deletes_a_schedule(site: Site, open_page: OpenPage, watch: Watch) -> None:
    watch.expect("422")
    page = await open_page("/schedules", who="otto")
    await expect(page.get_by_role("main")).to_contain_text("There is no schedule yet")
    await page.get_by_role("button", name="New schedule").click()
    await page.get_by_label("Name").fill("mine")
    await page.get_by_label("Workflow").select_option("shop/remind_customer")
    await page.get_by_label("Ticks", exact=True).select_option("every")
    await page.get_by_label("Every", exact=True).fill("2")
    await page.get_by_role("button", name="Make the schedule").click()
    row = page.get_by_role("row", name=re.compile("mine"))
    await expect(row).to_contain_text("Every 2 hours")
    await expect(row).to_contain_text("for otto")
    await page.get_by_role("link", name="mine").click()
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_label("Ticks", exact=True).select_option("cron")
    await page.get_by_label("Cron expression").fill("0 9 * * 5-1")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog")).to_contain_text("The schedule wasn't changed")
    await page.get_by_label("Cron expression").fill("30 7 * * *")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("main")).to_contain_text("Daily at 07:30")
    await page.get_by_role("button", name="Fire now: mine").click()
    await expect(page.get_by_role("table", name="Ticks").locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete the schedule").click()
    await expect(page.get_by_role("main")).to_contain_text("There is no schedule yet")
    assert len((await site.call(site.runner.list(user_id="otto", workflow="remind_customer"))).items) == 1


async def test_a_schedule_is_made_and_changed_in_all_that_the_api_takes(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/schedules")
    await page.get_by_role("button", name="New schedule").click()
    await page.get_by_label("Name").fill("whole")
    await page.get_by_label("Workflow").select_option("shop/remind_customer")
    await page.get_by_label("While a run of it is going").select_option("queue")
    await page.get_by_label("Missed ticks").select_option("all")
    await page.get_by_label("Not older than", exact=True).fill("1.5")
    await page.get_by_label("Not older than: unit").select_option("hours")
    await page.get_by_label("Spread over", exact=True).fill("20")
    await page.get_by_label("Paused: nothing fires").check()
    await check_accessible(page)
    await page.get_by_role("button", name="Make the schedule").click()
    await page.get_by_role("link", name="whole").click()
    made = await whole(site)
    assert (made.workflow_name, made.overlap, made.misfire, made.paused) == ("remind_customer", "queue", "all", True)
    assert (made.catch_up, made.jitter) == (timedelta(hours=1.5), timedelta(seconds=20))
    main = page.get_by_role("main")
    await expect(main).to_contain_text("all are caught up, if not older than 1 h 30 min")
    await expect(main).to_contain_text("Spread over20 s")

    await page.get_by_role("button", name="Edit").click()
    await expect(page.get_by_label("Not older than", exact=True)).to_have_value("90")  # minutes
    await page.get_by_label("Workflow").select_option("shop/ask_supplier")
    await page.get_by_label("Args").fill('{"supplier": "North"}')
    await page.get_by_label("Spread over", exact=True).fill("")
    await page.get_by_role("button", name="Save").click()
    await expect(main.get_by_role("link", name="ask_supplier")).to_be_visible()
    await expect(main).not_to_contain_text("Spread over")
    changed = await whole(site)
    assert (changed.workflow_name, changed.args) == ("ask_supplier", {"supplier": "North"})
    assert (changed.rule, changed.next) == (made.rule, made.next)  # it doesn't count anew
    assert (changed.misfire, changed.catch_up, changed.jitter) == ("all", timedelta(hours=1.5), timedelta(0))

    await page.get_by_role("button", name="Edit").click()
    await page.get_by_label("Missed ticks").select_option("skip")
    await expect(page.get_by_label("Not older than", exact=True)).to_have_count(0)
    await page.get_by_role("button", name="Save").click()
    await expect(main).to_contain_text("they are left out")


async def whole(site: Site) -> Schedule:
    return await site.call(site.runner.schedules.get("whole", app_name="shop"))


@pytest.fixture
def clock_site(database: Path) -> Iterator[Site]:
    app = App("clock")

    @app.cron("0 3 1 1 *")
    async def tidy(runner: WorkflowRunner, tick: Tick) -> None:
        if storefront.Till.broken:
            raise NonRetryable("The till doesn't open.")

    storefront.Till.broken = True
    with open_site(database, apps=[app]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_clock(browser: Browser, clock_site: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, clock_site.url, watch):
        yield opened


async def test_a_failed_tick_is_retried(open_clock: OpenPage) -> None:
    page = await open_clock("/schedules/clock/tidy")
    await page.get_by_role("button", name="Fire now: tidy").click()
    tick = page.get_by_role("table", name="Ticks").locator("tbody tr")
    await expect(tick).to_contain_text("Failed")
    storefront.Till.broken = False
    await tick.get_by_role("button", name="Retry").click()
    await expect(tick).to_contain_text("Completed")
    await expect(tick.get_by_role("button", name="Retry")).to_have_count(0)


async def test_a_failed_delivery_is_handled_again(site: Site, open_page: OpenPage) -> None:
    body = json.dumps({"id": "evt_9", "stolen": True})
    async with httpx.AsyncClient(base_url=site.url) as sender:
        headers = sign_stripe(body, storefront.SECRET, datetime.now(UTC))
        assert (await sender.post("/webhooks/payments", content=body, headers=headers)).status_code == 500
    page = await open_page("/webhooks")
    await page.get_by_role("button", name="evt_9").click()
    inspector = page.get_by_role("dialog")
    await expect(inspector).to_contain_text("The till doesn't open.")
    storefront.Till.broken = False
    await inspector.get_by_role("button", name="Handle again").click()
    await expect(inspector).to_contain_text("Completed")
    await inspector.get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Take a payment")).to_be_visible()
    found = await site.call(site.runner.list(workflow="take_payment"))
    assert [run.args["order_id"] for run in found.items] == ["evt_9"]


async def test_workers_show_what_they_hold(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.CountStock))
    await site.call(until(site.runner, run, "running"))
    page = await open_page("/workers")
    await expect(page.get_by_role("heading", name="Alive: 1")).to_be_visible()
    await page.get_by_role("link", name=re.compile("count_stock")).click()
    await expect(page).to_have_url(re.compile(run))


async def test_a_workspace_leads_to_its_runs(site: Site, open_page: OpenPage) -> None:
    await site.call(fill(site.runner))
    page = await open_page("/workspaces")
    await page.get_by_role("link", name="Open its runs: ada in shop").click()
    await expect(page.get_by_role("button", name=re.compile("^Remove workspace:"))).to_be_visible()


async def test_a_token_is_made_shown_once_and_revoked(site: Site, open_page: OpenPage, watch: Watch) -> None:
    page = await open_page("/tokens")
    await page.get_by_role("button", name="New token").click()
    await page.get_by_label("Name").fill("pipeline")
    await page.get_by_label("Role").select_option("operator")
    await page.get_by_role("button", name="Create token").click()
    shown = await page.get_by_role("dialog").locator("code").inner_text()
    assert shown.startswith("sw_")
    headers = {"Authorization": f"Bearer {shown}"}
    async with httpx.AsyncClient(base_url=f"{site.url}/api/v1", headers=headers) as client:
        assert (await client.get("/me")).json()["role"] == "operator"
        await page.get_by_role("button", name="I have it").click()
        await expect(page.get_by_role("table", name="Tokens")).to_contain_text("pipeline")
        assert shown not in await page.content()
        await page.get_by_role("button", name="Revoke pipeline").click()
        await page.get_by_role("button", name="Revoke the token").click()
        await expect(page.get_by_role("table", name="Tokens")).to_contain_text("Revoked")
        assert (await client.get("/me")).status_code == 401


async def test_who_may_not_see_all_runs_is_told_so_in_words(open_page: OpenPage) -> None:
    for path in ("/limits", "/webhooks", "/workers"):
        page = await open_page(path, who="otto")
        await expect(page.get_by_text("You have no access to this page")).to_be_visible()
        await expect(page.get_by_role("main")).to_contain_text("you see only your own")
        await expect(page.get_by_role("main")).not_to_contain_text("403")
        offered = page.get_by_role("navigation", name="Pages")
        await expect(offered.get_by_role("link", name="Runs")).to_be_visible()
        await expect(offered.get_by_role("link", name="Workers")).to_have_count(0)
