"""The rules for the types of args, state and result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, RootModel, Secret, SecretBytes, SecretStr, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import PydanticSerializationError
from typing_extensions import is_typeddict

from stepwell.definition.codec import Codec, codec_for

UNUSABLE = (PydanticUserError, PydanticUndefinedAnnotation)
"""What Pydantic raises for a type that it can't validate, or not yet."""

_BUILTIN = (list, dict, set, frozenset, tuple, str, int, float, bool, bytes)


def first_line(error: BaseException) -> str:
    """What went wrong, without Pydantic's advice for other cases."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def type_name(type_: Any) -> str:
    """The name of a type as authors write it."""
    return type_.__name__ if isinstance(type_, type) and not get_args(type_) else str(type_).replace("typing.", "")


def usable_codec(role: str, type_: Any, faults: list[str], where: str) -> Codec[Any] | None:
    """The codec of a type parameter, or a fault."""
    try:
        return codec_for(type_)
    except UNUSABLE as error:
        faults.append(
            f"{where}: its {role} type {type_name(type_)} can't be validated by Pydantic ({first_line(error)}); "
            "use a Pydantic model or a type that Pydantic knows."
        )
        return None


def required_fields(type_: Any) -> list[str]:
    """Names of the fields without a default."""
    if not isinstance(type_, type):
        return []
    if issubclass(type_, BaseModel):
        return [name for name, field in type_.model_fields.items() if field.is_required()]
    if is_dataclass(type_):
        return [one.name for one in fields(type_) if one.default is MISSING and one.default_factory is MISSING]
    return sorted(getattr(type_, "__required_keys__", ())) if is_typeddict(type_) else []


def initial_state(codec: Codec[Any]) -> str:
    """`State()` as JSON: `{}` validated, else None, else what the type makes of nothing.

    Raises ValidationError or PydanticSerializationError where none of them is a state.
    """
    blanks: tuple[object, ...] = ({}, None)
    for blank in blanks:
        try:
            return codec.checked(blank)
        except (ValidationError, PydanticSerializationError):
            continue
    make = get_origin(codec.type) or codec.type
    return codec.checked(make() if isinstance(make, type) else {})


def state_varies(type_: Any) -> bool:
    """True if a default is made by a function other than a builtin type: a clock, a new id."""
    return any(factory not in _BUILTIN for factory in _factories(type_))


def _factories(type_: Any) -> list[Any]:
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        return [one.default_factory for one in type_.model_fields.values() if one.default_factory is not None]
    if isinstance(type_, type) and is_dataclass(type_):
        return [one.default_factory for one in fields(type_) if one.default_factory is not MISSING]
    return []


def lossy_fields(type_: Any) -> Iterator[tuple[str, str]]:
    """Paths of what a dump would lose, with the reason: secrets and fields with `exclude=True`, nested ones too."""
    yield from _lossy(type_, type_name(type_), set())


def _lossy(type_: Any, path: str, seen: set[Any]) -> Iterator[tuple[str, str]]:
    origin = get_origin(type_) or type_
    if isinstance(origin, type) and issubclass(origin, (SecretStr, SecretBytes, Secret)):
        yield path, f"is a {origin.__name__}, which is stored as asterisks"
        return
    for argument in (*get_args(type_), getattr(type_, "__value__", None)):
        yield from _lossy(argument, path, seen) if argument is not None else ()
    if isinstance(origin, type) and origin not in seen:
        seen.add(origin)
        yield from _lossy_members(origin, path, seen)


def _lossy_members(type_: type, path: str, seen: set[Any]) -> Iterator[tuple[str, str]]:
    if issubclass(type_, BaseModel):
        for name, field in type_.model_fields.items():
            if field.exclude or getattr(field, "exclude_if", None):
                yield f"{path}.{name}", "has exclude=True"
            yield from _lossy(field.annotation, f"{path}.{name}", seen)
    elif is_dataclass(type_) or is_typeddict(type_):
        for name, hint in _members(type_).items():
            yield from _lossy(hint, f"{path}.{name}", seen)


def _members(type_: type) -> dict[str, Any]:
    try:
        return get_type_hints(type_)
    except NameError:
        return {}


def missing_key(type_: Any, path: str) -> str | None:
    """The first part of `path` if a model of that type never has it in its JSON; else None."""
    first = path.split(".", 1)[0]
    if not (isinstance(type_, type) and issubclass(type_, BaseModel)) or type_.model_config.get("extra") == "allow":
        return None
    keys = {field.serialization_alias or name for name, field in type_.model_fields.items()}
    return None if first in keys or issubclass(type_, RootModel) else first
