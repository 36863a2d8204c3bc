"""The table of runs: its filter is the address, its rows change in place, and many runs are acted on at once."""

from __future__ import annotations

import re

import pytest
import storefront
from filling import fill, start, until
from opening import OpenPage
from playwright.async_api import expect
from sites import Site

pytestmark = pytest.mark.thorough


async def test_what_is_typed_becomes_chips_and_the_address(site: Site, open_page: OpenPage) -> None:
    await site.call(fill(site.runner))
    page = await open_page("/runs")
    await expect(page.locator("tbody tr")).to_have_count(14)
    await page.keyboard.press("/")
    await expect(page.get_by_role("combobox", name="Filter")).to_be_focused()
    await page.keyboard.type("status:failed workflow:charge_card")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(2)
    assert re.search(r"\?.*status=failed.*workflow=charge_card|\?.*workflow=charge_card.*status=failed", page.url)
    again = await open_page(page.url.partition("/studio")[2])
    await expect(again.locator("tbody tr")).to_have_count(2)
    await page.get_by_role("button", name="Remove workflow:charge_card").click()
    await page.get_by_role("button", name="Remove status:failed").click()
    await expect(page.locator("tbody tr")).to_have_count(14)
    await page.go_back()
    await expect(page.locator("tbody tr")).to_have_count(2)


async def test_a_wrong_filter_says_what_would_be_right(open_page: OpenPage) -> None:
    page = await open_page("/runs")
    await page.get_by_role("combobox", name="Filter").fill("status:done")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("isn't a status")


async def test_none_yet_and_none_like_that_are_told_apart(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/runs")
    await expect(page.get_by_text("No runs have been started yet")).to_be_visible()
    await site.call(start(site.runner, storefront.TakePayment))
    await page.goto(f"{site.url}/studio/runs?status=failed")
    await expect(page.get_by_text("No matching runs")).to_be_visible()
    await page.get_by_role("button", name="Clear the filter").click()
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_rows_change_in_place_and_new_ones_wait(site: Site, open_page: OpenPage) -> None:
    chat = await site.call(start(site.runner, storefront.SupportChat))
    await site.call(until(site.runner, chat, "waiting"))
    page = await open_page("/runs")
    row = page.locator(f"[data-row='{chat}']")
    await expect(row).to_contain_text("Waiting")
    await site.call(site.runner.signal(chat, "close"))
    await expect(row).to_contain_text("Completed")
    rows, button = page.locator("tbody tr"), page.get_by_role("button", name="1 new run")
    for _ in range(5):
        other = await site.call(start(site.runner, storefront.RemindCustomer))
        its_row = page.locator(f"[data-row='{other}']")
        await expect(button.or_(its_row).first).to_be_visible()
        if not await its_row.count():
            break  # else the list was still being loaded: the next one is new to it
    shown = await rows.count()
    await button.click()
    await expect(rows.first).to_have_attribute("data-row", other)
    await expect(rows).to_have_count(shown + 1)


async def test_the_keyboard_moves_selects_and_opens(site: Site, open_page: OpenPage) -> None:
    runs = [await site.call(start(site.runner, storefront.RemindCustomer)) for _ in range(3)]
    page = await open_page("/runs")
    await expect(page.locator("tbody tr")).to_have_count(3)
    for key in ("j", "j", "x"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("checkbox", name=f"Select remind_customer {runs[1]}")).to_be_checked()
    await page.keyboard.press(" ")
    await expect(page.get_by_role("dialog")).to_contain_text(runs[1])
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/runs/{runs[1]}"))


async def test_pages_are_loaded_when_they_are_asked_for(site: Site, open_page: OpenPage) -> None:
    for _ in range(60):
        await site.call(start(site.runner, storefront.RemindCustomer))
    page = await open_page("/runs")
    await expect(page.get_by_text("50+ runs")).to_be_visible()
    await page.get_by_role("button", name="Older runs").click()
    await expect(page.get_by_text("60 runs")).to_be_visible()


async def test_many_are_cancelled_after_a_look_at_what_it_hits(site: Site, open_page: OpenPage) -> None:
    waiting = [await site.call(start(site.runner, storefront.RemindCustomer)) for _ in range(60)]
    paid = await site.call(start(site.runner, storefront.TakePayment))
    await site.call(until(site.runner, paid, "completed"))
    await site.call(until(site.runner, waiting[-1], "waiting"))
    page = await open_page("/runs")
    await page.get_by_role("checkbox", name="Select all rows shown").check()
    await page.get_by_role("button", name="Select all of this filter").click()
    await page.get_by_role("button", name="Cancel all…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("60 of 61 runs can be cancelled")
    await dialog.get_by_label("Reason").fill("Closing time")
    await dialog.get_by_role("button", name="Cancel 60 runs").click()
    await expect(dialog).to_contain_text("60 runs cancelled.")
    await dialog.get_by_role("button", name="Close", exact=True).last.click()
    await expect(page.get_by_role("region", name="Selection")).to_have_count(0)
    assert {(await site.call(site.runner.get(one))).status for one in waiting} == {"canceled"}
    assert (await site.call(site.runner.get(paid))).status == "completed"
    assert "Closing time" in str((await site.call(site.runner.get(waiting[0]))).error)


async def test_some_are_retried(site: Site, open_page: OpenPage) -> None:
    failed = [await site.call(start(site.runner, storefront.ChargeCard)) for _ in range(3)]
    for one in failed:
        await site.call(until(site.runner, one, "failed"))
    storefront.Till.broken = False
    page = await open_page("/runs?status=failed")
    for one in failed[:2]:
        await page.get_by_role("checkbox", name=f"Select charge_card {one}").check()
    await page.get_by_role("button", name="Retry 2…").click()
    await page.get_by_role("button", name="Retry 2 runs").click()
    await expect(page.get_by_role("dialog")).to_contain_text("2 runs retried.")
    for one in failed[:2]:
        await site.call(until(site.runner, one, "completed"))
    assert (await site.call(site.runner.get(failed[2]))).status == "failed"
