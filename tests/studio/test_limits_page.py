"""Limits: which are in use, which runs hold them, and which wait."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from filling import start, until
from opening import OpenPage, pages
from playwright.async_api import Browser, expect
from pydantic import BaseModel
from sites import Site, open_site
from storefront import APP
from watching import Watch, check_accessible

from stepwell import END, App, Concurrency, Workflow, transition

pytestmark = pytest.mark.thorough


class CrawlArgs(BaseModel):
    host: str


class Crawl(
    Workflow[CrawlArgs, None, None],
    title="Crawl a host",
    concurrency=[Concurrency(1, key="args.host", holds="run"), Concurrency(50, name="crawler", holds="run")],
):
    """Holds its slots until it is told to end."""

    @transition(target="open")
    async def connect(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


@pytest.fixture
def crawl_site(database: Path) -> Iterator[Site]:
    with open_site(database, apps=[App(APP, workflows=[Crawl])]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_crawl(browser: Browser, crawl_site: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, crawl_site.url, watch):
        yield opened


async def crawled(site: Site) -> tuple[str, str]:
    """The run that holds the limit of its host, and the one that waits for it."""
    holder = await site.call(start(site.runner, Crawl, {"host": "example.org"}))
    await site.call(until(site.runner, holder, "waiting"))
    held = await site.call(start(site.runner, Crawl, {"host": "example.org"}))
    await site.call(asyncio.wait_for(_is_held(site, held), 60))
    return holder, held


async def _is_held(site: Site, run: str) -> None:
    while (found := await site.runner.get(run)).status != "pending" or found.ready_at is not None:
        await asyncio.sleep(0.02)


async def test_a_limit_says_who_holds_it_and_who_waits(crawl_site: Site, open_crawl: OpenPage) -> None:
    holder, held = await crawled(crawl_site)
    page = await open_crawl("/")
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Limits").click()
    rows = page.get_by_role("table", name="Limits").locator("tbody tr")
    await expect(rows).to_have_count(2)
    row = rows.filter(has_text="example.org")
    await expect(row).to_contain_text("At most 1 begun and not ended")
    await expect(row).to_contain_text("1 of 1")
    await expect(rows.filter(has_text="shared as crawler")).to_contain_text("1 of 50")
    await page.get_by_label("Only those that hold runs back").check()
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile("held=true"))
    await row.get_by_role("button").click()
    dialog = page.get_by_role("dialog", name="At most 1 begun and not ended")
    await expect(dialog.get_by_role("heading", name="Hold it: 1 of 1")).to_be_visible()
    await expect(dialog.get_by_role("heading", name="Wait for it: 1")).to_be_visible()
    links = dialog.get_by_role("listitem").get_by_role("link")
    await expect(links.first).to_have_attribute("href", re.compile(holder))
    await expect(links.last).to_have_attribute("href", re.compile(held))
    await page.reload()
    await expect(dialog).to_be_visible()
    await links.last.click()
    await expect(page).to_have_url(re.compile(held))


async def test_the_page_follows_what_is_given_back(crawl_site: Site, open_crawl: OpenPage, watch: Watch) -> None:
    watch.expect("404")
    holder, held = await crawled(crawl_site)
    page = await open_crawl("/limits?held=true")
    await page.get_by_role("button", name="At most 1 begun and not ended").click()
    dialog = page.get_by_role("dialog", name="At most 1 begun and not ended")
    await expect(dialog.get_by_role("heading", name="Wait for it: 1")).to_be_visible()
    await crawl_site.call(crawl_site.runner.signal(holder, "close"))
    await expect(dialog.get_by_role("heading", name="Wait for it: 0")).to_be_visible()
    await crawl_site.call(until(crawl_site.runner, held, "waiting"))
    await crawl_site.call(crawl_site.runner.signal(held, "close"))
    await expect(page.get_by_role("dialog")).to_contain_text("No run holds this limit any more")
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("No limit holds a run back")).to_be_visible()
    await page.get_by_role("button", name="Show all").click()
    await expect(page.get_by_text("No limit is in use")).to_be_visible()


async def test_a_run_that_is_held_back_says_why(crawl_site: Site, open_crawl: OpenPage) -> None:
    _, held = await crawled(crawl_site)
    reasons = (await crawl_site.call(crawl_site.runner.explain(held))).reasons
    page = await open_crawl(f"/runs/{held}")
    header = page.locator("header", has=page.get_by_role("heading", level=1, name="Crawl a host"))
    await expect(header).to_contain_text(reasons[0])
    await page.get_by_role("tab", name="Details").click()
    why = page.locator("section", has=page.get_by_role("heading", name="Why it is in this state"))
    for reason in reasons:
        await expect(why).to_contain_text(reason)
    await page.goto(f"{crawl_site.url}/studio/runs?status=pending")
    await expect(page.locator("tbody tr")).to_contain_text("Held back")


async def test_the_workflow_names_its_limits(open_crawl: OpenPage) -> None:
    page = await open_crawl(f"/workflows/{APP}/crawl")
    facts = page.locator("section", has=page.get_by_role("heading", name="Facts"))
    await expect(facts).to_contain_text("At most 1 begun and not ended, for each args.host: others wait")
    await expect(facts).to_contain_text("At most 50 begun and not ended, shared as “crawler”: others wait")


async def test_the_page_is_accessible_in_both_themes_and_on_a_phone(crawl_site: Site, open_crawl: OpenPage) -> None:
    await crawled(crawl_site)
    for path in ("/limits", "/limits?held=true&app_name=shop"):
        page = await open_crawl(path, color_scheme="light")
        await expect(page.get_by_role("table", name="Limits")).to_contain_text("example.org")
        await check_accessible(page)
        await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")
        await check_accessible(page)
        await page.set_viewport_size({"width": 320, "height": 640})
        await check_accessible(page)
        overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{path} is {overflow} px wider than the phone"
        await page.get_by_role("row", name=re.compile("example.org")).get_by_role("button").click()
        await expect(page.get_by_role("dialog").get_by_role("listitem")).to_have_count(2)
        await check_accessible(page)
