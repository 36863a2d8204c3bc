"""What a page may cost: bytes until home is there, and time while much happens on it."""

from __future__ import annotations

import asyncio

import storefront
from filling import start, until
from opening import OpenPage
from playwright.async_api import Response, expect
from sites import Site

from stepwell.http.studio import STATIC

KILOBYTE = 1024
FRAMES = """() => {
    window.longest = 0;
    let before = performance.now();
    const step = (now) => {
        window.longest = Math.max(window.longest, now - before);
        before = now;
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
}"""


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
    await page.evaluate(FRAMES)
    for _ in range(40):
        await page.mouse.wheel(0, -1_500)
        await page.wait_for_timeout(25)
    assert await page.evaluate("window.longest") < 500
    await expect(page.get_by_text("Article 4999", exact=True)).not_to_be_in_viewport()


async def test_fifty_events_a_second_dont_stall_a_page(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/runs")
    await expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    await page.evaluate(FRAMES)
    started = [
        await site.call(
            start(site.runner, storefront.ImportCatalogue, {"documents": 25, "each": 1, "pause_seconds": 0.1})
        )
        for _ in range(5)
    ]
    await expect(page.get_by_role("button", name="5 new runs")).to_be_visible()
    await page.get_by_role("button", name="5 new runs").click()
    for _ in range(10):
        await page.get_by_role("combobox", name="Filter").fill("st")
        await page.get_by_role("combobox", name="Filter").fill("")
        await asyncio.sleep(0.1)
    for run in started:
        await site.call(until(site.runner, run, "waiting", place="closed"))
    await expect(page.locator("tbody tr", has_text="closed")).to_have_count(5)
    assert await page.evaluate("window.longest") < 500
