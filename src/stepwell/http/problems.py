"""Errors as problems (RFC 9457): what was wrong, with which value, and what would be right, with the fitting status."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from stepwell.errors import (
    BadSignature,
    IssuerUnavailable,
    NotSignedIn,
    StepwellError,
    StoreUnavailable,
    TooManyAttempts,
    TooManyStreams,
)
from stepwell.triggers.webhooks import UNSIGNED

log = logging.getLogger("stepwell.http")

MEDIA_TYPE = "application/problem+json"
_UNREADABLE = "There was an error parsing the body"
"""FastAPI's own words, where a body isn't even text."""
_RETRY_AFTER = 1
"""Seconds after which a database that couldn't be reached is worth another try."""


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    kind: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """The answer; `more` are members of its own."""
    content = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    return Response(to_json(content, fallback=repr), status, headers, media_type=MEDIA_TYPE)


def problem_of(error: StepwellError) -> Response:
    """The problem of an error: status, text, and what it knows besides."""
    if error.http_status >= 500:
        log.error("%s", error, exc_info=error)
    if isinstance(error, BadSignature):
        log.warning("a request was refused: %s", error)
        return problem(401, "Not authenticated", UNSIGNED)
    name = type(error).__name__
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return problem(
        error.http_status,
        words.capitalize(),
        str(error),
        kind=f"urn:stepwell:{words.replace(' ', '-').lower()}",
        headers=_headers(error),
        **_members(error),
    )


def _headers(error: StepwellError) -> dict[str, str]:
    match error:
        case StoreUnavailable() | IssuerUnavailable():
            return {"Retry-After": str(_RETRY_AFTER)}
        case TooManyAttempts() | TooManyStreams():
            return {"Retry-After": str(error.retry_after)}
        case NotSignedIn():
            return {"WWW-Authenticate": 'Bearer realm="stepwell"'}
    return {}


def _members(error: StepwellError) -> dict[str, object]:
    more: dict[str, object] = {}
    errors = getattr(error, "errors", None)
    if callable(errors) and (found := errors()):
        more["errors"] = _without_input(found)
    for name in ("outcome", "workflow_id"):
        if (value := getattr(error, name, None)) is not None:
            more[name] = value
    return more


def _words(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"The body is no JSON at character {error['loc'][-1]}: {error['ctx']['error']}"
    return f"{_where(error['loc'])}: {error['msg']}"


def _where(loc: Sequence[str | int]) -> str:
    # Without `body`, `query` and the like, but for what is wrong with all of it.
    return ".".join(map(str, loc[1:] or loc))


def _without_input(errors: Any) -> list[dict[str, Any]]:
    # The input may hold what the application has added to the caller's own data.
    return [{key: value for key, value in one.items() if key in ("loc", "msg", "type")} for one in errors]


async def answer_problem(request: Request, error: Exception) -> Response:
    """An exception handler for `app.add_exception_handler(StepwellError, ...)`."""
    if not isinstance(error, StepwellError) or request.scope["type"] != "http":
        raise error  # a websocket has no answer that could hold it
    return problem_of(error)


class ProblemRoute(APIRoute):
    """A route of Stepwell's own: its errors are problems, whatever handlers the application has."""

    together: ClassVar[defaultdict[str, set[str]]]
    """What all routes of one path take: each of them knows its own methods only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.together[self.path_format] |= self.methods or set()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.methods and scope["method"] not in self.methods:
            allowed = ", ".join(sorted(self.together[self.path_format]))
            refused = problem(405, "Method not allowed", f"This path takes {allowed}.", headers={"Allow": allowed})
            await refused(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except StepwellError as error:
                return problem_of(error)
            except RequestValidationError as error:
                detail = "; ".join(map(_words, error.errors()))
                return problem(422, "Invalid request", detail, errors=_without_input(error.errors()))
            except HTTPException as error:
                if error.detail != _UNREADABLE:
                    raise  # the application's own, from its dependency: it answers that in its own way
                return problem(400, "No JSON", "The body can't be read: send JSON, in UTF-8.")

        return guarded


def problem_route() -> type[ProblemRoute]:
    """The class of one router's routes."""
    return type("ProblemRoute", (ProblemRoute,), {"together": defaultdict(set)})
