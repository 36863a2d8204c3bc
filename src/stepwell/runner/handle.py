"""A handle to one run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from stepwell.definition.unset import UNSET
from stepwell.definition.values.codec import plain
from stepwell.engine.run import RunRow
from stepwell.errors import RunFailed
from stepwell.runner.arguments import checked_seconds, run_id
from stepwell.runner.core import Core
from stepwell.runner.ends import waiting_for
from stepwell.runner.models import Run
from stepwell.runner.steering import D, Data, Steering, Takes, TakesNothing, W

if TYPE_CHECKING:
    from stepwell.definition.authoring.context import Signal

R = TypeVar("R")


class RunHandle(Generic[R]):
    """The name of a run, and the verbs for it; it holds no state of the run. Works in any process with the database open."""

    __slots__ = ("_runner", "created", "workflow_id", "workspace_id")

    def __init__(
        self, runner: Steering, workflow_id: str, created: bool = False, workspace_id: str | None = None
    ) -> None:
        self._runner = runner
        self.workflow_id = workflow_id
        self.created = created
        """False if an idempotency key led to an earlier run, and for handles that no start has made."""
        self.workspace_id = workspace_id
        """The run's workspace, as the start or fork that made this handle knew it. None for handles that neither has made
        (`runner.handle`): nothing is asked, and the id of a run doesn't tell it.
        """

    def __repr__(self) -> str:
        return f"RunHandle({self.workflow_id!r})"

    async def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait through retries and waits until the run is completed, and return its validated result.

        Raises RunFailed if it failed or was cancelled, TimeoutError after `timeout` (the run goes on), WorkflowNotFound.
        """
        core = self._runner.core
        seconds = checked_seconds(timeout)
        with waiting_for(core.passes, self.workflow_id):
            if seconds is None:
                row = await self._ended(core)
            else:
                async with asyncio.timeout(seconds):
                    row = await self._ended(core)
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
            return cast("R", plain(row.result))  # of an app that this process doesn't have
        result: R = definition.result.load(row.result)
        return result

    async def _ended(self, core: Core) -> RunRow:
        if self._runner.restricted:
            await self._runner.get(self.workflow_id)  # another user's run isn't waited for
        # An invalid id is refused here: it would break the common query of all waiters.
        return await core.ends.wait(run_id(self.workflow_id))

    async def get(self) -> Run:
        """Return the run as it stands. Raises WorkflowNotFound."""
        return await self._runner.get(self.workflow_id)

    @overload
    async def signal(self, name: TakesNothing[W], data: None = None, *, idempotency_key: str | None = None) -> Run: ...
    @overload
    async def signal(self, name: Takes[W, Signal[D]], data: Data[D], *, idempotency_key: str | None = None) -> Run: ...
    @overload
    async def signal(
        self, name: Takes[W, D | None], data: Data[D] | None = None, *, idempotency_key: str | None = None
    ) -> Run: ...
    @overload
    async def signal(self, name: Takes[W, D], data: Data[D], *, idempotency_key: str | None = None) -> Run: ...
    @overload
    async def signal(self, name: str, data: Any = None, *, idempotency_key: str | None = None) -> Run: ...
    async def signal(self, name: Any, data: Any = None, *, idempotency_key: str | None = None) -> Run:
        """Like `runner.signal`."""
        return await self._runner.signal(self.workflow_id, name, data, idempotency_key=idempotency_key)

    async def cancel(self, *, reason: str | None = None, force: bool = False) -> Run:
        """Like `runner.cancel`."""
        return await self._runner.cancel(self.workflow_id, reason=reason, force=force)

    async def retry(self, *, data: Any = UNSET, state: Any = UNSET) -> Run:
        """Like `runner.retry`."""
        return await self._runner.retry(self.workflow_id, data=data, state=state)
