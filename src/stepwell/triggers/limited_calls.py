"""Calls of an application's function for requests of which it isn't known yet who sends them: limited in number and time.

A stranger decides when such a function is called, and how often. So a plain function never runs on the event loop, and
one that hangs costs the places of its own webhook and nothing else: not another thread with each request.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from stepwell.execution.threads import Threads

WITHIN: Final = 10.0
"""Seconds for a call, with the time in which it waits for a place."""
AT_ONCE: Final = 4
"""Calls that run at once; those that were given up and still run in their threads are among them."""
WAITING: Final = 50
"""Further calls that wait for a place."""


class CallRefused(Exception):
    """A function of the application had no place free for a call, or didn't return in time."""


class LimitedCalls:
    """The calls of one function, which may be plain or asynchronous."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._asynchronous = inspect.iscoroutinefunction(inspect.unwrap(function))
        self._places: _Places | None = None

    async def call(self, threads: Threads, /, *args: Any, **kwargs: Any) -> Any:
        """Return what the function returns, awaited if it is awaitable.

        Raises CallRefused, NoThreadLeft, and what the function raises.
        """
        places = self._of_this_loop()
        if places.waiting >= WAITING:
            raise CallRefused(f"{AT_ONCE} calls run and {WAITING} wait")
        try:
            async with asyncio.timeout(WITHIN) as limit:
                place = await places.take()
                try:
                    if self._asynchronous:
                        returned = self._function(*args, **kwargs)
                    else:
                        returned = await threads.run(place.run, self._function, *args, **kwargs)
                    return await returned if isinstance(returned, Awaitable) else returned
                finally:
                    place.leave()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise CallRefused(f"it took longer than {WITHIN:g} s") from error

    def _of_this_loop(self) -> _Places:
        loop = asyncio.get_running_loop()
        if self._places is None or self._places.loop is not loop:
            self._places = _Places(loop)
        return self._places


@dataclass(eq=False, slots=True)
class _Places:
    """The places for calls on one event loop."""

    loop: asyncio.AbstractEventLoop
    waiting: int = 0
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def take(self) -> _Place:
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        return _Place(self)

    def free(self) -> None:
        self._free.release()


class _Place:
    """The place of one call: free again when its caller has left it and its thread has ended, in any order."""

    def __init__(self, places: _Places) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._running = self._left = False

    def run(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call the function in this thread; not at all if the caller has left."""
        if not self._begin():
            return None
        try:
            return function(*args, **kwargs)
        finally:
            self._end()

    def _begin(self) -> bool:
        with self._lock:
            self._running = not self._left
            return self._running

    def _end(self) -> None:
        with self._lock:
            self._running = False
            if self._left:
                with suppress(RuntimeError):  # the loop is closed, and its places are gone with it
                    self._places.loop.call_soon_threadsafe(self._places.free)

    def leave(self) -> None:
        """Note that the caller waits no longer."""
        with self._lock:
            self._left = True
            if not self._running:
                self._places.free()
