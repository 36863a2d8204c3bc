"""For the files whose tests run on everything that Stepwell may be on."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres", "bullmq", "pooled", "schema"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database, and what stands before it or beside it."""
    return str(request.param)
