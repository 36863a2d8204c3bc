"""A client of the HTTP API of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from stepwell import __version__
from stepwell.console.cli.backends.answers import as_type, json_of, unreachable
from stepwell.errors import ConfigurationError
from stepwell.urls import shown_url

PREFIX: Final = "/api/v1"
_SECONDS: Final = 30.0

T = TypeVar("T")


class ApiClient:
    """Requests with the rights of a token; with a user, about that user only."""

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

    async def _answer(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            return await self._client.request(method, path, **given)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        return json_of(await self._answer(method, path, **given))

    async def fetch(self, type_: type[T], path: str, **given: Any) -> T:
        """Return the answer of a GET as this type. Raises the StepwellError that a problem stands for."""
        return as_type(type_, await self._ask("GET", path, **given), self._client.base_url)

    async def post(self, type_: type[T], path: str, **given: Any) -> T:
        """Return the answer of a POST as this type. Raises as `fetch`."""
        return as_type(type_, await self._ask("POST", path, **given), self._client.base_url)

    async def delete(self, path: str) -> None:
        """Delete a resource. Raises as `fetch`."""
        await self._ask("DELETE", path)


def api_of(url: str) -> str:
    """Return the URL of the API of a server. Raises ConfigurationError."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ConfigurationError(f"--url {shown_url(url)!r} isn't a valid URL.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"--url {shown_url(url)!r}: name a server, as in https://orders.example.com.")
    return str(parsed.copy_with(query=None, fragment=None)).rstrip("/").removesuffix(PREFIX) + PREFIX


def segment(name: str) -> str:
    """Return a name or an id as one segment of a path, whatever it contains."""
    return quote(name, safe="")


def given_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return those of the values that are given."""
    return {name: value for name, value in values.items() if value not in (None, [])}


def key_header(key: str | None) -> dict[str, str]:
    """Return the header of an idempotency key."""
    return {} if key is None else {"Idempotency-Key": key}
