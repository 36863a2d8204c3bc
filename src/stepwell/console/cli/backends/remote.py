"""Runs behind the HTTP API of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from stepwell.console.cli.backends.answers import RunEvent, as_type, streamed
from stepwell.console.cli.backends.api_client import given_of, key_header, segment
from stepwell.console.cli.backends.backend import (
    NEWEST_DOCUMENTS,
    PAGE,
    UNFINISHED,
    BatchBeginning,
    Beginning,
    Below,
    ListedWorkflow,
    RunChange,
    Wanted,
    WantedBatches,
    below,
    check_app,
    chosen,
)
from stepwell.console.cli.backends.remote_people import RemotePeople
from stepwell.console.cli.backends.remote_schedules import RemoteSchedules
from stepwell.console.http.json_lines import MEDIA_TYPES
from stepwell.console.http.schemas import AppView, Started, StartedBatch
from stepwell.console.reading.limits import LimitDetail, LimitView
from stepwell.console.reading.pausing import Resumed
from stepwell.console.reading.views import ChildGroup, OpenSignal, StepView, Waiting, WorkspaceView
from stepwell.definition.authoring.groups import GroupItem
from stepwell.engine.run import Status
from stepwell.errors import BatchNotFound, StoreUnavailable, WorkflowNotFound, WorkspaceNotFound
from stepwell.runner.batch_models import Batch
from stepwell.runner.models import Checkpoint, Explanation, Page, Run, StoredDocument
from stepwell.runner.pausing import Pause

_STORING: Final = 600.0
"""Seconds for the answer to a batch, which is stored as a whole."""
_LOOK: Final = 1.0
"""Seconds between two reads of what no event reports: a claim, a signal that was accepted and isn't taken yet."""
_AT_ONCE: Final = 8
"""Requests at a time where each workflow needs one."""


