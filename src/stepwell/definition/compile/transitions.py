"""The transitions of a class, made from its marks, with the faults of each method and of its parameters."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, is_dataclass, replace
from functools import partial
from itertools import count
from types import FunctionType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import Format, get_annotations, is_typeddict

from stepwell.definition.authoring.asks import WORKED_OUT, Ask
from stepwell.definition.authoring.context import Signal
from stepwell.definition.authoring.marks import END, Event, Mark, Retry, marked_methods
from stepwell.definition.compile.options import guard_name, kind_of, old_names, option_faults, place, sources_of
from stepwell.definition.compile.types import UNUSABLE, Namespace, first_line
from stepwell.definition.model import Kind, Payload, Transition
from stepwell.definition.text import type_name
from stepwell.definition.values.codec import codec_for


@dataclass(frozen=True, slots=True)
class MethodShape:
    """The parameters of a method, as one kind of transition uses them."""

    payload: Payload | None = None
    pending: bool = False
    injected: bool = False


def collect(cls: type, namespace: Namespace, faults: list[str]) -> list[Transition]:
    """Return the transitions of the class in order of declaration, one per mark and source.

    Faults of a mark or a method are added to `faults`; the transition is made anyway where that is possible,
    so that the rules of the graph don't report what isn't so.
    """
    order = count()
    transitions: list[Transition] = []
    for method, (value, marks) in marked_methods(cls).items():
        wrong = [*_function_faults(f"{cls.__name__}.{method}", value)]
        faults += wrong
        for mark in marks:
            where = named(cls, method, sources_of(mark))
            faults += [f"{where}: {fault}" for fault in option_faults(mark)]
            shape = MethodShape() if wrong else shape_of(where, value, kind_of(mark), namespace, faults)
            made = partial(_transition, cls, method, value, mark, shape)
            transitions += [made(source, next(order)) for source in sources_of(mark) if source != END]
    return transitions


def named(cls: type, method: str, sources: Sequence[str]) -> str:
    """Return the beginning of a fault: class, method and places."""
    return f"{cls.__name__}.{method}" + (f" at {' and '.join(repr(one) for one in sources)}" if sources else "")


def _transition(
    cls: type, method: str, function: Any, mark: Mark, shape: MethodShape, source: str, order: int
) -> Transition:
    kind = kind_of(mark)
    guard = _method(cls, mark.when) if kind == "automatic" else None
    due = _method(cls, mark.after) if kind == "timer" else None
    return Transition(
        name=mark.name if isinstance(mark.name, str) and mark.name else method,
        method=method,
        source=source,
        target=place(mark.target) if isinstance(mark.target, str) and mark.target else END,
        kind=kind,
        order=order,
        keep=bool(mark.keep),
        after=None if due else mark.after,
        due=due,
        due_name=due and guard_name(due),
        event=mark.on if isinstance(mark.on, Event) else None,
        guard=guard,
        guard_name=guard and guard_name(guard),
        priority=mark.priority if isinstance(mark.priority, int) else None,
        retry=mark.retry if isinstance(mark.retry, Retry) else None,
        retry_target=_route(mark.retry_target),
        error_place=_route(mark.error_place),
        timeout=mark.timeout,
        payload=shape.payload,
        payload_pending=shape.pending,
        # A plain wrapper around an async method is async too: its result is awaited on the loop.
        asynchronous=any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function)))),
        injected=shape.injected,
        was=old_names(mark),
        ask=_ask(cls, mark.ask) if kind == "signal" and isinstance(mark.ask, Ask) else None,
    )


def _route(given: Any) -> str | None:
    return place(given) if isinstance(given, str) and given else None


def _method(cls: type, given: Any) -> Callable[[Any], Any] | None:
    """Return what is called, or the subclass's override of it: `when=is_large` names the method of the base."""
    if not callable(given):
        return None
    name = getattr(given, "__name__", "")
    if any(vars(owner).get(name) is given for owner in cls.__mro__):
        override: Callable[[Any], Any] = getattr(cls, name)
        return override
    own: Callable[[Any], Any] = given
    return own


def _ask(cls: type, given: Ask) -> Ask:
    """Return the question with the methods that are called for it: overrides of a subclass, where there are some."""
    changes: dict[str, Any] = {}
    for name in WORKED_OUT:
        method = _method(cls, getattr(given, name))
        if method is not None:
            changes[name] = method
    return replace(given, **changes)


def _function_faults(where: str, value: Any) -> Iterator[str]:
    if not isinstance(value, FunctionType):
        yield f"{where}: a transition is a plain method, not a {type(value).__name__}; write def or async def."
    elif inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        yield f"{where}: it contains yield, so calling it runs nothing; leave out yield."
    elif not inspect.signature(value).parameters:
        yield f"{where}: it takes no parameters; a transition is a method, so its first parameter is self."


