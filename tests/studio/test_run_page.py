"""A run's page as somebody uses it who wants to know what is asked, what failed and where it is."""

from __future__ import annotations

import re

import pytest
import storefront
from filling import LARGE, start, until
from opening import OpenPage
from playwright.async_api import Page, expect
from sites import Site
from watching import Watch

pytestmark = pytest.mark.thorough


async def top_of(page: Page, selector: str) -> float:
    top = await page.locator(selector).evaluate("box => box.getBoundingClientRect().top")
    return float(top)


@pytest.mark.parametrize("height", [900, 700])
async def test_a_form_flows_and_is_one_click_away(look_at: OpenPage, height: int) -> None:
    page = await look_at("/runs/{review}", viewport={"width": 1280, "height": height})
    form = page.get_by_role("group", name="Send the decision")
    await expect(form).to_be_visible()
    for name in ("Send the decision", "Put on hold"):
        button = page.get_by_role("button", name=name, exact=True)
        await button.scroll_into_view_if_needed()
        await expect(button).to_be_in_viewport(ratio=1)
    dock = page.locator("[data-dock]")
    assert await dock.evaluate("box => box.scrollHeight <= box.clientHeight + 1"), "nothing is cut in it"


async def test_a_question_out_of_view_is_announced(look_at: OpenPage) -> None:
    page = await look_at("/runs/{review}", viewport={"width": 390, "height": 520})
    await page.evaluate("window.scrollTo(0, 0)")
    jump = page.get_by_role("button", name="Go to the question")
    await expect(jump).to_be_visible()
    await jump.click()
    await expect(page.get_by_role("radio", name="Yes")).to_be_in_viewport()
    await expect(jump).to_be_hidden()


