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
from stepwell.cli.answers import as_type, json_of, unreachable
from stepwell.cli.backend import ENDED, MOVING, Beginning, Listed, News, Wanted, chosen, may_go_on
from stepwell.cli.stream import Happened, streamed
from stepwell.errors import ConfigurationError, StoreUnavailable, UnknownApp, WorkflowNotFound
from stepwell.http.schemas import AppView, Started
from stepwell.runner.explain import Explanation
from stepwell.runner.models import Checkpoint, Page, Run
from stepwell.runner.views import Ask
from stepwell.triggers.views import ScheduleView, TickView

PREFIX: Final = "/api/v1"
_SECONDS: Final = 30.0
_LOOK: Final = 1.0
"""Seconds between looks at what no event tells: a claim, a signal that was accepted and isn't taken yet."""
_AT_ONCE: Final = 8
"""Requests at a time where one workflow needs one each."""

T = TypeVar("T")


class Remote:
    """The runs that a server shows to the owner of a token; with a user only theirs."""

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
    async def open(self, *, runs: bool = True, worker: bool = False) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=self.url, headers=self._headers, timeout=_SECONDS) as self._opened:
            yield

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
        """What a GET answers, as this type. Raises the StepwellError that a problem stands for."""
        return as_type(type_, await self._ask("GET", path, **given), self._client.base_url)

    async def post(self, type_: type[T], path: str, **given: Any) -> T:
        """What a POST answers, as this type. Raises as `fetch`."""
        return as_type(type_, await self._ask("POST", path, **given), self._client.base_url)

    async def delete(self, path: str) -> None:
        """It is deleted. Raises as `fetch`."""
        await self._ask("DELETE", path)

    # -- workflows ------------------------------------------------------------------------------------------------

    async def workflows(self, app_name: str | None) -> Sequence[Listed]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(lane: tuple[str, str]) -> Listed:
            async with limit:
                return await self._detail(*lane)

        return await asyncio.gather(*(one(lane) for lane in await self._lanes(app_name)))

    async def workflow(self, name: str, app_name: str | None) -> Listed:
        return await self._detail(*chosen(name, app_name, await self._lanes(app_name)))

    async def _lanes(self, app_name: str | None) -> list[tuple[str, str]]:
        apps = {app.name: app.workflows for app in await self.fetch(list[AppView], "/apps")}
        if app_name is not None and app_name not in apps:
            raise UnknownApp(f"No app {app_name!r}. There is: {', '.join(sorted(apps)) or 'none'}.")
        return [(app, name) for app, names in apps.items() for name in names if app_name in (None, app)]

    async def _detail(self, app_name: str, name: str) -> Listed:
        told = await self.fetch(dict[str, Any], f"/workflows/{_segment(app_name)}/{_segment(name)}")
        return Listed(app_name, {key: value for key, value in told.items() if key != "app_name"})

    async def lacks_workers(self, app_name: str, workflow: str) -> bool:
        return False  # workers are the server's affair

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
        told = {name: value for name, value in body.items() if value not in (None, [])}
        return (await self.post(Started, "/runs", json=told, headers=_key(given.key))).workflow_id

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
        told = {name: value for name, value in params.items() if value not in (None, [])}
        return await self.fetch(Page[Run], "/runs", params=told)

    async def history(self, run_id: str) -> Sequence[Checkpoint]:
        found: list[Checkpoint] = []
        while True:  # an answer has fewer rows where their states are large
            after = found[-1].version if found else -1
            more = await self.fetch(list[Checkpoint], f"/runs/{_id(run_id)}/history", params={"after": after})
            if not more:
                return found
            found += more

    async def explain(self, run_id: str) -> Explanation:
        return await self.fetch(Explanation, f"/runs/{_id(run_id)}/explain")

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

    async def follow(self, run_id: str) -> AsyncIterator[News]:
        await self.get(run_id)
        heard: asyncio.Queue[Happened | BaseException | None] = asyncio.Queue(_AT_ONCE)
        listening = asyncio.create_task(self._listen(run_id, heard))
        mark: tuple[Any, ...] | None = None
        told = -1
        try:
            while (happened := await _next(heard)) is not None:
                if isinstance(happened, BaseException):
                    raise happened
                told = happened.checkpoint.version if isinstance(happened, Happened) else told
                news = await self._news(run_id, happened, told)
                now = news and (news.run.version, news.run.ready_at, news.rests)
                if news and (news.rows or (news.run.version == told and now != mark)):
                    yield news
                mark = now or mark
            yield News(await self.get(run_id), rests=True)
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _news(self, run_id: str, happened: Happened | _Nothing, told: int) -> News | None:
        """The event as news, or what a look at the run tells; None where it can't be looked at."""
        try:
            run = happened.run if isinstance(happened, Happened) else await self.get(run_id)
            rests = run.version == told and await self._rests(run)
        except StoreUnavailable:
            # The stream comes back by itself, or says that it can't. What it told isn't lost.
            return _as_news(happened, happened.run) if isinstance(happened, Happened) else None
        return _as_news(happened, run, rests)

    async def _listen(self, run_id: str, heard: asyncio.Queue[Happened | BaseException | None]) -> None:
        try:
            async for happened in streamed(self._client, self.url, f"/runs/{_id(run_id)}/events"):
                await heard.put(happened)
        except Exception as error:  # noqa: BLE001 - whoever follows gets it
            await heard.put(error)
        else:
            await heard.put(None)

    async def _rests(self, run: Run) -> bool:
        if may_go_on(run):
            return False
        if run.status in ENDED:
            return True
        params = {"parent_id": run.workflow_id, "status": list(MOVING), "limit": 1, "brief": True}
        return not (await self.fetch(Page[Run], "/runs", params=params)).items


class _Nothing:
    """Nothing came in a while."""


def _as_news(happened: Happened | _Nothing, run: Run, rests: bool = False) -> News:
    if isinstance(happened, Happened):
        return News(run, (happened.checkpoint,), happened.documents, rests)
    return News(run, rests=rests)


async def _next(
    heard: asyncio.Queue[Happened | BaseException | None],
) -> Happened | BaseException | _Nothing | None:
    try:
        async with asyncio.timeout(_LOOK):
            return await heard.get()
    except TimeoutError:
        return _Nothing()


def api_of(url: str) -> str:
    """The API's own URL of a server's. Raises ConfigurationError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"--url {url!r} isn't a URL: {error}.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"--url {url!r}: name a server, as in https://orders.example.com.")
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/").removesuffix(PREFIX) + PREFIX


def _segment(name: str) -> str:
    """A name or an id as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def _id(run_id: str) -> str:
    """The id of a run as a segment. Raises WorkflowNotFound for what can't be one."""
    if not run_id or "/" in run_id:  # servers decode it before they look at the path
        raise WorkflowNotFound(f"No run {run_id!r}.")
    return _segment(run_id)


def _steering(app_name: str, schedule: str, verb: str) -> str:
    return f"/schedules/{_segment(app_name)}/{_segment(schedule)}/{verb}"


def _key(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
