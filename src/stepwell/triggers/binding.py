"""What a handler is called with: by the name or the annotation of each of its parameters, or by FastDepends."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin

from typing_extensions import Format, get_annotations

from stepwell.definition.generics import Namespace
from stepwell.definition.methods import is_foreign, is_injected
from stepwell.execution.threads import Threads
from stepwell.runner.blocking import BlockingRunner
from stepwell.runner.runner import WorkflowRunner
from stepwell.triggers.event import WebhookEvent
from stepwell.triggers.tick import Tick

Roles = Mapping[str, tuple[type, ...]]
"""What there is to give, by the name of the parameter that takes it, with the annotations that also ask for it."""

TICK_ROLES: Final[Roles] = {"runner": (WorkflowRunner, BlockingRunner), "tick": (Tick,)}
DELIVERY_ROLES: Final[Roles] = {"event": (WebhookEvent,), "runner": (WorkflowRunner, BlockingRunner)}

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Binding:
    """A handler whose parameters are known."""

    handler: Callable[..., Any]
    filled: Mapping[str, str]
    """Parameters by name, each with the role that fills it."""
    injected: bool
    asynchronous: bool

    async def call(self, given: Mapping[str, Any], threads: Threads) -> None:
        """The handler has run: on the loop, or in a thread of Stepwell's if it is a plain `def`."""
        values = {name: given[role] for name, role in self.filled.items()}
        if self.injected:
            await _injected(self.handler, self.asynchronous, threads)(**values)
        elif self.asynchronous:
            await self.handler(**values)
        else:
            await threads.run(self.handler, **values)


def bind(handler: Callable[..., Any], roles: Roles) -> tuple[Binding, list[str]]:
    """The binding, and every parameter that nothing could fill."""
    faults = [*_function_faults(handler)]
    filled: dict[str, str] = {}
    injected = False
    for parameter, hint in _parameters(handler, faults):
        markers = (parameter.default, *_extras(hint))
        role = _role(parameter.name, hint, roles)
        if any(is_injected(marker) for marker in markers):
            injected = True
        elif any(is_foreign(marker) for marker in markers):
            faults.append(f"its parameter '{parameter.name}' is marked with FastAPI's Depends; {_CURE}.")
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            faults.append(f"its parameter '{parameter.name}' is positional-only; leave out the '/'.")
        elif role is not None:
            filled[parameter.name] = role
        elif parameter.default is inspect.Parameter.empty:
            faults.append(f"nothing fills its parameter '{parameter.name}'; it takes {_takes(roles)}, or {_CURE}.")
    return Binding(handler, filled, injected, _is_asynchronous(handler)), faults


_CURE: Final = "annotate it Annotated[..., Depends(...)] with `from stepwell import Depends`"


def _takes(roles: Roles) -> str:
    return " and ".join(f"`{name}: {types[0].__name__}`" for name, types in roles.items())


def _role(name: str, hint: Any, roles: Roles) -> str | None:
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    by_type = next((role for role, types in roles.items() if bare in types), None)
    return by_type or (name if name in roles else None)


def _extras(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _parameters(handler: Callable[..., Any], faults: list[str]) -> Iterator[tuple[inspect.Parameter, Any]]:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        faults.append("its parameters can't be read; give a function written with def or async def.")
        return
    plain = _function(handler)
    annotations = get_annotations(plain, format=Format.FORWARDREF)
    namespace = Namespace(getattr(plain, "__globals__", {}), {})
    given = handler.keywords if isinstance(handler, functools.partial) else {}
    for parameter in signature.parameters.values():
        if parameter.kind not in _VARIADIC and parameter.name not in given:
            yield parameter, _hint(annotations.get(parameter.name, Any), namespace)


def _hint(annotation: Any, namespace: Namespace) -> Any:
    try:
        return namespace.evaluate(annotation)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return None  # imported for type checkers only: the parameter's name says what it is


def _function(handler: Callable[..., Any]) -> Any:
    plain = inspect.unwrap(handler)
    while isinstance(plain, functools.partial):
        plain = plain.func
    return plain if inspect.isroutine(plain) else type(plain).__call__


def _is_asynchronous(handler: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(_function(handler))


def _function_faults(handler: Callable[..., Any]) -> Iterator[str]:
    plain = _function(handler)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        yield "it contains yield, so calling it runs nothing; leave out yield."


@functools.lru_cache(maxsize=1024)
def _injected(handler: Callable[..., Any], asynchronous: bool, threads: Threads) -> Callable[..., Any]:
    """Wrapped once; dependencies are resolved on the loop for plain `def` too."""
    from fast_depends import inject

    if asynchronous:
        return inject(handler, cast=False)

    @functools.wraps(handler)
    async def on_the_loop(*args: Any, **kwargs: Any) -> Any:
        return await threads.run(handler, *args, **kwargs)

    return inject(on_the_loop, cast=False)