class Remote(RemoteSchedules, RemotePeople):
    """The runs that a server shows to the owner of a token; with a user, only theirs."""

    # -- workflows ------------------------------------------------------------------------------------------------

    async def workflows(self, app_name: str | None) -> Sequence[ListedWorkflow]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(lane: tuple[str, str]) -> ListedWorkflow:
            async with limit:
                return await self._detail(*lane)

        return await asyncio.gather(*(one(lane) for lane in await self._lanes(app_name)))

    async def workflow(self, name: str, app_name: str | None) -> ListedWorkflow:
        return await self._detail(*chosen(name, app_name, await self._lanes(app_name)))

    async def _lanes(self, app_name: str | None) -> list[tuple[str, str]]:
        apps = {app.name: app.workflows for app in await self.fetch(list[AppView], "/apps")}
        check_app(app_name, apps)
        return [(app, name) for app, names in apps.items() for name in names if app_name in (None, app)]

    async def _detail(self, app_name: str, name: str) -> ListedWorkflow:
        described = await self.fetch(dict[str, Any], f"/workflows/{segment(app_name)}/{segment(name)}")
        return ListedWorkflow(app_name, {key: value for key, value in described.items() if key != "app_name"})

    async def lacks_workers(self, app_name: str, workflow: str) -> bool:
        return False  # the server's workers can't be seen from here

    # -- runs -----------------------------------------------------------------------------------------------------

    async def start(self, given: Beginning) -> str:
        body = {
            "app_name": given.workflow.app_name,
            "workflow": given.workflow.name,
            "args": given.args,
            "labels": list(given.labels),
            "user_id": given.user,
            "delay_seconds": None if given.delay is None else given.delay.total_seconds(),
            "at": None if given.at is None else given.at.isoformat(),
            "priority": given.priority,
            "workspace_id": given.workspace,
        }
        return (await self.post(Started, "/runs", json=given_of(body), headers=key_header(given.key))).workflow_id

    async def get(self, run_id: str) -> Run:
        run = await self.fetch(Run, f"/runs/{_id(run_id)}")
        if self._user not in (None, run.user_id):
            raise WorkflowNotFound(f"No run {run_id!r} of user {self._user!r}.")
        return run

    async def page(self, wanted: Wanted) -> Page[Run]:
        params = {
            "app_name": wanted.app_name,
            "workflow": wanted.workflow,
            "status": list(wanted.status or ()),
            "user_id": self._user,
            "limit": wanted.limit,
            "cursor": wanted.cursor,
        }
        return await self.fetch(Page[Run], "/runs", params=given_of(params))

    async def steps(self, run_id: str, limit: int) -> Sequence[StepView]:
        return await self.fetch(list[StepView], f"/runs/{_id(run_id)}/steps", params={"limit": limit})

    async def history(self, run_id: str) -> Sequence[Checkpoint]:
        found: list[Checkpoint] = []
        while True:  # an answer has fewer rows where their states are large
            after = found[-1].version if found else -1
            more = await self.fetch(list[Checkpoint], f"/runs/{_id(run_id)}/history", params={"after": after})
            if not more:
                return found
            found += more

    async def documents(self, run_id: str) -> Sequence[StoredDocument]:
        params = {"newest": True, "limit": NEWEST_DOCUMENTS}
        return await self.fetch(list[StoredDocument], f"/runs/{_id(run_id)}/documents", params=params)

    async def explain(self, run_id: str) -> Explanation:
        return await self.fetch(Explanation, f"/runs/{_id(run_id)}/explain")

    async def waiting(self, app_name: str | None) -> Sequence[Waiting]:
        found = await self.fetch(Page[Waiting], "/waiting", params=given_of({"app_name": app_name}))
        return [one for one in found.items if self._user in (None, one.run.user_id)]

    async def asks(self, run_id: str) -> Sequence[OpenSignal]:
        return await self.fetch(list[OpenSignal], f"/runs/{_id(run_id)}/asks")

    async def groups(self, run_id: str) -> Sequence[ChildGroup]:
        try:
            return await self.fetch(list[ChildGroup], f"/runs/{_id(run_id)}/groups")
        except WorkflowNotFound:
            await self.get(run_id)
            return []  # a server of an earlier version, which has no groups

    async def signal(self, run_id: str, name: str, data: Any, key: str | None) -> Run:
        return await self._act(run_id, "signals", {"name": name, "data": data}, key)

    async def cancel(self, run_id: str, reason: str | None, force: bool) -> Run:
        # Servers of an earlier version refuse what they don't know.
        return await self._act(run_id, "cancel", {"reason": reason, **({"force": True} if force else {})})

    async def retry(self, run_id: str, given: Mapping[str, Any]) -> Run:
        return await self._act(run_id, "retry", dict(given) or None)

    async def fork(self, run_id: str, checkpoint: int, given: Mapping[str, Any], key: str | None) -> str:
        if self._user is not None:
            await self.get(run_id)
        body = {"checkpoint": checkpoint, **given}
        started = await self.post(Started, f"/runs/{_id(run_id)}/fork", headers=key_header(key), json=body)
        return started.workflow_id

    async def update_run(self, run_id: str, labels: Sequence[str] | None, subject: str | None) -> Run:
        if self._user is not None:
            await self.get(run_id)
        body = {name: value for name, value in (("labels", labels), ("subject", subject)) if value is not None}
        answer = await self._ask("PATCH", f"/runs/{_id(run_id)}", json=body)
        return as_type(Run, answer, self._client.base_url)

    async def delete_run(self, run_id: str) -> None:
        if self._user is not None:
            await self.get(run_id)
        await self.delete(f"/runs/{_id(run_id)}")

    async def _act(self, run_id: str, verb: str, body: Any = None, key: str | None = None) -> Run:
        if self._user is not None:
            await self.get(run_id)
        given = {} if body is None else {"json": body}
        return await self.post(Run, f"/runs/{_id(run_id)}/{verb}", headers=key_header(key), **given)

    # -- workspaces -----------------------------------------------------------------------------------------------

    async def workspaces(
        self, app_name: str | None, user: str | None, limit: int, cursor: str | None
    ) -> Page[WorkspaceView]:
        params = {"app_name": app_name, "user_id": user, "limit": limit, "cursor": cursor}
        return await self.fetch(Page[WorkspaceView], "/workspaces", params=given_of(params))

    async def create_workspace(self, app_name: str, user: str | None, title: str) -> WorkspaceView:
        body = {"app_name": app_name, "user_id": user, "title": title}
        return await self.post(WorkspaceView, "/workspaces", json=given_of(body))

    async def rename_workspace(self, workspace_id: str, title: str) -> WorkspaceView:
        if not workspace_id or "/" in workspace_id:
            raise WorkspaceNotFound(f"No workspace {workspace_id!r}.")
        answer = await self._ask("PATCH", f"/workspaces/{segment(workspace_id)}", json={"title": title})
        return as_type(WorkspaceView, answer, self._client.base_url)

    # -- batches --------------------------------------------------------------------------------------------------

    async def start_batch(self, given: BatchBeginning) -> tuple[str, bool]:
        params = {
            "app_name": given.workflow.app_name,
            "workflow": given.workflow.name,
            "user_id": given.user,
            "label": given.label,
            "max_in_flight": given.max_in_flight,
            "stop_after_failures": given.stop_after_failures,
        }
        headers = {"Content-Type": MEDIA_TYPES[0], **key_header(given.key)}

        async def body() -> AsyncIterator[bytes]:
            for line in given.starts.body():
                yield line

        started = await self.post(
            StartedBatch, "/batches", params=given_of(params), headers=headers, content=body(), timeout=_STORING
        )
        return started.batch_id, started.created

    async def batch(self, batch_id: str) -> Batch:
        found = await self.fetch(Batch, f"/batches/{_batch_id(batch_id)}")
        if self._user not in (None, found.user_id):
            raise BatchNotFound(f"No batch {batch_id!r} of user {self._user!r}.")
        return found

    async def batches(self, wanted: WantedBatches) -> Page[Batch]:
        params = {
            "app_name": wanted.app_name,
            "user_id": self._user,
            "limit": wanted.limit,
            "cursor": wanted.cursor,
        }
        return await self.fetch(Page[Batch], "/batches", params=given_of(params))

    async def batch_items(self, batch_id: str, status: Status | None) -> AsyncIterator[GroupItem[Any]]:
        path, cursor = f"/batches/{_batch_id(batch_id)}/items", None
        while True:
            params = given_of({"status": status, "limit": 1000, "cursor": cursor})
            page: Page[GroupItem[Any]] = await self.fetch(Page[GroupItem[Any]], path, params=params)
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    # -- pauses ---------------------------------------------------------------------------------------------------

    async def pause_runs(self, app_name: str | None, workflow: str | None, reason: str | None) -> Pause:
        return await self.post(Pause, "/pauses", json=given_of(_named(app_name, workflow) | {"reason": reason}))

    async def resume_runs(self, app_name: str | None, workflow: str | None) -> Resumed:
        return await self.post(Resumed, "/pauses/resume", json=given_of(_named(app_name, workflow)))

    async def pauses(self) -> Sequence[Pause]:
        return await self.fetch(list[Pause], "/pauses")

    async def limits(self, app_name: str | None, held: bool, limit: int, cursor: str | None) -> Page[LimitView]:
        params = {"app_name": app_name, "held": held, "limit": limit, "cursor": cursor}
        return await self.fetch(Page[LimitView], "/limits", params=given_of(params))

    async def limit(self, limit_id: str) -> LimitDetail:
        return await self.fetch(LimitDetail, "/limits/detail", params={"id": limit_id})

    # -- following ------------------------------------------------------------------------------------------------

    async def follow(self, run_id: str) -> AsyncIterator[RunChange]:
        await self.get(run_id)
        events: asyncio.Queue[RunEvent | BaseException | None] = asyncio.Queue(_AT_ONCE)
        listening = asyncio.create_task(self._listen(run_id, events))
        mark: tuple[Any, ...] | None = None
        last = -1
        try:
            while (event := await _next(events)) is not None:
                if isinstance(event, BaseException):
                    raise event
                last = event.checkpoint.version if isinstance(event, RunEvent) else last
                change = await self._next_change(run_id, event, last)
                now = change and (change.run.ready_at, change.rests, change.mark)
                if change and (change.rows or (change.run.version == last and now != mark)):
                    yield change
                mark = now or mark
            yield RunChange(await self.get(run_id), rests=True)
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _next_change(self, run_id: str, event: RunEvent | _Nothing, last: int) -> RunChange | None:
        """Return the change that an event or a read of the run shows; None where the run can't be read."""
        try:
            run = event.run if isinstance(event, RunEvent) else await self.get(run_id)
            found = (
                await below(run, self.get, self._children, self.groups) if run.version == last else Below(moving=True)
            )
        except StoreUnavailable:
            # The stream reconnects by itself, or raises an error if it can't. The event isn't lost.
            return _as_change(event, event.run) if isinstance(event, RunEvent) else None
        return _as_change(event, run, not found.moving, found.waiting)

    async def _listen(self, run_id: str, events: asyncio.Queue[RunEvent | BaseException | None]) -> None:
        try:
            async for event in streamed(self._client, self.url, f"/runs/{_id(run_id)}/events"):
                await events.put(event)
        except Exception as error:  # noqa: BLE001 - the follower raises it
            await events.put(error)
        else:
            await events.put(None)

    async def _children(self, run_id: str) -> Sequence[Run]:
        params = {"parent_id": run_id, "status": list(UNFINISHED), "limit": PAGE, "brief": True}
        return (await self.fetch(Page[Run], "/runs", params=params)).items


