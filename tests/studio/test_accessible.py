"""No page of Studio has a violation of WCAG that axe can find: light and dark, wide and narrow, with dialogs open."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from opening import OpenPage
from playwright.async_api import Page, expect
from watching import Watch, check_accessible

pytestmark = pytest.mark.thorough

PAGES = {
    "home": "/",
    "waiting": "/waiting",
    "a decision": "/waiting?run={review}",
    "runs": "/runs",
    "filtered runs": "/runs?status=failed&workflow=charge_card",
    "no such runs": "/runs?workflow=none",
    "a chat": "/runs/{chat}",
    "a failed run": "/runs/{stolen}",
    "a completed run": "/runs/{sent}",
    "a run with children": "/runs/{children}",
    "a run with many documents": "/runs/{many}",
    "a timeline": "/runs/{review}?tab=timeline",
    "a part of a timeline": "/runs/{many}?tab=timeline&zoom=0-15&at=1",
    "one attempt of a timeline": "/runs/{retrying}?tab=timeline&attempt=1",
    "a timeline as a table": "/runs/{review}?tab=timeline&table=true",
    "a fork": "/runs/{many}?fork=1",
    "no fork": "/runs/{sent}?fork=3",
    "a graph": "/runs/{review}?tab=graph",
    "a state": "/runs/{review}?tab=state",
    "a history": "/runs/{review}?tab=history",
    "details": "/runs/{review}?tab=details",
    "no batches": "/batches",
    "limits": "/limits",
    "workflows": "/workflows",
    "a workflow": "/workflows/shop/fulfil_order",
    "a workflow's graph": "/workflows/shop/fulfil_order?tab=graph",
    "a workflow's schema": "/workflows/shop/fulfil_order?tab=schema",
    "a start": "/workflows/shop/fulfil_order/start",
    "a start without args": "/workflows/shop/restock/start",
    "schedules": "/schedules",
    "a schedule": "/schedules/shop/reminders",
    "webhooks": "/webhooks",
    "a delivery": "/webhooks?delivery=evt_stolen",
    "workers": "/workers",
    "workspaces": "/workspaces",
    "tokens": "/tokens",
    "nothing": "/no/such/page",
}


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES.keys())
async def test_pages(look_at: OpenPage, path: str) -> None:
    page = await look_at(path, color_scheme="light")
    await settled(page)
    await check_accessible(page)
    await in_the_dark(page)
    await check_accessible(page)
    await page.set_viewport_size({"width": 320, "height": 640})
    await settled(page)
    await check_accessible(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} px wider than the phone"


async def in_the_dark(page: Page) -> None:
    """The system has become dark, and the open page with it."""
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    await page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")
    await loaded(page)


async def settled(page: Page) -> None:
    """What the page shows first is there, and nothing of it is still loading."""
    await page.locator("h1").first.wait_for()  # by its role it isn't there while a dialog covers it
    await loaded(page)


async def loaded(page: Page) -> None:
    await expect(page.locator("[role=status]", has_text="Loading")).to_have_count(0)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def bulk(page: Page) -> None:
    await page.get_by_role("checkbox", name="Select all rows shown").check()
    await page.get_by_role("button", name=re.compile(r"^Cancel \d")).click()


async def peek(page: Page) -> None:
    await page.locator("tbody tr").first.wait_for()
    await page.keyboard.press("j")
    await page.keyboard.press(" ")


async def views(page: Page) -> None:
    await page.get_by_role("button", name="Views").click()


async def cell(page: Page) -> None:
    await page.get_by_role("button", name="Filter by status:failed").first.click()


async def columns(page: Page) -> None:
    await page.locator("tbody tr").first.wait_for()
    await page.get_by_role("button", name="Columns").click()


async def suggestions(page: Page) -> None:
    await page.get_by_role("combobox", name="Filter").fill("st")


async def new_token(page: Page) -> None:
    await page.get_by_role("button", name="New token").click()


async def palette(page: Page) -> None:
    await page.get_by_role("heading", level=1).wait_for()
    await page.keyboard.press("Control+k")


async def shortcuts(page: Page) -> None:
    await page.get_by_role("heading", level=1).wait_for()
    await page.keyboard.press("?")


OPENED: dict[str, tuple[str, Callable[[Page], Awaitable[None]], str]] = {
    "bulk cancel": ("/runs", bulk, "dialog"),
    "a peek": ("/runs", peek, "dialog"),
    "columns": ("/runs", columns, "dialog"),
    "views": ("/runs", views, "menu"),
    "a cell": ("/runs", cell, "menu"),
    "suggestions": ("/runs", suggestions, "listbox"),
    "a new token": ("/tokens", new_token, "dialog"),
    "search": ("/", palette, "dialog"),
    "shortcuts": ("/runs", shortcuts, "dialog"),
}


@pytest.mark.parametrize(("path", "act", "role"), OPENED.values(), ids=OPENED.keys())
async def test_what_opens(
    look_at: OpenPage, path: str, act: Callable[[Page], Awaitable[None]], role: Literal["dialog"]
) -> None:
    page = await look_at(path, color_scheme="light")
    await act(page)
    await page.get_by_role(role).first.wait_for()
    await loaded(page)
    await check_accessible(page)
    await in_the_dark(page)
    await check_accessible(page)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/00000000-0000-7000-8000-000000000000",
        "/workflows/shop/none",
        "/workflows/shop/none/start",
        "/schedules/shop/none",
    ],
)
async def test_errors(look_at: OpenPage, watch: Watch, path: str) -> None:
    watch.expect("404")
    page = await look_at(path)
    await settled(page)
    await check_accessible(page)


async def test_who_isnt_signed_in(look_at: OpenPage, watch: Watch) -> None:
    watch.expect("401")
    page = await look_at("/runs", who="")
    await page.get_by_label("Token").wait_for()
    await check_accessible(page)
