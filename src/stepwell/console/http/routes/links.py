"""Links to questions: one address, which shows the question and takes its answer without a login.

The link is the authority itself: nothing else that a browser sends along (cookies, its origin) permits or refuses anything, so
there is nothing that another site could make it do. Looking takes nothing, as programs that scan mails look too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from stepwell.console.http.access.access import Access, Served, client_address
from stepwell.console.http.access.known_tokens import Attempts
from stepwell.console.http.answers.fields import AnswerField, fields_of, misplaced, read_form
from stepwell.console.http.answers.page import HEADERS, question_page, refusal_page, thanks_page
from stepwell.console.http.bodies import BodyTooSlow, is_over
from stepwell.console.http.problems import problem, problem_of, too_slow
from stepwell.errors import (
    AlreadyAnswered,
    InvalidPayload,
    LinkNotFound,
    RunFinished,
    StepwellError,
    UnknownTransition,
)
from stepwell.runner.links import AnswerLink
from stepwell.runner.people import Question
from stepwell.settings import AuthSettings

log = logging.getLogger("stepwell.http")

FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 2_000
_ENDED: Final = "This question has ended: it waits for no answer any more."
_FAILED: Final = "The work that asks failed, and takes no answer until it is retried. Open this link again later."


def link_route(stepwell: Served, access: Access, path: str) -> Route:
    """Return the route of all links, at `path`."""
    links = _Links(stepwell, access)
    return Route(f"{path}/answers/{{token}}", links.answer, methods=["GET", "POST"], include_in_schema=False)


class _Refused(Exception):
    """An answer that can't be read, as the response to a program."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


class _Links:
    def __init__(self, stepwell: Served, access: Access) -> None:
        auth = stepwell.settings.auth or AuthSettings()
        self._stepwell = stepwell
        self._access = access
        self._most_values = stepwell.settings.max_request_values
        self._attempts = Attempts(auth.failed_logins, auth.failed_login_seconds)

    async def answer(self, request: Request) -> Response:
        """Answer a request to a link: a page, or JSON for programs."""
        await self._access.admit(request)
        try:
            link = self._link(request)
            if request.method == "POST":
                return await self._answered(request, link)
            return _shown(request, link, await self._stepwell.runner.linked_question(link))
        except StepwellError as error:
            return _refusal(request, error)
        except BodyTooSlow as error:
            return _page(refusal_page(408, str(error)), 408) if _wants_page(request) else too_slow(error)
        except _Refused as refused:
            if _wants_page(request):
                return _page(refusal_page(refused.status, refused.detail, refused.title), refused.status)
            return problem(refused.status, refused.title, refused.detail)
        except ClientDisconnect:
            return Response(status_code=400)  # the client has gone

    def _link(self, request: Request) -> AnswerLink:
        """Return what the link says. Raises LinkNotFound, LinkExpired; TooManyAttempts after many that aren't valid."""
        address = client_address(request)
        try:
            return self._stepwell.runner.opened_link(request.path_params["token"])
        except LinkNotFound:
            # A valid link is never refused because of guesses that came from the same network.
            self._attempts.check(address)
            self._attempts.failed(address)
            raise

    async def _answered(self, request: Request, link: AnswerLink) -> Response:
        runner = self._stepwell.runner
        question = await runner.linked_question(
            link
        )  # before the body: one that takes no answer isn't worth reading it
        body = await request.body()
        if _is_form(request):
            return await self._by_form(link, question, body)
        await runner.answer_by_link(link, self._data(body))
        if _wants_page(request):
            return _page(thanks_page(question, link.by))
        return JSONResponse({"answered": True, "by": link.by, "title": question.title}, headers=HEADERS)

    async def _by_form(self, link: AnswerLink, question: Question, body: bytes) -> Response:
        fields = fields_of(question.payload_schema)
        given = _form_of(body)
        data, unread = read_form(question.payload_schema, fields, given)
        wrong: Sequence[tuple[str | None, str]] = list(unread.items())
        if not wrong:
            try:
                await self._stepwell.runner.answer_by_link(link, data)
            except InvalidPayload as error:
                wrong = list(misplaced(error.errors(), fields)) or [(None, str(error))]
            else:
                return _page(thanks_page(question, link.by))
        return _page(question_page(question, fields, link.by, link.expires_at, given=given, wrong=wrong), 422)

    def _data(self, body: bytes) -> Any:
        if not body:
            return None
        if len(body) >= self._most_values and is_over(body, self._most_values):
            raise _Refused(413, "Too many values", f"The body has more than {self._most_values:,} JSON values.")
        try:
            given = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Refused(400, "Invalid JSON", f"The body isn't valid JSON: {error}") from error
        if not isinstance(given, dict) or given.keys() - {"data"}:
            raise _Refused(422, "Invalid request", 'Send {"data": ...}, and nothing else.')
        return given.get("data")


def _form_of(body: bytes) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise _Refused(400, "Invalid form", f"The form can't be read: {error}") from error


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, "application/json", ""):
        raise _Refused(415, "Unsupported content", f"Content-Type is {kind[:80]}: send application/json, or the form.")
    return kind == FORM


def _wants_page(request: Request) -> bool:
    accepted = request.headers.get("accept", "*/*").lower()
    if "text/html" in accepted:
        return True
    if "json" in accepted:
        return False
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method != "POST" or kind == FORM


def _shown(request: Request, link: AnswerLink, question: Question) -> Response:
    if _wants_page(request):
        fields: Sequence[AnswerField] = fields_of(question.payload_schema)
        return _page(question_page(question, fields, link.by, link.expires_at))
    shows = {"title", "text", "due_at", "asked_at", "payload_schema"}
    documents = [{"name": one.name, "content": one.content} for one in question.documents]
    found = {**question.model_dump(mode="json", include=shows), "documents": documents, "by": link.by}
    return JSONResponse({**found, "expires_at": link.expires_at.isoformat()}, headers=HEADERS)


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, headers=HEADERS)


def _refusal(request: Request, error: StepwellError) -> Response:
    """Return the refusal, which names the question at most: nothing else of the run is shown."""
    error = _told(error)
    answer = problem_of(error)
    if not _wants_page(request):
        return answer
    status = answer.status_code
    headers = {name: value for name, value in answer.headers.items() if name == "retry-after"}
    return HTMLResponse(_words(error, status), status, headers={**HEADERS, **headers})


def _told(error: StepwellError) -> StepwellError:
    """Return the error as a holder of the link may read it: without the run's id, its place and its signals."""
    match error:
        case AlreadyAnswered(by=str() as by, at=at):
            return AlreadyAnswered(
                f"{by} answered it at {at:%Y-%m-%d %H:%M} UTC. No further answer is taken.", by=by, at=at
            )
        case AlreadyAnswered(by=by, at=at):
            return AlreadyAnswered(_ENDED, by=by, at=at)
        case RunFinished(failed=failed):
            return RunFinished(_FAILED if failed else _ENDED, failed=failed)
        case UnknownTransition():
            return UnknownTransition(_ENDED)
    return error


def _words(error: StepwellError, status: int) -> str:
    match error:
        case RunFinished(failed=True):
            return refusal_page(status, str(error), "This question can't be answered now")
        case AlreadyAnswered(by=None) | RunFinished() | UnknownTransition():
            return refusal_page(status, str(error), "This question has ended")
    why = str(error) if status < 500 else "The server can't answer now. Try again in a moment."
    return refusal_page(status, why)
