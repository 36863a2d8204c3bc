"""What a server answered: JSON, or a problem (RFC 9457) that becomes the error that it was on the other side."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from stepwell import __version__
from stepwell.errors import (
    ConfigurationError,
    IdempotencyConflict,
    InvalidArgs,
    InvalidPayload,
    NoAccess,
    NotSignedIn,
    PayloadTooLarge,
    RunFinished,
    ScheduleNotFound,
    StepwellError,
    StoreUnavailable,
    TokenNotFound,
    UnknownApp,
    UnknownTransition,
    UnknownWorkflow,
    WorkflowNotFound,
    WorkspaceNotFound,
)

T = TypeVar("T")

_KINDS: Final[dict[str, type[StepwellError]]] = {
    "urn:stepwell:idempotency-conflict": IdempotencyConflict,
    "urn:stepwell:invalid-args": InvalidArgs,
    "urn:stepwell:invalid-payload": InvalidPayload,
    "urn:stepwell:run-finished": RunFinished,
    "urn:stepwell:schedule-not-found": ScheduleNotFound,
    "urn:stepwell:token-not-found": TokenNotFound,
    "urn:stepwell:unknown-app": UnknownApp,
    "urn:stepwell:unknown-transition": UnknownTransition,
    "urn:stepwell:unknown-workflow": UnknownWorkflow,
    "urn:stepwell:workflow-not-found": WorkflowNotFound,
    "urn:stepwell:workspace-not-found": WorkspaceNotFound,
}
_STATUSES: Final[dict[int, type[StepwellError]]] = {
    401: NotSignedIn,
    403: NoAccess,
    404: WorkflowNotFound,
    409: RunFinished,
    413: PayloadTooLarge,
    422: InvalidArgs,
    429: StoreUnavailable,
    503: StoreUnavailable,
}
_CURES: Final = {
    401: "Give a token: STEPWELL_TOKEN, or --token @FILE.",
    429: "Try again later.",
}


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer; null where it has no body. Raises the StepwellError that a problem stands for."""
    if not response.is_success:
        raise error_of(response)
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    if "json" not in response.headers.get("content-type", ""):
        raise _stranger(response)
    return response.json()


def as_type(type_: type[T], value: Any, url: httpx.URL) -> T:
    """The value as what this version takes it for. Raises ConfigurationError if it can't be that."""
    try:
        return TypeAdapter(type_).validate_python(value)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        what = f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
        raise ConfigurationError(
            f"{url} answers otherwise than this version of Stepwell ({__version__}) expects it ({what}): use the same "
            "version here and there."
        ) from error


def error_of(response: httpx.Response) -> StepwellError:
    """The error of an answer that isn't a success."""
    problem = _problem(response)
    if problem is None:
        return _stranger(response)
    status = response.status_code
    kind = _KINDS.get(str(problem.get("type"))) or _STATUSES.get(status, StepwellError)
    said = _wrong_fields(problem) or str(problem.get("detail") or problem.get("title") or "")
    text = " ".join(part for part in (said, _CURES.get(status, "")) if part)
    if issubclass(kind, (InvalidArgs, InvalidPayload)):
        return kind(text, problem.get("errors") or [])
    return kind(text)


def unreachable(url: str, error: httpx.TransportError) -> StepwellError:
    """The error of a server that didn't answer at all."""
    why = str(error) or type(error).__name__
    return StoreUnavailable(f"{url} can't be reached: {why}. Is the server running, and is --url right?")


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    if "json" not in response.headers.get("content-type", ""):
        return None
    try:
        found = response.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) and "status" in found else None


def _wrong_fields(problem: dict[str, Any]) -> str:
    """What is wrong with which part of a request that wasn't understood; empty for any other problem."""
    if problem.get("type") != "about:blank":
        return ""
    errors = problem.get("errors") or []
    return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg')}" for one in errors)


def _stranger(response: httpx.Response) -> StepwellError:
    return ConfigurationError(
        f"{response.request.method} {response.request.url} answered {response.status_code} {response.reason_phrase}, "
        "and not as Stepwell's API: is --url right?"
    )
