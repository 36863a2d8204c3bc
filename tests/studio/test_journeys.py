"""What people come for: start a run and watch it, answer it, repair it, and see what goes on as it happens."""

from __future__ import annotations

import re

import storefront
from filling import LARGE, start, until
from opening import OpenPage
from playwright.async_api import Page, expect
from sites import Site
from watching import Watch

from servers.proxy import TcpProxy


async def test_a_run_is_started_by_its_form_watched_and_answered(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/workflows/shop/fulfil_order")
    await page.get_by_role("link", name="Start").first.click()
    await fill_in(page)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    run = page.url.rpartition("/runs/")[2].partition("?")[0]
    await expect(page.get_by_text("Order of Katherine Johnson")).to_be_visible()
    await expect(page.get_by_role("banner").or_(page.get_by_role("main")).get_by_text("Waiting").first).to_be_visible()
    answer = page.get_by_role("group", name="Send the decision")
    await answer.get_by_role("radio", name="Yes").check()
    await answer.get_by_role("button", name="Send the decision").click()
    await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
    await expect(page.get_by_text("SW-1").first).to_be_visible()
    found = await site.call(site.runner.get(run))
    assert (found.status, found.state["approved"]) == ("completed", True)
    assert found.args["customer"]["name"] == "Katherine Johnson"
    assert found.args["payment"] == {"kind": "invoice", "reference": "PO-1", "days": 30}
    assert [line["sku"] for line in found.args["lines"]] == ["MERCURY-7"]


async def fill_in(page: Page) -> None:
    """A large order: nested, with a list, a union and a choice."""
    await page.get_by_role("textbox", name="Name").fill("Katherine Johnson")
    await page.get_by_role("button", name=re.compile("^Add.*[Ll]ine")).first.click()
    await page.get_by_role("textbox", name="Sku").fill("MERCURY-7")
    await page.get_by_label(re.compile("^Payment")).first.select_option(label="Invoice")
    await page.get_by_role("textbox", name="Reference").fill("PO-1")
    await page.get_by_role("spinbutton", name="Total cents").fill("250000")


async def test_a_failed_run_is_repaired_by_a_retry(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.ChargeCard))
    await site.call(until(site.runner, run, "failed"))
    page = await open_page(f"/runs/{run}")
    main = page.get_by_role("main")
    await expect(main.get_by_text("Failed").first).to_be_visible()
    await expect(main.get_by_text("The bank says: the card is stolen.").first).to_be_visible()
    storefront.Till.broken = False
    await page.get_by_role("button", name="Retry", exact=True).click()
    await expect(main.get_by_text("Completed").first).to_be_visible()
    assert (await site.call(site.runner.get(run))).result == "paid"


async def test_a_chat_goes_on_live(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.SupportChat))
    page = await open_page(f"/runs/{run}")
    await expect(page.get_by_text("Hello, what can we do for you?")).to_be_visible()
    line = page.get_by_placeholder("Write to us")
    for text in ("My parcel is late", "Very late"):
        await line.fill(text)
        await line.press("Enter")
        await expect(page.get_by_text(f"You said: {text}")).to_be_visible()
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()


async def test_a_line_that_is_being_written_stays_when_the_run_ends(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.SupportChat))
    page = await open_page(f"/runs/{run}")
    line = page.get_by_placeholder("Write to us")
    await line.fill("I also wanted to")
    await site.call(site.runner.signal(run, "close", answered_by="olga"))
    await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
    await expect(line).to_have_value("I also wanted to")
    await expect(line).not_to_be_editable()
    await expect(page.get_by_text("Answered by olga")).to_be_visible()


async def test_a_run_is_cancelled_with_a_reason(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.CountStock))
    await site.call(until(site.runner, run, "running"))
    page = await open_page(f"/runs/{run}")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("Nobody counts at night")
    await dialog.get_by_role("button", name=re.compile("^Cancel")).last.click()
    await expect(page.get_by_role("main").get_by_text("Cancelled").first).to_be_visible()
    await site.call(until(site.runner, run, "canceled"))


async def test_a_cut_stream_goes_on_where_it_was(site: Site, open_page: OpenPage, watch: Watch) -> None:
    watch.expect("ERR_", "Failed to load resource")
    run = await site.call(start(site.runner, storefront.SupportChat))
    with TcpProxy(site.port) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        page = await open_page(f"/runs/{run}", base=base)
        await expect(page.get_by_text("Hello, what can we do for you?")).to_be_visible()
        await expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible()
        proxy.reset(refuse=True)
        await expect(page.get_by_role("banner").get_by_text(re.compile("^Reconnecting"))).to_be_visible()
        for number in range(5):
            await site.call(site.runner.signal(run, "say", {"text": f"number {number}"}))
            await site.call(until(site.runner, run, "waiting", version=number + 2))
        await expect(page.get_by_text("You said: number 0")).to_have_count(0)
        proxy.passes()
        await expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible()
        for number in range(5):
            await expect(page.get_by_text(f"You said: number {number}")).to_have_count(1)


