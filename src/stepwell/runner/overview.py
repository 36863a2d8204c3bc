"""Counts, failures, throughput and latency, and how the runs of each workflow go."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal, get_args

from stepwell.engine.run import Moment, Status
from stepwell.engine.run import Run as RunRow
from stepwell.execution.clock import microseconds, to_datetime
from stepwell.runner.sight import Sight
from stepwell.runner.views import Bucket, Counts, Failures, Metrics, Recent
from stepwell.store import overview, queries
from stepwell.store.tx import Tx

_WINDOWS: Final = {
    "hour": (timedelta(hours=1), timedelta(minutes=1)),
    "day": (timedelta(days=1), timedelta(minutes=30)),
}
_FAILED: Final = 1_000
"""Failed runs that are grouped."""
_RECENT: Final = 30
_NUMBERS: Final = re.compile(r"\d+|0x[0-9a-f]+|'[^']{1,80}'|\"[^\"]{1,80}\"")


@dataclass(frozen=True, slots=True)
class Overview(Sight):
    """How runs go, of one workflow or of all."""

    async def counts(self, app_name: str | None = None) -> Counts:
        """How many runs there are of each status."""
        found: Counter[Status] = Counter()
        apps = sorted(self.apps) if self.apps is not None else None
        if app_name is not None:
            apps = [app_name] if self._sees(app_name) else []
        counted = await self._core.store.read(lambda tx: overview.counts(tx, self._user, apps))
        for (_, _, status), count in counted.items():
            found[status] += count  # type: ignore[index]
        return Counts(counts={status: found[status] for status in get_args(Status)}, capped_at=overview.COUNTED)

    async def by_workflow(
        self, app_name: str | None = None
    ) -> dict[tuple[str, str], tuple[dict[Status, int], list[Recent]]]:
        """For each workflow how many runs it has of each status, and how its newest ones went."""
        shown = [(app, one.name) for app, one in self.definitions() if app_name in (None, app)]
        apps = None if app_name is None and self.apps is None else sorted({app for app, _ in shown})

        def query(tx: Tx) -> tuple[overview.Counts, list[list[RunRow]]]:
            newest = [queries.list_runs(tx, self._of(*lane), _RECENT, None, brief=True).runs for lane in shown]
            return overview.counts(tx, self._user, apps), newest

        counts, newest = await self._core.store.read(query)
        return {
            lane: (
                {status: counts[*lane, status] for status in get_args(Status)},
                [_recent(run) for run in runs],
            )
            for lane, runs in zip(shown, newest, strict=True)
        }

    def _of(self, app_name: str, workflow_name: str) -> queries.Filter:
        return queries.Filter(app_name=app_name, workflow_name=workflow_name, user_id=self._user)

    async def failures(self, app_name: str | None = None) -> list[Failures]:
        """The newest failed runs, those together that failed alike; the most frequent first."""
        wanted = queries.Filter(
            status=("failed",),
            user_id=self._user,
            app_name=app_name,
            apps=None if self.apps is None else tuple(self.apps),
        )
        found = await self._core.store.read(lambda tx: queries.list_runs(tx, wanted, _FAILED, None, brief=True).runs)
        groups: dict[tuple[str, str, str], list[RunRow]] = {}
        for run in found:
            alike = _NUMBERS.sub("#", _first_line(run.error))
            groups.setdefault((run.app_name, run.workflow_name, alike), []).append(run)
        return sorted((_failures(runs) for runs in groups.values()), key=lambda one: (-one.count, one.workflow_id))

    async def metrics(self, window: Literal["hour", "day"]) -> Metrics:
        """What ended in the last hour or day, by stretches of time, and how long it took."""
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

        ended, durations, failed = await self._core.store.read(query)
        numbers = Counter({(one.bucket, one.status): 0 for one in ended})
        for one in ended:
            numbers[one.bucket, one.status] += one.runs if self._sees(one.app_name) else 0
        for run in failed:
            if run.updated_at >= since and self._sees(run.app_name):
                numbers[(run.updated_at - since) // width, "failed"] += 1
        taken = [(at, took) for at, took, app in durations if self._sees(app)]
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
    newest = runs[0]
    return Failures(
        app_name=newest.app_name,
        workflow_name=newest.workflow_name,
        error=_first_line(newest.error),
        count=len(runs),
        last_at=to_datetime(max(run.updated_at for run in runs)),
        workflow_id=newest.id,
    )


def _first_line(error: str | None) -> str:
    lines = (error or "").strip().splitlines()
    return lines[0][:500] if lines else "no error was stored"


def _recent(run: RunRow) -> Recent:
    return Recent(
        workflow_id=run.id,
        status=run.status,
        created_at=to_datetime(run.created_at),
        finished_at=None if run.finished_at is None else to_datetime(run.finished_at),
    )


def _percentiles(taken: list[int]) -> dict[str, Any]:
    """The median and the time that 95 of 100 don't exceed, in seconds (nearest rank)."""
    ordered = sorted(taken)
    return {
        f"p{rank}_seconds": ordered[ceil(len(ordered) * rank / 100) - 1] / 1_000_000 if ordered else None
        for rank in (50, 95)
    }
