"""Batches: how far they are, what failed, and what can be done about it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest
import storefront
from filling import until
from opening import OpenPage
from playwright.async_api import Page, expect
from sites import Site
from storefront import APP, ChargeCard, RemindCustomer, SupportChat, TakePayment
from watching import Watch, check_accessible

from stepwell import Start

pytestmark = pytest.mark.thorough

ABSENT = "00000000-0000-7000-8000-000000000000"


async def start_batch(site: Site, starts: Sequence[Start], user: str = "ada", **options: Any) -> str:
    """The id of a new batch."""
    batch = await site.call(site.runner.run_batch(starts, app_name=APP, user_id=user, **options))
    return batch.batch_id


async def ids_of(site: Site, batch_id: str) -> list[str]:
    async def read() -> list[str]:
        return [item.workflow_id async for item in site.runner.batch(batch_id).items()]

    return await site.call(read())


async def rested(site: Site, batch_id: str, status: str) -> list[str]:
    """The ids of its runs, which all have this status."""
    runs = await ids_of(site, batch_id)
    await site.call(asyncio.wait_for(_all(site, runs, status), 60))
    return runs


async def _all(site: Site, runs: Sequence[str], status: str) -> None:
    await asyncio.gather(*(until(site.runner, run, status) for run in runs))


def charges(count: int) -> list[Start]:
    return [Start(ChargeCard, {"order_id": f"A-{number}"}) for number in range(count)]


async def test_the_list_says_how_far_each_batch_is(site: Site, open_page: OpenPage) -> None:
    paid = await start_batch(site, [Start(TakePayment, {"order_id": "A-1"}) for _ in range(3)], label="November")
    stolen = await start_batch(site, charges(2), label="Stolen cards")
    await rested(site, paid, "completed")
    await rested(site, stolen, "failed")
    page = await open_page("/")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Batches").click()
    row = page.get_by_role("row", name=re.compile("November"))
    await expect(row).to_contain_text("3 of 3 ended")
    await expect(row).to_contain_text("Ended")
    await expect(row).to_contain_text("shop · take_payment")
    bar = page.get_by_role("progressbar", name="Progress of Stolen cards")
    await expect(bar).to_have_attribute("aria-valuetext", "2 of 2 ended: 2 failed")
    await page.get_by_role("link", name="2 failed: show them").click()
    await expect(page).to_have_url(re.compile(f"{stolen}.*status=failed"))
    await expect(page.get_by_role("table", name="Runs of the batch").locator("tbody tr")).to_have_count(2)


async def test_the_list_is_filtered_by_user_and_app(site: Site, open_page: OpenPage) -> None:
    await start_batch(site, charges(1), label="Mine")
    await start_batch(site, charges(1), user="otto", label="Other")
    page = await open_page("/batches")
    await expect(page.get_by_role("table", name="Batches").locator("tbody tr")).to_have_count(2)
    await page.get_by_label("User").fill("otto")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_role("table", name="Batches").locator("tbody tr")).to_have_count(1)
    await expect(page.get_by_role("link", name="Other")).to_be_visible()
    await page.goto(page.url.replace("otto", "nemo"))
    await expect(page.get_by_text("No matching batches")).to_be_visible()
    await page.get_by_role("button", name="Clear the filters").click()
    await expect(page.get_by_role("link", name="Mine")).to_be_visible()


async def test_users_who_see_only_their_runs_see_only_their_batches(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    watch.expect("404")
    mine = await start_batch(site, charges(1), label="Of ada")
    page = await open_page("/batches", who="otto")
    await expect(page.get_by_text("No batches yet")).to_be_visible()
    await page.goto(f"{site.url}/studio/batches/{mine}")
    await expect(page.get_by_role("heading", name="Batch not found")).to_be_visible()


async def test_a_batch_is_followed_without_reloading(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, [Start(SupportChat) for _ in range(2)], label="Chats")
    [first, second] = await rested(site, batch, "waiting")
    page = await open_page(f"/batches/{batch}")
    await expect(page.get_by_role("heading", name="Chats", exact=True)).to_be_visible()
    bar = page.get_by_role("progressbar", name="Progress of the batch")
    await expect(bar).to_have_attribute("aria-valuetext", "0 of 2 ended: 2 waiting")
    await site.call(site.runner.signal(first, "close"))
    await expect(bar).to_have_attribute("aria-valuetext", "1 of 2 ended: 1 completed, 1 waiting")
    await expect(page.get_by_text(re.compile("Rate: .* Time left: "))).to_be_visible()
    await site.call(site.runner.signal(second, "close"))
    await expect(bar).to_have_attribute("aria-valuetext", "2 of 2 ended: 2 completed")
    rows = page.get_by_role("table", name="Runs of the batch").locator("tbody tr")
    await expect(rows.filter(has_text="Completed")).to_have_count(2)


async def test_counts_filter_the_runs_and_the_address_keeps_it(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, [Start(SupportChat), *charges(1)], label="Mixed")
    chat, charge = await ids_of(site, batch)
    await site.call(until(site.runner, chat, "waiting"))
    await site.call(until(site.runner, charge, "failed"))
    page = await open_page(f"/batches/{batch}")
    rows = page.get_by_role("table", name="Runs of the batch").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await page.get_by_role("link", name="1 waiting", exact=True).click()
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile("status=waiting"))
    await page.reload()
    await expect(page.get_by_role("heading", name="Runs: waiting")).to_be_visible()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Show all").click()
    await expect(rows).to_have_count(2)
    await rows.first.get_by_role("link").click()
    await expect(page).to_have_url(re.compile(chat))


async def test_a_long_batch_is_listed_in_pages(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, [Start(TakePayment, {"order_id": "A-1"}) for _ in range(70)])
    await rested(site, batch, "completed")
    page = await open_page(f"/batches/{batch}")
    rows = page.get_by_role("table", name="Runs of the batch").locator("tbody tr")
    await expect(rows).to_have_count(50)
    await page.get_by_role("button", name="More runs").click()
    await expect(rows).to_have_count(70)


async def test_what_failed_is_told_and_retried(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, charges(7), label="Stolen cards")
    runs = await rested(site, batch, "failed")
    page = await open_page(f"/batches/{batch}")
    failed = page.locator("section", has=page.get_by_role("heading", name="What failed"))
    await expect(failed.get_by_role("link", name="The bank says: the card is stolen.")).to_have_count(5)
    await expect(failed.get_by_role("link", name="All 7 failed runs")).to_be_visible()
    await expect(failed.get_by_role("link").first).to_have_attribute("href", re.compile(runs[0]))
    storefront.Till.broken = False
    await page.get_by_role("button", name="Retry failed").click()
    bar = page.get_by_role("progressbar", name="Progress of the batch")
    await expect(bar).to_have_attribute("aria-valuetext", "7 of 7 ended: 7 completed")
    await expect(failed).to_have_count(0)
    await rested(site, batch, "completed")


async def test_a_batch_is_cancelled_with_a_reason(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, [Start(RemindCustomer) for _ in range(3)], label="Reminders")
    runs = await rested(site, batch, "waiting")
    page = await open_page(f"/batches/{batch}")
    await page.get_by_role("button", name="Cancel…").click()
    dialog = page.get_by_role("dialog", name="Cancel this batch?")
    await expect(dialog).to_contain_text("3 runs that haven't ended stop for good")
    await dialog.get_by_role("button", name="Keep it").click()
    await expect(dialog).to_have_count(0)
    assert (await site.call(site.runner.get(runs[0]))).status == "waiting"
    await page.get_by_role("button", name="Cancel…").click()
    await dialog.get_by_label("Reason").fill("The wrong list.")
    await dialog.get_by_role("button", name="Cancel the batch").click()
    bar = page.get_by_role("progressbar", name="Progress of the batch")
    await expect(bar).to_have_attribute("aria-valuetext", "3 of 3 ended: 3 cancelled")
    await rested(site, batch, "canceled")
    assert "The wrong list." in str((await site.call(site.runner.get(runs[2]))).error)


async def test_viewers_see_why_they_may_not_act(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, [Start(RemindCustomer)])
    await rested(site, batch, "waiting")
    page = await open_page(f"/batches/{batch}", who="vera")
    for name in ("Retry failed", "Cancel…"):
        button = page.get_by_role("button", name=name)
        await expect(button).to_have_attribute("aria-disabled", "true")
        await button.focus()
        await expect(page.get_by_role("tooltip")).to_contain_text("needs the role operator")
        await page.keyboard.press("Escape")


async def test_a_run_of_a_batch_leads_to_it(site: Site, open_page: OpenPage) -> None:
    batch = await start_batch(site, [Start(RemindCustomer) for _ in range(2)], label="Reminders")
    runs = await rested(site, batch, "waiting")
    page = await open_page(f"/runs/{runs[1]}")
    await expect(page.get_by_text("index 1 of its batch")).to_be_visible()
    await page.get_by_role("link", name="its batch").click()
    await expect(page.get_by_role("heading", name="Reminders", exact=True)).to_be_visible()


async def test_the_pages_are_accessible_in_both_themes_and_on_a_phone(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    watch.expect("404")
    batch = await start_batch(site, [*charges(2), Start(SupportChat), Start(RemindCustomer)], label="Mixed")
    for run in (await ids_of(site, batch))[:2]:
        await site.call(until(site.runner, run, "failed"))
    for path in ("/batches", f"/batches/{batch}", f"/batches/{ABSENT}"):
        page = await open_page(path, color_scheme="light")
        await check(page)
        await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await check(page)
        await page.set_viewport_size({"width": 320, "height": 640})
        await check(page)
        overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} is {overflow} px wider than the phone"
    page = await open_page(f"/batches/{batch}", color_scheme="light")
    await page.get_by_role("button", name="Cancel…").click()
    await page.get_by_role("dialog").wait_for()
    await check(page)


async def check(page: Page) -> None:
    await page.locator("h1").first.wait_for()
    await expect(page.locator("[role=status]", has_text="Loading")).to_have_count(0)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")
    await check_accessible(page)