async def test_who_writes_while_another_answers_sees_why_it_is_locked(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    run = await site.call(start(site.runner, storefront.FulfilOrder, LARGE))
    await site.call(until(site.runner, run, "waiting"))
    page = await open_page(f"/runs/{run}", viewport={"width": 1280, "height": 560})
    note = page.get_by_role("group", name="Send the decision").get_by_role("textbox", name="Note")
    await note.fill("I think")
    await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    await site.call(site.runner.signal(run, "decide", {"approved": False}, answered_by="olga"))
    await expect(page.get_by_text("Answered by olga")).to_be_in_viewport()


async def test_the_stack_is_at_hand_where_a_failed_run_opens(look_at: OpenPage) -> None:
    page = await look_at("/runs/{stolen}")
    bar = page.get_by_label("Selected checkpoint")
    await bar.get_by_text("Stack").click()
    await expect(bar.get_by_text("Traceback")).to_be_visible()
    await page.get_by_role("tab", name="Details").click()
    await expect(page.get_by_role("tabpanel").get_by_text("Stack").first).to_be_visible()
    await expect(page.get_by_text("failed after")).to_be_visible()


async def test_a_delayed_run_has_not_started(look_at: OpenPage) -> None:
    page = await look_at("/runs/{later}?tab=timeline")
    await expect(page.get_by_text(re.compile("^created "))).to_be_visible()
    await expect(page.get_by_text(re.compile("^started "))).to_have_count(0)
    await expect(page.get_by_role("list", name="What the patterns mean")).to_contain_text("sleeping")


async def test_back_leads_to_the_tab_before(look_at: OpenPage) -> None:
    page = await look_at("/runs/{sent}?tab=feed")
    await page.get_by_role("tab", name="State").click()
    await expect(page.get_by_role("tab", name="State")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await page.go_back()
    await expect(page.get_by_role("tab", name="Feed")).to_have_attribute("aria-selected", "true")


async def test_a_document_is_called_what_its_class_says(look_at: OpenPage) -> None:
    page = await look_at("/runs/{sent}?tab=feed")
    parcel = page.get_by_role("article", name="What we packed", exact=True)
    await expect(parcel.locator("header")).to_contain_text("What we packed")
    await expect(page.get_by_role("article", name="Markdown", exact=True).first).to_be_visible()


async def test_one_selection_goes_with_every_tab(look_at: OpenPage) -> None:
    page = await look_at("/runs/{sent}?tab=history&at=1")
    bar = page.get_by_label("Selected checkpoint")
    await expect(bar).to_contain_text("1: ")
    await page.keyboard.press("j")
    await expect(page).to_have_url(re.compile("at=2"))
    for tab in ("Timeline", "Graph", "State", "Feed", "Details"):
        await page.get_by_role("tab", name=tab).click()
        await expect(bar).to_contain_text("2: ")
        await expect(page).to_have_url(re.compile("at=2"))


async def test_the_state_is_there_where_nothing_changed(look_at: OpenPage) -> None:
    page = await look_at("/runs/{many}?tab=state")
    await expect(page.get_by_text("no change").last).to_be_visible()
    await expect(page.get_by_role("tree", name=re.compile("^State after checkpoint"))).to_contain_text("done: 500")


async def test_a_graph_can_be_read_on_a_phone(look_at: OpenPage) -> None:
    page = await look_at("/runs/{review}?tab=graph", viewport={"width": 390, "height": 844})
    place = page.locator(".react-flow__node").filter(has_text="here")
    await expect(place).to_be_in_viewport()
    height = await place.evaluate("node => node.getBoundingClientRect().height")
    assert height >= 0.75 * 36, "places are drawn no smaller than they can be read"


async def test_a_waiting_run_is_answered_from_its_header_on_any_tab(look_at: OpenPage) -> None:
    page = await look_at("/runs/{review}?tab=history")
    header = page.get_by_role("main").locator("header").first
    await expect(header).to_contain_text("Waiting for “Send the decision” or “Put on hold”")
    await header.get_by_role("button", name="Answer").click()
    await expect(page.get_by_role("radio", name="Yes")).to_be_in_viewport()
    await expect(page.get_by_role("radio", name="Yes")).to_be_focused()


async def test_a_run_that_waits_for_those_it_started_needs_nobody(look_at: OpenPage) -> None:
    page = await look_at("/runs/{children}?tab=timeline")
    header = page.get_by_role("main").locator("header").first
    await expect(header).to_contain_text(re.compile("Waiting for runs? ?Waiting for .* that it started"))
    await expect(header.get_by_role("button", name="Answer")).to_have_count(0)
    await expect(page.get_by_role("list", name="What the patterns mean")).to_contain_text("runs that it started")
    await page.get_by_role("button", name=re.compile("^started \\d+ runs?$")).click()
    await expect(page.get_by_role("heading", name="Runs that it started")).to_be_visible()


async def test_a_viewer_sees_why_the_header_does_nothing(open_page: OpenPage, site: Site) -> None:
    run = await site.call(start(site.runner, storefront.FulfilOrder, LARGE))
    await site.call(until(site.runner, run, "waiting"))
    page = await open_page(f"/runs/{run}", who="vera")
    answer = page.get_by_role("main").locator("header").first.get_by_role("button", name="Answer")
    await expect(answer).to_have_attribute("aria-disabled", "true")
    await answer.focus()
    await expect(page.get_by_role("tooltip")).to_contain_text("needs the role operator")


@pytest.mark.parametrize("width", [390, 1280])
async def test_the_header_stays_in_view(look_at: OpenPage, width: int) -> None:
    page = await look_at("/runs/{sent}?tab=history", viewport={"width": width, "height": 500})
    await expect(page.get_by_role("table", name="History")).to_be_visible()
    await page.evaluate("window.scrollTo(0, 300)")
    header = page.get_by_role("main").locator("header").first
    await expect(header.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)
    box = await header.bounding_box()
    assert box is not None
    assert box["height"] < 120
    assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_megabyte_of_text_is_shown_by_its_beginning(site: Site, open_page: OpenPage) -> None:
    args = LARGE | {"note": "Leave it. " * 100_000}
    run = await site.call(start(site.runner, storefront.FulfilOrder, args))
    await site.call(until(site.runner, run, "waiting"))
    page = await open_page(f"/runs/{run}?tab=details")
    tree = page.get_by_role("tree", name="Args")
    await expect(tree).to_contain_text("Leave it.")
    assert len(await tree.inner_text()) < 5_000
    await tree.get_by_role("button", name="Show all 1,000,000 characters").click()
    await expect(tree.get_by_role("button", name="Show less")).to_be_attached()
    assert len(await tree.inner_text()) > 1_000_000
    await tree.get_by_role("button", name="Show less").click()
    await page.get_by_role("tab", name="Timeline").click()
    await expect(page.get_by_role("region", name="Timeline")).to_be_visible()
