"""Forms of difficult types, and the editor of code: each is filled in as a person does, and the run gets what was meant."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import odd_desk
import pytest
import pytest_asyncio
from filling import until
from opening import OpenPage, pages
from playwright.async_api import Browser, Locator, Page, expect
from sites import Site, open_site
from watching import Watch, check_accessible

pytestmark = pytest.mark.thorough

TAKE = "/workflows/desk/take/start"
SCRIPT = "/workflows/desk/run_script/start"


@pytest.fixture
def desk_site(database: Path) -> Iterator[Site]:
    with open_site(database, apps=odd_desk.apps()) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_desk(browser: Browser, desk_site: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, desk_site.url, watch):
        yield opened


def editor(page: Page, label: str) -> Locator:
    """The editor, once it has taken the place of the plain field."""
    return page.locator(f'.cm-content[aria-label="{label}"]')


async def rewrite(text: Locator, to: str) -> None:
    """The editor holds this, typed as a person does: over a coloured selection a browser keeps its looks as a style."""
    await text.focus()
    await text.press("Control+a")
    await text.press("Delete")
    await text.page.keyboard.insert_text(to)


async def started(page: Page, site: Site) -> Any:
    """The result of the run that the form starts."""
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    workflow_id = page.url.rpartition("/runs/")[2].partition("?")[0]
    await site.call(until(site.runner, workflow_id, "completed"))
    return (await site.call(site.runner.get(workflow_id))).result


async def test_every_odd_type_is_filled_in(desk_site: Site, open_desk: OpenPage) -> None:
    page = await open_desk(TAKE)
    price = page.get_by_label("Price", exact=True)
    await expect(price).to_have_attribute("inputmode", "decimal")
    await price.fill("12345678901234567890.10")
    await page.get_by_role("button", name="Add Discount").click()
    await page.get_by_label("Discount", exact=True).fill("0.30")
    await expect(page.get_by_text("1 hour 30 minutes", exact=True)).to_be_visible()
    await page.get_by_label("Every", exact=True).fill("P2DT5M")
    await expect(page.get_by_text("2 days 5 minutes", exact=True)).to_be_visible()
    await page.get_by_label("Size, entry 1", exact=True).fill("7")
    await page.get_by_role("checkbox", name="Green").check()
    await page.get_by_role("checkbox", name="As fast as it goes").check()
    await page.get_by_role("button", name="Add an entry to Stock").click()
    await expect(page.get_by_label("Key", exact=True)).to_be_focused()
    await page.keyboard.type("bolts")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Value of bolts", exact=True)).to_be_focused()
    await page.keyboard.type("12")
    await page.get_by_role("button", name="Add to Numbers").click()
    await page.get_by_label("Numbers, entry 1", exact=True).fill("5")
    await page.get_by_role("button", name="Add Tree").click()
    await page.get_by_label("Name", exact=True).fill("root")
    result = await started(page, desk_site)
    assert result["price"] == "12345678901234567890.10"
    assert (result["discount"], result["every"], result["size"]) == ("0.30", "P2DT5M", [7, "cm"])
    assert (result["colours"], result["modes"], result["stock"]) == (["green"], ["fast"], {"bolts": 12})
    assert (result["numbers"], result["tree"]["name"]) == ([5], "root")


async def test_what_is_wrong_is_told_in_the_forms_words_and_order(open_desk: OpenPage) -> None:
    page = await open_desk(TAKE)
    await page.get_by_role("button", name="Add an entry to Stock").click()
    await page.get_by_role("button", name="Start", exact=True).click()
    summary = page.get_by_role("alert")
    await expect(summary).to_contain_text("Please correct 2 fields")
    await expect(summary.get_by_role("listitem")).to_have_text(
        [re.compile("^Price: "), re.compile("^Stock \u203a key: ")]
    )


async def test_code_is_written_in_an_editor(desk_site: Site, open_desk: OpenPage) -> None:
    page = await open_desk(SCRIPT)
    code = editor(page, "Code")
    await code.click()
    await page.keyboard.type("f(x")
    await expect(code).to_have_text("f(x)")
    await page.keyboard.press("ControlOrMeta+z")
    await expect(code).to_have_text("")
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("if x:")
    await page.keyboard.press("Enter")
    await page.keyboard.type("y = 1")
    await page.keyboard.press("ControlOrMeta+f")
    await expect(page.get_by_role("textbox", name="Find")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(code).to_be_focused()
    assert await started(page, desk_site) == "if x:\n    y = 1"


async def test_tab_leaves_the_editor_after_escape(open_desk: OpenPage) -> None:
    page = await open_desk(SCRIPT)
    code = editor(page, "Code")
    described = await code.get_attribute("aria-describedby") or ""
    said = page.locator(f"#{described.split()[-1]}")
    await expect(said).to_contain_text("Escape, then Tab leaves")
    await code.focus()
    await page.keyboard.press("Tab")
    await expect(code).to_be_focused()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    await expect(code).not_to_be_focused()


async def test_json_that_cannot_be_read_is_marked_at_its_place(open_desk: OpenPage) -> None:
    page = await open_desk(SCRIPT)
    whole = editor(page, "JSON")
    await rewrite(whole, '{\n  "code": "x",\n}')
    await expect(whole).to_have_attribute("aria-invalid", "true")
    await expect(whole.locator(".cm-fault")).to_have_text(",")
    await expect(page.get_by_text("line 2, column 14: no comma is allowed after the last one")).to_be_visible()
    await rewrite(whole, '{"code": "from JSON"}')
    await expect(whole.locator(".cm-fault")).to_have_count(0)
    await expect(editor(page, "Code")).to_have_text("from JSON")
    await page.get_by_role("button", name="Add Data").click()
    data = editor(page, "Data")
    await rewrite(data, "[1, 2")
    await expect(data.locator(".cm-fault")).to_have_count(1)
    await rewrite(data, "[1, 2]")
    await expect(whole).to_contain_text('"data"')


async def test_what_is_typed_while_the_editor_loads_is_kept(open_desk: OpenPage) -> None:
    page = await open_desk("/")
    held = asyncio.Event()

    async def late(route: Any) -> None:
        await held.wait()
        await route.continue_()

    await page.route(re.compile("codemirror"), late)
    await page.goto(page.url.rstrip("/") + SCRIPT)
    plain = page.locator("textarea[aria-label=Code]")
    await plain.fill("print(1)")
    await plain.evaluate("field => field.setSelectionRange(5, 5)")
    held.set()
    code = editor(page, "Code")
    await expect(code).to_be_focused()
    await page.keyboard.type("_x")
    await expect(code).to_have_text("print_x(1)")


async def test_without_its_chunk_the_plain_field_does(desk_site: Site, open_desk: OpenPage, watch: Watch) -> None:
    watch.expect("Failed to load resource")
    page = await open_desk("/")
    await page.route(re.compile("codemirror"), lambda route: route.abort())
    await page.goto(page.url.rstrip("/") + SCRIPT)
    await page.locator("textarea[aria-label=Code]").fill("print(1)")
    assert await started(page, desk_site) == "print(1)"


async def test_home_loads_no_editor(open_desk: OpenPage) -> None:
    page = await open_desk("/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.reload()
    await page.locator("h1").wait_for()
    await page.wait_for_timeout(500)
    assert not [url for url in asked if "codemirror" in url or "SchemaForm" in url]


async def test_markdown_is_written_and_previewed(desk_site: Site, open_desk: OpenPage) -> None:
    page = await open_review(desk_site, open_desk)
    text = page.get_by_role("textbox", name="Text", exact=True)
    await text.fill("A **bold** <img src=x onerror=alert(1)> word")
    await page.get_by_role("tab", name="Preview").click()
    preview = page.get_by_role("tabpanel", name="Preview")
    await expect(preview.locator("strong")).to_have_text("bold")
    await expect(preview.locator("img")).to_have_count(0)
    await page.get_by_role("tab", name="Write").click()
    await expect(text).to_have_value("A **bold** <img src=x onerror=alert(1)> word")


async def test_a_document_is_shown_as_its_class_says(desk_site: Site, open_desk: OpenPage) -> None:
    page = await open_review(desk_site, open_desk)
    report = page.get_by_role("article", name="Report")
    names = ["What came of it", "Code", "Log", "In all", "Per day"]
    await expect(report.locator("dt")).to_have_text(names)
    await expect(report.locator("strong")).to_have_text("well")
    await expect(report.get_by_role("group", name="Code")).to_have_text("print('made')")
    await expect(report.get_by_text("Since the beginning")).to_be_visible()
    await expect(report).not_to_contain_text("cache")
    log = report.locator("dd", has_text="line 1 of the log")
    await expect(log).not_to_contain_text("line 80 of the log")
    await log.get_by_role("button", name=re.compile(r"Show all 1,\d+ characters")).click()
    await expect(log).to_contain_text("line 80 of the log")


async def test_a_failed_answer_keeps_its_button_small(desk_site: Site, open_desk: OpenPage, watch: Watch) -> None:
    watch.expect("Failed to load resource")
    page = await open_review(desk_site, open_desk)
    refuse = page.get_by_role("button", name="Refuse")
    before = await refuse.bounding_box()
    await page.route(re.compile("/signals"), lambda route: route.abort())
    await refuse.click()
    await expect(page.get_by_role("alert").filter(has_text=re.compile(r"\w"))).to_be_visible()
    after = await refuse.bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] <= before["width"] + 40


async def test_what_was_typed_outlives_a_reload(open_desk: OpenPage) -> None:
    page = await open_desk(SCRIPT)
    await rewrite(editor(page, "Code"), "print('kept')")
    await page.reload()
    await expect(editor(page, "Code")).to_have_text("print('kept')")
    await page.get_by_role("button", name="Start over").click()
    await expect(editor(page, "Code")).to_have_text("")


async def test_a_secret_is_kept_nowhere(desk_site: Site, open_desk: OpenPage) -> None:
    page = await open_review(desk_site, open_desk)
    await page.get_by_role("textbox", name="Text", exact=True).fill("kept")
    await page.get_by_role("button", name="Add Key").click()
    key = page.get_by_label("Key", exact=True)
    await expect(key).to_have_attribute("type", "password")
    await key.fill("hunter2")
    kept = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "kept" in kept
    assert "hunter2" not in kept


@pytest.mark.parametrize("path", [TAKE, SCRIPT])
async def test_forms_and_editors_are_accessible(open_desk: OpenPage, path: str) -> None:
    page = await open_desk(path)
    await editor(page, "JSON").wait_for()
    await page.get_by_role("button", name=re.compile("^Add (Tree|Data)$")).click()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await rewrite(editor(page, "JSON"), "[1,")
    await page.keyboard.press("ControlOrMeta+f")
    await expect(page.get_by_role("textbox", name="Find")).to_be_focused()
    await check_accessible(page)
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.wait_for_timeout(300)
    await check_accessible(page)
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.get_by_role("group", name="View of the form").get_by_role("button", name="JSON").click()
    await check_accessible(page)
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0


async def test_a_declared_document_and_its_form_are_accessible(desk_site: Site, open_desk: OpenPage) -> None:
    page = await open_review(desk_site, open_desk)
    await page.get_by_role("textbox", name="Text", exact=True).fill("**x**")
    await page.get_by_role("tab", name="Preview").click()
    await expect(page.get_by_role("tabpanel", name="Preview").locator("strong")).to_be_visible()
    await check_accessible(page)


async def test_who_may_only_look_reads_the_editor(desk_site: Site, open_desk: OpenPage) -> None:
    run = await desk_site.call(desk_site.runner.run(odd_desk.Review, app_name="desk", user_id="ada"))
    await desk_site.call(until(desk_site.runner, run.workflow_id, "waiting"))
    page = await open_desk(f"/runs/{run.workflow_id}", who="vera")
    await page.get_by_role("group", name="View of the form").get_by_role("button", name="JSON").click()
    whole = editor(page, "JSON")
    await expect(whole).to_have_attribute("aria-readonly", "true")
    await whole.focus()
    await page.keyboard.type("x")
    await expect(whole).to_have_text("{}")
    await check_accessible(page)


async def open_review(site: Site, open_desk: OpenPage) -> Page:
    """The page of a run that has saved a report, and waits for a letter."""
    run = await site.call(site.runner.run(odd_desk.Review, app_name="desk", user_id="ada"))
    await site.call(until(site.runner, run.workflow_id, "waiting"))
    return await open_desk(f"/runs/{run.workflow_id}")
