"""The types of args, state and result: their names resolved, judged, and made into codecs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import NoneType, SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, RootModel, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from typing_extensions import NoDefault, get_original_bases, is_typeddict

from stepwell.definition.model import Definition, Transition
from stepwell.definition.text import type_name
from stepwell.definition.values.codec import Codec, codec_for, lossy_faults
from stepwell.definition.values.fidelity import varies
from stepwell.definition.values.misfit import ValueMisfit


@dataclass(frozen=True, slots=True)
class Types:
    """The codecs of Args, State and Result, and `State()` as JSON."""

    args: Codec[Any] | None
    state: Codec[Any]
    result: Codec[Any]
    initial_state: str
    state_varies: bool


def resolve_types(cls: type, root: type, namespace: Namespace, faults: list[str]) -> Types | None:
    """Return the class's Types; None, and the reason in `faults`, where one of the types can't be used at all."""
    owner = cls.__name__
    named = [
        _named(owner, role, parameter, namespace, faults)
        for role, parameter in zip(("args", "state", "result"), type_parameters(cls, root), strict=True)
    ]
    args_type, state_type, result_type = named
    args = None if args_type is NoneType else usable_codec("args", args_type, faults, owner)
    state = usable_codec("state", state_type, faults, owner)
    result = usable_codec("result", result_type, faults, owner)
    for role, codec in (("args", args), ("state", state), ("result", result)):
        faults += lossy_faults(owner, role, codec)
    if state is None or result is None:
        return None
    return Types(args, state, result, _blank_state(owner, state, faults), state_varies(state.type))


def _named(owner: str, role: str, parameter: Any, namespace: Namespace, faults: list[str]) -> Any:
    """Return the parameter with its names resolved; `Any` in the place of one that can't be found, which is a fault."""
    try:
        return namespace.evaluate(parameter)
    except NameError as error:
        faults.append(f"{owner}: its {role} type can't be found ({error}); define or import it above the workflow.")
        return Any


def _blank_state(owner: str, state: Codec[Any], faults: list[str]) -> str:
    missing = required_fields(state.type)
    shown = type_name(state.type)
    faults += [
        f"{owner}: field '{name}' of its state {shown} has no default; a run starts from {shown}(), so give it one."
        for name in missing
    ]
    if missing:
        return ""
    try:
        return initial_state(state)
    except (*UNUSABLE, ValidationError, ValueMisfit, TypeError) as error:
        faults.append(
            f"{owner}: its state {shown} can't be made without arguments ({first_line(error)}); "
            "give every field a default that fits its type."
        )
        return ""


def match_faults(owner: str, transitions: Sequence[Transition], types: Types) -> Iterator[str]:
    """Yield paths of `Event(match=...)` that no run could ever have a value at."""
    for t in transitions:
        for path in t.event.match.values() if t.event else ():
            root, rest = path.split(".", 1)
            codec = types.args if root == "args" else types.state
            if codec is None:
                yield f"{owner}.{t.method}: at '{t.source}' it matches '{path}', but the workflow takes no args."
            elif missing := missing_key(codec.type, rest):
                yield (
                    f"{owner}.{t.method}: at '{t.source}' it matches '{path}', but {type_name(codec.type)} has no "
                    f"field '{missing}'; name a field as it is in JSON."
                )


def incomplete(definition: Definition) -> Iterator[str]:
    """Yield types of args and result that refer to names that aren't defined yet, or would lose something now that they are."""
    for role, codec in (("args", definition.args), ("result", definition.result)):
        if codec is not None and codec.complete():
            yield from lossy_faults(definition.workflow.__name__, role, codec)
        elif codec is not None:
            yield (
                f"{definition.workflow.__name__}: its {role} type {type_name(codec.type)} isn't fully defined; "
                "define or import what it refers to before the App is made."
            )


UNUSABLE = (PydanticUserError, PydanticUndefinedAnnotation)
"""The errors that Pydantic raises for a type that it can't validate, or not yet."""