def shape_of(
    where: str, function: Callable[..., Any], kind: Kind, namespace: Namespace, faults: list[str]
) -> MethodShape:
    """Return the shape of the method. Automatic and timer methods have no payload; a parameter that nothing fills is a fault."""
    parameters = parameters_of(function, namespace)
    injected = any(one.injected for one in parameters)
    faults += [
        f"{where}: '{one.name}' is marked with FastAPI's Depends; use `from stepwell import Depends`."
        for one in parameters
        if one.foreign
    ]
    free = [one for one in parameters if not (one.injected or one.foreign)]
    if kind in ("automatic", "timer"):
        article = "an automatic" if kind == "automatic" else "a timer"
        faults += [
            f"{where}: nothing fills '{one.name}', because {article} transition has no payload; "
            "annotate it Annotated[..., Depends(...)], or add wait=True."
            for one in free
            if one.required and one.resolved
        ]
        return MethodShape(pending=any(one.required and not one.resolved for one in free), injected=injected)
    faults += [
        f"{where}: nothing fills '{one.name}', because the payload is the first parameter; "
        "put both into one model, or annotate it Annotated[..., Depends(...)]."
        for one in free[1:]
        if one.required
    ]
    return _payload_shape(where, free, injected, faults)


def _payload_shape(where: str, free: list[Parameter], injected: bool, faults: list[str]) -> MethodShape:
    if not free:
        return MethodShape(injected=injected)
    if free[0].positional_only:
        faults.append(f"{where}: its payload '{free[0].name}' is positional-only; leave out the slash.")
    if not free[0].resolved:
        return MethodShape(pending=True, injected=injected)
    try:
        payload = payload_of(free[0])
        return MethodShape(payload, pending=not payload.codec.complete(), injected=injected)
    except UNUSABLE as error:
        faults.append(
            f"{where}: its payload '{free[0].name}' is a {type_name(free[0].hint)}, which Pydantic can't validate "
            f"({first_line(error)}); use a Pydantic model or a type that Pydantic knows."
        )
        return MethodShape(injected=injected)


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
    """Return the parameters after `self`, `*args` and `**kwargs` left out."""
    declared = list(inspect.signature(function).parameters.values())[1:]
    hints = resolved_hints(function, namespace)
    return [parameter_of(one, hints) for one in declared if one.kind not in _VARIADIC]


def resolved_hints(function: Callable[..., Any], namespace: Namespace) -> dict[str, Any]:
    """Return the annotations whose names are known; what was resolved once is remembered on the function.

    Remembering lets a subclass made elsewhere inherit a method whose types are local to another function.
    """
    plain = inspect.unwrap(function)
    known: dict[str, Any] = dict(getattr(plain, _HINTS, {}))
    globalns = getattr(plain, "__globals__", None)
    for name, annotation in get_annotations(plain, format=Format.FORWARDREF).items():
        if name not in known:
            with suppress(NameError, AttributeError, TypeError, SyntaxError):
                known[name] = namespace.evaluate(annotation, globalns)
    plain.__dict__[_HINTS] = known
    return known


def parameter_of(declared: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    """Return what is declared of a parameter, and who fills it; `hints` are the annotations whose names are known."""
    bare = declared.annotation is inspect.Parameter.empty
    hint = Any if bare else hints.get(declared.name)
    markers = (declared.default, *(get_args(hint)[1:] if get_origin(hint) is Annotated else ()))
    return Parameter(
        name=declared.name,
        hint=hint,
        resolved=bare or declared.name in hints,
        injected=any(_is_injected(marker) for marker in markers),
        foreign=any(type(marker).__module__ == "fastapi.params" for marker in markers),
        required=declared.default is inspect.Parameter.empty,
        positional_only=declared.kind is inspect.Parameter.POSITIONAL_ONLY,
    )


def _is_injected(marker: object) -> bool:
    """Return whether it is the result of FastDepends' `Depends(...)` (or one of its custom fields), which fills it (rule 40).

    FastDepends isn't imported for it: unless it has been imported already, there is no marker.
    """
    for module, name in (("dependencies.model", "Dependant"), ("library.model", "CustomField")):
        loaded = sys.modules.get(f"fast_depends.{module}")
        if loaded is not None and isinstance(marker, getattr(loaded, name)):
            return True
    return False


def payload_of(parameter: Parameter) -> Payload:
    """Return the payload that a resolved parameter takes. Raises what Pydantic raises for a type that it can't validate."""
    bare = _bare(parameter.hint)
    envelope = bare is Signal or get_origin(bare) is Signal
    data = (get_args(bare) or (Any,))[0] if envelope else parameter.hint
    codec = codec_for(data)
    origin = get_origin(_bare(data)) or _bare(data)
    model = isinstance(origin, type) and (issubclass(origin, BaseModel) or is_dataclass(origin) or is_typeddict(origin))
    return Payload(parameter.name, codec, envelope, optional=not model)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
