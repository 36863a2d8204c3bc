"""A run's live stream, which comes back by itself after it was cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import httpx
from httpx_sse import EventSource, aconnect_sse
from pydantic import BaseModel, ConfigDict

from stepwell.cli.answers import as_type, error_of, unreachable
from stepwell.errors import ConfigurationError
from stepwell.runner.models import Checkpoint, Run, StoredDocument

_SILENCE: Final = httpx.Timeout(30, read=45)
"""A living stream says something every 15 seconds."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_PATIENCE: Final = 120.0
"""Seconds without any connection after which it is given up."""


class Happened(BaseModel):
    """A row of the history that was committed, and the run as it is now, without what is heavy."""

    model_config = ConfigDict(frozen=True)

    checkpoint: Checkpoint
    run: Run
    documents: tuple[StoredDocument, ...] = ()


class _Ended(NamedTuple):
    """Nothing comes any more."""


async def streamed(client: httpx.AsyncClient, url: str, path: str) -> AsyncIterator[Happened]:
    """Every row of the run's history once and in order, until the run ended and all was told.

    Raises what the server refuses it with, and StoreUnavailable when it couldn't be reached for two minutes.
    """
    last: str | None = None
    tries, since = 0, time.monotonic()
    while True:
        try:
            async for event in _connected(client, path, last):
                tries, since = 0, time.monotonic()
                if isinstance(event, _Ended):
                    return
                last = str(event.checkpoint.version)
                yield event
        except httpx.TransportError as error:
            if time.monotonic() - since > _PATIENCE:
                raise unreachable(url, error) from error
        await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


async def _connected(client: httpx.AsyncClient, path: str, last: str | None) -> AsyncIterator[Happened | _Ended]:
    headers = {} if last is None else {"Last-Event-ID": last}
    async with aconnect_sse(client, "GET", path, headers=headers, timeout=_SILENCE) as source:
        await _check(source)
        async for event in source.aiter_sse():
            if event.event == "end":
                yield _Ended()
                return
            if event.event == "checkpoint":
                yield as_type(Happened, event.json(), source.response.request.url)


async def _check(source: EventSource) -> None:
    response = source.response
    if response.is_success:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            raise ConfigurationError(f"{response.request.url} isn't a stream of events: is --url right?")
        return
    await response.aread()
    if response.status_code in (429, 502, 503, 504):  # for now: a server that starts anew, a proxy without one
        raise httpx.ReadError(f"it answered {response.status_code} {response.reason_phrase}")
    raise error_of(response)
