"""Everything that is looked at beyond single runs, within what somebody may see."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal, get_args

from stepwell.definition.context import Show
from stepwell.definition.model import Definition, Transition
from stepwell.engine.run import Moment, Status
from stepwell.engine.run import Run as RunRow
from stepwell.execution.clock import microseconds, to_datetime
from stepwell.runner.core import Core
from stepwell.runner.models import Page, run_of
from stepwell.runner.query import Reader, check_limit, cursor_of
from stepwell.runner.views import (
    Ask,
    Bucket,
    Child,
    Counts,
    Depth,
    Failures,
    Lane,
    LaneDepth,
    Metrics,
    Recent,
    Step,
    Waiting,
    Worker,
    Workspace,
)
from stepwell.store import history, overview, queries
from stepwell.store.tx import Tx
from stepwell.store.workers import WorkerRow, all_of, lanes_of

_WINDOWS: Final = {
    "hour": (timedelta(hours=1), timedelta(minutes=1)),
    "day": (timedelta(days=1), timedelta(minutes=30)),
}
_FAILED: Final = 1_000
"""Failed runs that are grouped."""
_HELD: Final = 50
_RECENT: Final = 30
_HIDDEN: Final = {"show": "hidden"}
_NUMBERS: Final = re.compile(r"\d+|0x[0-9a-f]+|'[^']{1,80}'|\"[^\"]{1,80}\"")


@dataclass(frozen=True, slots=True)
class Overview:
    """What a reader may see of all runs; `apps`: of these apps only."""

    reader: Reader
    apps: frozenset[str] | None = None

    @property
    def _core(self) -> Core:
        return self.reader.core

    @property
    def _user(self) -> str | None:
        return self.reader.only

    def _sees(self, app_name: str) -> bool:
        return self.apps is None or app_name in self.apps

    def definitions(self) -> Iterable[tuple[str, Definition]]:
        """(app, definition) of each workflow that there is; none of the handlers of ticks and deliveries."""
        registry = self._core.shared.registry
        for app, name in registry.lanes:
            found = registry.find(app, name)
            if found is not None and ":" not in name and self._sees(app):
                yield app, found

    # -- counts -------------------------------------------------------------------------------------------------------

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

    # -- what waits for a person ----------------------------------------------------------------------------------

    async def waiting(
        self, *, app_name: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Waiting]:
        """The runs that wait for a person, newest first. What a child is going to answer is left out."""
        check_limit(limit)
        before = cursor_of(cursor)
        places = [
            (app, one.name, place.name)
            for app, one in self.definitions()
            if app_name in (None, app)
            for place in one.places.values()
            if any(t.kind == "signal" for t in place.waiting)
        ]

        def query(tx: Tx) -> tuple[queries.Listed, set[tuple[str, str]]]:
            listed = overview.waiting(tx, places, self._user, limit, before)
            return listed, overview.called_back(tx, [run.id for run in listed.runs])

        listed, called = await self._core.store.read(query)
        found = [self._waits(run, called) for run in listed.runs]
        return Page(items=tuple(one for one in found if one.asks), next_cursor=listed.before)

    def _waits(self, row: RunRow, called: set[tuple[str, str]]) -> Waiting:
        definition = self._core.shared.registry.find(row.app_name, row.workflow_name)
        return Waiting(
            run=run_of(row, definition), asks=_asks(row, definition, called), since=to_datetime(row.entered_at)
        )

    async def asks(self, workflow_id: str) -> list[Ask]:
        """The signals that a person may send to the run now. Raises WorkflowNotFound."""
        row = await self.reader.row(workflow_id)
        called = await self._core.store.read(lambda tx: overview.called_back(tx, [row.id]))
        return list(_asks(row, self._core.shared.registry.find(row.app_name, row.workflow_name), called))

    # -- what belongs to a run ------------------------------------------------------------------------------------

    async def children(self, workflow_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Child]:
        """The runs that a run started, newest first. Raises WorkflowNotFound."""
        check_limit(limit)
        before = cursor_of(cursor)
        await self.reader.row(workflow_id)
        found, links = await self._core.store.read(
            lambda tx: (overview.children(tx, workflow_id, limit + 1, before), overview.links(tx, workflow_id))
        )
        shown = {link.get("workflow_id"): link for link in map(json.loads, links)}
        more = found[limit - 1].id if len(found) > limit else None
        return Page(
            items=tuple(self._child(row, shown.get(row.id, _HIDDEN)) for row in found[:limit]), next_cursor=more
        )

    def _child(self, row: RunRow, shown: Mapping[str, Any]) -> Child:
        return Child(
            run=run_of(row, self._core.shared.registry.find(row.app_name, row.workflow_name)),
            callback=row.callback,
            label=shown.get("label"),
            show=shown["show"] if shown.get("show") in get_args(Show) else "hidden",
            on_parent_end="abandon" if row.on_parent_end == "abandon" else "cancel",
        )

    async def steps(
        self, workflow_id: str, *, visit: int | None = None, limit: int = 1_000, most_bytes: int | None = None
    ) -> list[Step]:
        """What the run has journaled last (in one visit), oldest first. Raises WorkflowNotFound."""
        await self.reader.row(workflow_id)
        found = await self._core.store.read(lambda tx: history.steps_of(tx, workflow_id, visit, limit, most_bytes))
        return [
            Step(
                visit=row.visit,
                transition=row.transition,
                name=row.name,
                value=json.loads(row.value),
                recorded_at=to_datetime(row.recorded_at),
            )
            for row in found
        ]

    # -- workspaces, workers, the queue ---------------------------------------------------------------------------

    async def workspaces(
        self, *, app_name: str | None = None, user_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Workspace]:
        """The workspaces, in the order of their ids."""
        check_limit(limit)
        after, user = cursor_of(cursor), self._user if self._user is not None else user_id
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
        registry = self._core.shared.registry
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
            runs=tuple(run_of(run, registry.find(run.app_name, run.workflow_name)) for run in runs),
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


def _asks(row: RunRow, definition: Definition | None, called: set[tuple[str, str]]) -> tuple[Ask, ...]:
    place = None if definition is None or row.finished or row.status == "failed" else definition.places.get(row.place)
    if definition is None or place is None:
        return ()
    return tuple(_ask(definition, t) for t in place.waiting if t.kind == "signal" and (row.id, t.name) not in called)


def _ask(definition: Definition, t: Transition) -> Ask:
    payload = t.payload
    return Ask(
        transition=t.name,
        title=t.name.replace("_", " ").capitalize(),
        description=" ".join((getattr(definition.workflow, t.method).__doc__ or "").split()),
        optional=payload is None or payload.optional,
        schema=None if payload is None else payload.codec.schema(),
        source=t.source,
        target=t.target,
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
