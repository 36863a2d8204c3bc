"""A run without any storage: the same engine, in memory, from its first transition to its end."""

from __future__ import annotations

from stepwell.engine.commit import Commit
from stepwell.engine.run import Run
from stepwell.execution.drive import Pass
from stepwell.execution.shared import Shared
from stepwell.execution.storage import Memory
from stepwell.store.base import DocumentRow


async def run_stateless(shared: Shared, commit: Commit) -> tuple[Run, list[DocumentRow]]:
    """The run where it ended or parked, and its documents."""
    storage = Memory(shared)
    run = await Pass(shared, storage, commit.run, hold=True, fresh=True).drive()
    assert run is not None  # nobody stops a stateless run from outside, and nobody takes it over
    return run, storage.saved
