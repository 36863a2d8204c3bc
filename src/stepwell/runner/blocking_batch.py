"""A handle to a batch, for synchronous code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.run import Status
from stepwell.runner.batch_handle import BatchHandle
from stepwell.runner.groups import GroupProgress
from stepwell.runner.opening import Opening
from stepwell.runner.portal import Portal, verb


class BlockingBatch(Portal[BatchHandle]):
    """Each verb of BatchHandle under its own name, blocking until it is done."""

    def __init__(self, handle: BatchHandle, opening: Opening) -> None:
        super().__init__(handle, opening)
        self.batch_id = handle.batch_id
        self.created = handle.created

    def __repr__(self) -> str:
        return f"BlockingBatch({self.batch_id!r})"

    get = verb(BatchHandle.get)
    progress = verb(BatchHandle.progress)
    retry_failed = verb(BatchHandle.retry_failed)
    cancel = verb(BatchHandle.cancel)

    def result(self, timeout: timedelta | float | None = None) -> GroupProgress:
        """Like `BatchHandle.result`, but blocking."""
        return self._call(self._awaited.result(timeout), waits=True)

    def items(self, status: Status | None = None) -> Iterator[GroupItem[Any]]:
        """Like `BatchHandle.items`, but blocking."""
        return self._each(self._awaited.items(status))

    def follow(self, every: timedelta = timedelta(seconds=1)) -> Iterator[GroupProgress]:
        """Like `BatchHandle.follow`, but blocking."""
        return self._each(self._awaited.follow(every), waits=True)
