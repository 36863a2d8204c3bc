"""Who works for whom: workspaces, workers, and the queue between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from stepwell.engine.run import Moment
from stepwell.engine.run import Run as RunRow
from stepwell.execution.clock import to_datetime
from stepwell.runner.models import Page
from stepwell.runner.query import check_limit, cursor_of
from stepwell.runner.sight import Sight
from stepwell.runner.views import Depth, Lane, LaneDepth, Worker, Workspace
from stepwell.store import overview
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow, all_of, lanes_of

_HELD: Final = 50
"""Runs that are shown of those that a worker executes."""


@dataclass(frozen=True, slots=True)
class Machines(Sight):
    """What executes runs, and for whom."""

    async def workspaces(
        self, *, app_name: str | None = None, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Workspace]:
        """The workspaces, in the order of their ids."""
        check_limit(limit)
        if self._user not in (None, user_id or self._user):
            return Page(items=(), next_cursor=None)
        after, user = cursor_of(cursor), self._user or user_id
        apps = None if self.apps is None else sorted(self.apps)
        found = await self._core.store.read(
            lambda tx: overview.list_workspaces(tx, app_name, user, apps, limit + 1, after)
        )
        items = tuple(
            Workspace(id=row.id, app_name=row.app_name, user_id=row.user_id, created_at=to_datetime(row.created_at))
            for row in found[:limit]
        )
        return Page(items=items, next_cursor=found[limit - 1].id if len(found) > limit else None)

    async def workers(self, lease_seconds: float) -> list[Worker]:
        """The processes that have a heartbeat row, those that are there longest first."""
        apps = None if self.apps is None else sorted(self.apps)

        def query(tx: Tx) -> list[tuple[WorkerRow, tuple[int, list[RunRow]]]]:
            return [(row, overview.held(tx, row.id, apps, _HELD)) for row in all_of(tx)]

        found = await self._core.store.read(query)
        return [self._worker(row, *held, lease_seconds) for row, held in found]

    def _worker(self, row: WorkerRow, holding: int, runs: list[RunRow], lease_seconds: float) -> Worker:
        return Worker(
            id=row.id,
            host=row.host,
            pid=row.pid,
            started_at=to_datetime(row.started_at),
            seen_at=to_datetime(row.seen_at),
            alive=self._alive(row, lease_seconds),
            takes=tuple(
                Lane(app_name=app, workflow_name=name)
                for app, name in lanes_of(row)
                if ":" not in name and self._sees(app)
            ),
            holding=holding,
            runs=tuple(self._model(run) for run in runs),
        )

    def _alive(self, row: WorkerRow, lease_seconds: float) -> bool:
        return row.seen_at >= self._core.shared.clock.now() - round(lease_seconds * 1_000_000)

    async def queue(self, lease_seconds: float) -> Depth:
        """How much waits for workers, and since when."""

        def query(tx: Tx) -> tuple[list[overview.Ready], list[tuple[str, int, Moment]], list[WorkerRow]]:
            return overview.ready(tx), overview.later(tx), all_of(tx)

        ready, later, rows = await self._core.store.read(query)
        takers = Counter((app, name) for row in rows if self._alive(row, lease_seconds) for app, name in lanes_of(row))
        lanes = [one for one in ready if self._sees(one.app_name)]
        due = [(runs, first) for app_name, runs, first in later if self._sees(app_name)]
        return Depth(
            ready=sum(one.runs for one in lanes),
            oldest_at=to_datetime(min(one.oldest_at for one in lanes)) if lanes else None,
            later=sum(runs for runs, _ in due),
            next_at=to_datetime(min(first for _, first in due)) if due else None,
            lanes=tuple(
                LaneDepth(
                    app_name=one.app_name,
                    workflow_name=one.workflow_name,
                    ready=one.runs,
                    oldest_at=to_datetime(one.oldest_at),
                    workers=takers[one.app_name, one.workflow_name],
                )
                for one in sorted(lanes, key=lambda one: one.oldest_at)
            ),
            capped_at=overview.WALKED,
        )
