"""Check that what a transition into END is annotated to return can be the workflow's result.

Only an annotation that no run could fulfil is refused: if it is missing or says less, the returned value decides.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from typing_extensions import is_typeddict

from stepwell.definition.authoring.marks import END
from stepwell.definition.compile.transitions import resolved_hints
from stepwell.definition.compile.types import Namespace
from stepwell.definition.model import Transition
from stepwell.definition.text import type_name
from stepwell.definition.values.codec import Codec

_SCALARS: Final = (str, bytes, int, float, Decimal, date, time, timedelta, PurePath, Enum)
_TEXTS: Final = (str, bytes, Enum)
_NUMBERS: Final = (int, float, Decimal, Enum)


def result_faults(
    cls: type, transitions: Sequence[Transition], result: Codec[Any], namespace: Namespace
) -> Iterator[str]:
    """Yield a fault for each method that leads to END and returns what can't be the result of the class."""
    for method in dict.fromkeys(t.method for t in transitions if t.target == END):
        returned = _returned(getattr(cls, method), namespace)
        if not fits(returned, result.type):
            yield (
                f"{cls.__name__}.{method}: it leads to 'end' and returns {type_name(returned)}, but the result of "
                f"{cls.__name__} is {type_name(result.type)}; return that, or name another Result in "
                f"Workflow[Args, State, Result]."
            )


def _returned(function: Any, namespace: Namespace) -> Any:
    """Return the method's return type; Any without an annotation, or where a wrapper may return something else."""
    if not isinstance(function, types.FunctionType) or inspect.unwrap(function) is not function:
        return Any
    hint = resolved_hints(function, namespace).get("return", Any)
    return (get_args(hint) or (Any,))[-1] if get_origin(hint) in (Awaitable, Coroutine) else hint


def fits(given: Any, wanted: Any) -> bool:
    """Return whether a value of the type `given` may be valid for the type `wanted`."""
    if given == wanted or given in (None, types.NoneType):
        return True
    if get_origin(wanted) is Annotated:
        inner, *markers = get_args(wanted)
        return fits(given, inner) or any(hasattr(one, "__get_pydantic_core_schema__") for one in markers)
    if get_origin(given) is Annotated:
        return fits(get_args(given)[0], wanted)
    if members := _members(given):
        return any(fits(one, wanted) for one in members)
    if members := _members(wanted):
        return any(fits(given, one) for one in members)
    return _class_fits(given, wanted)


def _members(type_: Any) -> tuple[Any, ...]:
    """Return the members of a union, None left out, or the types of a Literal's values."""
    if get_origin(type_) in (Union, types.UnionType):
        return tuple(one for one in get_args(type_) if one is not types.NoneType)
    return tuple(type(one) for one in get_args(type_)) if get_origin(type_) is Literal else ()


def _class_fits(given: Any, wanted: Any) -> bool:
    one, other = _class_of(given), _class_of(wanted)
    if one is object or other is object or not isinstance(one, type):
        return True
    if other in (None, types.NoneType):
        return _kind(one) is None
    if not isinstance(other, type) or _is_lenient(other):
        return True
    kind, its = _kind(one), _kind(other)
    if kind is None or its is None:
        return True
    if kind == its == "scalar":
        return _scalar_fits(one, other)
    if kind != its or kind == "record":
        # Generic models are taken without their parameters.
        related = _unbound(other) in map(_unbound, one.__mro__) or issubclass(other, one) or issubclass(one, other)
        return related or (kind == "mapping" and its == "record")
    return fits(_item(given), _item(wanted))


def _class_of(type_: Any) -> Any:
    return dict if is_typeddict(type_) else get_origin(type_) or type_


def _kind(cls: type) -> Literal["scalar", "record", "mapping", "array"] | None:
    """Return the kind of its values; None for classes of which nothing is known."""
    if issubclass(cls, _SCALARS):
        return "scalar"
    if issubclass(cls, RootModel) or hasattr(cls, "_fields"):
        return None
    if issubclass(cls, Mapping):
        return "mapping"
    if issubclass(cls, BaseModel) or is_dataclass(cls):
        return "record"
    return "array" if issubclass(cls, Sequence | set | frozenset) else None


def _scalar_fits(given: type, wanted: type) -> bool:
    if issubclass(given, wanted) or issubclass(wanted, given):
        return True
    if wanted is str:
        return issubclass(given, _TEXTS)
    return wanted not in (int, float, bool) or issubclass(given, _NUMBERS)


def _unbound(cls: type) -> Any:
    return getattr(cls, "__pydantic_generic_metadata__", {}).get("origin") or cls


def _item(type_: Any) -> Any:
    """Return the type of all items, or of all values of a mapping; object if it isn't given."""
    arguments = [one for one in get_args(type_) if one is not ...]
    origin = get_origin(type_)
    if origin is None or not arguments or (origin is tuple and ... not in get_args(type_)):
        return object
    return arguments[-1] if issubclass(origin, Collection) else object


def _is_lenient(cls: type) -> bool:
    """Return whether a class may convert values of other types."""
    if not issubclass(cls, BaseModel):
        return hasattr(cls, "__get_pydantic_core_schema__") or _validates_before(cls)
    made: Callable[..., Any] = cls.__get_pydantic_core_schema__
    own = getattr(made, "__func__", made) is not BaseModel.__get_pydantic_core_schema__.__func__  # type: ignore[attr-defined]
    return own or bool(cls.model_config.get("from_attributes")) or _validates_before(cls)


def _validates_before(cls: type) -> bool:
    decorators = getattr(cls, "__pydantic_decorators__", None)
    validators = decorators.model_validators.values() if decorators is not None else ()
    return any(one.info.mode != "after" for one in validators)
