"""Pages of a site, opened as somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from playwright.async_api import Browser, Page, expect
from watching import Watch

PATIENCE = 60_000
"""Milliseconds that anything may take: the machine may be busy. Reached on failures only."""

expect.set_options(timeout=PATIENCE)

OpenPage = Callable[..., Awaitable[Page]]


async def pages(browser: Browser, base: str, watch: Watch) -> AsyncIterator[OpenPage]:
    contexts = []

    async def opened(path: str = "", *, who: str = "ada", base: str = base, **options: Any) -> Page:
        given = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", "locale": "en-GB"}
        context = await browser.new_context(extra_http_headers={"x-user": who}, **(given | options))
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        await watch.over(context)
        page = await context.new_page()
        await page.goto(f"{base}/studio{path}")
        return page

    yield opened
    for context in contexts:
        await context.close()
    watch.check()
