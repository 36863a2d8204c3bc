"""Studio under a prefix, as a part of a bigger application: every address that it makes has the prefix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import storefront
from filling import start, until
from opening import OpenPage, pages
from playwright.async_api import Browser, expect
from sites import Site, open_site
from watching import Watch

pytestmark = pytest.mark.thorough


async def test_everything_is_under_the_prefix(browser: Browser, database: Path, watch: Watch) -> None:
    storefront.Till.broken = True
    with open_site(database, prefix="/tools/flows") as site:
        async for open_page in pages(browser, site.url, watch):
            await look_around(site, open_page)


async def look_around(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.ChargeCard))
    await site.call(until(site.runner, run, "failed"))
    page = await open_page(f"/runs/{run}?tab=history")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Charge a card")
    await expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible()
    await page.get_by_role("link", name="Runs", exact=True).click()
    await expect(page).to_have_url(re.compile("/tools/flows/studio/runs$"))
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert [url for url in asked if "/tools/flows/" not in url] == []
