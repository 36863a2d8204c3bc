"""Groups of runs that a run started: how far they are on its page, and what a child's page says of its group."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from filling import start, until
from opening import OpenPage, pages
from playwright.async_api import Browser, expect
from sites import Site, open_site
from storefront import APP, AskSupplier, SupplierArgs
from watching import Watch, check_accessible

from stepwell import END, App, Group, Signal, Start, Workflow, transition

pytestmark = pytest.mark.thorough


class AskInTurn(Workflow[None, None, int], title="Ask suppliers in turn"):
    """Starts more runs than a page of them holds, and then a group of two."""

    @transition(target="started")
    async def many(self) -> None:
        for number in range(101):
            await self.start(AskSupplier, SupplierArgs(supplier=f"Supplier {number}"))

    @transition("started", "asking")
    async def ask(self) -> None:
        suppliers = [Start(AskSupplier, SupplierArgs(supplier=name)) for name in ("North", "South")]
        await self.start_many(
            suppliers, callback="heard", until="first_completed", max_in_flight=1, label="The last two"
        )

    @transition("asking", END, wait=True)
    async def heard(self, end: Signal[Group[str]]) -> int:
        return end.data.completed


class AskAll(Workflow[None, None, int], title="Ask all suppliers"):
    """Asks three suppliers, one or two at a time."""

    @transition(target="asking")
    async def ask(self) -> None:
        suppliers = [Start(AskSupplier, SupplierArgs(supplier=name)) for name in ("North", "South", "West")]
        await self.start_many(suppliers, callback="heard", until="all_ended", max_in_flight=2)

    @transition("asking", END, wait=True)
    async def heard(self, end: Signal[Group[str]]) -> int:
        return end.data.completed


@pytest.fixture
def supply_site(database: Path) -> Iterator[Site]:
    with open_site(database, apps=[App(APP, workflows=[AskAll, AskInTurn, AskSupplier])]) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_supply(browser: Browser, supply_site: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, supply_site.url, watch):
        yield opened


async def asked(site: Site) -> tuple[str, list[str]]:
    """A run that waits for its group, and its children: the first two wait for an answer, and the third is held back."""
    parent = await site.call(start(site.runner, AskAll))
    await site.call(until(site.runner, parent, "waiting", place="asking"))
    found = await site.call(site.runner.list(parent_id=parent))
    children = [run.workflow_id for run in sorted(found.items, key=lambda run: run.group_index or 0)]
    for child in children[:2]:
        await site.call(until(site.runner, child, "waiting"))
    return parent, children


async def test_a_run_shows_how_far_its_group_is(supply_site: Site, open_supply: OpenPage) -> None:
    parent, children = await asked(supply_site)
    page = await open_supply(f"/runs/{parent}?tab=details")
    bar = page.get_by_role("progressbar", name="Progress of the group")
    await expect(bar).to_have_attribute("aria-valuetext", "0 of 3 ended: 2 waiting, 1 held back")
    await check_accessible(page)
    await supply_site.call(supply_site.runner.signal(children[0], "answer", 7))
    await expect(bar).to_have_attribute("aria-valuetext", "1 of 3 ended: 1 completed, 2 waiting")
    await page.get_by_role("link", name="2 waiting", exact=True).click()
    await expect(page).to_have_url(re.compile(f"parent_id={parent}"))
    await expect(page.locator("tbody tr")).to_have_count(2)


async def test_a_group_is_shown_however_many_other_runs_were_started_before_it(
    supply_site: Site, open_supply: OpenPage
) -> None:
    parent = await supply_site.call(start(supply_site.runner, AskInTurn))
    await supply_site.call(until(supply_site.runner, parent, "waiting", place="asking"))
    page = await open_supply(f"/runs/{parent}?tab=details")
    text = "The last two · at most 1 at once · once the first has completed, heard"
    await expect(page.get_by_text(text)).to_be_visible()
    bar = page.get_by_role("progressbar", name="Progress of the group")
    await expect(bar).to_have_count(1)
    await expect(bar).to_have_attribute("aria-valuetext", "0 of 2 ended: 1 waiting, 1 held back")

    found = await supply_site.call(supply_site.runner.list(parent_id=parent, limit=1000))
    [first] = [run.workflow_id for run in found.items if run.group_index == 0]
    await supply_site.call(supply_site.runner.signal(first, "answer", 7))
    await expect(bar).to_have_attribute("aria-valuetext", "2 of 2 ended: 1 completed, 1 cancelled")
    await page.get_by_role("link", name="one of its runs").click()
    await expect(page).to_have_url(re.compile(f"/runs/{first}"))


async def test_a_child_leads_to_its_group(supply_site: Site, open_supply: OpenPage) -> None:
    _, children = await asked(supply_site)
    page = await open_supply(f"/runs/{children[1]}")
    await expect(page.get_by_text("index 1 of its group")).to_be_visible()
    await page.get_by_role("link", name="its group").click()
    await expect(page.get_by_role("heading", name="Ask all suppliers")).to_be_visible()
    await expect(page.get_by_role("progressbar", name="Progress of the group")).to_be_visible()


async def test_a_child_that_is_held_back_says_why(supply_site: Site, open_supply: OpenPage) -> None:
    parent, children = await asked(supply_site)
    why = (await supply_site.call(supply_site.runner.explain(children[2]))).reasons[0]
    page = await open_supply(f"/runs/{children[2]}")
    await expect(page.locator("header", has=page.get_by_role("heading", level=1))).to_contain_text(why)
    await page.goto(f"{supply_site.url}/studio/runs?parent_id={parent}&status=pending")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tbody tr")).to_contain_text("Held back")
