"""For as long as the composition root doesn't do it itself."""

from __future__ import annotations

from typing import Any

import stepwell.app
import stepwell.process
from stepwell.queue.chosen import make_queue
from stepwell.queue.foreign import Begun, ForeignStart
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.store import runs
from stepwell.store.tx import Bell
from stepwell.worker.sweep import Sweep


def due_between(tx: Any, after: int, before: int, limit: int) -> list[Bell]:
    return tx.fetch(
        Bell._make,
        "SELECT id, app_name, workflow_name, priority, due_at FROM stepwell_runs WHERE due_at IS NOT NULL AND owner IS NULL"
        " AND due_at>? AND due_at<? ORDER BY due_at LIMIT ?",
        after,
        before,
        limit,
    )


class Wired(stepwell.process.Process):
    def _assemble(self) -> None:
        made = stepwell.process.DatabaseQueue
        stepwell.process.DatabaseQueue = lambda store, worker, lanes, now: make_queue(  # type: ignore
            self.settings, store, worker, lanes, now, self._start_foreign
        )
        try:
            super()._assemble()
        finally:
            stepwell.process.DatabaseQueue = made  # type: ignore

    async def _start_foreign(self, start: ForeignStart, key: str) -> Begun:
        handle: Any = await WorkflowRunner(self._opening).run(
            start.workflow,
            start.args,
            app_name=start.app,
            user_id=start.user,
            labels=start.labels,
            priority=start.priority,
            delay=start.later,
            idempotency_key=start.idempotency_key or key,
        )
        return Begun(handle.workflow_id, handle.created)

    def _start(self, worker: bool) -> None:
        super()._start(worker)
        if hasattr(self.queue, "duties"):
            self._duties += [self._watch(self._for_ever(duty)) for duty in self.queue.duties(worker=worker)]

    async def _leave(self) -> None:
        await super()._leave()

    async def _shut(self) -> None:
        if hasattr(self.queue, "close"):
            await self.queue.close()
        await super()._shut()


async def look(self: Any) -> int | None:
    lanes = self._queue.lanes if self._passes.free else ()
    due, ready = await self._store.read(lambda tx: runs.outlook(tx, lanes))
    if ready:
        getattr(self._queue, "remind", self._queue.ring)()
    return due


def wire() -> None:
    if hasattr(Settings, "queue_prefix") or "queue_prefix" in Settings.model_fields:
        return
    Settings.queue_prefix = "bull"
    runs.due_between = due_between  # type: ignore
    stepwell.process.Process = Wired  # type: ignore
    stepwell.app._refuse_unbuilt = lambda settings: None  # type: ignore
    Sweep._look = look  # type: ignore
