"""Home: failures are repaired where they are seen, and what stands still says why."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import storefront
from filling import fill, start, until
from opening import OpenPage
from playwright.async_api import Route, expect
from sites import Site

pytestmark = pytest.mark.thorough


async def test_all_that_failed_alike_are_retried_after_a_look(site: Site, open_page: OpenPage) -> None:
    failed = [await site.call(start(site.runner, storefront.ChargeCard, {"order_id": f"A-{n}"})) for n in range(3)]
    for one in failed:
        await site.call(until(site.runner, one, "failed"))
    storefront.Till.broken = False
    page = await open_page("/")
    await page.get_by_role("button", name="Retry all… 3 runs of charge_card").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("3 of 3 runs can be retried")
    await dialog.get_by_role("button", name="Retry 3 runs").click()
    await expect(dialog).to_contain_text("3 runs retried.")
    await dialog.get_by_role("button", name="Close", exact=True).last.click()
    for one in failed:
        await site.call(until(site.runner, one, "completed"))
    await expect(page.get_by_text("No run has failed.")).to_be_visible()


async def test_a_group_of_failures_leads_to_its_runs(site: Site, open_page: OpenPage) -> None:
    runs = await site.call(fill(site.runner))
    page = await open_page("/")
    await page.get_by_role("link", name="2 runs of charge_card failed").click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator(f"[data-row='{runs['stolen']}']")).to_be_visible()
    await expect(page).to_have_url(re.compile("q="))


async def test_what_nobody_takes_is_said_with_what_helps(site: Site, open_page: OpenPage) -> None:
    await site.call(start(site.runner, storefront.RemindCustomer))
    page = await open_page("/")
    await page.get_by_role("heading", name="Failures").wait_for()
    await expect(page.get_by_role("heading", name="Stalled")).to_have_count(0)
    lane = {
        "app_name": "shop",
        "workflow_name": "charge_card",
        "ready": 2,
        "oldest_at": (datetime.now(UTC) - timedelta(minutes=5, seconds=30)).isoformat(),
        "workers": 0,
    }
    depth = {
        "ready": 2,
        "oldest_at": lane["oldest_at"],
        "later": 0,
        "next_at": None,
        "lanes": [lane],
        "capped_at": 1000,
    }

    async def behind(route: Route) -> None:
        await route.fulfill(json=depth)

    await page.route("**/api/v1/queue", behind)
    await page.reload()
    await expect(page.get_by_text("2 runs of charge_card have been due for up to 5 min")).to_be_visible()
    await expect(page.get_by_text("stepwell worker MODULE:ATTR")).to_be_visible()
    await page.get_by_role("link", name="Its runs").click()
    await expect(page).to_have_url(re.compile("workflow=charge_card"))


async def test_a_viewer_is_not_asked_to_start_anything(open_page: OpenPage) -> None:
    page = await open_page("/", who="vito")
    await expect(page.get_by_text("starting them needs the role operator")).to_be_visible()
    await expect(page.get_by_role("main").get_by_role("link", name=re.compile("^Start "))).to_have_count(0)


async def test_times_are_told_in_the_readers_zone_or_in_utc(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.RemindCustomer))
    await site.call(until(site.runner, run, "waiting"))
    page = await open_page("/runs", timezone_id="Asia/Tokyo")
    told = page.locator(f"[data-row='{run}'] time").first
    await expect(told).to_have_attribute("title", re.compile(r"GMT\+9|JST"))
    await page.get_by_role("button", name="Account and settings").click()
    await page.get_by_role("menuitemradio", name="UTC").click()
    await expect(told).to_have_attribute("title", re.compile("UTC"))
    await page.goto(f"{site.url}/studio/runs/{run}?tab=details")
    await expect(page.locator("time").filter(has_text="UTC").first).to_be_visible()


async def test_a_menu_that_is_opened_while_the_page_loads_stays_open(site: Site, open_page: OpenPage) -> None:
    page = await open_page("")
    for path in ("/", "/runs", "/workflows"):
        await page.goto(f"{site.url}/studio{path}", wait_until="commit")
        await page.get_by_role("button", name="Account and settings").click()
        await expect(page.get_by_role("menu")).to_be_visible()
        await expect(page.get_by_role("banner").get_by_text("Live")).to_be_visible()
        await expect(page.get_by_role("menu")).to_be_visible()


async def test_tokens_go_on_beyond_the_first_page(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/tokens")
    made = await page.evaluate(
        """async () => {
            const make = (name) => fetch(new URL("/api/v1/tokens", location.origin), {
                method: "POST",
                headers: {"content-type": "application/json", "x-requested-with": "tests"},
                body: JSON.stringify({name, role: "viewer", everybody: false}),
            });
            let done = 0;
            for (let n = 0; n < 52; n += 1) done += (await make(`token ${n}`)).ok ? 1 : 0;
            return done;
        }"""
    )
    assert made == 52
    await page.reload()
    await expect(page.locator("tbody tr")).to_have_count(50)
    await page.get_by_role("button", name="Older tokens").click()
    await expect(page.locator("tbody tr")).to_have_count(52)
    await expect(page.get_by_role("button", name="Older tokens")).to_have_count(0)
