"""The inbox: a queue of decisions, which never asks what is settled."""

from __future__ import annotations

import storefront
from filling import LARGE, start, until
from opening import OpenPage
from playwright.async_api import expect
from sites import Site


async def asking(site: Site, name: str) -> str:
    args = LARGE | {"customer": {"name": name}}
    run = await site.call(start(site.runner, storefront.FulfilOrder, args))
    await site.call(until(site.runner, run, "waiting"))
    return run


async def test_a_question_is_answered_and_the_next_one_comes(site: Site, open_page: OpenPage) -> None:
    first, second = await asking(site, "Grace"), await asking(site, "Ada")
    page = await open_page("/waiting")
    questions = page.get_by_role("list", name="Questions").get_by_role("button")
    await expect(questions).to_have_count(2)
    await expect(page).to_have_title("(2) Waiting for you · Stepwell")
    decision = page.get_by_role("region", name="Decision", exact=True)
    await expect(decision).to_contain_text("Order of Grace")
    await decision.get_by_role("radio", name="Yes").check()
    await decision.get_by_role("textbox", name="Note").fill("Looks good")
    await decision.get_by_role("button", name="Send the decision").click()
    await site.call(until(site.runner, first, "completed"))
    assert (await site.call(site.runner.get(first))).state["approved"] is True
    await expect(questions).to_have_count(1)
    await expect(decision).to_contain_text("Order of Ada")
    await decision.get_by_role("button", name="Put on hold").click()
    await expect(page.get_by_text("No question waits for you")).to_be_visible()
    await site.call(until(site.runner, second, "waiting", place="held"))


async def test_what_is_settled_elsewhere_goes_away_and_keeps_what_was_typed(site: Site, open_page: OpenPage) -> None:
    first = await asking(site, "Ada")
    second = await asking(site, "Grace")
    page = await open_page(f"/waiting?run={second}")
    decision = page.get_by_role("region", name="Decision", exact=True)
    await decision.get_by_role("textbox", name="Note").fill("I was about to say")
    await site.call(site.runner.signal(second, "decide", {"approved": False}, user_id=None))
    questions = page.get_by_role("list", name="Questions").get_by_role("button")
    await expect(questions).to_have_count(1)
    await expect(decision.get_by_role("textbox", name="Note")).to_have_value("I was about to say")
    await expect(decision.get_by_role("button", name="Send the decision")).to_have_count(0)
    await expect(decision).to_contain_text("no longer waits for an answer")
    await decision.get_by_role("button", name="Next question").click()
    await expect(page).to_have_url(f"{site.url}/studio/waiting?run={first}")


async def test_a_new_question_doesnt_take_the_place_of_the_open_one(site: Site, open_page: OpenPage) -> None:
    await asking(site, "Ada")
    page = await open_page("/waiting")
    decision = page.get_by_role("region", name="Decision", exact=True)
    await decision.get_by_role("textbox", name="Note").fill("half a sentence")
    await asking(site, "Grace")
    await expect(page.get_by_role("list", name="Questions").get_by_role("button")).to_have_count(2)
    await expect(decision).to_contain_text("Order of Ada")
    await expect(decision.get_by_role("textbox", name="Note")).to_have_value("half a sentence")


async def test_a_draft_survives_a_reload(site: Site, open_page: OpenPage) -> None:
    run = await asking(site, "Ada")
    page = await open_page(f"/waiting?run={run}")
    note = page.get_by_role("region", name="Decision", exact=True).get_by_role("textbox", name="Note")
    await note.fill("to be continued")
    await page.reload()
    await expect(note).to_have_value("to be continued")


async def test_a_viewer_reads_the_question_and_may_not_answer(site: Site, open_page: OpenPage) -> None:
    run = await asking(site, "Ada")
    page = await open_page("/waiting", who="vera")
    button = page.get_by_role("button", name="Send the decision")
    await expect(button).to_have_attribute("aria-disabled", "true")
    assert (await site.call(site.runner.get(run))).status == "waiting"