class _Nothing:
    """Nothing came for a while."""


def _as_change(event: RunEvent | _Nothing, run: Run, rests: bool = False, waiting: Sequence[Run] = ()) -> RunChange:
    if isinstance(event, RunEvent):
        return RunChange(run, (event.checkpoint,), event.documents, rests, waiting)
    return RunChange(run, rests=rests, below=waiting)


async def _next(events: asyncio.Queue[RunEvent | BaseException | None]) -> RunEvent | BaseException | _Nothing | None:
    try:
        async with asyncio.timeout(_LOOK):
            return await events.get()
    except TimeoutError:
        return _Nothing()


def _id(run_id: str) -> str:
    """Return the id of a run as a segment. Raises WorkflowNotFound for what can't be one."""
    if not run_id or "/" in run_id:  # servers decode it before they look at the path
        raise WorkflowNotFound(f"No run {run_id!r}.")
    return segment(run_id)


def _batch_id(batch_id: str) -> str:
    """Return the id of a batch as a segment. Raises BatchNotFound for what can't be one."""
    if not batch_id or "/" in batch_id:
        raise BatchNotFound(f"No batch {batch_id!r}.")
    return segment(batch_id)


def _named(app_name: str | None, workflow: str | None) -> dict[str, Any]:
    return {"app_name": app_name, "workflow": workflow}
