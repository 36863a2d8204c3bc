"""The same run in a terminal and in Studio: whoever answers first, the other one sees it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from opening import OpenPage
from playwright.async_api import expect
from sites import Site

from cli.typist import Typist

pytestmark = pytest.mark.thorough

STEPWELL = str(Path(sys.executable).with_name("stepwell"))


@pytest.fixture
async def token(site: Site) -> str:
    """Ada's, for the command line."""
    async with httpx.AsyncClient(base_url=f"{site.url}/api/v1", headers={"x-user": "ada"}) as client:
        answer = await client.post("/tokens", json={"name": "terminal", "role": "operator"})
        made: str = answer.raise_for_status().json()["token"]
        return made


@asynccontextmanager
async def typing(site: Site, token: str, folder: Path) -> AsyncIterator[tuple[Typist, str]]:
    """Somebody who has started a run in a terminal, up to its question, and the run."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")}
    command = [STEPWELL, "run", "ask_supplier", "--arg", "supplier=North"]
    typist = Typist(command, folder, {**env, "STEPWELL_URL": site.url, "STEPWELL_TOKEN": token})
    try:
        await asyncio.to_thread(typist.sees, "run ")
        run = (await asyncio.to_thread(typist.sees, "\n")).strip()
        assert re.fullmatch("[0-9a-f-]{36}", run)
        await asyncio.to_thread(typist.sees, "What do they want for it?")
        yield typist, run
    finally:
        typist.close()


async def test_an_answer_in_the_terminal_is_seen_in_studio(
    site: Site, token: str, open_page: OpenPage, tmp_path: Path
) -> None:
    async with typing(site, token, tmp_path) as (typist, run):
        page = await open_page(f"/runs/{run}", who="ada")
        await expect(page.get_by_role("group", name="Answer")).to_be_visible()
        typist.types("42")
        await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
        assert await asyncio.to_thread(typist.ends) == 0
        assert "North: 42" in typist.data


async def test_an_answer_in_studio_takes_the_question_from_the_terminal(
    site: Site, token: str, open_page: OpenPage, tmp_path: Path
) -> None:
    async with typing(site, token, tmp_path) as (typist, run):
        page = await open_page(f"/runs/{run}", who="olga")
        answer = page.get_by_role("group", name="Answer")
        await answer.get_by_role("spinbutton").fill("17")
        await answer.get_by_role("button", name="Answer", exact=True).click()
        await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
        assert await asyncio.to_thread(typist.ends) == 0
        assert "answered" in typist.shown.lower()
        assert "North: 17" in typist.data
