"""Repairs without leaving the page of a run: another answer, another state, a cancel that doesn't wait, names, deleting."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import repair_desk
from filling import until
from opening import OpenPage, pages
from playwright.async_api import Browser, Locator, Page, expect
from sites import Site, open_site
from watching import Watch, check_accessible

from stepwell import Workflow
from stepwell.errors import WorkflowNotFound

pytestmark = pytest.mark.thorough


@pytest.fixture
def desk(database: Path) -> Iterator[Site]:
    repair_desk.GIVEN_BACK.clear()
    with open_site(database, apps=repair_desk.apps()) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_desk(browser: Browser, desk: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, desk.url, watch):
        yield opened


async def begun(desk: Site, workflow: type[Workflow[Any, Any, Any]], status: str = "waiting") -> str:
    run = await desk.call(desk.runner.run(workflow, app_name=repair_desk.APP, user_id="ada"))
    await desk.call(until(desk.runner, run.workflow_id, status))
    return run.workflow_id


async def failed_refund(desk: Site) -> str:
    """A run that failed with the answer of olga."""
    run = await begun(desk, repair_desk.Refund)
    await desk.call(desk.runner.signal(run, "pay", {"cents": 990, "note": "all of it"}, answered_by="olga"))
    await desk.call(until(desk.runner, run, "failed"))
    return run


def answer_form(page: Page) -> Locator:
    return page.get_by_role("group", name="Retry with another answer", exact=True)


async def test_a_failed_answer_is_edited_and_retried_in_place(desk: Site, open_desk: OpenPage) -> None:
    run = await failed_refund(desk)
    page = await open_desk(f"/runs/{run}")
    await page.get_by_role("button", name="Retry with another answer…").click()
    form = answer_form(page)
    await expect(form).to_contain_text("This is what “Pay” took, from olga.")
    await expect(form.get_by_role("spinbutton", name="Cents")).to_have_value("990")
    await expect(form.get_by_role("textbox", name="Note")).to_have_value("all of it")
    await check_accessible(page)
    await form.get_by_role("spinbutton", name="Cents").fill("95")
    await form.get_by_role("button", name="Retry with this").click()
    await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
    await expect(form).to_have_count(0)
    assert (await desk.call(desk.runner.get(run))).result == 95


async def test_a_state_that_is_refused_stays_with_the_reason_beside_it(
    desk: Site, open_desk: OpenPage, watch: Watch
) -> None:
    watch.expect("422")
    run = await failed_refund(desk)
    page = await open_desk(f"/runs/{run}?repair=state")
    form = page.get_by_role("group", name="Retry with another state", exact=True)
    text = form.locator('.cm-content[aria-label="JSON"]')
    for state, why in (
        ('{"limit": "much"}', "Limit"),
        ('{"limit": ', "JSON"),
        ('{"limit": 1001}', "the limit must be even"),
    ):
        await rewrite(text, state)
        await form.get_by_role("button", name="Retry with this").click()
        await expect(form.get_by_role("alert").first).to_contain_text(why)
        await expect(text).to_have_text(state)
    assert (await desk.call(desk.runner.get(run))).state == {"limit": 100}
    await check_accessible(page)
    await rewrite(text, '{"limit": 1000}')
    await form.get_by_role("button", name="Retry with this").click()
    await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
    after = await desk.call(desk.runner.get(run))
    assert (after.state, after.result) == ({"limit": 1000}, 990)


async def rewrite(text: Locator, to: str) -> None:
    await text.focus()
    await text.press("Control+a")
    await text.press("Delete")
    await text.page.keyboard.insert_text(to)


async def test_what_was_typed_stays_when_somebody_else_retries_first(desk: Site, open_desk: OpenPage) -> None:
    run = await failed_refund(desk)
    page = await open_desk(f"/runs/{run}?repair=data")
    form = answer_form(page)
    await form.get_by_role("textbox", name="Note").fill("half of it")
    await desk.call(desk.runner.retry(run, data={"cents": 50}))
    await expect(form.get_by_role("status")).to_contain_text("The run has gone on meanwhile")
    await expect(form.get_by_role("textbox", name="Note")).to_have_value("half of it")
    await expect(form.get_by_role("button", name="Retry with this")).to_have_count(0)
    await form.get_by_role("button", name="Discard what I typed").click()
    await expect(form).to_have_count(0)
    assert (await desk.call(desk.runner.get(run))).result == 50


async def test_a_viewer_is_told_why_nothing_can_be_repaired(desk: Site, open_desk: OpenPage) -> None:
    run = await failed_refund(desk)
    page = await open_desk(f"/runs/{run}", who="vera")
    await expect(page.get_by_role("button", name="Retry with another answer…")).to_have_attribute(
        "aria-disabled", "true"
    )


async def test_a_run_that_clears_up_can_be_cancelled_now(desk: Site, open_desk: OpenPage) -> None:
    run = await begun(desk, repair_desk.Stay)
    page = await open_desk(f"/runs/{run}")
    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog", name="Cancel this run?")
    await expect(dialog).to_contain_text("It clears up from “leaving” on")
    await dialog.get_by_role("button", name="Cancel the run").click()
    await expect(page.get_by_text("Clearing up, and cancelled then.")).to_be_visible()
    await desk.call(until(desk.runner, run, "waiting", place="leaving"))

    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Cancel now").click()
    dialog = page.get_by_role("dialog", name="Cancel this run now?")
    await expect(dialog).to_contain_text("stays as it is, and nobody does it later")
    await expect(dialog.get_by_role("list", name="Steps that are not undone")).to_have_text("room")
    await expect(dialog.get_by_role("button", name="Cancel the run")).to_have_count(0)
    await check_accessible(page)
    await dialog.get_by_role("button", name="Cancel now").click()
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_text(re.compile("^Cancelled in 'leaving'"))).to_be_visible()
    await desk.call(until(desk.runner, run, "canceled"))
    assert repair_desk.GIVEN_BACK == []


async def test_a_run_that_is_left_to_clear_up_gives_back_what_it_holds(desk: Site, open_desk: OpenPage) -> None:
    run = await begun(desk, repair_desk.Stay)
    await desk.call(desk.runner.cancel(run))
    await desk.call(until(desk.runner, run, "waiting", place="leaving"))
    page = await open_desk(f"/runs/{run}")
    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Cancel now").click()
    await page.get_by_role("dialog").get_by_role("button", name="Let it clear up").click()
    await page.get_by_role("button", name="Hand over the key").click()
    await desk.call(until(desk.runner, run, "canceled"))
    assert repair_desk.GIVEN_BACK == [101]


async def test_subject_and_labels_are_edited(desk: Site, open_desk: OpenPage) -> None:
    run = await begun(desk, repair_desk.Refund)
    page = await open_desk(f"/runs/{run}")
    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Edit subject and labels").click()
    dialog = page.get_by_role("dialog", name="Edit subject and labels")
    await dialog.get_by_label("Subject").fill("Refund of A1")
    await dialog.get_by_label("Labels").fill("vip\n\n north \nvip")
    await check_accessible(page)
    await dialog.get_by_label("Subject").press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_text("north", exact=True).first).to_be_visible()
    found = await desk.call(desk.runner.get(run))
    assert (found.subject, found.labels) == ("Refund of A1", ("vip", "north"))


async def test_a_finished_run_is_deleted_after_a_confirmation(desk: Site, open_desk: OpenPage) -> None:
    run = await begun(desk, repair_desk.Refund)
    page = await open_desk(f"/runs/{run}")
    await page.get_by_role("button", name="More actions").click()
    await expect(page.get_by_role("menuitem", name="Delete")).to_contain_text("It hasn't ended: cancel it first.")
    await page.keyboard.press("Escape")
    await desk.call(desk.runner.cancel(run))
    await expect(page.get_by_role("main").get_by_text("Cancelled").first).to_be_visible()
    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete this run?")
    await expect(dialog).to_contain_text("can't be taken back")
    await check_accessible(page)
    await dialog.get_by_role("button", name="Delete the run").click()
    await expect(page).to_have_url(re.compile("/studio/runs$"))
    with pytest.raises(WorkflowNotFound):
        await desk.call(desk.runner.get(run))
