"""Studio in a real browser, on a real server. The browser is one per process, and its loop is the session's."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chromium import chromium
from opening import OpenPage, pages
from playwright.async_api import Browser, Page, async_playwright
from sites import Site, open_site
from storefront import Till
from watching import Watch
from windows import Window, dress

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses the browser runs in the browser's loop."""
    for item in items:
        if HERE in item.path.parents and iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, without a window."""
    found = chromium()
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(
            executable_path=found.path, args=[*found.arguments], env={**found.environment}
        )
        yield opened
        await opened.close()


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Path:
    """An empty database of this test."""
    path = tmp_path / "studio.db"
    shutil.copyfile(migrated, path)
    return path


@pytest.fixture
def site(database: Path) -> Iterator[Site]:
    """A server with the shop; its bank is broken until somebody says otherwise."""
    Till.broken = True
    with open_site(database) as opened:
        yield opened


@pytest.fixture
def watch() -> Watch:
    """What goes wrong on the pages of the test; ask it to expect what belongs there."""
    return Watch()


@pytest.fixture(scope="session")
def shop_window(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Window]:
    """A server for tests that only look: runs in every state, deliveries, a token, a schedule that has fired."""
    path = tmp_path_factory.mktemp("window") / "studio.db"
    shutil.copyfile(migrated, path)
    Till.broken = True
    with open_site(path) as opened:
        yield Window(opened, dress(opened))


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, site: Site, watch: Watch) -> AsyncIterator[OpenPage]:
    """`open_page("/runs", who="ada", ...)`: a page of Studio in a context of its own; options are the context's.

    After the test, anything unexpected that a page said is an error.
    """
    async for opened in pages(browser, site.url, watch):
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def look_at(browser: Browser, shop_window: Window, watch: Watch) -> AsyncIterator[OpenPage]:
    """The same on the shop window; paths may name its runs: `look_at("/runs/{chat}")`."""
    async for opened in pages(browser, shop_window.site.url, watch):
        yield partial(_named, shop_window, opened)


async def _named(window: Window, opened: OpenPage, path: str = "", **options: Any) -> Page:
    return await opened(path.format(**window.runs), **options)
