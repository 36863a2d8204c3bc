"""`make screenshots`: pictures of every page of Studio, light and dark, in docs/pictures.

Taken of the shop of the tests on a real server. Arguments: the names of pages, to take only those.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "studio")]

import crowd  # noqa: E402
from chromium import chromium  # noqa: E402
from playwright.async_api import Browser, Page, async_playwright  # noqa: E402
from sites import Site, open_site  # noqa: E402
from windows import dress  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"
WIDE: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 1}
LOW: Mapping[str, Any] = {"viewport": {"width": 1280, "height": 640}, "device_scale_factor": 1}
PHONE: Mapping[str, Any] = {
    "viewport": {"width": 375, "height": 740},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Picture:
    """A page by its path, which may name runs of its site; `wait` is what it has to show before."""

    path: str
    wait: str = "h1"
    press: str | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: WIDE)
    crowded: bool = False
    """Taken of a site on which many runs are under way, and for the docs: in light colours only."""

    @property
    def schemes(self) -> tuple[Scheme, ...]:
        return ("light",) if self.crowded else ("light", "dark")


PICTURES = {
    "home": Picture("/"),
    "inbox": Picture("/waiting?run={review}", "textarea"),
    "runs": Picture("/runs", "tbody tr"),
    "run-feed": Picture("/runs/{chat}", "pre"),
    "run": Picture("/runs/{review}", "textarea"),
    "run-failed": Picture("/runs/{stolen}"),
    "run-children": Picture("/runs/{children}"),
    "run-timeline": Picture("/runs/{review}?tab=timeline"),
    "run-graph": Picture("/runs/{review}?tab=graph", ".react-flow__node"),
    "run-state": Picture("/runs/{review}?tab=state"),
    "run-history": Picture("/runs/{review}?tab=history"),
    "workflows": Picture("/workflows", "tbody tr"),
    "workflow": Picture("/workflows/shop/fulfil_order", "h2"),
    "workflow-graph": Picture("/workflows/shop/fulfil_order?tab=graph", ".react-flow__node"),
    "start": Picture("/workflows/shop/fulfil_order/start", "textarea"),
    "schedules": Picture("/schedules", "tbody tr"),
    "schedule": Picture("/schedules/shop/reminders", "tbody tr"),
    "webhooks": Picture("/webhooks", "tbody tr"),
    "delivery": Picture("/webhooks?delivery=evt_stolen", "[role=dialog]"),
    "workers": Picture("/workers", "h3"),
    "workspaces": Picture("/workspaces", "tbody tr"),
    "tokens": Picture("/tokens", "tbody tr"),
    "search": Picture("/", press="Control+k"),
    "batch": Picture("/batches/{batch}", "tbody tr", options=LOW, crowded=True),
    "limits": Picture("/limits", "tbody tr", options=LOW, crowded=True),
    "phone-home": Picture("/", options=PHONE),
    "phone-run": Picture("/runs/{chat}", "pre", options=PHONE),
}


async def main(names: list[str]) -> None:
    """The pictures of these names are there; without any, those of all."""
    if unknown := set(names) - set(PICTURES):
        sys.exit(f"No picture is named {', '.join(sorted(unknown))}: take one of {', '.join(PICTURES)}.")
    wanted = {name: PICTURES[name] for name in names or PICTURES}
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.path, args=[*found.arguments], env={**found.environment}
        )
        for crowded in (False, True):
            chosen = {name: picture for name, picture in wanted.items() if picture.crowded == crowded}
            if chosen:
                await take_all(browser, chosen, crowded)
        await browser.close()


async def take_all(browser: Browser, pictures: Mapping[str, Picture], crowded: bool) -> None:
    """The pictures of one site, which is opened for them."""
    apps = crowd.apps() if crowded else None
    with tempfile.TemporaryDirectory() as folder, open_site(Path(folder) / "shop.db", apps=apps) as site:
        runs = await asyncio.to_thread(crowd.gather if crowded else dress, site)
        for name, picture in pictures.items():
            for scheme in picture.schemes:
                await take(browser, site, runs, picture, scheme, FOLDER / f"{name}-{scheme}.png")
            sys.stderr.write(f"{name}\n")


async def take(
    browser: Browser, site: Site, runs: Mapping[str, str], picture: Picture, scheme: Scheme, target: Path
) -> None:
    context = await browser.new_context(
        extra_http_headers={"x-user": "ada"},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        **picture.options,
    )
    page = await context.new_page()
    await page.goto(f"{site.url}/studio{picture.path.format(**runs)}")
    await page.locator(picture.wait).first.wait_for()
    if picture.press:
        await page.keyboard.press(picture.press)
    await at_rest(page)
    await replace(page, target)
    await context.close()


async def at_rest(page: Page) -> None:
    """Nothing is loading, and what was late has been drawn."""
    await page.locator("[role=status]", has_text="Loading").first.wait_for(state="hidden")
    await page.wait_for_timeout(700)


async def replace(page: Page, target: Path) -> None:
    """The file is the new picture, or still the old one."""
    made = target.with_suffix(".new.png")
    await page.screenshot(path=made)
    shutil.move(made, target)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
