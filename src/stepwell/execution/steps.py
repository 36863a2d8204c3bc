"""Calling the function of a step, and the value that is kept of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, get_type_hints

from pydantic import ValidationError

from stepwell.definition.values.codec import Codec, codec_for, in_json, lossy_faults
from stepwell.definition.values.inputs import bounded, summary
from stepwell.definition.values.misfit import ValueMisfit
from stepwell.errors import DefinitionError, NonRetryable, StepwellError
from stepwell.execution.shared import Body, Shared

T = TypeVar("T")
_RETURN_CODECS: dict[Any, Codec[Any]] = {}


def check_kept(name: str, codec: Codec[Any], fn: Callable[..., Any]) -> None:
    """Raise DefinitionError where the type of a step can't keep what its function returns: before it is called."""
    if lost := [*lossy_faults(getattr(fn, "__name__", repr(fn)), "return type", codec)]:
        raise DefinitionError(f"The step {name!r}", lost)


async def kept(
    shared: Shared, name: str, codec: Codec[T], body: Body, begun: Callable[[], None] | None = None
) -> tuple[str, T]:
    """Return what the step's function returned as JSON, and what that loads as.

    Raises DefinitionError before it is called, where its type can't keep what it returns; else NonRetryable: it has run,
    and another attempt would only do it again. `begun` is called when a thread takes it.
    """
    check_kept(name, codec, body.fn)
    value = await call(shared, body, begun)
    try:
        text, loaded = codec.kept(in_json(value) if codec.type is Any else value)
    except (ValidationError, ValueMisfit) as error:
        raise NonRetryable(f"What the step {name!r} returned can't be kept: {summary(error)}") from error
    return bounded(text, shared.limits.payload, f"What the step {name!r} returned"), loaded


async def call(shared: Shared, body: Body, begun: Callable[[], None] | None = None) -> Any:
    """Return what a function returned: awaited on the loop if it is async, else called in a thread of Stepwell's."""
    fn, args, kwargs = body
    if is_async(fn):
        return await fn(*args, **kwargs)
    value = await shared.threads.call(partial(fn, *args, **kwargs), begun)
    return await value if inspect.isawaitable(value) else value


def is_async(fn: Callable[..., Any]) -> bool:
    """Return whether it is called on the loop."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def return_codec(fn: Callable[..., Any]) -> Codec[Any]:
    """Return the codec of the return annotation of `fn`; of any JSON where it has none."""
    key = getattr(fn, "__func__", fn)
    try:
        found = _RETURN_CODECS.get(key)
    except TypeError:
        return codec_for(return_hint(fn))
    if found is None:
        found = codec_for(return_hint(fn))
        if "<locals>" not in getattr(key, "__qualname__", "<locals>"):
            _RETURN_CODECS[key] = found  # module-level functions only: closures would pile up
    return found


def return_hint(fn: Callable[..., Any]) -> Any:
    """Return the type that `fn` says it returns; Any where it says none."""
    target = getattr(fn, "func", fn)
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = type(target).__call__
    try:
        return get_type_hints(target, include_extras=True).get("return", Any)
    except NameError as error:
        raise StepwellError(f"self.step: the annotations of {fn!r} can't be resolved: {error}") from error
    except TypeError:
        return Any  # a builtin without annotations