def first_line(error: BaseException) -> str:
    """Return what went wrong, without Pydantic's advice for other cases."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def usable_codec(role: str, type_: Any, faults: list[str], where: str) -> Codec[Any] | None:
    """Return the codec of a type parameter, or a fault."""
    try:
        return codec_for(type_)
    except UNUSABLE as error:
        faults.append(
            f"{where}: its {role} type {type_name(type_)} can't be validated by Pydantic ({first_line(error)}); "
            "use a Pydantic model or a type that Pydantic knows."
        )
        return None


def required_fields(type_: Any) -> list[str]:
    """Return names of the fields without a default."""
    if not isinstance(type_, type):
        return []
    if issubclass(type_, BaseModel):
        return [name for name, field in type_.model_fields.items() if field.is_required()]
    if is_dataclass(type_):
        return [one.name for one in fields(type_) if one.default is MISSING and one.default_factory is MISSING]
    return sorted(getattr(type_, "__required_keys__", ())) if is_typeddict(type_) else []


def initial_state(codec: Codec[Any]) -> str:
    """Return `State()` as JSON: `{}` validated, else None, else the type called without arguments.

    Raises ValidationError or ValueMisfit where none of them is a state.
    """
    blanks: tuple[object, ...] = ({}, None)
    for blank in blanks:
        try:
            return codec.checked(blank)
        except (ValidationError, ValueMisfit):
            continue
    make = get_origin(codec.type) or codec.type
    return codec.checked(make() if isinstance(make, type) else {})


def state_varies(type_: Any) -> bool:
    """Return whether a default is made by a function other than a builtin type: a clock, a new id."""
    if not isinstance(type_, type):
        return False
    if issubclass(type_, BaseModel):
        return any(varies(one.default_factory) for one in type_.model_fields.values())
    return is_dataclass(type_) and any(varies(one.default_factory) for one in fields(type_))


def missing_key(type_: Any, path: str) -> str | None:
    """Return the first part of `path` if a model of that type never has it in its JSON; else None."""
    first = path.split(".", 1)[0]
    if not (isinstance(type_, type) and issubclass(type_, BaseModel)) or type_.model_config.get("extra") == "allow":
        return None
    keys = {field.serialization_alias or name for name, field in type_.model_fields.items()}
    return None if first in keys or issubclass(type_, RootModel) else first


@dataclass(frozen=True, slots=True)
class Namespace:
    """The names to which a class's annotations may refer."""

    globals: Mapping[str, Any]
    locals: Mapping[str, Any]

    def evaluate(self, annotation: Any, globalns: Mapping[str, Any] | None = None) -> Any:
        """Return the annotation with all its names resolved. Raises NameError (or what evaluating it raises)."""
        holder = SimpleNamespace(__annotations__={"it": annotation})
        return get_type_hints(holder, dict(globalns or self.globals), dict(self.locals), include_extras=True)["it"]


def namespace_of(cls: type, localns: Mapping[str, Any] | None = None) -> Namespace:
    """Return the namespace of the class: its module, `localns` (of the function around it), itself and its nested classes."""
    module = sys.modules.get(cls.__module__)
    nested = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    return Namespace(vars(module) if module else {}, {**(localns or {}), cls.__name__: cls, **nested})


def type_parameters(cls: type, root: type) -> tuple[Any, ...]:
    """Return the types bound to the type variables of `root` in `cls`, also through generic classes in between.

    An unbound variable counts as its default, or as its bound, or stays as it is.
    """
    return tuple(_closed(parameter) for parameter in _parameters(cls, root, {}))


def _parameters(cls: type, root: type, bound: Mapping[Any, Any]) -> tuple[Any, ...]:
    for base in get_original_bases(cls):
        origin = get_origin(base) or base
        given = tuple(_substituted(argument, bound) for argument in get_args(base))
        if origin is root:
            return given or _variables(root)
        if isinstance(origin, type) and issubclass(origin, root):
            return _parameters(origin, root, dict(zip(_variables(origin), given, strict=False)))
    raise TypeError(f"{cls!r} isn't a subclass of {root!r}")


def _variables(cls: type) -> tuple[Any, ...]:
    variables: tuple[Any, ...] = getattr(cls, "__parameters__", ())
    return variables


def _substituted(argument: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(argument, TypeVar):
        return bound.get(argument, argument)
    inner = tuple(bound.get(variable, variable) for variable in _variables(argument))
    return argument[inner] if inner and get_origin(argument) is not None else argument


def _closed(parameter: Any) -> Any:
    if not isinstance(parameter, TypeVar):
        return parameter
    default = getattr(parameter, "__default__", NoDefault)
    if default is not NoDefault:
        return default
    return parameter.__bound__ or parameter
