"""Runs with more history and more documents than a page holds: all of it can be reached, and little is kept."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import storefront
from filling import start, until
from opening import OpenPage, pages
from playwright.async_api import Browser, Page, expect
from sites import open_site
from watching import Watch
from windows import Window

pytestmark = pytest.mark.thorough

DOCUMENTS = 10_500
READS = 990
LAST = READS + 2
"""The version of the last checkpoint of the run with a long history: `open`, the reading, `close`."""
RUNS = {
    "documents": {"documents": DOCUMENTS, "each": 500},
    "history": {"documents": READS, "each": 1},
}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Window]:
    path = tmp_path_factory.mktemp("long") / "studio.db"
    path.write_bytes(migrated.read_bytes())
    with open_site(path) as site:
        runs = {
            name: site.wait_for(start(site.runner, storefront.ImportCatalogue, args)) for name, args in RUNS.items()
        }
        for run in runs.values():
            site.wait_for(until(site.runner, run, "waiting", place="closed"))
        yield Window(site, runs)


@pytest_asyncio.fixture(loop_scope="session")
async def open_run(browser: Browser, long: Window, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, long.site.url, watch):

        async def of_run(name: str, search: str, opened: OpenPage = opened) -> Page:
            return await opened(f"/runs/{long.runs[name]}{search}")

        yield of_run


TO_THE_END = """async (box) => {
    // Rows get their heights as they come into view: the end moves.
    for (let n = 0; n < 30; n += 1) {
        box.scrollTo({top: box.scrollHeight});
        await new Promise(requestAnimationFrame);
    }
}"""


async def test_the_first_of_more_than_ten_thousand_documents_is_reached(open_run: OpenPage) -> None:
    page = await open_run("documents", "?tab=feed")
    await expect(page.get_by_text(f"Article {DOCUMENTS - 1}", exact=True)).to_be_visible()
    feed = page.get_by_role("region", name="Documents of the run")
    older = page.get_by_role("button", name="Load older documents")
    for reached in range(DOCUMENTS - 1_000, -1, -500):
        await feed.evaluate("box => box.scrollTo({top: 0})")
        await older.click()
        await expect(older).not_to_have_attribute("aria-busy", "true")
        await feed.evaluate("box => box.scrollTo({top: 0})")
        await expect(page.get_by_text(f"Article {reached}", exact=True)).to_be_attached()
    await feed.evaluate("box => box.scrollTo({top: 0})")
    await expect(page.get_by_text("Article 0", exact=True)).to_be_visible()
    size = await page.get_by_role("article").first.get_attribute("aria-setsize")
    assert int(size or 0) <= 2_500, "the newer pages were let go"
    await feed.evaluate(TO_THE_END)
    await page.get_by_role("button", name="Load newer documents").click()
    await expect(page.get_by_role("button", name="Load newer documents")).not_to_have_attribute("aria-busy", "true")
    await feed.evaluate(TO_THE_END)
    await expect(page.get_by_text("Article 2999", exact=True)).to_be_attached()
    await page.get_by_role("button", name="Go to the newest").click()
    await expect(page.get_by_text(f"Article {DOCUMENTS - 1}", exact=True)).to_be_visible()


async def test_what_is_read_stays_in_place_when_older_ones_come(open_run: OpenPage) -> None:
    page = await open_run("documents", "?tab=feed")
    feed = page.get_by_role("region", name="Documents of the run")
    await expect(page.get_by_text(f"Article {DOCUMENTS - 1}", exact=True)).to_be_visible()
    await feed.evaluate("box => box.scrollTo({top: 0})")
    first = page.get_by_text(f"Article {DOCUMENTS - 500}", exact=True)
    await expect(first).to_be_visible()
    await page.get_by_role("button", name="Load older documents").click()
    await expect(page.get_by_role("article").first).to_have_attribute("aria-setsize", "1000")
    await expect(first).to_be_in_viewport()


async def test_any_checkpoint_is_reached_by_its_number(open_run: OpenPage) -> None:
    page = await open_run("history", "?tab=history")
    await expect(page.get_by_text(f"The last 200 of {LAST + 1} checkpoints.")).to_be_visible()
    await page.get_by_label("Go to checkpoint").fill("1")
    await page.get_by_label("Go to checkpoint").press("Enter")
    await expect(page.get_by_label("Selected checkpoint")).to_contain_text("1: Open")
    await expect(page).to_have_url(re.compile("at=1$"))
    await expect(page.get_by_text(re.compile(f"Checkpoints 0 to 199 of {LAST + 1}"))).to_be_visible()
    await page.get_by_role("button", name="Load newer ones").click()
    await expect(page.get_by_text(re.compile(f"Checkpoints 0 to 399 of {LAST + 1}"))).to_be_visible()
    await page.get_by_role("tab", name="Timeline").click()
    await expect(page.get_by_text("waiting for a person")).to_have_count(0)
    await page.get_by_label("Go to checkpoint").fill("300")
    await page.get_by_label("Go to checkpoint").press("Enter")
    await page.get_by_role("button", name="Load newer ones").click()
    await expect(page.get_by_text(re.compile(f"Checkpoints 0 to 599 of {LAST + 1}"))).to_be_visible()
    await expect(page.get_by_role("button", name="Go to the newest")).to_be_visible()
    await page.get_by_role("button", name="Go to the newest").click()
    await expect(page).not_to_have_url(re.compile("at="))
    await expect(page.get_by_text(f"The last 200 of {LAST + 1} checkpoints.")).to_be_visible()
    await expect(page.get_by_text("waiting for a person").first).to_be_visible()


async def test_a_link_to_an_old_checkpoint_opens_there(open_run: OpenPage) -> None:
    page = await open_run("history", "?tab=state&at=42")
    await expect(page.get_by_label("Selected checkpoint")).to_contain_text("42: Read")
    await expect(page.get_by_role("list", name="Checkpoints").get_by_text("42", exact=True)).to_be_in_viewport()
    await expect(page.get_by_text("no longer kept")).to_be_visible()


async def test_the_graph_says_what_it_counts_and_counts_all(open_run: OpenPage) -> None:
    page = await open_run("history", "?tab=graph")
    await expect(page.get_by_role("button", name="Reading", exact=False).first).to_be_visible()
    await expect(page.get_by_text(re.compile(f"^.{READS}$")).first).to_be_visible()
    await page.get_by_text("The graph as a list").click()
    await expect(page.get_by_text(f"taken {READS} times")).to_be_visible()
    await expect(page.get_by_text("taken once").first).to_be_visible()
    await expect(page.get_by_text("Counts are of")).to_have_count(0)


async def test_a_loop_is_one_row_of_the_timeline_until_it_is_unfolded(open_run: OpenPage) -> None:
    page = await open_run("history", "?tab=timeline")
    rows = page.get_by_role("region", name="Timeline").get_by_role("listitem")
    await expect(rows.first).to_contain_text(re.compile("Read .199"))
    await expect(rows).to_have_count(3)
    await rows.first.get_by_role("button").focus()
    await page.keyboard.press("Enter")
    await expect(rows.first).to_have_attribute("aria-setsize", "201")
    await page.get_by_role("button", name="Fold similar rows").click()
    await expect(rows).to_have_count(3)
