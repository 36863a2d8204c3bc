"""Leases are the same on both databases, and with both queues."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres", "bullmq"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database, and what stands beside it."""
    return str(request.param)
