"""How the table of runs is arranged: columns, views, what a cell may do, and how high its rows are."""

from __future__ import annotations

import re

import pytest
import storefront
from filling import fill, start
from opening import OpenPage
from playwright.async_api import expect
from sites import Site

pytestmark = pytest.mark.thorough


async def test_chosen_columns_stay_and_a_link_shows_the_same(site: Site, open_page: OpenPage) -> None:
    await site.call(start(site.runner, storefront.RemindCustomer))
    page = await open_page("/runs")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Columns").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("checkbox", name="User").check()
    await dialog.get_by_role("checkbox", name="Why").uncheck()
    await dialog.get_by_role("button", name="User earlier").click()
    await page.keyboard.press("Escape")
    wanted = ["", "Status", "Workflow", "Run", "Place", "Started", "Duration", "User", "Labels"]
    await expect(page.get_by_role("columnheader")).to_have_text(wanted)
    await expect(page).to_have_url(re.compile("columns=status"))
    link = page.url.partition("/studio")[2]
    elsewhere = await open_page(link)
    await expect(elsewhere.get_by_role("columnheader")).to_have_text(wanted)
    await page.goto(f"{site.url}/studio/runs")
    await expect(page).to_have_url(re.compile("columns=status"))
    await expect(page.get_by_role("columnheader")).to_have_text(wanted)
    await page.get_by_role("button", name="Columns").click()
    await dialog.get_by_role("button", name="Reset").click()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("columnheader", name="User")).to_have_count(0)
    await expect(page).not_to_have_url(re.compile("columns="))


async def test_a_cell_shows_only_its_value_or_leaves_its_status_out(site: Site, open_page: OpenPage) -> None:
    runs = await site.call(fill(site.runner))
    page = await open_page("/runs")
    await expect(page.locator("tbody tr")).to_have_count(14)
    failed = page.locator("tbody tr").filter(has_text="charge_card").first
    await failed.get_by_role("button", name="Filter by status:failed").click()
    await page.get_by_role("menuitem", name="All but status:failed").click()
    await expect(page.locator("tbody tr").filter(has_text=re.compile("Failed"))).to_have_count(0)
    await expect(page.get_by_role("button", name=re.compile("Remove status:"))).not_to_contain_text("failed")
    row = page.locator(f"[data-row='{runs['chat']}']")
    await row.get_by_role("button", name="Filter by workflow:support_chat").click()
    await expect(page.get_by_role("menuitem")).to_have_count(1)
    await page.get_by_role("menuitem", name="Only workflow:support_chat").click()
    await expect(page).to_have_url(re.compile("workflow=support_chat"))
    await expect(row).to_be_visible()


async def test_a_filter_and_its_columns_get_a_name(site: Site, open_page: OpenPage) -> None:
    await site.call(fill(site.runner))
    page = await open_page("/runs?status=failed&columns=run,status")
    await expect(page.get_by_role("columnheader")).to_have_count(3)
    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitem", name="Save this view").click()
    await expect(page.get_by_role("dialog")).to_contain_text("in this browser only")
    await page.get_by_label("Name").fill("Broken ones")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Broken ones")).to_be_visible()
    await page.goto(f"{site.url}/studio/runs")
    await expect(page.get_by_role("columnheader", name="Workflow")).to_be_visible()
    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitemcheckbox", name="Broken ones").click()
    await expect(page.get_by_role("columnheader")).to_have_count(3)
    await expect(page).to_have_url(re.compile("status=failed"))
    await page.get_by_role("button", name="Broken ones").click()
    await page.get_by_role("menuitem", name="Remove views").click()
    await page.get_by_role("button", name="Remove Broken ones").click()
    await expect(page.get_by_role("dialog")).to_contain_text("No view is left.")


async def test_rows_are_as_high_as_was_set(site: Site, open_page: OpenPage) -> None:
    await site.call(start(site.runner, storefront.RemindCustomer))
    page = await open_page("/runs")
    row = page.locator("tbody tr")
    await expect(row).to_have_count(1)

    async def height() -> float:
        box = await row.bounding_box()
        assert box is not None
        return box["height"]

    low = await height()
    await page.get_by_role("button", name="Account and settings").click()
    await page.get_by_role("menuitemradio", name="Comfortable").click()
    await page.reload()
    await expect(row).to_have_count(1)
    assert await height() > low


async def test_a_run_that_waits_for_its_child_asks_nobody(site: Site, open_page: OpenPage) -> None:
    runs = await site.call(fill(site.runner))
    page = await open_page("/runs?status=waiting")
    row = page.locator(f"[data-row='{runs['children']}']")
    await expect(row).to_contain_text("Sleeping")
    await expect(row).to_contain_text("Waiting for an event or another run")
    await expect(page.locator(f"[data-row='{runs['chat']}']")).not_to_contain_text("Sleeping")
