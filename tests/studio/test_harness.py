"""The tests' own ground: the browser opens Studio, and what goes wrong on a page is seen."""

from __future__ import annotations

from typing import get_args

import pytest
from filling import fill
from opening import OpenPage
from sites import Site
from storefront import APP, WORKFLOWS
from watching import Watch

from stepwell.engine.run import Status


async def test_studio_opens(open_page: OpenPage) -> None:
    page = await open_page()
    await page.get_by_role("navigation").first.wait_for()
    assert "Stepwell" in await page.title()


async def test_an_error_of_a_page_is_seen(open_page: OpenPage, watch: Watch) -> None:
    page = await open_page()
    await page.evaluate("setTimeout(() => { throw new Error('of the test') })")
    await page.evaluate("document.head.append(Object.assign(document.createElement('script'), { textContent: '1' }))")
    await page.wait_for_timeout(100)
    with pytest.raises(AssertionError, match="of the test"):
        watch.check()
    assert any("policy violated: script-src" in fault for fault in watch.faults), watch.faults
    watch.faults.clear()


async def test_the_shop_works(site: Site) -> None:
    names = set(site.stepwell.apps[APP].definitions)
    assert len(names) == len(WORKFLOWS)


async def test_the_shop_has_runs_in_every_state(site: Site) -> None:
    runs = await site.call(fill(site.runner))
    found = {(await site.call(site.runner.get(one))).status for one in runs.values()}
    assert found == set(get_args(Status))
