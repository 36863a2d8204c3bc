"""Runs behind the HTTP API of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from stepwell import __version__
from stepwell.console.cli.backends.answers import RunEvent, as_type, json_of, streamed, unreachable
from stepwell.console.cli.backends.backend import (
    NEWEST_DOCUMENTS,
    PAGE,
    UNFINISHED,
    Beginning,
    Below,
    ListedWorkflow,
    RunChange,
    Wanted,
    below,
    check_app,
    chosen,
)
from stepwell.console.http.schemas import AppView, Started
from stepwell.console.reading.triggers import ScheduleView, TickView
from stepwell.console.reading.views import Ask, Waiting
from stepwell.errors import ConfigurationError, StoreUnavailable, WorkflowNotFound
from stepwell.runner.models import Checkpoint, Explanation, Page, Run, StoredDocument
from stepwell.urls import shown_url

PREFIX: Final = "/api/v1"
_SECONDS: Final = 30.0
_LOOK: Final = 1.0
"""Seconds between two reads of what no event reports: a claim, a signal that was accepted and isn't taken yet."""
_AT_ONCE: Final = 8
"""Requests at a time where each workflow needs one."""

T = TypeVar("T")


class Remote:
    """The runs that a server shows to the owner of a token; with a user, only theirs."""

    def __init__(self, url: str, token: str | None = None, user: str | None = None) -> None:
        self.url = api_of(url)
        self._headers = {"User-Agent": f"stepwell/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._user = user
        self._opened: httpx.AsyncClient | None = None

    @property
    def back(self) -> str:
        return f" --url {self.url.removesuffix(PREFIX)}"

    @asynccontextmanager
    async def open(self, *, runs: bool = True, worker: bool = False, creates: bool = True) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=self.url, headers=self._headers, timeout=_SECONDS) as self._opened:
            yield

    @property
    def place(self) -> str:
        return self.url.removesuffix(PREFIX)

    def check_there(self) -> None:
        return  # the server opens the database

    @property
    def _client(self) -> httpx.AsyncClient:
        assert self._opened is not None  # it is open
        return self._opened

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        try:
            response = await self._client.request(method, path, **given)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error
        return json_of(response)

    async def fetch(self, type_: type[T], path: str, **given: Any) -> T:
        """Return the answer of a GET as this type. Raises the StepwellError that a problem stands for."""
        return as_type(type_, await self._ask("GET", path, **given), self._client.base_url)

    async def post(self, type_: type[T], path: str, **given: Any) -> T:
        """Return the answer of a POST as this type. Raises as `fetch`."""
        return as_type(type_, await self._ask("POST", path, **given), self._client.base_url)

    async def delete(self, path: str) -> None:
        """Delete a resource. Raises as `fetch`."""
        await self._ask("DELETE", path)

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
        described = await self.fetch(dict[str, Any], f"/workflows/{_segment(app_name)}/{_segment(name)}")
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
        return (await self.post(Started, "/runs", json=_given(body), headers=_key(given.key))).workflow_id

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
        return await self.fetch(Page[Run], "/runs", params=_given(params))

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
        found = await self.fetch(Page[Waiting], "/waiting", params=_given({"app_name": app_name}))
        return [one for one in found.items if self._user in (None, one.run.user_id)]

    async def asks(self, run_id: str) -> Sequence[Ask]:
        return await self.fetch(list[Ask], f"/runs/{_id(run_id)}/asks")

    async def signal(self, run_id: str, name: str, data: Any, key: str | None) -> Run:
        return await self._act(run_id, "signals", {"name": name, "data": data}, key)

    async def cancel(self, run_id: str, reason: str | None) -> Run:
        return await self._act(run_id, "cancel", {"reason": reason})

    async def retry(self, run_id: str) -> Run:
        return await self._act(run_id, "retry")

    async def _act(self, run_id: str, verb: str, body: Any = None, key: str | None = None) -> Run:
        if self._user is not None:
            await self.get(run_id)
        given = {} if body is None else {"json": body}
        return await self.post(Run, f"/runs/{_id(run_id)}/{verb}", headers=_key(key), **given)

    # -- schedules ------------------------------------------------------------------------------------------------

    async def schedules(self) -> Sequence[ScheduleView]:
        return await self.fetch(list[ScheduleView], "/schedules")

    async def pause(self, app_name: str, schedule: str, paused: bool) -> ScheduleView:
        return await self.post(ScheduleView, _steering(app_name, schedule, "pause" if paused else "resume"))

    async def fire(self, app_name: str, schedule: str, key: str | None) -> TickView:
        return await self.post(TickView, _steering(app_name, schedule, "fire"), headers=_key(key))

    async def retry_tick(self, app_name: str, schedule: str, scheduled_at: datetime) -> TickView:
        body = {"scheduled_at": scheduled_at.isoformat()}
        return await self.post(TickView, _steering(app_name, schedule, "retry"), json=body)

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
            found = await below(run, self.get, self._children) if run.version == last else Below(moving=True)
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


def api_of(url: str) -> str:
    """Return the URL of the API of a server. Raises ConfigurationError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ConfigurationError(f"--url {shown_url(url)!r} isn't a valid URL.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"--url {shown_url(url)!r}: name a server, as in https://orders.example.com.")
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/").removesuffix(PREFIX) + PREFIX


def _segment(name: str) -> str:
    """Return a name or an id as one segment of a path, whatever it contains."""
    return quote(name, safe="")


def _id(run_id: str) -> str:
    """Return the id of a run as a segment. Raises WorkflowNotFound for what can't be one."""
    if not run_id or "/" in run_id:  # servers decode it before they look at the path
        raise WorkflowNotFound(f"No run {run_id!r}.")
    return _segment(run_id)


def _steering(app_name: str, schedule: str, verb: str) -> str:
    return f"/schedules/{_segment(app_name)}/{_segment(schedule)}/{verb}"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [])}


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
