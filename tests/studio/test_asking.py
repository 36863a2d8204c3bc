"""The inbox of people who are asked by name or as a group: they see the question and what it shows, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asking_desk
import pytest
import pytest_asyncio
from filling import until
from opening import OpenPage, pages
from playwright.async_api import Browser, Locator, Page, expect
from sites import Site, open_site
from watching import Watch, check_accessible

pytestmark = pytest.mark.thorough


@pytest.fixture
def office(database: Path) -> Iterator[Site]:
    with open_site(database, apps=asking_desk.apps()) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_office(browser: Browser, office: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, office.url, watch):
        yield opened


async def asked(office: Site, what: str, **claim: Any) -> str:
    """A run of uma's that asks."""
    started = office.runner.run(asking_desk.Expense, {"what": what, **claim}, app_name=asking_desk.APP, user_id="uma")
    run = (await office.call(started)).workflow_id
    await office.call(until(office.runner, run, "waiting"))
    return run


async def answered_by(office: Site, run: str) -> list[str | None]:
    await office.call(until(office.runner, run, "completed"))
    return [row.answered_by for row in await office.call(office.runner.history(run)) if row.answered_by is not None]


def questions(page: Page) -> Locator:
    return page.get_by_role("list", name="Questions").get_by_role("button")


def decision(page: Page) -> Locator:
    return page.get_by_role("region", name="Decision", exact=True)


async def decide(page: Page, note: str = "") -> None:
    await decision(page).get_by_role("radio", name="Yes").check()
    if note:
        await decision(page).get_by_role("textbox", name="Note").fill(note)
    await decision(page).get_by_role("button", name="Approve an expense").click()


async def test_who_is_asked_sees_the_question_and_nothing_else(
    office: Site, open_office: OpenPage, watch: Watch
) -> None:
    watch.expect("404")
    chairs = await asked(office, "chairs")
    page = await open_office("/waiting", who="otto")
    asked_for: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url))
    await expect(questions(page)).to_have_count(1)
    lamps = await asked(office, "lamps", days=0)
    await expect(questions(page)).to_have_count(2)
    await expect(questions(page).first).to_contain_text("Expense lamps")
    await expect(questions(page).first).to_contain_text("Overdue")
    await expect(decision(page)).to_contain_text("Expense chairs")  # what is open stays open

    await questions(page).first.click()
    shown = decision(page)
    await expect(shown.locator("strong", has_text="lamps")).to_be_visible()
    await expect(shown.locator("b")).to_have_count(0)
    await expect(shown.get_by_role("heading", name="The receipt")).to_be_visible()
    await expect(shown.get_by_text("salary")).to_have_count(0)
    await expect(shown.locator('a[href*="/runs/"]')).to_have_count(0)
    await check_accessible(page)
    await decide(page)
    await expect(questions(page)).to_have_count(1)
    assert await answered_by(office, lamps) == ["otto"]
    of_runs = [url.partition("/api/v1")[2] for url in asked_for if re.search("/runs/[0-9a-f-]{36}", url)]
    assert of_runs == [f"/runs/{lamps}/answers/decide"], "the page asks for nothing that they may not see"
    assert (await office.call(office.runner.get(chairs))).status == "waiting"

    await page.goto(f"{office.url}/studio/runs/{chairs}")
    await expect(page.get_by_text("There is no such run")).to_be_visible()
    await page.get_by_role("main").get_by_role("link", name="Waiting for you").click()
    await expect(decision(page)).to_contain_text("Expense chairs")


async def test_who_is_too_late_is_told_who_was_faster(office: Site, open_office: OpenPage, watch: Watch) -> None:
    watch.expect("409")
    run = await asked(office, "desks", manager=None, group="finance")
    page = await open_office("/waiting", who="gina")
    await expect(decision(page)).to_contain_text("for the group finance")
    await decision(page).get_by_role("textbox", name="Note").fill("I think")
    answer = office.runner.answer(run, "decide", {"approved": False}, by="gary", groups={"finance"})
    await office.call(answer)
    await decide(page)
    alert = decision(page).get_by_role("alert").filter(has_text="Already answered by gary at")
    await expect(alert).to_be_visible()
    await expect(decision(page).get_by_role("textbox", name="Note")).to_have_value("I think")
    assert await answered_by(office, run) == ["gary"]


async def test_a_question_is_assigned_and_its_answer_has_a_name(office: Site, open_office: OpenPage) -> None:
    run = await asked(office, "plants")
    page = await open_office("/waiting", who="olga")
    send = decision(page).get_by_role("button", name="Approve an expense")
    await expect(send).to_have_attribute("aria-disabled", "true")
    await expect(decision(page)).to_contain_text("It is asked of otto. Assign it to yourself to answer it.")
    await decision(page).get_by_role("button", name="Assign…").click()
    dialog = page.get_by_role("dialog", name="Assign this question")
    await expect(dialog.get_by_label("User")).to_have_value("otto")
    await check_accessible(page)
    await dialog.get_by_role("button", name="To me").click()
    await dialog.get_by_role("button", name="Assign", exact=True).click()
    await expect(dialog).to_have_count(0)
    await expect(decision(page)).to_contain_text("for you")
    await decide(page)
    assert await answered_by(office, run) == ["olga"]
    await page.goto(f"{office.url}/studio/runs/{run}?tab=timeline&table=true")
    await expect(page.get_by_role("main").get_by_text("answered by olga").first).to_be_visible()


async def test_the_inbox_is_filtered_by_the_address(office: Site, open_office: OpenPage) -> None:
    await asked(office, "chairs")
    await asked(office, "lamps", days=0)
    page = await open_office("/waiting", who="olga")
    await expect(questions(page)).to_have_count(2)
    await page.get_by_role("checkbox", name="Overdue").check()
    await expect(questions(page)).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"waiting\?overdue=true$"))
    await page.get_by_role("checkbox", name="Mine").check()
    await expect(page.get_by_text("No question matches")).to_be_visible()
    await page.get_by_role("button", name="Clear the filters").click()
    await expect(questions(page)).to_have_count(2)
    await page.get_by_role("combobox", name="Workflow").select_option("expense")
    await expect(page).to_have_url(re.compile(r"waiting\?workflow=expense$"))
    await expect(questions(page)).to_have_count(2)
