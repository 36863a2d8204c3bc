"""A batch is there as a whole or not at all, whenever the process that stores it dies."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from backends import Database
from conformance.batch_victim import KEY, TOTAL, Quick, starts
from conformance.support import ME, StepwellOn, counts


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """The database."""
    return str(request.param)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_all_of_it_or_nothing(stepwell_on: StepwellOn, database: Database, moment: str) -> None:
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("batch_victim.py")), database.url, moment
    )
    assert await victim.wait() == -signal.SIGKILL
    async with stepwell_on([Quick]) as stepwell:
        found = await counts(stepwell)
        assert found.get("stepwell_runs", 0) == (TOTAL if moment == "after" else 0)
        assert found.get("stepwell_groups", 0) == (1 if moment == "after" else 0)
        # Who wasn't told asks again, with the key.
        batch = await stepwell.runner.run_batch(starts(), **ME, idempotency_key=KEY)
        assert batch.created is (moment == "before")
        assert (await batch.result(timeout=120)).completed == TOTAL
