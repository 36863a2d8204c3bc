"""Refusal of unknown input: no part of a request is silently ignored.

One rule for all operations, derived from what each declares: unknown query parameters, a single value given several
times, a body or one of the API's own headers where none is taken. The refusal comes after the caller is identified.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Union, get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import QueryParams

from stepwell.nearest import suggestion

_READ: Final = "stepwell.read"
_OWN_HEADERS: Final = ("Idempotency-Key", "Last-Event-ID")
_MANY: Final = (list, tuple, set, frozenset, Sequence)

Fault = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AcceptedParameters:
    """The input of an operation besides its path."""

    query: Mapping[str, bool]
    """The query parameters, and whether one may be given several times."""
    headers: frozenset[str]
    """The API's own headers among its input, in lower case."""
    body: bool

    @classmethod
    def by(cls, route: APIRoute) -> AcceptedParameters:
        """Return the input that the route declares."""
        every = [*_walk(route.dependant)]
        return cls(
            query={
                one.alias: _is_many(one.field_info.annotation) for dependant in every for one in dependant.query_params
            },
            headers=frozenset(one.alias.lower() for dependant in every for one in dependant.header_params),
            body=route.body_field is not None or getattr(route, "reads_body", False),
        )

    async def check(self, request: Request) -> None:
        """Raise RequestValidationError with the faults of a request: input that this operation doesn't take.

        Query parameters that were read to identify the caller are the application's own, and are no faults.
        """
        read: Collection[str] = request.scope.get(_READ, ())
        if faults := [*self._query(request, read), *self._headers(request), *await self._body(request)]:
            raise RequestValidationError(faults)

    def _query(self, request: Request, read: Collection[str]) -> Iterator[Fault]:
        given = request.query_params
        for name in dict.fromkeys(key for key, _ in given.multi_items()):
            if name in self.query:
                count = len(given.getlist(name))
                if count > 1 and not self.query[name]:
                    yield _fault("query", name, f"it is given {count} times; give it once", "repeated")
            elif name not in read:
                yield _fault("query", name, f"no such parameter; {suggestion(name, self.query)}", "unknown_parameter")

    def _headers(self, request: Request) -> Iterator[Fault]:
        for name in _OWN_HEADERS:
            count = len(request.headers.getlist(name))
            if count and name.lower() not in self.headers:
                yield _fault("header", name, "this operation doesn't take it; leave it out", "unknown_header")
            elif count > 1:
                yield _fault("header", name, f"it is given {count} times; give it once", "repeated")

    async def _body(self, request: Request) -> Iterable[Fault]:
        if self.body or await _says_nothing(request):
            return ()
        return ({"loc": ("body",), "msg": "this operation takes no body; leave it out", "type": "unknown_body"},)


def _fault(where: str, name: str, message: str, kind: str) -> Fault:
    return {"loc": (where, name), "msg": message, "type": kind}


async def _says_nothing(request: Request) -> bool:
    if request.method in ("GET", "HEAD"):  # it isn't read
        return request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    body = await request.body()
    try:
        return not body.strip() or json.loads(body) in ({}, None)
    except (ValueError, RecursionError):
        return False


def depends_on(route: APIRoute, dependency: Callable[..., Any]) -> bool:
    """Return whether the route depends on it."""
    return any(dependant.call == dependency for dependant in _walk(route.dependant))


def _walk(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _walk(one)


def _is_many(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(_is_many(one) for one in get_args(annotation))
    return annotation in _MANY or origin in _MANY


# -- what the application takes -----------------------------------------------------------------------------------------


def note_reads(request: Request) -> None:
    """Have the query parameters noted that are read of a request until it is checked."""
    request.scope[_READ] = set()


class NotingRequest(Request):
    """A request that records which query parameters are read: these belong to the application."""

    @property
    def query_params(self) -> QueryParams:
        """The query parameters, as Starlette gives them."""
        return _Noting(self.scope)


class _Noting(QueryParams):
    def __init__(self, scope: Any) -> None:
        super().__init__(scope["query_string"])
        self._read: set[str] = scope.get(_READ, set())

    def __getitem__(self, key: str) -> str:
        self._read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self._read.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        return super().get(key, default)

    def getlist(self, key: str) -> list[str]:
        self._read.add(key)
        return super().getlist(key)

    def multi_items(self) -> list[tuple[str, str]]:
        found = super().multi_items()
        self._read.update(key for key, _ in found)
        return found

    def items(self) -> Any:
        self._read.update(self.keys())
        return super().items()


# -- fields of bodies ---------------------------------------------------------------------------------------------------


def with_nearest(errors: Sequence[Any], route: APIRoute) -> list[Fault]:
    """Return Pydantic's errors; those of unknown fields and choices suggest the nearest known one."""
    body = None if route.body_field is None else route.body_field.field_info.annotation
    return [{**one, "msg": _message(one, body)} for one in errors]


def _message(error: Mapping[str, Any], body: Any) -> str:
    message, name = str(error["msg"]), error["loc"][-1]
    if error["type"] == "extra_forbidden" and (known := _fields_at(body, error["loc"][1:-1])):
        return f"no such field; {suggestion(str(name), known)}"
    return message


def _fields_at(annotation: Any, loc: Sequence[str | int]) -> list[str]:
    """Return the fields of the model at this place in a body."""
    model = next((one for one in (annotation, *get_args(annotation)) if _is_model(one)), None)
    if model is None:
        return []
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    if not loc:
        return list(fields)
    inner = fields.get(str(loc[0]))
    return [] if inner is None else _fields_at(inner.annotation, loc[1:])


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
