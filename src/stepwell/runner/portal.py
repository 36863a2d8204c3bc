"""A portal: the verbs of an asynchronous object for other threads than the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from stepwell.errors import StepwellError
from stepwell.execution.threads import waiting
from stepwell.runner.callers import lent
from stepwell.runner.opening import Opening

if TYPE_CHECKING:
    from stepwell.runner.callers import BlockingConnection

O_co = TypeVar("O_co", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")

_CLOSED: Final = (
    "This Stepwell was closed during the call. If it writes, it may be stored: look for it, or repeat the call with an "
    "idempotency key."
)


class Portal(Generic[O_co]):
    """The verbs of an asynchronous object, for other threads than the loop's.

    Each raises StepwellError too if the Stepwell is closed meanwhile.
    """

    def __init__(self, awaited: O_co, opening: Opening) -> None:
        self._awaited = awaited
        self._opening = opening

    def _call(self, coroutine: Coroutine[Any, Any, T], *, waits: bool = False) -> T:
        with ExitStack() as lending:
            try:
                loop = self._opening.blocking()
                if waits:
                    lending.enter_context(waiting())
            except StepwellError:
                coroutine.close()
                raise
            answer = asyncio.run_coroutine_threadsafe(coroutine, loop)
            try:
                return answer.result()
            except CancelledError:
                raise StepwellError(_CLOSED) from None

    def _each(self, found: AsyncIterator[T], *, waits: bool = False) -> Iterator[T]:
        """Yield each one that comes."""
        end = object()

        async def following() -> Any:
            return await anext(found, end)

        try:
            while (one := self._call(following(), waits=waits)) is not end:
                yield one
        finally:
            if isinstance(found, AsyncGenerator):
                self._call(found.aclose())

    def _call_with(
        self,
        connection: BlockingConnection | None,
        verb: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        **given: Any,
    ) -> T:
        """Return what the verb returns, whose statements are executed in this thread if there is a connection."""
        if connection is None:
            return self._call(verb(*args, **given))
        loop = self._opening.blocking()
        thread = lent(connection)
        return thread.wait(asyncio.run_coroutine_threadsafe(verb(*args, connection=thread, **given), loop))


def verb(
    awaited: Callable[Concatenate[O_co, P], Coroutine[Any, Any, T]], *, waits: bool = False
) -> Callable[Concatenate[Portal[O_co], P], T]:
    """Make a verb that blocks until this one is done. `waits`: it may wait for runs, whose steps may need its thread."""
    name = awaited.__name__

    @wraps(awaited)
    def blocking(self: Portal[O_co], /, *args: P.args, **kwargs: P.kwargs) -> T:
        coroutine: Coroutine[Any, Any, T] = getattr(self._awaited, name)(*args, **kwargs)
        return self._call(coroutine, waits=waits)

    return blocking
