"""A page on which nothing may go wrong unseen: errors of the console, of scripts, and of the Content-Security-Policy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from chromium import STUDIO
from playwright.async_api import BrowserContext, ConsoleMessage, Page

_AXE = STUDIO / "node_modules" / "axe-core" / "axe.min.js"
_POLICY = """document.addEventListener("securitypolicyviolation", (event) => {
    const place = `${event.sourceFile}:${event.lineNumber}`;
    console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI} at ${place}`);
});"""
_RUN_AXE = """async () => {
    const found = await axe.run(document, { resultTypes: ["violations"] });
    return found.violations.map((one) => ({
        id: one.id,
        help: one.help,
        nodes: one.nodes.map((node) => `${node.target.join(" ")}: ${node.html.slice(0, 160)} (${node.failureSummary})`),
    }));
}"""


class Watch:
    """What went wrong on the pages of a context."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def expect(self, *patterns: str) -> None:
        """Faults that match one of these belong to the test, as the browser's word on an answer that is an error."""
        self._expected += [re.compile(pattern) for pattern in patterns]

    async def over(self, context: BrowserContext) -> None:
        """All its pages are watched, those too that it opens later."""
        await context.add_init_script(_POLICY)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self._add(f"page error: {error.error}"))
        context.on("page", lambda page: page.on("crash", lambda _: self._add("the page crashed")))

    def check(self) -> None:
        """Raises AssertionError with what went wrong."""
        unexpected = [fault for fault in self.faults if not any(one.search(fault) for one in self._expected)]
        assert not unexpected, "on the page:\n" + "\n".join(unexpected)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._add(f"console: {message.text} ({message.location.get('url', '')})")

    def _add(self, fault: str) -> None:
        self.faults.append(fault)


async def violations(page: Page) -> Sequence[dict[str, Any]]:
    """What axe finds on the page as it is now."""
    if not await page.evaluate("typeof window.axe === 'object'"):
        # Evaluated and not inserted: the page's policy lets no script in.
        await page.evaluate(_AXE.read_text())
    found: Sequence[dict[str, Any]] = await page.evaluate(_RUN_AXE)
    return found


async def check_accessible(page: Page) -> None:
    """Raises AssertionError with every violation."""
    found = await violations(page)
    told = [f"{one['id']}: {one['help']}\n    " + "\n    ".join(one["nodes"]) for one in found]
    assert not found, f"{page.url}\n" + "\n".join(told)
