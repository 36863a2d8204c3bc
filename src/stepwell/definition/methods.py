"""What a transition's method takes: its payload, and what FastDepends fills."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import Format, get_annotations, is_typeddict

from stepwell.definition.codec import codec_for
from stepwell.definition.generics import Namespace
from stepwell.definition.model import Payload
from stepwell.definition.signal import Signal

_HINTS = "__stepwell_hints__"
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a method after `self`."""

    name: str
    hint: Any
    """The resolved annotation; `Any` without one."""
    resolved: bool
    injected: bool
    foreign: bool
    """Marked with FastAPI's `Depends`, which nothing fills here."""
    required: bool
    positional_only: bool


def parameters_of(function: Callable[..., Any], namespace: Namespace) -> list[Parameter]:
    """The parameters after `self`, `*args` and `**kwargs` left out."""
    declared = list(inspect.signature(function).parameters.values())[1:]
    hints = resolved_hints(function, namespace)
    return [_parameter(one, hints) for one in declared if one.kind not in _VARIADIC]


def resolved_hints(function: Callable[..., Any], namespace: Namespace) -> dict[str, Any]:
    """The annotations whose names are known; what was resolved once is remembered on the function.

    Remembering lets a subclass made elsewhere inherit a method whose types are local to another function.
    """
    plain = inspect.unwrap(function)
    known: dict[str, Any] = dict(getattr(plain, _HINTS, {}))
    globalns = getattr(plain, "__globals__", None)
    for name, annotation in get_annotations(plain, format=Format.FORWARDREF).items():
        if name not in known:
            known.update(_resolved(name, annotation, namespace, globalns))
    plain.__dict__[_HINTS] = known
    return known


def _resolved(
    name: str, annotation: Any, namespace: Namespace, globalns: Mapping[str, Any] | None
) -> Iterator[tuple[str, Any]]:
    try:
        yield name, namespace.evaluate(annotation, globalns)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return


def _parameter(declared: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    bare = declared.annotation is inspect.Parameter.empty
    hint = Any if bare else hints.get(declared.name)
    markers = (declared.default, *_extras(hint))
    return Parameter(
        name=declared.name,
        hint=hint,
        resolved=bare or declared.name in hints,
        injected=any(is_injected(marker) for marker in markers),
        foreign=any(is_foreign(marker) for marker in markers),
        required=declared.default is inspect.Parameter.empty,
        positional_only=declared.kind is inspect.Parameter.POSITIONAL_ONLY,
    )


def is_injected(marker: object) -> bool:
    """True for what `Depends(...)` returns (and FastDepends' custom fields).

    FastDepends isn't imported for it: where nobody has imported it, there is no marker.
    """
    return any(isinstance(marker, type_) for type_ in _marker_types())


def is_foreign(marker: object) -> bool:
    """True for FastAPI's `Depends`, which Stepwell can't resolve."""
    return type(marker).__module__ == "fastapi.params"


def _marker_types() -> Iterator[type]:
    for module, name in (("dependencies.model", "Dependant"), ("library.model", "CustomField")):
        loaded = sys.modules.get(f"fast_depends.{module}")
        if loaded is not None:
            yield getattr(loaded, name)


def _extras(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def payload_of(parameter: Parameter) -> Payload:
    """The payload that a resolved parameter takes. Raises what Pydantic raises for a type that it can't validate."""
    bare = _bare(parameter.hint)
    envelope = bare is Signal or get_origin(bare) is Signal
    data = (get_args(bare) or (Any,))[0] if envelope else parameter.hint
    codec = codec_for(data)
    return Payload(parameter.name, codec, envelope, optional=not _is_model(_bare(data)))


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _is_model(type_: Any) -> bool:
    origin = get_origin(type_) or type_
    return isinstance(origin, type) and (issubclass(origin, BaseModel) or is_dataclass(origin) or is_typeddict(origin))
