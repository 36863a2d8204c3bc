"""The pytest plugin: the fixture `stepwell_harness`. Imports nothing of Stepwell until the fixture is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stepwell.testing.harness import Harness


@pytest.fixture
def stepwell_harness() -> Callable[..., Harness]:
    """Return a maker of harnesses: `async with stepwell_harness(apps=[...]) as harness:`. Takes what `Harness` takes."""

    def make(**options: Any) -> Harness:
        from stepwell.testing.harness import Harness

        return Harness(**options)

    return make
