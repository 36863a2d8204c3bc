"""Statistics of runs (counts, failures, throughput, latency), and the workers, workspaces and queue that they need."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal, get_args

from stepwell.console.reading.views import (
    Bucket,
    Counts,
    Depth,
    Failures,
    Lane,
    LaneDepth,
    Metrics,
    Reading,
    Recent,
    Worker,
    WorkspaceView,
)
from stepwell.definition.text import is_own
from stepwell.engine.pauses import covering
from stepwell.engine.run import Moment, RunRow, Status
from stepwell.execution.clock import microseconds, to_datetime
from stepwell.runner.arguments import check_limit, cursor_of
from stepwell.runner.checking import BEGINNING, Misfit, Reached, check
from stepwell.runner.models import Page
from stepwell.runner.readable import readable_run
from stepwell.runner.workspaces import workspace_fields
from stepwell.store import pauses, workspaces
from stepwell.store.reading import overview, queries
from stepwell.store.reading.in_flight import STATUSES
from stepwell.store.tables import moment
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow, all_of, lanes_of

_WINDOWS: Final = {
    "hour": (timedelta(hours=1), timedelta(minutes=1)),
    "day": (timedelta(days=1), timedelta(minutes=30)),
}
_FAILED: Final = 1_000
"""Failed runs that are grouped, at most."""
_RECENT: Final = 30
_NUMBERS: Final = re.compile(r"\d+|0x[0-9a-f]+|'[^']{1,80}'|\"[^\"]{1,80}\"")
_CHECKED: Final = 1_000
"""Runs that one request checks against the code, some more or less."""
CHECKED_STATUS: Final = f"({'|'.join(STATUSES)})"
"""The pattern of the beginning of a cursor of misfits."""
_HELD: Final = 50
"""Runs of a worker that are listed, at most."""


@dataclass(frozen=True, slots=True)
class Overview(Reading):
    """Statistics of the runs of one workflow or of all."""

    async def counts(self, app_name: str | None = None) -> Counts:
        """Return the number of runs of each status."""
        found: Counter[Status] = Counter()
        apps = sorted(self.apps) if self.apps is not None else None
        if app_name is not None:
            apps = [app_name] if self._sees(app_name) else []
        counted = await self.reader.read(lambda tx: overview.counts(tx, self._user, apps))
        for (_, _, status), count in counted.items():
            found[status] += count  # type: ignore[index]
        return Counts(counts={status: found[status] for status in get_args(Status)}, capped_at=overview.COUNTED)

    async def by_workflow(
        self, app_name: str | None = None
    ) -> dict[tuple[str, str], tuple[dict[Status, int], list[Recent]]]:
        """Return for each workflow the number of its runs of each status, and how its newest runs went."""
        shown = [(app, one.name) for app, one in self.definitions() if app_name in (None, app)]
        apps = None if app_name is None and self.apps is None else sorted({app for app, _ in shown})

        def query(tx: Tx) -> tuple[overview.StatusCounts, list[list[RunRow]]]:
            of_lanes = [queries.Filter(app_name=app, workflow_name=name, user_id=self._user) for app, name in shown]
            newest = [queries.list_runs(tx, wanted, _RECENT, None, brief=True).runs for wanted in of_lanes]
            return overview.counts(tx, self._user, apps), newest

        counts, newest = await self.reader.read(query)
        return {
            lane: ({status: counts[*lane, status] for status in get_args(Status)}, [_recent(run) for run in runs])
            for lane, runs in zip(shown, newest, strict=True)
        }

    async def failures(self, app_name: str | None = None) -> list[Failures]:
        """Return the newest failed runs, grouped by the same failure, the most frequent first."""
        wanted = queries.Filter(
            status=("failed",),
            user_id=self._user,
            app_name=app_name,
            apps=None if self.apps is None else tuple(self.apps),
        )
        found = await self.reader.read(lambda tx: queries.list_runs(tx, wanted, _FAILED, None, brief=True).runs)
        groups: dict[tuple[str, str, str], list[RunRow]] = {}
        for run in found:
            alike = _NUMBERS.sub("#", _first_line(run.error))
            groups.setdefault((run.app_name, run.workflow_name, alike), []).append(run)
        return sorted((_failures(runs) for runs in groups.values()), key=lambda one: (-one.count, one.workflow_id))

    async def metrics(self, window: Literal["hour", "day"]) -> Metrics:
        """Return what ended in the last hour or day, in intervals, and how long it took."""
        whole, width = (microseconds(one) for one in _WINDOWS[window])
        until = (self._core.shared.clock.now() // width + 1) * width
        since = until - whole

        def query(tx: Tx) -> tuple[list[overview.Ended], list[tuple[Moment, int, str]], list[RunRow]]:
            failed = queries.Filter(status=("failed",), user_id=self._user)
            return (
                overview.ended(tx, self._user, since, width),
                overview.durations(tx, self._user, since),
                queries.list_runs(tx, failed, _FAILED, None, brief=True).runs,
            )

        ended, durations, failed = await self.reader.read(query)
        numbers = Counter({(one.bucket, one.status): 0 for one in ended})
        for one in ended:
            numbers[one.bucket, one.status] += one.runs if self._sees(one.app_name) else 0
        for run in failed:
            if (moment(run.updated_at) or 0) >= since and self._sees(run.app_name):
                numbers[(run.updated_at - since) // width, "failed"] += 1
        taken = [(at, took) for at, took, app in durations if self._sees(app) and moment(at) is not None]
        buckets = tuple(
            Bucket(
                at=to_datetime(since + n * width),
                completed=numbers[n, "completed"],
                failed=numbers[n, "failed"],
                canceled=numbers[n, "canceled"],
                **_percentiles([took for at, took in taken if (at - since) // width == n]),
            )
            for n in range(whole // width)
        )
        return Metrics(
            window=window,
            since=to_datetime(since),
            until=to_datetime(until),
            bucket_seconds=width // 1_000_000,
            buckets=buckets,
            completed=sum(one.completed for one in buckets),
            failed=sum(one.failed for one in buckets),
            canceled=sum(one.canceled for one in buckets),
            **_percentiles([took for _, took in taken]),
        )


def _failures(runs: Sequence[RunRow]) -> Failures:
    newest = readable_run(runs[0])
    return Failures(
        app_name=newest.app_name,
        workflow_name=newest.workflow_name,
        error=_first_line(runs[0].error),
        count=len(runs),
        last_at=to_datetime(max(moment(run.updated_at) or 0 for run in runs)),
        workflow_id=newest.id,
        subject=newest.subject,
    )


def _first_line(error: object) -> str:
    lines = str(error or "").strip().splitlines()
    return lines[0][:500] if lines else "no error was stored"


def _recent(row: RunRow) -> Recent:
    run = readable_run(row)
    return Recent(
        workflow_id=run.id,
        status=run.status,
        created_at=to_datetime(run.created_at),
        finished_at=None if run.finished_at is None else to_datetime(run.finished_at),
    )


def _percentiles(taken: list[int]) -> dict[str, Any]:
    """Return the median and the 95th percentile, in seconds (nearest rank)."""
    ordered = sorted(taken)
    return {
        f"p{rank}_seconds": ordered[ceil(len(ordered) * rank / 100) - 1] / 1_000_000 if ordered else None
        for rank in (50, 95)
    }


@dataclass(frozen=True, slots=True)
class Machines(Reading):
    """The workers, the workspaces and the queue that a reader may see."""

    async def workspaces(
        self, *, app_name: str | None = None, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[WorkspaceView]:
        """Return a page of the workspaces, ordered by id."""
        check_limit(limit)
        if self._user not in (None, user_id or self._user):
            return Page(items=(), next_cursor=None)
        after, user = cursor_of(cursor), self._user or user_id
        apps = None if self.apps is None else sorted(self.apps)
        found = await self.reader.read(lambda tx: overview.list_workspaces(tx, app_name, user, apps, limit + 1, after))
        items = tuple(WorkspaceView(id=row.id, **workspace_fields(row)) for row in found[:limit])
        return Page(items=items, next_cursor=found[limit - 1].id if len(found) > limit else None)

    async def has_workspace(self, workspace_id: str) -> bool:
        """Return whether the workspace exists for this reader."""
        found = await self.reader.read(lambda tx: workspaces.load(tx, workspace_id))
        return found is not None and self._sees(found.app_name) and self._user in (None, found.user_id)

    async def taken(self, app_name: str, workflow_name: str, lease_seconds: float, *, but: str) -> bool:
        """Return whether a live worker other than `but` takes the workflow."""
        rows = await self.reader.read(all_of)
        alive = [row for row in rows if row.id != but and self._alive(row, lease_seconds)]
        return any([app_name, workflow_name] in lanes_of(row) for row in alive)

    async def workers(self, lease_seconds: float) -> list[Worker]:
        """Return the processes that have a heartbeat row, those that started first at the front."""
        apps = None if self.apps is None else sorted(self.apps)

        def query(tx: Tx) -> list[tuple[WorkerRow, tuple[int, list[RunRow]]]]:
            return [(row, overview.held(tx, row.id, apps, _HELD)) for row in all_of(tx)]

        found = await self.reader.read(query)
        return [self._worker(row, *held, lease_seconds) for row, held in found]

    async def misfits(self, cursor: str | None = None) -> Page[Misfit]:
        """Return the runs in flight that this code can't carry on, among the next thousand or so that are looked at."""
        begin = BEGINNING if cursor is None else Reached(*cursor.split("_", 1))
        checked = await check(self._core, begin, most=_CHECKED, apps=self.apps)
        return Page(
            items=tuple(checked.misfits), next_cursor=None if checked.reached is None else "_".join(checked.reached)
        )

    def _worker(self, row: WorkerRow, holding: int, runs: list[RunRow], lease_seconds: float) -> Worker:
        return Worker(
            id=row.id,
            host=str(row.host),
            pid=moment(row.pid) or 0,
            started_at=to_datetime(moment(row.started_at) or 0),
            seen_at=to_datetime(moment(row.seen_at) or 0),
            alive=self._alive(row, lease_seconds),
            takes=tuple(
                Lane(app_name=app, workflow_name=name)
                for app, name in lanes_of(row)
                if not is_own(name) and self._sees(app)
            ),
            holding=holding,
            runs=tuple(self._model(run) for run in runs),
        )

    def _alive(self, row: WorkerRow, lease_seconds: float) -> bool:
        return (moment(row.seen_at) or 0) >= self._core.shared.clock.now() - round(lease_seconds * 1_000_000)

    async def queue(self, lease_seconds: float) -> Depth:
        """Return how many runs wait for workers, and since when."""

        def query(tx: Tx) -> tuple[Any, ...]:
            return overview.ready(tx), overview.later(tx), all_of(tx), pauses.all_of(tx), overview.held_back(tx)

        ready, later, rows, paused, waiting = await self.reader.read(query)
        takers = Counter((app, name) for row in rows if self._alive(row, lease_seconds) for app, name in lanes_of(row))
        lanes = [one for one in ready if self._sees(one.app_name)]
        held = {lane for lane in lanes if covering(paused, lane.app_name, lane.workflow_name)}
        oldest = min((one.oldest_at for one in lanes if one not in held), default=None)
        due = [(runs, first) for app_name, runs, first in later if self._sees(app_name)]
        return Depth(
            ready=sum(one.runs for one in lanes),
            oldest_at=None if oldest is None else to_datetime(oldest),
            paused=sum(one.runs for one in held),
            held=sum(runs for app_name, runs in waiting if self._sees(app_name)),
            later=sum(runs for runs, _ in due),
            next_at=to_datetime(min(first for _, first in due)) if due else None,
            lanes=tuple(
                LaneDepth(
                    app_name=one.app_name,
                    workflow_name=one.workflow_name,
                    ready=one.runs,
                    oldest_at=to_datetime(one.oldest_at),
                    workers=takers[one.app_name, one.workflow_name],
                    paused=one in held,
                )
                for one in sorted(lanes, key=lambda one: one.oldest_at)
            ),
            capped_at=overview.WALKED,
        )
