"""Answers of handlers to the senders of deliveries: made from return values, and stored with the handlers' runs.

A slash command or TwiML is answered by what the handler returns. The answer is part of the commit that ends the handler's
run, so that a repetition of the delivery gets the same one, from any process, without another call of the handler.
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic_core import to_json

from stepwell.definition.authoring.document import Document
from stepwell.definition.text import told
from stepwell.errors import PayloadTooLarge
from stepwell.execution.user_errors import logged, own

log = logging.getLogger("stepwell.triggers")

LARGEST_ANSWER: Final = 256 * 1024
"""Bytes of an answer's body."""
MOST_HEADERS: Final = 20
LONGEST_HEADER: Final = 4_096

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_OF_THE_SERVER: Final = frozenset(
    "connection content-length content-type date keep-alive server transfer-encoding upgrade".split()  # noqa: SIM905
)

_PACKAGE: Final = __name__.partition(".")[0]
_PLAIN: Final = (str, bytes, int, float, type(None))

AnswerBody: TypeAlias = str | bytes | Mapping[str, Any] | Sequence[Any] | BaseModel


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """An answer to the sender of a delivery, returned by its handler. Raises ValueError with all that is wrong.

    Where a plain string (as text) or a mapping, list or Pydantic model (as JSON) with status 200 is enough, the handler
    may return that itself. A body that can't be sent fails the handler; such a value returned by itself is logged.
    """

    body: AnswerBody = ""
    """Text, bytes, or data that is sent as JSON; at most 256 KiB."""
    status: int = 200
    """200 to 299, or 400 to 499. For "send it again", the handler raises."""
    content_type: str | None = None
    """Default: `text/plain` for text, `application/json` for data, `application/octet-stream` for bytes."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones, at most 20."""

    def __post_init__(self) -> None:
        if faults := [*self._faults()]:
            raise ValueError("WebhookResponse(...): " + " ".join(faults))

    def _faults(self) -> Iterator[str]:
        status: object = self.status
        headers: object = self.headers
        if type(status) is not int or not (200 <= status < 300 or 400 <= status < 500):
            yield f"status={self.status!r} must be 200 to 299 or 400 to 499; raise an error to get the delivery again."
        if self.content_type is not None and not _is_value(self.content_type):
            yield f"content_type={self.content_type!r} must be a media type, as in 'text/xml'."
        if not isinstance(headers, Mapping):
            yield f"headers={headers!r} must be a mapping of names to texts."
            return
        yield from _header_faults([*headers.items()])


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it is stored and sent."""

    status: int
    content_type: str
    headers: tuple[tuple[str, str], ...]
    content: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON data; `from_json` gives an equal one back."""
        return {
            "status": self.status,
            "content_type": self.content_type,
            "headers": [list(pair) for pair in self.headers],
            "body": b64encode(self.content).decode(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoredAnswer:
        """Return the answer that `to_json` wrote. Raises KeyError, TypeError or ValueError if it didn't."""
        headers = tuple((str(name), str(value)) for name, value in data["headers"])
        return cls(int(data["status"]), str(data["content_type"]), headers, b64decode(data["body"], validate=True))


def answer_of(returned: object, handler: str) -> StoredAnswer | None:
    """Return the answer that the handler's return value stands for; None if it isn't one.

    What can't be meant for the sender is no answer, and is logged: values of other types, and those that hold an object
    of Stepwell's own, as in `return await runner.signal(...)`. So is a plain value that can't be sent, since the work of
    the handler is done. Only a response that was made as one may fail the handler: it raises PayloadTooLarge, or
    ValueError for what isn't one or isn't JSON.
    """
    if returned is None:
        return None
    if isinstance(returned, WebhookResponse):
        return _stored(returned, tuple(returned.headers.items()))
    if _is_response(returned):
        return _of_framework(returned)
    if not isinstance(returned, (str, bytes, dict, list, BaseModel)):
        log.warning(
            "the handler of %s returned a value of type %s, which isn't an answer to the sender: return a str, a dict or "
            "a WebhookResponse, or nothing",
            handler,
            type(returned).__name__,
        )
        return None
    try:
        if (own_type := _own_type(returned)) is None:
            return _stored(WebhookResponse(returned))
        log.warning(
            "the handler of %s returned a value with a %s of Stepwell's, which isn't sent to the sender, since it may "
            "hold what the sender mustn't see: return nothing, or the parts to send",
            handler,
            own_type.__name__,
        )
    except Exception as error:  # a model's own serializers may raise anything
        log.error(
            "the handler of %s has returned, but its value of type %s can't be sent, so the sender is answered without "
            "it: %s",
            handler,
            type(returned).__name__,
            told(own(error)),
            exc_info=logged(error),
        )
    return None


def _own_type(returned: object) -> type | None:
    """Return the type of an object of Stepwell's own in what would become JSON; None if there is none."""
    left, seen = [returned], {id(returned)}
    while left:
        value = left.pop()
        if (kind := _of_stepwell(type(value))) is not None:
            return kind
        for part in _parts(value):
            if id(part) not in seen and not isinstance(part, _PLAIN):
                seen.add(id(part))
                left.append(part)
    return None


def _of_stepwell(kind: type) -> type | None:
    """Return the class of Stepwell's that it is or is derived from; None for others and for an application's documents."""
    if issubclass(kind, Document) and kind is not Document:
        return None
    return next((one for one in kind.__mro__ if one.__module__.partition(".")[0] == _PACKAGE), None)


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return value
    if isinstance(value, BaseModel):
        return [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]
    if is_dataclass(value):
        return [getattr(value, one.name, None) for one in fields(value)]
    return ()


def result_of(started: list[str], answer: StoredAnswer | None) -> list[str] | dict[str, Any]:
    """Return the result of a handler's run: the runs that it started, and behind them its answer if it has one."""
    return started if answer is None else {"started": started, "answer": answer.to_json()}


def stored_answer(result: str | None) -> StoredAnswer | None:
    """Return the answer in the result of a handler's run; None if it has none, or if that can't be read any more."""
    try:
        data = json.loads(result or "null")
        return StoredAnswer.from_json(data["answer"]) if isinstance(data, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError):
        log.exception("the stored answer of a handler can't be read; the delivery is answered without it")
        return None


def _is_response(returned: object) -> bool:
    """Return whether it is a response of a web framework as Starlette and FastAPI have it, with its body at hand."""
    return isinstance(getattr(returned, "status_code", None), int) and isinstance(
        getattr(returned, "body", None), bytes
    )


def _of_framework(response: Any) -> StoredAnswer:
    if getattr(response, "background", None) is not None:
        raise ValueError("The response has a background task, which would be lost in a crash: start a run instead.")
    given = [(str(name), str(value)) for name, value in response.headers.items()]
    own = [(name, value) for name, value in given if name.lower() not in _OF_THE_SERVER]
    kind = next((value for name, value in given if name.lower() == "content-type"), None)
    plain = WebhookResponse(response.body, response.status_code, content_type=kind)
    if faults := [*_header_faults(own)]:
        raise ValueError("The response: " + " ".join(faults))
    return _stored(plain, own)


def _stored(response: WebhookResponse, headers: Iterable[tuple[str, str]] = ()) -> StoredAnswer:
    """Return the response as it is stored. Raises PayloadTooLarge, and ValueError for data that isn't JSON."""
    content, kind = _content(response.body)
    if len(content) > LARGEST_ANSWER:
        raise PayloadTooLarge(f"The answer has {len(content):,} bytes; at most {LARGEST_ANSWER:,} are sent and stored.")
    lower = tuple((name.lower(), value) for name, value in headers)
    return StoredAnswer(response.status, _typed(response.content_type or kind), lower, content)


def _header_faults(headers: Sequence[tuple[object, object]]) -> Iterator[str]:
    """Name the faults of headers, of which one may come several times, as `Set-Cookie` does."""
    if len(headers) > MOST_HEADERS:
        yield f"headers must be at most {MOST_HEADERS}, and there are {len(headers)}."
        return
    for name, value in headers:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            yield f"the header {name!r} must be a name of letters, digits and hyphens."
        elif name.lower() in _OF_THE_SERVER:
            yield f"the header {name!r} is set by the server; for the content type there is content_type=..."
        elif not _is_value(value):
            yield f"the value of the header {name!r} must be Latin-1 text of one line, up to {LONGEST_HEADER} characters."


def _content(body: AnswerBody) -> tuple[bytes, str]:
    if isinstance(body, str):
        return body.encode(), "text/plain"
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    content = to_json(body)
    json.loads(content, parse_constant=_refuse_constant)
    return content, "application/json"


def _typed(kind: str) -> str:
    return f"{kind}; charset=utf-8" if kind.startswith("text/") and "charset" not in kind.lower() else kind


def _is_value(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_HEADER and _VALUE.fullmatch(value) is not None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"The answer holds {name}, which isn't JSON.")
