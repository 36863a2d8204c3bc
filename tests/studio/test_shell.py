"""What is around every page: search, themes, keys, and how much of it is loaded."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import storefront
from filling import start, until
from opening import OpenPage
from playwright.async_api import Response, expect
from sites import Site

pytestmark = pytest.mark.thorough

BUDGET = 300_000


async def test_the_search_opens_pages_workflows_and_runs(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.ChargeCard))
    await site.call(until(site.runner, run, "failed"))
    page = await open_page("/")
    await page.get_by_role("heading", name="Home").wait_for()
    await page.keyboard.press("Control+k")
    await page.locator("[role=dialog] input:focus").wait_for()
    await page.keyboard.type("start charge")
    await expect(page.get_by_role("option", name="Start Charge a card")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/workflows/shop/charge_card/start"))
    await page.keyboard.press("Control+k")
    await page.locator("[role=dialog] input:focus").wait_for()
    await page.keyboard.type(run)
    await expect(page.get_by_role("option", name=f"charge_card {run}")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/runs/{run}"))


async def test_a_theme_is_kept_and_the_system_is_followed(open_page: OpenPage) -> None:
    page = await open_page("/", color_scheme="dark")
    root = page.locator("html")
    await expect(root).to_have_attribute("data-theme", "dark")
    await page.emulate_media(color_scheme="light")
    await expect(root).to_have_attribute("data-theme", "light")
    await page.get_by_role("button", name="Account and settings").click()
    await page.get_by_role("menuitemradio", name="Dark").click()
    await page.reload()
    await expect(root).to_have_attribute("data-theme", "dark")


async def test_the_help_lists_the_keys_of_the_page_and_they_can_be_turned_off(open_page: OpenPage) -> None:
    page = await open_page("/workflows")
    await page.get_by_role("searchbox", name="Search workflows").wait_for()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Search workflows")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_have_count(0)
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox", name="Search workflows")).to_be_focused()
    await page.get_by_role("button", name="Account and settings").click()
    await page.get_by_role("menuitemcheckbox", name="Single-key shortcuts").click()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_an_empty_home_says_what_to_do_and_then_follows(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/")
    await expect(page.get_by_role("heading", name="Three steps to the first run")).to_be_visible()
    run = await site.call(start(site.runner, storefront.ChargeCard))
    await site.call(until(site.runner, run, "failed"))
    await expect(page.get_by_role("heading", name="Three steps to the first run")).to_have_count(0)
    await expect(page.get_by_role("link", name="The bank says: the card is stolen.")).to_be_visible()
    await page.get_by_role("link", name=re.compile("1 run of charge_card failed")).click()
    await expect(page).to_have_url(re.compile("/runs.*status=failed"))


async def test_who_sees_only_their_own_runs_has_no_pages_of_all(open_page: OpenPage) -> None:
    page = await open_page("/", who="otto")
    pages = page.get_by_role("navigation", name="Pages")
    await expect(pages.get_by_role("link", name="Runs")).to_be_visible()
    await expect(pages.get_by_role("link", name="Workers")).to_have_count(0)
    await expect(page.get_by_role("heading", name="Workers and queue")).to_have_count(0)


async def test_home_is_light(site: Site, open_page: OpenPage) -> None:
    loaded: dict[str, int] = {}

    async def weigh(response: Response) -> None:
        if response.url.endswith(".js") and response.status == 200:
            loaded[Path(response.url).name] = len(gzip.compress(await response.body(), 9))

    page = await open_page("/no/such/page")
    page.on("response", weigh)
    await page.goto(f"{site.url}/studio/")
    await page.get_by_role("heading", name="Now").wait_for()
    heavy = [name for name in loaded if re.match("SchemaForm|Rendered|GraphTab|StateGraph", name)]
    assert loaded
    assert not heavy, f"home loads what only other pages need: {heavy}"
    assert sum(loaded.values()) < BUDGET, loaded
