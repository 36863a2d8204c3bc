"""Compile a workflow class into one frozen Definition, and report all its faults at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from stepwell.definition.authoring.marks import (
    END,
    Keywords,
    decorators_without_method,
    marked_methods,
)
from stepwell.definition.compile.checks import graph_faults, in_order
from stepwell.definition.compile.limits import debounced_by, limit_faults, path_faults, rules_of
from stepwell.definition.compile.options import keyword_faults, place
from stepwell.definition.compile.results import result_faults
from stepwell.definition.compile.transitions import collect, named, shape_of
from stepwell.definition.compile.types import Namespace, Types, incomplete, match_faults, namespace_of, resolve_types
from stepwell.definition.compile.versions import migration_faults, migrations_of, rename_faults, renamed_of
from stepwell.definition.forms.fitting import schema_faults
from stepwell.definition.forms.ui import widget_faults
from stepwell.definition.model import Definition, Place, Transition
from stepwell.definition.text import workflow_name
from stepwell.definition.values.codec import lossy_faults
from stepwell.errors import DefinitionError
from stepwell.nearest import UnknownKeyword

LATER: Final = frozenset({"progress", "stream", "now"})
"""Names that Workflow will offer to its methods: classes that use none of them fit a later version."""
RESERVED: Final = LATER | frozenset(
    "args state result documents info log step undo transaction start start_many children emit".split()  # noqa: SIM905
)
"""The names that Workflow offers to its methods, or will: a class may not use them for its own."""


def compile_workflow(
    cls: type,
    root: type,
    keywords: Keywords,
    localns: Mapping[str, Any] | None = None,
    unknown: Sequence[str] = (),
) -> Definition | None:
    """Return the class's Definition; None for a class without transitions, which is an abstract base.

    `root` is Workflow itself, `localns` are the names around the class statement, `unknown` are the faults of
    keywords that don't exist. Raises DefinitionError with all faults of the class.
    """
    refused = UnknownKeyword if unknown else DefinitionError
    faults = [
        *unknown,
        *(
            f"{cls.__name__}.{name} is a transition(...) that decorates no method; "
            "write it as @transition(...) above a method."
            for name in decorators_without_method(cls)
        ),
    ]
    if not marked_methods(cls):
        if faults:
            raise refused(f"Workflow {cls.__name__}", faults)
        return None
    namespace = namespace_of(cls, localns)
    transitions = collect(cls, namespace, faults)
    places = _places(transitions)
    faults += graph_faults(cls.__name__, transitions, places, keywords.on_cancel)
    faults += [*_reserved(cls, root), *_constructor(cls), *keyword_faults(cls.__name__, keywords)]
    faults += limit_faults(cls.__name__, keywords)
    faults += [*migration_faults(cls, keywords.version), *rename_faults(cls.__name__, transitions)]
    faults += widget_faults(cls.__name__, keywords.ui, places)
    faults += _payload_faults(cls.__name__, transitions)
    types = resolve_types(cls, root, namespace, faults)
    faults += match_faults(cls.__name__, transitions, types) if types else ()
    faults += path_faults(cls.__name__, keywords, types.args) if types else ()
    faults += schema_faults(cls.__name__, "args", types.args) if types else ()
    faults += result_faults(cls, transitions, types.result, namespace) if types else ()
    if faults or types is None:
        raise refused(f"Workflow {cls.__name__}", _once(faults))
    return _definition(cls, keywords, transitions, places, types)


def _payload_faults(owner: str, transitions: Sequence[Transition]) -> Iterator[str]:
    """Yield the faults of payloads' fields (values that would be lost) and of their widgets."""
    for t in transitions:
        if t.payload is not None:
            yield from lossy_faults(f"{owner}.{t.method}", "payload", t.payload.codec)
            yield from schema_faults(f"{owner}.{t.method}", "payload", t.payload.codec)


def _once(faults: Sequence[str]) -> list[str]:
    # One method may come several times, once per decorator: each of its faults is reported once.
    return list(dict.fromkeys(faults))


def _definition(
    cls: type,
    keywords: Keywords,
    transitions: Sequence[Transition],
    places: Mapping[str, Place],
    types: Types,
) -> Definition:
    name = workflow_name(cls.__name__)
    own = inspect.cleandoc(cls.__doc__ or "").split("\n\n", 1)[0]
    return Definition(
        workflow=cls,
        name=keywords.name or name,
        title=keywords.title or name.replace("_", " ").strip().capitalize(),
        description=" ".join(own.split()) if keywords.description is None else keywords.description,
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
        limits=rules_of(keywords),
        debounce=debounced_by(keywords),
        expires=keywords.expires,
        on_cancel=None if keywords.on_cancel is None else place(keywords.on_cancel),
        subject=keywords.subject,
        timed=frozenset(name for name, one in places.items() if one.timed),
        migrations=migrations_of(cls),
        renamed=renamed_of(transitions),
    )


def _listening(transitions: Sequence[Transition]) -> tuple[Transition, ...]:
    return tuple(t for t in transitions if t.kind == "event")


def _places(transitions: Sequence[Transition]) -> Mapping[str, Place]:
    places = {}
    for name in dict.fromkeys(t.source for t in transitions):
        leaving = [t for t in transitions if t.source == name]
        automatic = in_order([t for t in leaving if t.kind == "automatic"])
        waiting = tuple(t for t in leaving if t.kind != "automatic")
        timed = tuple(t for t in waiting if t.due is not None or t.ask is not None)
        places[name] = Place(name, automatic, waiting, MappingProxyType({t.name: t for t in leaving}), timed)
    return MappingProxyType({**places, END: Place(END)})


def _reserved(cls: type, root: type) -> Iterator[str]:
    own = [owner for owner in cls.__mro__ if owner is not root and owner not in root.__mro__]
    for owner in own:
        for name in sorted(RESERVED & vars(owner).keys()):
            why = "it would hide" if name not in LATER else "a later version has"
            yield (
                f"{owner.__name__}.{name}: '{name}' is reserved, because {why} self.{name} of Workflow; "
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
    """Return the definition with every type known; the same object if no payload was pending.

    An App calls it when it is made: by then the names that a class couldn't resolve at its creation are defined.
    Raises DefinitionError for those that still aren't, or that Pydantic can't validate.
    """
    namespace = namespace_of(definition.workflow, localns)
    returned = result_faults(definition.workflow, definition.transitions, definition.result, namespace)
    faults = [*incomplete(definition), *returned]
    # The type of the args may have been incomplete when the class was made.
    keywords: Keywords = definition.workflow.stepwell_keywords
    faults += path_faults(definition.workflow.__name__, keywords, definition.args)
    if not faults and not any(t.payload_pending for t in definition.transitions):
        return definition
    transitions = [_resolved(definition.workflow, t, namespace, faults) for t in definition.transitions]
    places = _places(transitions)
    if not faults:
        faults += _payload_faults(definition.workflow.__name__, transitions)
        faults += widget_faults(definition.workflow.__name__, definition.ui, places)
    if faults:
        raise DefinitionError(f"Workflow {definition.workflow.__name__}", _once(faults))
    return replace(definition, transitions=tuple(transitions), places=places, listening=_listening(transitions))


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
