"""What a user leaves in the browser isn't there for the next one: drafts, last args, views, and what was read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import storefront
from filling import LARGE, start, until
from opening import OpenPage
from playwright.async_api import Page, expect
from sites import Site
from watching import Watch

pytestmark = pytest.mark.thorough

SECRET = "the merger is on friday"


async def asking(site: Site) -> str:
    run: str = await site.call(start(site.runner, storefront.FulfilOrder, LARGE | {"customer": {"name": "Ada"}}))
    await site.call(until(site.runner, run, "waiting"))
    return run


def token_of(site: Site, who: str, user: str | None = None) -> str:
    """A token that `who` makes, for another user if one is given."""
    wanted = {"name": "browser", "role": "operator", "everybody": True} | ({"user_id": user} if user else {})
    with httpx.Client(base_url=f"{site.url}/api/v1", headers={"x-user": who}, timeout=60) as client:
        made: dict[str, Any] = client.post("/tokens", json=wanted).raise_for_status().json()
    return str(made["token"])


async def sign_in(page: Page, token: str) -> None:
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()


async def leave(page: Page) -> None:
    await page.get_by_role("button", name="Account and settings").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()


async def stored(page: Page) -> str:
    found: str = await page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    return found


async def draft(page: Page, text: str = SECRET) -> None:
    """Type into the question, and see that it is kept."""
    note = page.get_by_role("region", name="Decision", exact=True).get_by_role("textbox", name="Note")
    await note.fill(text)
    await page.wait_for_function("JSON.stringify({...localStorage}).includes('" + text + "')")


async def empty(page: Page) -> None:
    note = page.get_by_role("region", name="Decision", exact=True).get_by_role("textbox", name="Note")
    await expect(note).to_be_visible()
    await expect(note).to_have_value("")


async def test_drafts_do_not_survive_signing_out_and_the_next_user_sees_none(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    watch.expect("401")
    run = await asking(site)
    page = await open_page(f"/waiting?run={run}", who="")
    await sign_in(page, token_of(site, "ada"))
    await draft(page)
    await page.evaluate("""() => {
        const own = Object.keys(localStorage).find((one) => one.startsWith("stepwell.user ")).match(/^.*" /)[0];
        localStorage.setItem(own + "last shop charge_card", '"the merger is on friday"');
        localStorage.setItem(own + "runs-views", '[{"name":"the merger is on friday","search":""}]');
        sessionStorage.setItem(own + "start shop/charge_card", '{"args":"the merger is on friday"}');
    }""")
    await leave(page)
    assert SECRET not in await stored(page)
    await sign_in(page, token_of(site, "ada", "next"))
    await empty(page)
    assert SECRET not in await stored(page)


async def test_signing_out_in_another_tab_empties_this_one(site: Site, open_page: OpenPage, watch: Watch) -> None:
    watch.expect("401")
    run = await asking(site)
    page = await open_page(f"/waiting?run={run}", who="")
    await sign_in(page, token_of(site, "ada"))
    await draft(page)
    await page.evaluate("sessionStorage.setItem('stepwell.user \"ada\" start x', '\"the merger is on friday\"')")
    other = await page.context.new_page()
    await other.goto(f"{site.url}/studio/runs")
    await leave(other)
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert SECRET not in await stored(page)
    assert SECRET not in await stored(other)
    assert SECRET not in await page.content()


async def test_after_a_session_that_expired_another_user_sees_nothing_of_the_first(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    watch.expect("401")
    run = await asking(site)
    page = await open_page(f"/waiting?run={run}", who="")
    await sign_in(page, token_of(site, "ada"))
    await draft(page)
    await page.context.clear_cookies()
    await page.reload()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    await sign_in(page, token_of(site, "ada", "next"))
    await empty(page)
    assert SECRET not in await stored(page)


async def test_the_same_user_finds_the_draft_again_after_a_session_that_expired(
    site: Site, open_page: OpenPage, watch: Watch
) -> None:
    watch.expect("401")
    run = await asking(site)
    page = await open_page(f"/waiting?run={run}", who="")
    token = token_of(site, "ada")
    await sign_in(page, token)
    await draft(page)
    await page.context.clear_cookies()
    await page.reload()
    await sign_in(page, token)
    note = page.get_by_role("region", name="Decision", exact=True).get_by_role("textbox", name="Note")
    await expect(note).to_have_value(SECRET)


async def test_where_the_application_signs_in_another_user_the_first_ones_things_are_gone(
    site: Site, open_page: OpenPage
) -> None:
    """Studio isn't told that the application's user has signed out."""
    run = await asking(site)
    page = await open_page(f"/waiting?run={run}", who="ada")
    await draft(page)
    await page.context.set_extra_http_headers({"x-user": "olga"})
    await page.reload()
    await empty(page)
    assert SECRET not in await stored(page)
    await draft(page, "mine")
    assert "olga" in await stored(page)


async def test_revoking_says_how_many_tokens_go_with_it(site: Site, open_page: OpenPage) -> None:
    token = token_of(site, "ada")
    bearer = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{site.url}/api/v1", headers=bearer, timeout=60) as client:
        for _ in range(2):
            (await client.post("/tokens", json={"name": "child", "role": "viewer"})).raise_for_status()
    page = await open_page("/tokens", who="ada")
    await expect(page.get_by_role("row", name="browser")).to_contain_text("created 2 more")
    await expect(page.get_by_role("row", name="child").first).to_contain_text("ada, with a token")
    await page.get_by_role("button", name="Revoke browser").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("the 2 tokens that were created with it")
    await dialog.get_by_role("button", name="Revoke 3 tokens").click()
    await expect(page.get_by_role("cell", name="Revoked", exact=True)).to_have_count(3)
