"""No page of Studio has a violation of WCAG that axe can find: light and dark, wide and narrow, with dialogs open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from playwright.async_api import Page, expect
from watching import Watch, check_accessible

from conftest import OpenPage

Scheme = Literal["light", "dark"]

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
    "a timeline as a table": "/runs/{review}?tab=timeline&table=true",
    "a graph": "/runs/{review}?tab=graph",
    "a state": "/runs/{review}?tab=state",
    "a history": "/runs/{review}?tab=history",
    "details": "/runs/{review}?tab=details",
    "workflows": "/workflows",
    "a workflow": "/workflows/shop/fulfil_order",
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES.keys())
async def test_pages(look_at: OpenPage, path: str, scheme: Scheme) -> None:
    page = await look_at(path, color_scheme=scheme)
    await settled(page)
    await check_accessible(page)


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES.keys())
async def test_pages_on_a_phone(look_at: OpenPage, path: str) -> None:
    page = await look_at(path, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    await settled(page)
    await check_accessible(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"the page is {overflow} px wider than the phone"


async def settled(page: Page) -> None:
    """What the page shows first is there, and nothing of it is still loading."""
    await page.get_by_role("heading", level=1).first.wait_for()
    await expect(page.locator("[role=status]", has_text="Loading")).to_have_count(0)
    await page.wait_for_timeout(150)


async def bulk(page: Page) -> None:
    await page.get_by_role("checkbox", name="Select all rows shown").check()
    await page.get_by_role("button", name="Cancel").first.click()


async def peek(page: Page) -> None:
    await page.locator("tbody tr").first.wait_for()
    await page.keyboard.press("j")
    await page.keyboard.press(" ")


async def columns(page: Page) -> None:
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
    "columns": ("/runs", columns, "menu"),
    "suggestions": ("/runs", suggestions, "listbox"),
    "a new token": ("/tokens", new_token, "dialog"),
    "search": ("/", palette, "dialog"),
    "shortcuts": ("/runs", shortcuts, "dialog"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("path", "act", "role"), OPENED.values(), ids=OPENED.keys())
async def test_what_opens(
    look_at: OpenPage, path: str, act: Callable[[Page], Awaitable[None]], role: Literal["dialog"], scheme: Scheme
) -> None:
    page = await look_at(path, color_scheme=scheme)
    await act(page)
    await page.get_by_role(role).first.wait_for()
    await settled_opened(page)
    await check_accessible(page)


async def settled_opened(page: Page) -> None:
    await expect(page.locator("[role=status]", has_text="Loading")).to_have_count(0)
    await page.wait_for_timeout(150)


@pytest.mark.parametrize(
    "path", ["/runs/00000000-0000-7000-8000-000000000000", "/workflows/shop/none", "/schedules/shop/none"]
)
async def test_errors(look_at: OpenPage, watch: Watch, path: str) -> None:
    watch.expect("404")
    page = await look_at(path)
    await page.get_by_role("alert").first.wait_for()
    await check_accessible(page)


async def test_who_isnt_signed_in(look_at: OpenPage, watch: Watch) -> None:
    watch.expect("401")
    page = await look_at("/runs", who="")
    await page.get_by_label("Token").wait_for()
    await check_accessible(page)
