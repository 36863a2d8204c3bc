"""Pauses: they are seen on Home and where their runs are, made on a workflow's page, and lifted where they are seen."""

from __future__ import annotations

import re

import pytest
import storefront
from filling import start, until
from opening import OpenPage
from playwright.async_api import expect
from sites import Site
from storefront import APP
from watching import check_accessible

pytestmark = pytest.mark.thorough


async def test_a_workflow_is_paused_where_people_look_for_it_and_resumed(site: Site, open_page: OpenPage) -> None:
    page = await open_page(f"/workflows/{APP}/take_payment")
    await page.get_by_role("button", name="Pause…").click()
    dialog = page.get_by_role("dialog", name="Pause?")
    await expect(dialog.get_by_label("What")).to_contain_text("The workflow take_payment of shop")
    await check_accessible(page)
    await dialog.get_by_role("button", name="Keep it running").click()
    await expect(dialog).to_have_count(0)
    assert await site.call(site.runner.paused()) == []
    await page.get_by_role("button", name="Pause…").click()
    await dialog.get_by_label("Reason").fill("The bank is down.")
    await dialog.get_by_role("button", name="Pause", exact=True).click()
    paused = page.get_by_role("list", name="Paused")
    await expect(paused).to_contain_text("The workflow take_payment of shop is paused: The bank is down.")
    await expect(paused).to_contain_text("by ada")
    run = await site.call(start(site.runner, storefront.TakePayment, {"order_id": "A-1"}))
    await page.goto(f"{site.url}/studio/")
    await expect(page.get_by_role("list", name="Paused")).to_contain_text("The bank is down.")
    await check_accessible(page)
    await page.get_by_role("button", name="Resume: The workflow take_payment of shop").click()
    await page.get_by_role("dialog", name="Resume?").get_by_role("button", name="Resume", exact=True).click()
    await expect(page.get_by_role("list", name="Paused")).to_have_count(0)
    await site.call(until(site.runner, run, "completed"))


async def test_an_app_is_paused_and_its_run_says_so(site: Site, open_page: OpenPage) -> None:
    page = await open_page(f"/workflows/{APP}/take_payment")
    await page.get_by_role("button", name="Pause…").click()
    dialog = page.get_by_role("dialog", name="Pause?")
    await dialog.get_by_label("What").select_option(label="The app shop")
    await dialog.get_by_label("Reason").fill("Stocktaking.")
    await dialog.get_by_role("button", name="Pause", exact=True).click()
    await expect(page.get_by_role("list", name="Paused")).to_contain_text("The app shop is paused: Stocktaking.")
    run = await site.call(start(site.runner, storefront.TakePayment, {"order_id": "A-1"}))
    await page.goto(f"{site.url}/studio/runs/{run}")
    await expect(page.locator("header", has=page.get_by_role("heading", level=1))).to_contain_text("Stocktaking.")
    await page.get_by_role("tab", name="Details").click()
    why = page.locator("section", has=page.get_by_role("heading", name="Why it is in this state"))
    await expect(why).to_contain_text("Stocktaking.")
    await page.goto(f"{site.url}/studio/workflows/{APP}/restock")
    await page.get_by_role("button", name="Resume: The app shop").click()
    await page.get_by_role("dialog", name="Resume?").get_by_role("button", name="Resume", exact=True).click()
    await site.call(until(site.runner, run, "completed"))


@pytest.mark.parametrize(("who", "why"), [("vera", "needs the role operator"), ("otto", "see only your own")])
async def test_users_who_may_not_pause_see_why(site: Site, open_page: OpenPage, who: str, why: str) -> None:
    await site.call(site.runner.pause(APP, reason="Stocktaking.", by="ada"))
    page = await open_page(f"/workflows/{APP}/take_payment", who=who)
    for name in (re.compile("^Pause…"), re.compile("^Resume: ")):
        button = page.get_by_role("button", name=name)
        await expect(button).to_have_attribute("aria-disabled", "true")
        await button.focus()
        await expect(page.get_by_role("tooltip")).to_contain_text(why)
        await page.keyboard.press("Escape")
    await page.goto(f"{site.url}/studio/")
    await expect(page.get_by_role("list", name="Paused")).to_contain_text("The app shop is paused")


async def test_paused_work_isnt_called_stalled(site: Site, open_page: OpenPage) -> None:
    await site.call(site.runner.pause(APP, reason="Stocktaking.", by="ada"))
    page = await open_page("/")
    await page.set_viewport_size({"width": 320, "height": 640})
    await expect(page.get_by_role("list", name="Paused")).to_be_visible()
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} px wider than the phone"
    await expect(page.get_by_role("heading", name="Stalled")).to_have_count(0)
