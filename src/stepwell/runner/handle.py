"""A handle to one run."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from stepwell.engine.run import Run as RunRow
from stepwell.errors import RunFailed
from stepwell.runner.models import Run
from stepwell.runner.start import checked_seconds

if TYPE_CHECKING:
    from stepwell.runner.runner import WorkflowRunner

R = TypeVar("R")


class RunHandle(Generic[R]):
    """Names a run and reaches it; holds nothing of it. Works in any process that has the database open."""

    __slots__ = ("_runner", "created", "workflow_id")

    def __init__(self, runner: WorkflowRunner, workflow_id: str, created: bool = False) -> None:
        self._runner = runner
        self.workflow_id = workflow_id
        self.created = created
        """False if an idempotency key led to an earlier run, and for handles that no start has made."""

    def __repr__(self) -> str:
        return f"RunHandle({self.workflow_id!r})"

    async def result(self, timeout: timedelta | float | None = None) -> R:
        """The validated result, once the run is completed; waits through retries and waits.

        Raises RunFailed if it failed or was cancelled, TimeoutError after `timeout` (the run goes on), WorkflowNotFound.
        """
        core = self._runner.core
        seconds = checked_seconds(timeout)
        async with asyncio.timeout(seconds):
            row = await self._ended()
        definition = core.shared.registry.find(row.app_name, row.workflow_name)
        if row.status != "completed":
            raise RunFailed(
                f"Run {row.id} ({row.workflow_name}): {row.error}",
                workflow_id=row.id,
                status="canceled" if row.status == "canceled" else "failed",
            )
        if row.result is None or row.result == "null":
            return cast("R", None)
        if definition is None:
            return cast("R", json.loads(row.result))  # of an app that this process doesn't have
        return cast("R", definition.result.load(row.result))

    async def _ended(self) -> RunRow:
        if self._runner.restricted:
            await self._runner.get(self.workflow_id)  # somebody else's run isn't waited for
        return await self._runner.core.ends.wait(self.workflow_id)

    async def get(self) -> Run:
        """The run as it stands. Raises WorkflowNotFound."""
        return await self._runner.get(self.workflow_id)

    async def signal(self, name: str, data: Any = None, *, idempotency_key: str | None = None) -> Run:
        """As `runner.signal`."""
        return await self._runner.signal(self.workflow_id, name, data, idempotency_key=idempotency_key)

    async def cancel(self, *, reason: str | None = None) -> Run:
        """As `runner.cancel`."""
        return await self._runner.cancel(self.workflow_id, reason=reason)

    async def retry(self) -> Run:
        """As `runner.retry`."""
        return await self._runner.retry(self.workflow_id)
