"""Turns a workflow class into one frozen Definition, and reports all its faults at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from stepwell.definition.checks import graph_faults, in_order
from stepwell.definition.fitting import schema_faults
from stepwell.definition.generics import Namespace, namespace_of
from stepwell.definition.keywords import Keywords, description_of, keyword_faults, name_of, title_of
from stepwell.definition.marks import marked_methods
from stepwell.definition.model import END, Definition, Place, Transition
from stepwell.definition.parameters import Types, incomplete, match_faults, resolve_types
from stepwell.definition.transitions import collect, named, shape_of
from stepwell.definition.ui import widget_faults
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
    faults += widget_faults(cls.__name__, keywords.ui, places)
    faults += _payload_faults(cls.__name__, transitions)
    types = resolve_types(cls, root, namespace, faults)
    faults += match_faults(cls.__name__, transitions, types) if types else ()
    faults += schema_faults(cls.__name__, "args", types.args) if types else ()
    if faults or types is None:
        raise _error(cls, faults)
    return _definition(cls, keywords, transitions, places, types)


def _payload_faults(owner: str, transitions: Sequence[Transition]) -> Iterator[str]:
    """What is wrong with the widgets of payloads' fields."""
    for t in transitions:
        if t.payload is not None:
            yield from schema_faults(f"{owner}.{t.method}", "payload", t.payload.codec)


def _error(cls: type, faults: Sequence[str]) -> DefinitionError:
    # One method may come several times, once per decorator: each of its faults is told once.
    return DefinitionError(f"Workflow {cls.__name__}", list(dict.fromkeys(faults)))


def _definition(
    cls: type[Workflow[Any, Any, Any]],
    keywords: Keywords,
    transitions: Sequence[Transition],
    places: Mapping[str, Place],
    types: Types,
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
        listening=_listening(transitions),
        state_varies=types.state_varies,
    )


def _listening(transitions: Sequence[Transition]) -> tuple[Transition, ...]:
    return tuple(t for t in transitions if t.kind == "event")


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


def resolve_payloads(definition: Definition, localns: Mapping[str, Any] | None = None) -> Definition:
    """The definition with every type known; the same object if no payload was pending.

    An App calls it when it is made: by then the names that a class couldn't resolve at its creation are defined.
    Raises DefinitionError for those that still aren't, or that Pydantic can't validate.
    """
    faults = [*incomplete(definition)]
    if not faults and not any(t.payload_pending for t in definition.transitions):
        return definition
    namespace = namespace_of(definition.workflow, localns)
    transitions = [_resolved(definition.workflow, t, namespace, faults) for t in definition.transitions]
    places = _places(transitions)
    if not faults:
        faults += _payload_faults(definition.workflow.__name__, transitions)
        faults += widget_faults(definition.workflow.__name__, definition.ui, places)
    if faults:
        raise _error(definition.workflow, faults)
    return replace(
        definition,
        transitions=tuple(transitions),
        places=places,
        listening=_listening(transitions),
    )


def _resolved(cls: type, t: Transition, namespace: Namespace, faults: list[str]) -> Transition:
    if not t.payload_pending:
        return t
    where = named(cls, t.method, [t.source])
    shape = shape_of(where, getattr(cls, t.method), t.kind, namespace, faults)
    if shape.pending:
        faults.append(
            f"{where}: the type of one of its parameters can't be found; import it where the class is defined."
        )
    return replace(t, payload=shape.payload, payload_pending=False, injected=shape.injected)
