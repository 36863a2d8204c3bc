"""The type parameters of a workflow: resolved, judged, and made into codecs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from stepwell.definition.codec import Codec
from stepwell.definition.fields import (
    UNUSABLE,
    first_line,
    initial_state,
    lossy_fields,
    missing_key,
    required_fields,
    state_varies,
    type_name,
    usable_codec,
)
from stepwell.definition.generics import Namespace, type_parameters
from stepwell.definition.model import Definition, Transition


@dataclass(frozen=True, slots=True)
class Types:
    """The codecs of Args, State and Result, and `State()` as JSON."""

    args: Codec[Any] | None
    state: Codec[Any]
    result: Codec[Any]
    initial_state: str
    state_varies: bool


def resolve_types(cls: type, root: type, namespace: Namespace, faults: list[str]) -> Types | None:
    """The class's Types; None, and the reason in `faults`, where one of the types can't be used at all."""
    owner = cls.__name__
    named = [
        _named(owner, role, parameter, namespace, faults)
        for role, parameter in zip(("args", "state", "result"), type_parameters(cls, root), strict=True)
    ]
    args_type, state_type, result_type = named
    faults += [*_lossy(owner, "args", args_type), *_lossy(owner, "state", state_type)]
    args = None if args_type is NoneType else usable_codec("args", args_type, faults, owner)
    state = usable_codec("state", state_type, faults, owner)
    result = usable_codec("result", result_type, faults, owner)
    if state is None or result is None:
        return None
    return Types(args, state, result, _blank_state(owner, state, faults), state_varies(state.type))


def _named(owner: str, role: str, parameter: Any, namespace: Namespace, faults: list[str]) -> Any:
    """The parameter with its names resolved; `Any` in the place of one that can't be found, which is a fault."""
    try:
        return namespace.evaluate(parameter)
    except NameError as error:
        faults.append(f"{owner}: its {role} type can't be found ({error}); define or import it above the workflow.")
        return Any


def _lossy(owner: str, role: str, type_: Any) -> Iterator[str]:
    for path, why in lossy_fields(type_):
        yield f"{owner}: {path} in its {role} {why}, so a run would lose it; leave it out of the {role}."


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
    except (*UNUSABLE, ValidationError, PydanticSerializationError, TypeError) as error:
        faults.append(
            f"{owner}: its state {shown} can't be made without arguments ({first_line(error)}); "
            "give every field a default that fits its type."
        )
        return ""


def match_faults(owner: str, transitions: Sequence[Transition], types: Types) -> Iterator[str]:
    """Paths of `Event(match=...)` that no run could ever have a value at."""
    for t in transitions:
        for path in t.event.match.values() if t.event else ():
            root, rest = path.split(".", 1)
            codec = types.args if root == "args" else types.state
            if codec is None:
                yield f"{owner}.{t.method}: at '{t.source}' it matches '{path}', but the workflow takes no args."
            elif missing_key(codec.type, rest):
                yield (
                    f"{owner}.{t.method}: at '{t.source}' it matches '{path}', but {type_name(codec.type)} has no "
                    f"field '{missing_key(codec.type, rest)}'; name a field as it is in JSON."
                )


def incomplete(definition: Definition) -> Iterator[str]:
    """Types of args and result that refer to names that aren't defined yet."""
    for role, codec in (("args", definition.args), ("result", definition.result)):
        if codec is not None and not codec.complete():
            yield (
                f"{definition.workflow.__name__}: its {role} type {type_name(codec.type)} isn't fully defined; "
                "define or import what it refers to before the App is made."
            )
