"""What a team needs in the second month: runs by their subject, forks, steps and their outcomes, runs that don't fit the code."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import pytest
import pytest_asyncio
from filling import start, until
from opening import OpenPage, pages
from playwright.async_api import Browser, Locator, expect
from pydantic import BaseModel, Field
from sites import Site, open_site
from storefront import APP
from watching import Watch, check_accessible

from stepwell import END, App, Step, Workflow, transition

pytestmark = pytest.mark.thorough


class Trip(BaseModel):
    city: str


class Booking(BaseModel):
    rooms: Annotated[int, Field(ge=0, le=9)] = 0
    priced: bool = False
    paid: bool = False


async def hotel(city: str) -> dict[str, str]:
    return {"booking": f"H-{city}"}


class BookTrip(Workflow[Trip, Booking, str], title="Book a trip", subject="Trip to {args.city}"):
    @transition(target="booked")
    async def book(self) -> None:
        await self.step(Step("hotel", undo="give_back"), hotel, self.args.city)
        self.state.rooms = 1

    @transition("booked", "priced")
    async def price(self) -> None:
        self.state.priced = True

    @transition("priced", END, wait=True)
    async def pay(self) -> str:
        self.state.paid = True
        return f"{self.state.rooms} rooms"

    async def give_back(self, value: dict[str, str]) -> None: ...


async def bank() -> None:
    raise TimeoutError("no answer")


class SendMoney(Workflow[None, None, None], title="Send money"):
    @transition(target=END)
    async def send(self) -> None:
        await self.step(Step("transfer", once=True), bank)


class WaitsAtReview(Workflow[None, None, None], name="loan"):
    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self) -> None: ...


class WaitsAtDesk(Workflow[None, None, None], name="loan", version=2):
    @transition(target="desk")
    async def begin(self) -> None: ...

    @transition("desk", END, wait=True)
    async def decide(self) -> None: ...


def agency(loan: type[Workflow[None, None, None]] = WaitsAtDesk) -> list[App]:
    return [App(APP, workflows=[BookTrip, SendMoney, loan])]


@pytest.fixture
def agency_site(database: Path, left: str) -> Iterator[Site]:
    """Of its runs only the newest state is kept, and `left` is of code that is no longer there."""
    with open_site(database, apps=agency(), history_states=1) as opened:
        yield opened


@pytest.fixture
def left(database: Path) -> str:
    with open_site(database, apps=agency(WaitsAtReview)) as before:
        run = before.wait_for(start(before.runner, WaitsAtReview))
        before.wait_for(until(before.runner, run, "waiting"))
    return run


@pytest_asyncio.fixture(loop_scope="session")
async def open_agency(browser: Browser, agency_site: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    async for opened in pages(browser, agency_site.url, watch):
        yield opened


async def trip(site: Site, city: str = "Lisbon") -> str:
    run = await site.call(start(site.runner, BookTrip, {"city": city}))
    await site.call(until(site.runner, run, "waiting"))
    return run


async def write(editor: Locator, text: str) -> None:
    """It holds this, typed as a person does."""
    await editor.focus()
    await editor.press("Control+a")
    await editor.press("Delete")
    await editor.page.keyboard.insert_text(text)


async def test_people_find_runs_by_their_subject(agency_site: Site, open_agency: OpenPage) -> None:
    lisbon, oslo = await trip(agency_site), await trip(agency_site, "Oslo")
    page = await open_agency("/runs?q=to%20lisbon")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator(f"[data-row='{lisbon}']")).to_contain_text("Trip to Lisbon")
    await expect(page.get_by_role("button", name=f"Copy {lisbon}")).to_be_attached()
    await page.goto(f"{agency_site.url}/studio/")
    await expect(page.get_by_text("Trip to Oslo · book_trip")).to_be_visible()
    await page.keyboard.press("ControlOrMeta+k")
    await page.get_by_role("combobox", name="Search pages, workflows and runs").fill("trip to oslo")
    await page.get_by_role("option", name=re.compile("^Trip to Oslo")).click()
    await expect(page.get_by_role("heading", level=1, name="Trip to Oslo")).to_be_visible()
    await expect(page).to_have_url(re.compile(oslo))
    await expect(page).to_have_title(re.compile("Trip to Oslo"))
    await expect(page.get_by_role("link", name="Book a trip")).to_be_visible()
    await page.goto(f"{agency_site.url}/studio/waiting?run={lisbon}")
    await expect(page.get_by_role("region", name="Decision").get_by_text("Trip to Lisbon").first).to_be_visible()


async def test_a_fork_begins_with_the_state_that_was_edited(
    agency_site: Site, open_agency: OpenPage, watch: Watch
) -> None:
    watch.expect("status of 422")
    run = await trip(agency_site)
    page = await open_agency(f"/runs/{run}?tab=timeline&at=2")
    await page.get_by_role("button", name="Fork from here…").click()
    await expect(page).to_have_url(re.compile("fork=2"))
    state = page.locator('.cm-content[aria-label="State"]')
    await expect(page.get_by_text("The fork begins with the state of then.")).to_be_visible()
    await check_accessible(page)
    await write(state, '{"rooms": ')
    await expect(page.get_by_role("alert").filter(has_text="This isn't JSON yet")).to_be_visible()
    await expect(page.get_by_role("button", name="Start the fork")).to_have_attribute("aria-disabled", "true")
    await write(state, '{"rooms": 12, "priced": true}')
    await page.get_by_role("button", name="Start the fork").click()
    await expect(page.get_by_role("alert").filter(has_text="rooms: ")).to_contain_text("less than or equal to 9")
    await write(state, '{"rooms": 5, "priced": true}')
    await expect(page.get_by_role("region", name="Changes", exact=True)).to_contain_text("rooms")
    await page.get_by_role("button", name="Start the fork").click()
    await expect(page).not_to_have_url(re.compile(run))
    await expect(page.get_by_role("heading", level=1, name="Trip to Lisbon")).to_be_visible()
    await page.get_by_role("link", name="at checkpoint 2").click()
    await expect(page).to_have_url(re.compile(rf"{run}.*at=2"))
    forks = (await agency_site.call(agency_site.runner.list(app_name=APP, workflow=BookTrip))).items
    [fork] = [one for one in forks if one.workflow_id != run]
    assert (fork.forked_from, fork.state) == ((run, 2), {"rooms": 5, "priced": True, "paid": False})


async def test_where_no_fork_can_begin_the_page_says_why(agency_site: Site, open_agency: OpenPage) -> None:
    run = await trip(agency_site)
    await agency_site.call(agency_site.runner.signal(run, "pay"))
    await agency_site.call(until(agency_site.runner, run, "completed"))
    page = await open_agency(f"/runs/{run}?tab=history&at=3")
    button = page.get_by_role("button", name="Fork from here…")
    await expect(button).to_have_attribute("aria-disabled", "true")
    await button.focus()
    await expect(page.get_by_role("tooltip")).to_contain_text("It led to the end")
    await page.goto(f"{agency_site.url}/studio/runs/{run}?tab=history&at=1")
    await expect(button).to_have_attribute("aria-disabled", "true")
    await button.focus()
    await expect(page.get_by_role("tooltip")).to_contain_text("Its state is no longer kept")
    await page.goto(f"{agency_site.url}/studio/runs/{run}?fork=1")
    await expect(page.get_by_text("No fork can begin here")).to_be_visible()
    await page.get_by_role("link", name="Back to the run").click()
    await expect(page.get_by_role("tab").first).to_be_visible()


async def test_viewers_do_not_fork(agency_site: Site, open_agency: OpenPage) -> None:
    run = await trip(agency_site)
    page = await open_agency(f"/runs/{run}?tab=timeline&at=2", who="vera")
    await expect(page.get_by_role("button", name="Fork from here…")).to_have_attribute("aria-disabled", "true")


async def test_a_step_opens_with_its_value(agency_site: Site, open_agency: OpenPage) -> None:
    run = await trip(agency_site)
    page = await open_agency(f"/runs/{run}?tab=timeline")
    await page.get_by_role("listitem").get_by_role("button", name=re.compile("^hotel")).click()
    panel = page.get_by_role("region", name="Step hotel")
    await expect(panel).to_contain_text("give_back")
    await expect(panel).to_contain_text("H-Lisbon")
    await expect(page).to_have_url(re.compile("step="))
    await check_accessible(page)
    await panel.get_by_role("button", name="Close the step").click()
    await expect(panel).to_have_count(0)


async def test_an_unknown_outcome_is_told_on_the_timeline(agency_site: Site, open_agency: OpenPage) -> None:
    run = await agency_site.call(start(agency_site.runner, SendMoney))
    await agency_site.call(until(agency_site.runner, run, "failed"))
    page = await open_agency(f"/runs/{run}?tab=timeline")
    await expect(page.get_by_text("Whether the step transfer took effect isn't known")).to_be_visible()
    await page.get_by_role("button", name="Show the step transfer").click()
    await expect(page.get_by_role("region", name="Step transfer")).to_contain_text("Outcome unknown")


async def test_what_the_code_cannot_carry_on_is_on_home(left: str, open_agency: OpenPage) -> None:
    page = await open_agency("/")
    part = page.locator("section").filter(has=page.get_by_role("heading", name="Runs that this code can't carry on"))
    await expect(part).to_contain_text("1 run of loan of version 1 at review")
    await expect(part).to_contain_text("write @migrate(from_version=1) that sets old.place")
    await check_accessible(page)
    await part.get_by_role("link", name="Show one of them").click()
    await expect(page).to_have_url(re.compile(left))
    await expect(page.get_by_role("listitem").filter(has_text="@migrate(from_version=1)")).to_be_visible()


async def test_who_sees_only_their_own_runs_is_not_shown_the_check(left: str, open_agency: OpenPage) -> None:
    page = await open_agency("/", who="otto")
    await page.get_by_role("heading", name="Failures").wait_for()
    await expect(page.get_by_role("heading", name="Runs that this code can't carry on")).to_have_count(0)
