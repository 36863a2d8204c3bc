"""Turns a workflow class into one frozen Definition, and reports all its faults at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from stepwell.definition.checks import graph_faults, in_order
from stepwell.definition.codec import Codec
from stepwell.definition.fields import (
    UNUSABLE,
    first_line,
    initial_state,
    lossy_fields,
    required_fields,
    state_varies,
    type_name,
    usable_codec,
)
from stepwell.definition.generics import Namespace, namespace_of, type_parameters
from stepwell.definition.keywords import Keywords, description_of, keyword_faults, name_of, title_of
from stepwell.definition.marks import marked_methods
from stepwell.definition.model import END, Definition, Place, Transition
from stepwell.definition.transitions import collect, shape_of
from stepwell.errors import DefinitionError

if TYPE_CHECKING:
    from stepwell.definition.workflow import Workflow

RESERVED: Final = frozenset(
    "args state result documents info log step transaction start start_many emit".split()  # noqa: SIM905
)
"""What Workflow offers to its methods: a class may not use these names for its own."""


def compile_workflow(
    cls: type[Workflow[Any, Any, Any]],
    root: type,
    keywords: Keywords,
    localns: Mapping[str, Any] | None = None,
) -> Definition | None:
    """The class's Definition; None for a class without transitions, which is an abstract base.

    `root` is Workflow itself, `localns` are the names around the class statement. Raises DefinitionError with all
    faults of the class.
    """
    if not marked_methods(cls):
        return None
    faults: list[str] = []
    namespace = namespace_of(cls, localns)
    transitions = collect(cls, namespace, faults)
    places = _places(transitions)
    faults += graph_faults(cls.__name__, transitions, places)
    faults += [*_reserved(cls, root), *_constructor(cls), *keyword_faults(cls.__name__, keywords)]
    types = _types(cls, root, namespace, faults)
    if faults or types is None:
        raise DefinitionError(f"Workflow {cls.__name__}", faults)
    return _definition(cls, keywords, transitions, places, types)


def _definition(
    cls: type[Workflow[Any, Any, Any]],
    keywords: Keywords,
    transitions: Sequence[Transition],
    places: Mapping[str, Place],
    types: _Types,
) -> Definition:
    return Definition(
        workflow=cls,
        name=name_of(cls, keywords.name),
        title=title_of(cls, keywords.title),
        description=description_of(cls, keywords.description),
        version=keywords.version,
        args=types.args,
        state=types.state,
        result=types.result,
        initial_state=types.initial_state,
        places=places,
        transitions=tuple(transitions),
        run_timeout=keywords.run_timeout,
        on=keywords.on,
        priority=keywords.priority,
        ui=keywords.ui,
        state_varies=state_varies(types.state.type),
    )


def _places(transitions: Sequence[Transition]) -> Mapping[str, Place]:
    names = dict.fromkeys(t.source for t in transitions)
    places = {name: _place(name, [t for t in transitions if t.source == name]) for name in names}
    return MappingProxyType({**places, END: Place(END)})


def _place(name: str, leaving: Sequence[Transition]) -> Place:
    automatic = in_order([t for t in leaving if t.kind == "automatic"])
    waiting = tuple(t for t in leaving if t.kind != "automatic")
    return Place(name, automatic, waiting, MappingProxyType({t.name: t for t in leaving}))


def _reserved(cls: type, root: type) -> Iterator[str]:
    own = [owner for owner in cls.__mro__ if owner is not root and owner not in root.__mro__]
    for owner in own:
        for name in sorted(RESERVED & vars(owner).keys()):
            yield (
                f"{owner.__name__}.{name}: '{name}' is reserved, because it would hide self.{name} of Workflow; "
                f"choose another name, as in '{name}_order'."
            )


def _constructor(cls: type) -> Iterator[str]:
    parameters = inspect.signature(cls).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    fixed = [one.name for one in parameters if one.default is one.empty and one.kind not in variadic]
    if fixed:
        yield (
            f"{cls.__name__}.__init__: Stepwell makes an instance per transition without arguments, and it requires "
            f"{', '.join(fixed)}; take them from self.args, or inject them with Depends."
        )


@dataclass(frozen=True, slots=True)
class _Types:
    args: Codec[Any] | None
    state: Codec[Any]
    result: Codec[Any]
    initial_state: str


def _types(cls: type, root: type, namespace: Namespace, faults: list[str]) -> _Types | None:
    """The codecs of the type parameters; None where one of them is a fault."""
    named: list[Any] = []
    for role, parameter in zip(("args", "state", "result"), type_parameters(cls, root), strict=True):
        try:
            named.append(namespace.evaluate(parameter))
        except NameError as error:
            faults.append(f"{cls.__name__}: its {role} type can't be found ({error}); define it above the workflow.")
            return None
    args_type, state_type, result_type = named
    lossy = [*_lossy(cls.__name__, "args", args_type), *_lossy(cls.__name__, "state", state_type)]
    faults += lossy
    args = None if args_type is NoneType else usable_codec("args", args_type, faults, cls.__name__)
    state = usable_codec("state", state_type, faults, cls.__name__)
    result = usable_codec("result", result_type, faults, cls.__name__)
    if state is None or result is None:
        return None
    blank = _blank_state(cls.__name__, state, faults)
    return _Types(args, state, result, blank)


def _lossy(owner: str, role: str, type_: Any) -> Iterator[str]:
    for path, why in lossy_fields(type_):
        yield f"{owner}: {path} in its {role} {why}, so a run would lose it; keep it outside of {role}."


def _blank_state(owner: str, state: Codec[Any], faults: list[str]) -> str:
    missing = required_fields(state.type)
    faults += [
        f"{owner}: field '{name}' of its state {type_name(state.type)} has no default; a run starts from "
        f"{type_name(state.type)}(), so give it one."
        for name in missing
    ]
    if missing:
        return ""
    try:
        return initial_state(state)
    except (*UNUSABLE, ValidationError, PydanticSerializationError, TypeError) as error:
        faults.append(
            f"{owner}: its state {type_name(state.type)} can't be made without arguments ({first_line(error)}); "
            "give every field a default that fits its type."
        )
        return ""


def resolve_payloads(definition: Definition, localns: Mapping[str, Any] | None = None) -> Definition:
    """The definition with every payload type known; the same object if none was pending.

    An App calls it when it is made: by then the names that a class couldn't resolve at its creation are defined.
    Raises DefinitionError for those that still aren't, or that Pydantic can't validate.
    """
    if not any(t.payload_pending for t in definition.transitions):
        return definition
    faults: list[str] = []
    namespace = namespace_of(definition.workflow, localns)
    transitions = [_resolved(definition.workflow, t, namespace, faults) for t in definition.transitions]
    if faults:
        raise DefinitionError(f"Workflow {definition.workflow.__name__}", list(dict.fromkeys(faults)))
    return replace(definition, transitions=tuple(transitions), places=_places(transitions))


def _resolved(cls: type, t: Transition, namespace: Namespace, faults: list[str]) -> Transition:
    if not t.payload_pending:
        return t
    where = f"{cls.__name__}.{t.method}"
    shape = shape_of(where, getattr(cls, t.method), t.kind, namespace, faults)
    if shape.pending:
        faults.append(
            f"{where}: the type of one of its parameters can't be found; import it where the class is defined."
        )
    return replace(t, payload=shape.payload, payload_pending=False, injected=shape.injected)
