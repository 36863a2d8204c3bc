"""From the marks of a class to its transitions, with the faults of each method on its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import FunctionType
from typing import Any

from stepwell.definition.event import Event
from stepwell.definition.fields import UNUSABLE, first_line, type_name
from stepwell.definition.generics import Namespace
from stepwell.definition.marks import Mark, marked_methods
from stepwell.definition.methods import Parameter, parameters_of, payload_of
from stepwell.definition.model import END, Kind, Payload, Transition
from stepwell.definition.options import kind_of, option_faults, place, sources_of
from stepwell.definition.retry import Retry


@dataclass(frozen=True, slots=True)
class Shape:
    """What a method's signature says to one kind of transition."""

    payload: Payload | None = None
    pending: bool = False
    injected: bool = False


def collect(cls: type, namespace: Namespace, faults: list[str]) -> list[Transition]:
    """The transitions of the class in order of declaration, one per mark and source.

    What is wrong with a mark or a method goes to `faults`; the transition is made all the same where that is possible,
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
            shape = Shape() if wrong else shape_of(where, value, kind_of(mark), namespace, faults)
            made = partial(_transition, cls, method, value, mark, shape)
            transitions += [made(source, next(order)) for source in sources_of(mark) if source != END]
    return transitions


def named(cls: type, method: str, sources: Sequence[str]) -> str:
    """How a fault begins: class, method and places."""
    return f"{cls.__name__}.{method}" + (f" at {' and '.join(repr(one) for one in sources)}" if sources else "")


def _transition(cls: type, method: str, function: Any, mark: Mark, shape: Shape, source: str, order: int) -> Transition:
    kind = kind_of(mark)
    guard = _guard(cls, mark.when) if kind == "automatic" else None
    return Transition(
        name=mark.name if isinstance(mark.name, str) and mark.name else method,
        method=method,
        source=source,
        target=place(mark.target) if isinstance(mark.target, str) and mark.target else END,
        kind=kind,
        order=order,
        keep=bool(mark.keep),
        after=mark.after,
        event=mark.on if isinstance(mark.on, Event) else None,
        guard=guard,
        guard_name=guard and _guard_name(guard),
        priority=mark.priority if isinstance(mark.priority, int) else None,
        retry=mark.retry if isinstance(mark.retry, Retry) else None,
        retry_target=_route(mark.retry_target),
        error_place=_route(mark.error_place),
        timeout=mark.timeout,
        payload=shape.payload,
        payload_pending=shape.pending,
        asynchronous=_is_asynchronous(function),
        injected=shape.injected,
    )


def _is_asynchronous(function: Any) -> bool:
    """Also for a plain wrapper around an async method: what it returns is then awaited on the loop."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))


def _route(given: Any) -> str | None:
    return place(given) if isinstance(given, str) and given else None


def _guard(cls: type, when: Any) -> Callable[[Any], Any] | None:
    """The guard, or the subclass's override of it: `when=is_large` names the method as it is at the base."""
    if not callable(when):
        return None
    name = getattr(when, "__name__", "")
    if any(vars(owner).get(name) is when for owner in cls.__mro__):
        override: Callable[[Any], Any] = getattr(cls, name)
        return override
    guard: Callable[[Any], Any] = when
    return guard


def _guard_name(guard: Callable[[Any], Any]) -> str:
    return getattr(guard, "__name__", None) or type(guard).__name__


def _function_faults(where: str, value: Any) -> Iterator[str]:
    if not isinstance(value, FunctionType):
        yield f"{where}: a transition is a plain method, not a {type(value).__name__}; write def or async def."
    elif inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        yield f"{where}: it contains yield, so calling it runs nothing; leave out yield."
    elif not inspect.signature(value).parameters:
        yield f"{where}: it takes no parameters; a transition is a method, so its first parameter is self."


def shape_of(where: str, function: Callable[..., Any], kind: Kind, namespace: Namespace, faults: list[str]) -> Shape:
    """What the method takes. Automatic and timer methods have no payload; a parameter that nothing fills is a fault."""
    parameters = parameters_of(function, namespace)
    injected = any(one.injected for one in parameters)
    faults += [_foreign(where, one.name) for one in parameters if one.foreign]
    free = [one for one in parameters if not (one.injected or one.foreign)]
    if kind in ("automatic", "timer"):
        faults += [_unfilled(where, kind, one) for one in free if one.required and one.resolved]
        return Shape(pending=any(one.required and not one.resolved for one in free), injected=injected)
    faults += [_surplus(where, one) for one in free[1:] if one.required]
    return _payload_shape(where, free, injected, faults)


def _payload_shape(where: str, free: list[Parameter], injected: bool, faults: list[str]) -> Shape:
    if not free:
        return Shape(injected=injected)
    if free[0].positional_only:
        faults.append(f"{where}: its payload '{free[0].name}' is positional-only; leave out the slash.")
    if not free[0].resolved:
        return Shape(pending=True, injected=injected)
    try:
        payload = payload_of(free[0])
        return Shape(payload, pending=not payload.codec.complete(), injected=injected)
    except UNUSABLE as error:
        faults.append(_unusable(where, free[0], error))
        return Shape(injected=injected)


def _unusable(where: str, parameter: Parameter, error: BaseException) -> str:
    return (
        f"{where}: its payload '{parameter.name}' is a {type_name(parameter.hint)}, which Pydantic can't validate "
        f"({first_line(error)}); use a Pydantic model or a type that Pydantic knows."
    )


def _unfilled(where: str, kind: Kind, parameter: Parameter) -> str:
    article = "an automatic" if kind == "automatic" else "a timer"
    return (
        f"{where}: nothing fills '{parameter.name}', because {article} transition has no payload; "
        f"annotate it Annotated[..., Depends(...)], or add wait=True."
    )


def _surplus(where: str, parameter: Parameter) -> str:
    return (
        f"{where}: nothing fills '{parameter.name}', because the payload is the first parameter; "
        "put both into one model, or annotate it Annotated[..., Depends(...)]."
    )


def _foreign(where: str, name: str) -> str:
    return f"{where}: '{name}' is marked with FastAPI's Depends; use `from stepwell import Depends`."
