"""Answers of a server: JSON, a problem (RFC 9457) that becomes the error that it was on the server, or a live stream."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple, TypeVar

import httpx
from httpx_sse import EventSource, aconnect_sse
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from stepwell import __version__, errors
from stepwell.errors import (
    AlreadyAnswered,
    ConfigurationError,
    InvalidArgs,
    InvalidPayload,
    RunFinished,
    StepwellError,
    StoreUnavailable,
)
from stepwell.runner.models import Checkpoint, Run, StoredDocument
from stepwell.urls import shown_url

T = TypeVar("T")
_KINDS: Final[dict[str, type[StepwellError]]] = {
    "urn:stepwell:" + re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower(): kind
    for kind in (
        *(AlreadyAnswered, errors.IdempotencyConflict, InvalidArgs, InvalidPayload, RunFinished),
        *(
            errors.BatchNotFound,
            errors.CheckpointGone,
            errors.GroupNotFound,
            errors.InvalidState,
            errors.RunBusy,
            errors.RunNotFinished,
            errors.ScheduleNotFound,
            errors.TokenNotFound,
            errors.UnknownApp,
            errors.UnknownTransition,
        ),
        *(errors.UnknownWorkflow, errors.WorkflowNotFound, errors.WorkspaceNotFound),
    )
}
"""The errors of the server's problems, by the type that it derives from the name of each class."""
_STATUSES: Final[dict[int, type[StepwellError]]] = {
    401: errors.NotSignedIn,
    403: errors.NoAccess,
    404: errors.WorkflowNotFound,
    409: RunFinished,
    413: errors.PayloadTooLarge,
    422: InvalidArgs,
    429: StoreUnavailable,
    503: StoreUnavailable,
}
_CURES: Final = {401: "Give a token: STEPWELL_TOKEN, or --token @FILE.", 429: "Try again later."}
_SILENCE: Final = httpx.Timeout(30, read=45)
"""Timeouts: a live stream sends something every 15 seconds."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_PATIENCE: Final = 120.0
"""Seconds without any connection after which it is given up."""


def json_of(response: httpx.Response) -> Any:
    """Return the JSON of an answer; null where it has no body. Raises the StepwellError that a problem stands for."""
    if not response.is_success:
        raise error_of(response)
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    if "json" not in response.headers.get("content-type", ""):
        raise _stranger(response)
    return response.json()


def as_type(type_: type[T], value: Any, url: httpx.URL) -> T:
    """Return the value as this type. Raises ConfigurationError if it doesn't fit."""
    try:
        return TypeAdapter(type_).validate_python(value)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
        raise ConfigurationError(
            f"The answer of {url} isn't what this version of Stepwell ({__version__}) expects ({what}): use the same "
            "version here and on the server."
        ) from error


def error_of(response: httpx.Response) -> StepwellError:
    """Return the error of an answer that isn't a success."""
    problem = _problem(response)
    if problem is None:
        return _stranger(response)
    status = response.status_code
    kind = _KINDS.get(str(problem.get("type"))) or _STATUSES.get(status, StepwellError)
    said = _wrong_fields(problem) or str(problem.get("detail") or problem.get("title") or "")
    text = " ".join(part for part in (said, _CURES.get(status, "")) if part)
    if issubclass(kind, (InvalidArgs, InvalidPayload)):
        return kind(text, problem.get("errors") or [])
    if kind is AlreadyAnswered:
        return _answered(text, problem)
    return kind(text)


def _answered(text: str, problem: dict[str, Any]) -> StepwellError:
    try:
        at = TypeAdapter(AwareDatetime).validate_python(problem.get("at"))
    except ValidationError:
        return RunFinished(text)  # the nearest error that fits without the time
    by = problem.get("by")
    return AlreadyAnswered(text, by=by if isinstance(by, str) else None, at=at)


def unreachable(url: str, error: httpx.TransportError) -> StepwellError:
    """Return the error of a server that didn't answer at all."""
    why = str(error) or type(error).__name__
    return StoreUnavailable(f"{shown_url(url)} can't be reached: {why}. Is the server running, and is --url right?")


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    if "json" not in response.headers.get("content-type", ""):
        return None
    try:
        found = response.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) and "status" in found else None


def _wrong_fields(problem: dict[str, Any]) -> str:
    """Return the faults of the fields of a request that wasn't understood; empty for any other problem."""
    if problem.get("type") != "about:blank":
        return ""
    errors = problem.get("errors") or []
    return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg')}" for one in errors)


def _stranger(response: httpx.Response) -> StepwellError:
    return ConfigurationError(
        f"{response.request.method} {response.request.url} answered {response.status_code} {response.reason_phrase}, "
        "which isn't an answer of Stepwell's API: is --url right?"
    )


class RunEvent(BaseModel):
    """A row of the history that was committed, and the run as it is now, without large values."""

    model_config = ConfigDict(frozen=True)

    checkpoint: Checkpoint
    run: Run
    documents: tuple[StoredDocument, ...] = ()


class _Ended(NamedTuple):
    """Nothing more comes."""


async def streamed(client: httpx.AsyncClient, url: str, path: str) -> AsyncIterator[RunEvent]:
    """Yield every row of the run's history once and in order, until the run has ended.

    Raises the server's refusal, and StoreUnavailable if the server couldn't be reached for two minutes.
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


async def _connected(client: httpx.AsyncClient, path: str, last: str | None) -> AsyncIterator[RunEvent | _Ended]:
    headers = {} if last is None else {"Last-Event-ID": last}
    async with aconnect_sse(client, "GET", path, headers=headers, timeout=_SILENCE) as source:
        await _check(source)
        async for event in source.aiter_sse():
            if event.event == "end":
                yield _Ended()
                return
            if event.event == "checkpoint":
                yield as_type(RunEvent, event.json(), source.response.request.url)


async def _check(source: EventSource) -> None:
    response = source.response
    if response.is_success:
        if "text/event-stream" not in response.headers.get("content-type", ""):
            raise ConfigurationError(f"{response.request.url} isn't a stream of events: is --url right?")
        return
    await response.aread()
    if response.status_code in (429, 502, 503, 504):  # temporary: a server that restarts, a proxy without one
        raise httpx.ReadError(f"it answered {response.status_code} {response.reason_phrase}")
    raise error_of(response)
