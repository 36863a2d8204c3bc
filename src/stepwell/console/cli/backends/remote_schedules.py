"""Schedules behind the HTTP API of a server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stepwell.console.cli.backends.answers import as_type, json_of
from stepwell.console.cli.backends.api_client import ApiClient, given_of, key_header, segment
from stepwell.console.cli.backends.backend import PAGE, ScheduleName
from stepwell.console.reading.schedule_views import ScheduleView
from stepwell.runner.models import Page
from stepwell.runner.schedule_models import TickView


class RemoteSchedules(ApiClient):
    """The schedules that a server shows to the owner of a token."""

    async def schedules(
        self, *, name: str | None = None, user: str | None = None, limit: int = PAGE, cursor: str | None = None
    ) -> Page[ScheduleView]:
        params = given_of({"name": name, "user_id": user, "limit": limit, "cursor": cursor})
        answer = await self._answer("GET", "/schedules", params=params)
        found = as_type(list[ScheduleView], json_of(answer), self._client.base_url)
        return Page(items=tuple(found), next_cursor=answer.headers.get("Next-Cursor"))

    async def create_schedule(self, wanted: ScheduleName, given: Mapping[str, Any]) -> ScheduleView:
        body = {"app_name": wanted.app_name, "name": wanted.name, **_json(given)}
        return await self.post(ScheduleView, "/schedules", json=body | given_of({"user_id": wanted.user}))

    async def update_schedule(self, wanted: ScheduleName, changes: Mapping[str, Any]) -> ScheduleView:
        answer = await self._ask("PATCH", _of(wanted), params=_of_user(wanted), json=_json(changes))
        return as_type(ScheduleView, answer, self._client.base_url)

    async def delete_schedule(self, wanted: ScheduleName) -> None:
        await self._ask("DELETE", _of(wanted), params=_of_user(wanted))

    async def pause(self, wanted: ScheduleName, paused: bool) -> ScheduleView:
        verb = "pause" if paused else "resume"
        return await self.post(ScheduleView, f"{_of(wanted)}/{verb}", params=_of_user(wanted))

    async def fire(self, wanted: ScheduleName, key: str | None) -> TickView:
        return await self.post(TickView, f"{_of(wanted)}/fire", params=_of_user(wanted), headers=key_header(key))

    async def retry_tick(self, wanted: ScheduleName, scheduled_at: datetime) -> TickView:
        body = {"scheduled_at": scheduled_at.isoformat()}
        return await self.post(TickView, f"{_of(wanted)}/retry", params=_of_user(wanted), json=body)


def _of(schedule: ScheduleName) -> str:
    return f"/schedules/{segment(schedule.app_name)}/{segment(schedule.name)}"


def _of_user(schedule: ScheduleName) -> dict[str, str]:
    return {} if schedule.user is None else {"user_id": schedule.user}


def _json(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords as the API takes them."""
    found = dict(given)
    for name, value in given.items():
        if isinstance(value, timedelta):
            found[name] = value.total_seconds()
        elif isinstance(value, datetime):
            found[name] = value.isoformat()
    return found
