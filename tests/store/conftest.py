"""An open Stepwell whose worker is elsewhere, so that only the test writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from stepwell import END, Stepwell, Workflow, transition
from stepwell.store.base import Store


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


@pytest.fixture
async def opened(stepwell_on: Callable[..., Stepwell]) -> AsyncIterator[Stepwell]:
    async with stepwell_on([Quick], embedded_worker=False) as stepwell:
        yield stepwell


@pytest.fixture
def store(opened: Stepwell) -> Store:
    assert opened.process is not None
    return opened.process.store
