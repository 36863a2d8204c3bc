"""What a page may cost: bytes until home is there, and time while much happens on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
import storefront
from filling import start, until
from opening import OpenPage
from playwright.async_api import Page, Response, expect
from sites import Site

from stepwell.console.http.studio.studio import STATIC

pytestmark = pytest.mark.thorough

KILOBYTE = 1024


async def work_of(page: Page) -> Callable[[], Awaitable[float]]:
    """Asks for the seconds of CPU that the page has used since: frames are late on a busy machine, and say nothing."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})

    async def used() -> float:
        found = await session.send("Performance.getMetrics")
        metrics = {one["name"]: one["value"] for one in found["metrics"]}
        return float(metrics["ScriptDuration"] + metrics["LayoutDuration"] + metrics["RecalcStyleDuration"])

    before = await used()

    async def since() -> float:
        return await used() - before

    return since


async def show_new(page: Page, count: int) -> None:
    """Show this many runs: those that began while the list was being loaded are in it, the others wait for the button."""
    rows = page.locator("tbody tr")
    button = page.get_by_role("button", name=re.compile(r"^\d+ new runs?$"))
    while await rows.count() < count:
        await expect(button.or_(rows.nth(count - 1)).first).to_be_visible()
        if await button.count():
            await button.click()


async def test_home_loads_little_script(look_at: OpenPage) -> None:
    page = await look_at("/")
    await page.locator("h1").wait_for()
    sizes: dict[str, int] = {}

    def weigh(response: Response) -> None:
        name = response.url.partition("?")[0].rpartition("/")[2]
        if name.endswith((".js", ".css")) and response.status == 200:
            sizes[name] = int(response.headers["content-length"])
            assert "content-encoding" in response.headers or sizes[name] < KILOBYTE, f"{name} isn't compressed"

    page.on("response", weigh)
    await page.reload()
    await page.locator("h1").wait_for()
    await page.wait_for_timeout(500)
    script = sum(size for name, size in sizes.items() if name.endswith(".js"))
    style = sum(size for name, size in sizes.items() if name.endswith(".css"))
    assert 50 * KILOBYTE < script < 300 * KILOBYTE, sizes
    assert style < 25 * KILOBYTE, sizes
    later = [name for name in sizes if "Graph" in name or "SchemaForm" in name]
    assert not later, "the graph and the forms wait until they are needed"


def test_the_whole_build_is_small() -> None:
    whole = sum(path.stat().st_size for path in STATIC.rglob("*") if path.is_file())
    assert whole < 2.5 * KILOBYTE * KILOBYTE


async def test_nothing_is_loaded_from_other_hosts(look_at: OpenPage) -> None:
    page = await look_at("/runs/{chat}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await page.locator("h1").wait_for()
    await page.wait_for_timeout(300)
    assert {url.split("/")[2] for url in asked} == {page.url.split("/")[2]}


async def test_five_thousand_documents_scroll_smoothly(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.ImportCatalogue, {"documents": 5_000}))
    await site.call(until(site.runner, run, "waiting", place="closed"))
    page = await open_page(f"/runs/{run}")
    await expect(page.get_by_text("Article 4999", exact=True)).to_be_visible()
    assert await page.evaluate("document.querySelectorAll('*').length") < 5_000
    await page.mouse.move(640, 500)
    used = await work_of(page)
    for _ in range(40):
        await page.mouse.wheel(0, -1_500)
        await page.wait_for_timeout(25)
    seconds = await used()
    assert 0 < seconds < 4, "a tenth of a second for each turn of the wheel; it is a fiftieth"
    assert await page.evaluate("document.querySelectorAll('*').length") < 5_000
    await expect(page.get_by_text("Article 4999", exact=True)).not_to_be_in_viewport()


async def test_fifty_events_a_second_dont_stall_a_page(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/runs")
    await expect(page.get_by_text("No runs have been started yet")).to_be_visible()
    used = await work_of(page)
    started = [
        await site.call(
            start(site.runner, storefront.ImportCatalogue, {"documents": 25, "each": 1, "pause_seconds": 0.1})
        )
        for _ in range(5)
    ]
    await show_new(page, 5)
    for _ in range(10):
        await page.get_by_role("combobox", name="Filter").fill("st")
        await page.get_by_role("combobox", name="Filter").fill("")
        await asyncio.sleep(0.1)
    for run in started:
        await site.call(until(site.runner, run, "waiting", place="closed"))
    await expect(page.locator("tbody tr", has_text="closed")).to_have_count(5)
    seconds = await used()
    assert 0 < seconds < 4, "it is half a second"
