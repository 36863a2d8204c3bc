"""Calling a function whose `Depends` FastDepends fills: whatever they raise comes out unchanged, and each of them is cleaned up.

FastDepends hands plain functions to anyio's threads, which can't carry every exception, and leaves generators open when
anything but an Exception ends what they were made for: a cancellation, a SystemExit. So they run in Stepwell's threads.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from fast_depends import dependency_provider, inject
from fast_depends.dependencies import Provider

from stepwell.execution.threads import Threads

if TYPE_CHECKING:
    from fast_depends.core import CallModel


def injecting(function: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    """Return the coroutine function `function`, wrapped: what it raises comes out, whatever a dependency makes of it."""

    raised: ContextVar[BaseException | None] = ContextVar("stepwell_injected", default=None)

    @functools.wraps(function)
    async def noted(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:
            raised.set(error)
            raise

    wrapped = inject(noted, cast=False, dependency_provider=_Provider(threads))

    async def injected(*args: Any, **kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        except AssertionError as error:
            own = raised.get()
            if own is not None and error.args == _SWALLOWED:
                raise own from None
            raise
        finally:
            raised.set(None)

    return injected


_SWALLOWED = ("unreachable",)
"""FastDepends' message when a dependency has caught the function's exception."""


class _Provider(Provider):
    """Finds what FastDepends' own provider finds, overrides included, and makes it safe to call."""

    def __init__(self, threads: Threads) -> None:
        super().__init__()
        self._threads = threads
        self._safe: dict[int, tuple[CallModel, CallModel]] = {}

    def get_dependant(self, key: Any) -> CallModel:
        model = dependency_provider.overrides.get(key) or self.dependencies.get(key)
        if model is None:
            model = dependency_provider.dependencies[key]
        known = self._safe.get(id(model))
        if known is None:
            known = self._safe[id(model)] = (model, self._made_safe(model))
        return known[1]

    def _made_safe(self, model: CallModel) -> CallModel:
        call = model.call
        if not _is_plain(call):
            return model
        made = copy.copy(model)
        made.call = _entered(call, self._threads) if model.is_generator else _called(call, self._threads)
        made.is_async = True
        made.dependency_provider = self
        return made


def _is_plain(call: Callable[..., Any]) -> bool:
    if inspect.isclass(call):
        return True
    special = getattr(call, "__call__", None)  # noqa: B004 - an instance's may be async where the instance isn't
    return not any(
        check(one) for check in (inspect.iscoroutinefunction, inspect.isasyncgenfunction) for one in (call, special)
    )


def _called(call: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    async def called(*args: Any, **kwargs: Any) -> Any:
        return await threads.run(call, *args, **kwargs)

    return called


def _entered(call: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    async def entered(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        manager = contextmanager(call)(*args, **kwargs)
        value = await threads.run(manager.__enter__)
        try:
            yield value
        except BaseException as error:
            if not await threads.run(manager.__exit__, type(error), error, error.__traceback__):
                raise
        else:
            await threads.run(manager.__exit__, None, None, None)

    return entered
