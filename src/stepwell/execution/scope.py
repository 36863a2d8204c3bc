"""A time limit that really stops async code, and a handle to stop it from outside.

`asyncio.timeout` cancels once: code that swallows the cancellation would go on for ever. This scope cancels again every
second until the code has left it, and tells its reasons apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

log = logging.getLogger("stepwell.execution")

_AGAIN = 1.0

Reason = Literal["timeout", "lost", "drain", "transaction"]


class Scope:
    """`with scope:` around awaited code of `task`; `what` names it in the log. `reason` is None unless it was stopped."""

    __slots__ = ("_again", "_cancels", "_entered", "_limit", "_task", "_what", "reason")

    def __init__(self, task: asyncio.Task[Any], limit: Limit | None, what: Callable[[], str]) -> None:
        self._task = task
        self._limit = limit
        self._what = what
        self._entered = False
        self._cancels = 0
        self._again: asyncio.TimerHandle | None = None
        self.reason: Reason | None = None

    def __enter__(self) -> Scope:
        self._entered = True
        if self._limit is not None:
            self._limit.watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._entered = False
        if self._limit is not None:
            self._limit.forget(self)
        if not self._cancels:
            return False
        if self._again is not None:
            self._again.cancel()
        left = 0
        for _ in range(self._cancels):
            left = self._task.uncancel()
        # Swallowed if it was this scope's; a cancellation from elsewhere goes on outwards.
        return kind is asyncio.CancelledError and left == 0

    def pause(self) -> None:
        """The time from now to `resume` doesn't count, where the limit is one for each of many scopes."""
        if self._limit is not None and self._limit.lasting:
            self._limit.forget(self)

    def resume(self) -> None:
        """The whole time is counted anew from now on, if the code is still inside and hasn't been stopped."""
        if self._limit is not None and self._limit.lasting and self._entered and self.reason is None:
            self._limit.watch(self)

    def stop(self, reason: Reason) -> None:
        """The code inside is cancelled now, and again until it has left the scope."""
        if self.reason is None:
            self.reason = reason
        if not self._entered:
            return
        if self._cancels:
            log.warning("%s was cancelled %d s ago (%s) and still runs", self._what(), self._cancels, self.reason)
        self._cancels += 1
        self._task.cancel()
        if self._again is not None:
            self._again.cancel()
        self._again = asyncio.get_running_loop().call_later(_AGAIN, self.stop, reason)


class Limit:
    """One duration, watched for any number of scopes by one timer of the loop that it is made on.

    Thousands of transitions a second have the same limit and nearly none reaches it: a timer of their own would cost
    each of them more than all else that watching needs. Scopes of one duration end in the order in which they began.
    """

    __slots__ = ("_loop", "_seconds", "_timer", "_watched", "lasting")

    def __init__(self, seconds: float, *, lasting: bool = True) -> None:
        self._seconds = seconds
        self.lasting = lasting
        self._watched: dict[Scope, float] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, scope: Scope) -> None:
        """The scope is stopped when it is still there after the duration."""
        self._watched[scope] = due = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._ring)

    def forget(self, scope: Scope) -> None:
        """The scope was left in time, or has been stopped."""
        self._watched.pop(scope, None)
        if not self.lasting and self._timer is not None and not self._watched:
            self._timer.cancel()  # nobody else will use it: a deadline days away must not be kept until then
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        for scope, due in list(self._watched.items()):
            if due > now:
                self._timer = self._loop.call_at(due, self._ring)
                return
            del self._watched[scope]
            scope.stop("timeout")


class TimeLimits:
    """The limits of a process, one per duration that its transitions name, and loop that executes them.

    Stateless runs may be executed on loops of several threads.
    """

    def __init__(self) -> None:
        self._limits: dict[asyncio.AbstractEventLoop, dict[float, Limit]] = {}

    def of(self, seconds: float, *, shared: bool = True) -> Limit | None:
        """The limit of this duration; None for 0, which is no limit. `shared=False` for a duration that won't recur."""
        if not seconds:
            return None
        if not shared:
            return Limit(seconds, lasting=False)
        loop = asyncio.get_running_loop()
        limits = self._limits.get(loop)
        if limits is None:
            self._limits = {one: kept for one, kept in self._limits.items() if not one.is_closed()}
            limits = self._limits[loop] = {}
        limit = limits.get(seconds)
        if limit is None:
            limit = limits[seconds] = Limit(seconds)
        return limit