async def test_a_page_that_cant_be_loaded_comes_when_the_server_is_back(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    watch.expect("ERR_", "Failed to load resource", "dynamically imported module", "wasn't delivered")
    with TcpProxy(site.port) as proxy:
        page = await open_page("/runs", base=f"http://127.0.0.1:{proxy.port}")
        await expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible()
        proxy.reset(refuse=True)
        await page.get_by_role("link", name="Workflows").click()
        await expect(page.get_by_role("alert")).to_contain_text("couldn't be loaded")
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("alert")).to_contain_text("couldn't be loaded")
        proxy.passes()
        await expect(page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()


async def test_an_open_page_is_loaded_anew_after_an_upgrade(site: Site, open_page: OpenPage, watch: Watch) -> None:
    watch.expect("404", "dynamically imported module", "wasn't delivered")
    page = await open_page("/runs")
    await expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible()
    # As an upgrade leaves it: the page names an entry and chunks that the server hasn't any more.
    await page.evaluate("document.querySelector('script[type=module][src]').setAttribute('src', './assets/old.js')")
    await page.route("**/assets/page-*.js", lambda route: route.fulfill(status=404), times=1)
    async with page.expect_event("load"):
        await page.get_by_role("link", name="Workflows").click()
    await expect(page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()


async def test_two_people_answer_and_one_is_told(site: Site, open_page: OpenPage, watch: Watch) -> None:
    run = await site.call(start(site.runner, storefront.FulfilOrder, LARGE))
    await site.call(until(site.runner, run, "waiting"))
    page = await open_page(f"/runs/{run}", who="ada")
    answer = page.get_by_role("group", name="Send the decision")
    await answer.get_by_role("textbox", name="Note").fill("I think")
    other = await open_page(f"/runs/{run}", who="olga")
    theirs = other.get_by_role("group", name="Send the decision")
    await theirs.get_by_role("radio", name="No").check()
    await theirs.get_by_role("button", name="Send the decision").click()
    await expect(answer).to_contain_text("Answered by olga")
    await expect(answer.get_by_role("textbox", name="Note")).to_have_value("I think")


async def test_a_page_that_somebody_may_not_see_says_so(site: Site, open_page: OpenPage, watch: Watch) -> None:
    watch.expect("40[134]")
    run = await site.call(start(site.runner, storefront.SupportChat))
    page = await open_page(f"/runs/{run}", who="otto")
    await expect(page.get_by_text("There is no such run")).to_be_visible()
    page = await open_page("/workers", who="vito")
    await expect(page.get_by_text("You have no access to this page")).to_be_visible()
    page = await open_page("/runs", who="nobody")
    await expect(page.get_by_label("Token")).to_be_visible()


async def test_a_viewer_sees_all_and_changes_nothing(site: Site, open_page: OpenPage) -> None:
    run = await site.call(start(site.runner, storefront.ChargeCard))
    await site.call(until(site.runner, run, "failed"))
    page = await open_page(f"/runs/{run}", who="vera")
    retry = page.get_by_role("button", name="Retry", exact=True)
    await expect(retry).to_have_attribute("aria-disabled", "true")
    await retry.click(force=True)
    assert (await site.call(site.runner.get(run))).status == "failed"


async def test_who_has_a_token_signs_in_with_it(site: Site, open_page: OpenPage, watch: Watch) -> None:
    watch.expect("401")
    page = await open_page("/tokens", who="ada")
    await page.get_by_role("button", name="New token").click()
    await page.get_by_label("Name").fill("browser")
    await page.get_by_role("button", name="Create token").click()
    token = await page.get_by_role("dialog").locator("code").inner_text()
    stranger = await open_page("/runs", who="")
    await stranger.get_by_label("Token").fill("sw_wrong")
    await stranger.get_by_role("button", name="Sign in").click()
    await expect(stranger.get_by_text("isn't known here")).to_be_visible()
    await stranger.get_by_label("Token").fill(token)
    await stranger.get_by_role("button", name="Sign in").click()
    await expect(stranger.get_by_role("heading", name="Runs", level=1)).to_be_visible()
    assert token not in await stranger.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
