"""The page of a link to a question, in a real browser: on a phone, without a login and without JavaScript."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, Page, expect
from pydantic import BaseModel

from stepwell import END, App, Ask, Document, Settings, Stepwell, Workflow, transition
from stepwell.people import Confirm

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "java_script_enabled": False}


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Wish(BaseModel):
    size: Size
    words: str
    guests: int = 2


class Menu(Document):
    dish: str
    address: str


class Party(Workflow[None, None, Any]):
    @transition(target="asking")
    async def prepare(self) -> None:
        await self.documents.save(Menu(dish="<b>soup</b>", address="https://example.com/" + "x" * 300))

    @transition("asking", END, wait=True, ask=Ask("A party", text="How **large**?", assignee="ann", documents=[Menu]))
    async def choose(self, wish: Wish) -> Any:
        return wish.model_dump(mode="json")


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[tuple[Stepwell, int]]:
    settings = Settings(
        _env_file=None,
        database_url=f"sqlite:///{folder}/office.db",
        secret_key="a long random text",
        public_url="http://localhost",
    )
    stepwell = Stepwell([App("office", workflows=[Party])], settings=settings)
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=3))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            assert not task.done(), "the server ended at once"
            await asyncio.sleep(0.01)
    try:
        yield stepwell, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def linked(stepwell: Stepwell, port: int, workflow: Any, name: str, args: Any = None) -> tuple[str, str]:
    run = await stepwell.runner.run_sync(workflow, args, app_name="office", user_id="u1")
    assert run.workflow_id is not None
    link = await stepwell.runner.answer_link(run.workflow_id, name, by="ann", expires=timedelta(days=1))
    return run.workflow_id, link.replace("http://localhost", f"http://127.0.0.1:{port}")


@asynccontextmanager
async def phone(browser: Browser) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page, and what it complains about: what its policy has blocked, and what it couldn't load."""
    context = await browser.new_context(**PHONE)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("requestfailed", lambda request: said.append(request.url))
    try:
        yield page, said
    finally:
        await context.close()


async def fits(page: Page) -> bool:
    box = await page.locator("main").bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 360


@pytest.mark.thorough
async def test_a_form_is_filled_refused_and_sent(browser: Browser, tmp_path: Path) -> None:
    async with office(tmp_path) as (stepwell, port), phone(browser) as (page, said):
        run_id, link = await linked(stepwell, port, Party, "choose")
        await page.goto(link)
        await expect(page.get_by_role("heading", name="A party")).to_be_visible()
        await expect(page.get_by_text("<b>soup</b>")).to_be_visible()
        assert await fits(page)
        await page.get_by_label("small").check()
        await page.get_by_label("Words").fill("bring <salad>")
        await page.get_by_label("Guests").fill("many")
        await page.get_by_role("button", name="Send the answer").click()
        await expect(page.get_by_role("alert")).to_contain_text("integer")
        await expect(page.get_by_label("Words")).to_have_value("bring <salad>")
        await expect(page.get_by_label("small")).to_be_checked()
        await page.get_by_label("Guests").fill("7")
        await page.get_by_role("button", name="Send the answer").click()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await page.goto(link)
        await expect(page.get_by_role("heading", name="This question has been answered")).to_be_visible()
        result = await stepwell.runner.handle(run_id).result(timeout=timedelta(minutes=1))
        assert result == {"size": "small", "words": "bring <salad>", "guests": 7}
        blocked = [one for one in said if "Content Security Policy" in one or one.startswith("http")]
        assert blocked == []


@pytest.mark.thorough
async def test_a_yes_or_no_is_one_touch(browser: Browser, tmp_path: Path) -> None:
    async with office(tmp_path) as (stepwell, port), phone(browser) as (page, _):
        run_id, link = await linked(stepwell, port, Confirm, "answer", {"text": "Go?", "yes": "Go", "no": "Stay"})
        await page.goto(link)
        for words in ("Go", "Stay"):
            box = await page.get_by_role("button", name=words, exact=True).bounding_box()
            assert box is not None
            assert box["height"] >= 44, "large enough for a finger"
        await page.get_by_role("button", name="Stay", exact=True).click()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert await stepwell.runner.handle(run_id).result(timeout=timedelta(minutes=1)) is False
