"""Runs on a database, reached through the application's own Stepwell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from stepwell.app import Stepwell
from stepwell.cli.backend import ENDED, MOVING, Beginning, Listed, News, Wanted, chosen, may_go_on
from stepwell.cli.target import opened
from stepwell.definition.export import to_json
from stepwell.errors import UnknownApp
from stepwell.runner.explain import Explanation
from stepwell.runner.handle import RunHandle
from stepwell.runner.models import Checkpoint, Page, Run, StoredDocument
from stepwell.runner.questions import Questions
from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.views import Ask
from stepwell.store import workers
from stepwell.triggers.views import Schedules, ScheduleView, TickView

USER: Final = "cli"
"""For whom a run is that nobody was named for."""
_LOOK: Final = 0.5
"""Seconds between looks where no hint comes."""


class Local:
    """The runs of a Stepwell; with a user only theirs."""

    def __init__(self, stepwell: Stepwell, user: str | None = None) -> None:
        self._stepwell = stepwell
        self._user = user

    @property
    def back(self) -> str:
        return ""

    @property
    def _runner(self) -> WorkflowRunner:
        runner = self._stepwell.runner
        return runner if self._user is None else runner.as_user(self._user)

    @asynccontextmanager
    async def open(self, *, runs: bool = True, worker: bool = False) -> AsyncIterator[None]:
        if not runs:
            yield
            return
        async with opened(self._stepwell, worker=worker):
            yield

    # -- workflows ------------------------------------------------------------------------------------------------

    async def workflows(self, app_name: str | None) -> Sequence[Listed]:
        self._check_app(app_name)
        return [
            Listed(name, to_json(definition))
            for name, app in self._stepwell.apps.items()
            for definition in app.definitions.values()
            if app_name in (None, name)
        ]

    async def workflow(self, name: str, app_name: str | None) -> Listed:
        self._check_app(app_name)
        lanes = [(app.name, known) for app in self._stepwell.apps.values() for known in app.definitions]
        app, found = chosen(name, app_name, lanes)
        return Listed(app, to_json(self._stepwell.apps[app].definitions[found]))

    def _check_app(self, app_name: str | None) -> None:
        if app_name is not None and app_name not in self._stepwell.apps:
            raise UnknownApp(f"No app {app_name!r}. There is: {', '.join(sorted(self._stepwell.apps)) or 'none'}.")

    async def lacks_workers(self, app_name: str, workflow: str) -> bool:
        process = self._stepwell.process
        assert process is not None  # it is open
        rows = await process.store.read(workers.all_of)
        since = process.shared.clock.now() - round(process.settings.lease_seconds * 1_000_000)
        alive = [row for row in rows if row.id != process.worker_id and row.seen_at >= since]
        return not any([app_name, workflow] in workers.lanes_of(row) for row in alive)

    # -- runs -----------------------------------------------------------------------------------------------------

    async def start(self, given: Beginning) -> str:
        handle: RunHandle[Any] = await self._stepwell.runner.run(
            given.workflow.name,
            given.args,
            app_name=given.workflow.app_name,
            user_id=given.user or USER,
            labels=given.labels,
            idempotency_key=given.key,
            delay=given.delay,
            at=given.at,
            priority=given.priority,
            workspace_id=given.workspace,
        )
        return handle.workflow_id

    async def get(self, run_id: str) -> Run:
        return await self._runner.get(run_id)

    async def page(self, wanted: Wanted) -> Page[Run]:
        return await self._runner.list(
            app_name=wanted.app_name,
            workflow=wanted.workflow,
            status=wanted.status,
            limit=wanted.limit,
            cursor=wanted.cursor,
        )

    async def history(self, run_id: str) -> Sequence[Checkpoint]:
        return await self._runner.history(run_id)

    async def explain(self, run_id: str) -> Explanation:
        return await self._runner.explain(run_id)

    async def asks(self, run_id: str) -> Sequence[Ask]:
        return await Questions(self._runner).asks(run_id)

    async def signal(self, run_id: str, name: str, data: Any, key: str | None) -> Run:
        return await self._runner.signal(run_id, name, data, idempotency_key=key)

    async def cancel(self, run_id: str, reason: str | None) -> Run:
        return await self._runner.cancel(run_id, reason=reason)

    async def retry(self, run_id: str) -> Run:
        return await self._runner.retry(run_id)

    # -- schedules ------------------------------------------------------------------------------------------------

    async def schedules(self) -> Sequence[ScheduleView]:
        return await self._schedules.list()

    async def pause(self, app_name: str, schedule: str, paused: bool) -> ScheduleView:
        return await self._schedules.pause(app_name, schedule, paused)

    async def fire(self, app_name: str, schedule: str, key: str | None) -> TickView:
        return await self._schedules.fire(app_name, schedule, key)

    async def retry_tick(self, app_name: str, schedule: str, scheduled_at: datetime) -> TickView:
        return await self._schedules.retry(app_name, schedule, scheduled_at)

    @property
    def _schedules(self) -> Schedules:
        return Schedules(self._stepwell.runner.core, self._stepwell.scheduler)

    # -- following ------------------------------------------------------------------------------------------------

    async def follow(self, run_id: str) -> AsyncIterator[News]:
        changed = asyncio.Event()
        assert self._stepwell.process is not None  # it is open
        unsubscribe = self._stepwell.process.hub.subscribe(lambda _: changed.set())
        told, before = -1, None
        try:
            while True:
                changed.clear()
                news = await self._news(run_id, told)
                told = news.rows[-1].version if news.rows else told
                mark = (news.run.status, news.run.place, news.run.version, news.rests)
                if news.rows or mark != before:
                    yield news
                if news.run.finished_at is not None and told >= news.run.version:
                    return
                before = mark
                await _wait(changed)
        finally:
            unsubscribe()

    async def _news(self, run_id: str, told: int) -> News:
        run = await self.get(run_id)
        rows = await self._runner.history(run_id, after=told)
        documents: Sequence[StoredDocument] = ()
        if rows:
            found = await self._runner.documents(run_id, after=told, internal=False)
            told = rows[-1].version
            documents = [one for one in found if one.version <= told]
        return News(run, rows, documents, told == run.version and await self._rests(run))

    async def _rests(self, run: Run) -> bool:
        if may_go_on(run):
            return False
        if run.status in ENDED:
            return True
        return not (await self._runner.list(parent_id=run.workflow_id, status=MOVING, limit=1)).items


async def _wait(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK):
            await changed.wait()
    except TimeoutError:
        pass
