"""Starting by a form: what is left out stays out, what is wrong is said at its field, a start can be had again."""

from __future__ import annotations

import json
import re

import storefront
from filling import LARGE, start
from opening import OpenPage
from playwright.async_api import Page, expect
from sites import Site
from watching import Watch

FORM = "/workflows/shop/fulfil_order/start"


async def test_what_is_wrong_is_said_and_leads_to_its_field(open_page: OpenPage) -> None:
    page = await open_page(FORM)
    await begin(page)
    summary = page.get_by_role("alert")
    await expect(summary).to_contain_text("Customer \u203a Name: This is required.")
    await expect(summary).to_be_focused()
    await summary.get_by_role("button", name="Payment \u203a Number").click()
    await expect(page.get_by_label("Number", exact=True)).to_be_focused()


async def test_the_servers_word_stands_at_the_field(open_page: OpenPage, watch: Watch) -> None:
    watch.expect("status of 422")
    page = await open_page(FORM)
    given = LARGE | {"deliver_on": "2026-02-30"}
    await page.get_by_label("JSON", exact=True).fill(json.dumps(given))
    await begin(page)
    await expect(page.get_by_role("alert").first).to_contain_text("Deliver On")
    await expect(page.get_by_label("Deliver On", exact=True)).to_have_attribute("aria-invalid", "true")


async def test_absent_fields_are_added_and_left_out_again(site: Site, open_page: OpenPage) -> None:
    page = await open_page(FORM)
    value = page.locator(".cm-content[aria-label=JSON]")
    await page.get_by_role("button", name="Add Deliver On").click()
    await expect(page.get_by_label("Deliver On", exact=True)).to_be_focused()
    await page.get_by_label("Deliver On", exact=True).fill("2026-12-24")
    await expect(value).to_contain_text('"deliver_on": "2026-12-24"')
    await page.get_by_role("button", name="Set Deliver On to null").click()
    await expect(value).to_contain_text('"deliver_on": null')
    await page.get_by_role("button", name="Leave out Deliver On").click()
    await expect(value).not_to_contain_text("deliver_on")


async def test_options_go_with_the_start(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/workflows/shop/take_payment/start")
    await page.get_by_label("Order Id", exact=True).fill("A-1")
    await page.get_by_text("Options").click()
    await page.get_by_label("When it starts").select_option("In")
    await page.get_by_label("How long until it starts").fill("2")
    await page.get_by_label("Unit", exact=True).select_option("days")
    await page.get_by_label("Labels").fill("team:east, fast")
    await page.get_by_label("Idempotency key").fill("once")
    await begin(page)
    run = await site.call(site.runner.get(await opened(page)))
    assert (run.status, run.labels, run.idempotency_key) == ("pending", ("team:east", "fast"), "once")
    assert run.due_at is not None or run.ready_at is not None
    await page.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_text("The run has been cancelled", exact=True)).to_be_visible()


async def test_a_run_is_started_again_with_its_args(site: Site, open_page: OpenPage) -> None:
    first = await site.call(start(site.runner, storefront.FulfilOrder, LARGE))
    page = await open_page(f"{FORM}?from={first}")
    await expect(page.get_by_label("Reference", exact=True)).to_have_value("PO-1959")
    await begin(page)
    second = await opened(page)
    assert second != first
    assert (await site.call(site.runner.get(second))).args == (await site.call(site.runner.get(first))).args
    page = await open_page(FORM)
    await expect(page.get_by_role("button", name="Fill in what you started last")).to_have_count(0)


async def test_a_link_fills_the_form(open_page: OpenPage) -> None:
    page = await open_page(f'{FORM}?args={{"customer":{{"name":"Grace"}}}}')
    await expect(page.get_by_label("Name", exact=True)).to_have_value("Grace")
    page = await open_page(f"{FORM}?args=cut")
    await expect(page.get_by_role("alert")).to_contain_text("The link's args aren't JSON.")


async def test_who_may_only_look_is_told_why_there_is_no_start(open_page: OpenPage) -> None:
    page = await open_page("/workflows/shop/restock/start", who="vera")
    button = page.get_by_role("button", name="Start", exact=True)
    await expect(button).to_have_attribute("aria-disabled", "true")
    await button.hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("role operator")


async def begin(page: Page) -> None:
    await page.get_by_role("button", name="Start", exact=True).click()


async def opened(page: Page) -> str:
    """The id of the run whose page is open."""
    await expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    return page.url.rpartition("/runs/")[2].partition("?")[0]
