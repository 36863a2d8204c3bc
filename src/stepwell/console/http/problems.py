"""Errors as problems (RFC 9457): what was wrong, with which value, and what to do, with the fitting status."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from stepwell.console.http.bodies import BodyTooSlow, IncomingBody, is_over
from stepwell.console.http.strict import AcceptedParameters, depends_on, note_reads, with_nearest
from stepwell.errors import (
    BadSignature,
    IssuerUnavailable,
    NotSignedIn,
    StepwellError,
    StoreUnavailable,
    TooManyAttempts,
    TooManyReads,
    TooManyStreams,
)
from stepwell.triggers.webhooks import UNSIGNED

log = logging.getLogger("stepwell.http")

GUARDED: Final = "stepwell.guarded"
"""The key in the scope at which the guard puts the body of a request. A route of the API refuses requests without it."""

MEDIA_TYPE = "application/problem+json"
_OPEN_BYTES: Final = 16 * 1024
"""Bytes of a body that needs no login: of a login itself."""
_RETRY_AFTER = 1
"""Seconds after which a database that couldn't be reached is worth another attempt."""


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    kind: str = "about:blank",
    headers: Mapping[str, str] | None = None,
    **more: object,
) -> Response:
    """Return a problem as an answer; `more` are additional members."""
    content = {"type": kind, "title": title, "status": status, "detail": detail, **more}
    return Response(to_json(content, fallback=repr), status, headers, media_type=MEDIA_TYPE)


def problem_of(error: StepwellError) -> Response:
    """Return the problem of an error: its status, its text, and its other facts."""
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
        case TooManyAttempts() | TooManyReads() | TooManyStreams():
            return {"Retry-After": str(error.retry_after)}
        case NotSignedIn():
            return {"WWW-Authenticate": 'Bearer realm="stepwell"'}
    return {}


def _members(error: StepwellError) -> dict[str, object]:
    more: dict[str, object] = {}
    errors = getattr(error, "errors", None)
    if callable(errors) and (found := errors()):
        more["errors"] = _without_input(found)
    for name in ("outcome", "workflow_id", "by", "at"):
        if (value := getattr(error, name, None)) is not None:
            more[name] = value
    return more


def _words(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"The body isn't valid JSON at character {error['loc'][-1]}: {error['ctx']['error']}"
    return f"{_where(error['loc'])}: {error['msg']}"


def _where(loc: Sequence[str | int]) -> str:
    # Without `body`, `query` and the like, unless all of it is wrong.
    return ".".join(map(str, loc[1:] or loc))


def _without_input(errors: Any) -> list[dict[str, Any]]:
    # The input may hold what the application has added to the caller's own data.
    return [{key: value for key, value in one.items() if key in ("loc", "msg", "type")} for one in errors]


async def answer_problem(request: Request, error: Exception) -> Response:
    """Answer a StepwellError with its problem: a handler for `app.add_exception_handler(StepwellError, ...)`."""
    if not isinstance(error, StepwellError) or request.scope["type"] != "http":
        raise error  # a websocket has no answer that could hold it
    return problem_of(error)


def too_slow(error: BodyTooSlow) -> Response:
    """Return the answer to a body that came too slowly."""
    return problem(408, "Request timeout", str(error))


class ProblemRoute(APIRoute):
    """A route of Stepwell: its errors are problems, whatever handlers the application has.

    The order is: who asks, then the body, then what is asked. What the application's own dependency raises is the
    application's to answer.
    """

    together: ClassVar[defaultdict[str, set[str]]]
    """The methods of all routes of one path: each route knows only its own."""
    who: ClassVar[Callable[..., Any]]
    """The dependency that identifies the caller."""
    first: ClassVar[Mapping[Callable[..., Any], Callable[[Request], Awaitable[object]]]]
    """The dependencies that admit a request, `who` among them, each with the function that does so ahead of it."""
    most_values: ClassVar[int]
    """JSON values in a body."""
    reads_body: ClassVar[bool] = False
    """True if the route reads the body itself, piece by piece."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.together[self.path_format] |= self.methods or set()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if GUARDED not in scope:
            refused = problem(500, "Unguarded", "This request didn't pass the guard of the API: it is refused.")
            await refused(scope, receive, send)
        elif self.methods and scope["method"] not in self.methods:
            allowed = ", ".join(sorted(self.together[self.path_format]))
            refused = problem(405, "Method not allowed", f"This path accepts {allowed}.", headers={"Allow": allowed})
            await refused(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        taken, open_to_all = AcceptedParameters.by(self), not depends_on(self, self.who)
        first = [admit for dependency, admit in self.first.items() if depends_on(self, dependency)]

        async def admitted(request: Request) -> Response | None:
            """Return the refusal of a request before its body is read, if it isn't admitted."""
            note_reads(request)
            try:
                for admit in first:
                    await admit(request)
            except StepwellError as error:
                return problem_of(error)
            except RequestValidationError as error:
                return self._invalid(error)
            return None

        async def guarded(request: Request) -> Response:
            incoming: IncomingBody = request.scope[GUARDED]
            if open_to_all and incoming.limit is not None:
                incoming.limit = min(incoming.limit, _OPEN_BYTES)
            if (refused := await admitted(request)) is not None:
                return refused
            try:
                if (refused := await self._read(request)) is not None:
                    return refused
                await taken.check(request)
                return await handle(request)
            except StepwellError as error:
                return problem_of(error)
            except RequestValidationError as error:
                return self._invalid(error)
            except BodyTooSlow as error:
                return too_slow(error)
            except ClientDisconnect:
                return Response(status_code=400)  # the client has gone
            except HTTPException as error:
                if error.status_code != 400:
                    return problem(error.status_code, "Refused", error.detail, headers=error.headers)
                return problem(400, "Invalid JSON", "The body can't be read: send JSON, in UTF-8.")
            except Exception as error:
                log.exception("%s %s failed: %r", request.method, self.path_format, error)
                return problem(500, "Internal error", "Stepwell has failed here. The server's log says how.")

        return guarded

    async def _read(self, request: Request) -> Response | None:
        """Read the body, within its bounds. Returns the refusal of one that has too many values."""
        if self.reads_body or request.method in ("GET", "HEAD"):
            return None
        body = await request.body()
        if len(body) >= self.most_values and is_over(body, self.most_values):
            detail = f"The body has more than {self.most_values:,} JSON values (Settings.max_request_values)."
            return problem(413, "Too many values", detail)
        return None

    def _invalid(self, error: RequestValidationError) -> Response:
        errors = with_nearest(error.errors(), self)
        detail = "; ".join(map(_words, errors))
        return problem(422, "Invalid request", detail, errors=_without_input(errors))


def problem_route(
    who: Callable[..., Any],
    first: Mapping[Callable[..., Any], Callable[[Request], Awaitable[object]]],
    most_values: int,
) -> type[ProblemRoute]:
    """Return the class of one router's routes, where the dependency `who` identifies the caller and `first` admits requests."""
    members = {"together": defaultdict(set), "who": staticmethod(who), "first": first, "most_values": most_values}
    return type("ProblemRoute", (ProblemRoute,), members)
