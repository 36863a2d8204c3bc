"""A run's timeline: a part of it looked at closely, by pointer, wheel, keys and fingers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opening import OpenPage
from playwright.async_api import FloatRect, Page, expect

pytestmark = pytest.mark.thorough

ZOOMED = re.compile(r"zoom=-?\d+-\d+")


async def opened(look_at: OpenPage, run: str = "many", search: str = "", **options: Any) -> Page:
    page = await look_at("/runs/{" + run + "}?tab=timeline" + search, **options)
    await expect(page.get_by_role("region", name="Timeline").get_by_role("listitem").first).to_be_visible()
    return page


async def box_of(page: Page) -> FloatRect:
    box = await page.locator("[data-overview]").bounding_box()
    assert box is not None
    return box


async def test_a_range_is_drawn_in_the_header_and_is_in_the_address(look_at: OpenPage) -> None:
    page = await opened(look_at)
    box = await box_of(page)
    middle = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
    await page.mouse.up()
    await expect(page).to_have_url(ZOOMED)
    await expect(page.get_by_role("slider", name="Shown from")).not_to_have_attribute("aria-valuenow", "0")
    await expect(page.locator("[data-outside]").first).to_be_attached()
    await page.reload()
    await expect(page.get_by_role("slider", name="Shown from")).not_to_have_attribute("aria-valuenow", "0")
    await page.keyboard.press("0")
    await expect(page).not_to_have_url(ZOOMED)
    await expect(page.get_by_role("slider", name="Shown from")).to_have_attribute("aria-valuenow", "0")


async def test_wheel_and_keys_zoom_and_move(look_at: OpenPage) -> None:
    page = await opened(look_at)
    begin, end = (page.get_by_role("slider", name=f"Shown {which}") for which in ("from", "until"))

    async def shown() -> tuple[int, int]:
        return int(await begin.get_attribute("aria-valuenow") or 0), int(await end.get_attribute("aria-valuenow") or 0)

    whole = await shown()
    box = await box_of(page)
    await page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 10)
    for _ in range(3):
        await page.mouse.wheel(0, -100)
    await expect(page).to_have_url(ZOOMED)
    closer = await shown()
    assert whole[0] < closer[0] < closer[1] < whole[1]
    await page.get_by_role("region", name="Timeline").focus()
    await page.keyboard.press("ArrowRight")
    await expect(begin).not_to_have_attribute("aria-valuenow", str(closer[0]))
    assert (await shown())[0] > closer[0]
    await page.keyboard.press("+")
    await expect(page.get_by_role("status").filter(has_text=" of ").first).to_be_visible()
    before = (await shown())[1]
    await end.focus()
    await page.keyboard.press("End")
    await expect(end).not_to_have_attribute("aria-valuenow", str(before))
    assert (await shown())[1] >= whole[1], "it goes on growing while the run waits"
    for _ in range(20):
        await page.keyboard.press("-")
    await expect(page).not_to_have_url(ZOOMED)


async def test_what_is_shown_closely_is_the_table_too(look_at: OpenPage) -> None:
    page = await opened(look_at)
    await page.get_by_role("button", name="As a table").click()
    table = page.get_by_role("table", name="Timeline")
    whole = int(await table.get_attribute("aria-rowcount") or await table.get_by_role("row").count())
    await page.get_by_role("button", name="As a table").click()
    for _ in range(6):
        await page.get_by_role("button", name="Zoom in").click()
    await expect(page).to_have_url(ZOOMED)
    await page.get_by_role("button", name="As a table").click()
    part = int(await table.get_attribute("aria-rowcount") or await table.get_by_role("row").count())
    assert 1 < part < whole


async def test_an_attempt_is_looked_at_by_itself(look_at: OpenPage) -> None:
    page = await opened(look_at, "retrying")
    await expect(page.get_by_text("backing off").first).to_be_visible()
    await page.get_by_label("Attempt").select_option("1")
    await expect(page).to_have_url(re.compile("attempt=1"))
    await expect(page.get_by_text("backing off")).to_have_count(0)
    await expect(page.get_by_text("failed attempt").first).to_be_visible()
    await page.get_by_label("Attempt").select_option("all")
    await expect(page.get_by_text("backing off").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_fingers_zoom_by_buttons_on_a_phone(look_at: OpenPage, scheme: str) -> None:
    page = await opened(look_at, viewport={"width": 390, "height": 844}, has_touch=True, color_scheme=scheme)
    await page.get_by_role("button", name="Zoom in").tap()
    await expect(page).to_have_url(ZOOMED)
    await page.get_by_role("button", name="Later").tap()
    await page.get_by_role("button", name="Show all").tap()
    await expect(page).not_to_have_url(ZOOMED)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
