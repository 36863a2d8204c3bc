"""A time limit that really stops async code, and a handle to stop it from outside.

`asyncio.timeout` cancels once: code that swallows the cancellation would run forever. This scope lets the code clean
up for a while, then cancels it again every second until it has left, and tells its reasons apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from threading import get_ident
from types import TracebackType
from typing import Any, Literal

log = logging.getLogger("stepwell.execution")

BY_SCOPE = "stopped by Stepwell"
"""The message of a scope's cancellations, by which a task tells them from others."""

AGAIN = 1.0
"""Seconds between the further cancellations of code that has had its time to clean up."""
CLEANUP = 5.0
"""That time in seconds, unless the settings say otherwise."""

Reason = Literal["timeout", "lost", "drain", "transaction"]


class Scope:
    """`with scope:` around awaited code of `task`; `what` names it in the log. `reason` is None unless it was stopped."""

    __slots__ = ("_again", "_before", "_began", "_cancels", "_cleanup", "_entered", "_limit", "reason", "task", "what")

    def __init__(
        self, task: asyncio.Task[Any], limit: Limit | None, what: Callable[[], str], cleanup: float = CLEANUP
    ) -> None:
        self.task = task
        self._cleanup = cleanup
        self._before = 0
        self._began = 0.0
        self._limit = limit
        self.what = what
        self._entered = False
        self._cancels = 0
        self._again: asyncio.TimerHandle | None = None
        self.reason: Reason | None = None

    def __enter__(self) -> Scope:
        self._entered = True
        self._before = self.task.cancelling()
        limit = self._limit
        if limit is not None:  # as `watch`, which would cost a call more for each transition
            limit.watched[self] = due = limit.time() + limit.seconds
            if limit.timer is None:
                limit.arm(due)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._entered = False
        limit = self._limit
        if limit is not None:  # as `forget`
            limit.watched.pop(self, None)
            if not limit.lasting:
                limit.disarm()
        if not self._cancels:
            return False
        if self._again is not None:
            self._again.cancel()
        left = 0
        for _ in range(self._cancels):
            left = self.task.uncancel()
        # Swallowed if it was this scope's; a cancellation from elsewhere goes on outwards.
        return kind is asyncio.CancelledError and left == self._before

    @property
    def foreign(self) -> bool:
        """True if the task was cancelled, meanwhile, by something else than this scope."""
        return self.task.cancelling() > self._before

    @property
    def from_outside(self) -> bool:
        """True if the task was cancelled by something else than this scope and the code inside."""
        return self.foreign and getattr(self.task, "cancelled_from_outside", True)

    async def take_effect(self) -> None:
        """Let a cancellation that the code has asked for itself take effect now, if it hasn't yet. Raises CancelledError."""
        if not self.foreign or self.from_outside:
            return
        try:
            await asyncio.sleep(0)
        finally:
            self.forgive()

    def forgive(self) -> None:
        """Take back cancellations from elsewhere: they were the code's own."""
        while self.foreign:
            self.task.uncancel()

    @property
    def seconds_left(self) -> float | None:
        """The seconds of its time limit that are left; None without one, or where it doesn't count now."""
        due = None if self._limit is None else self._limit.watched.get(self)
        return None if due is None or self._limit is None else max(due - self._limit.time(), 0.0)

    def pause(self) -> None:
        """Stop counting time until `resume`, where the limit is one for each of many scopes."""
        if self._limit is not None and self._limit.lasting:
            self._limit.forget(self)

    def resume(self) -> None:
        """Count the whole time again from now on, if the code is still inside and hasn't been stopped."""
        if self._limit is not None and self._limit.lasting and self._entered and self.reason is None:
            self._limit.watch(self)

    def stop(self, reason: Reason) -> None:
        """Cancel the code inside; it may clean up, and is cancelled again once its time for that is over.

        Further reasons don't interrupt it meanwhile: they can only shorten its time.
        """
        if self.reason is None:
            self.reason = reason
        if not self._entered:
            return
        # A transaction holds locks that others wait for.
        grace = min(self._cleanup, AGAIN) if reason == "transaction" else self._cleanup
        if self._cancels:
            self._cancel_again_in(grace, sooner=True)
            return
        self._began = asyncio.get_running_loop().time()
        self._cancel(grace)

    def _cancel(self, grace: float) -> None:
        self._cancels += 1
        self.task.cancel(BY_SCOPE)
        self._cancel_again_in(grace)

    def _cancel_again_in(self, seconds: float, *, sooner: bool = False) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._again is not None:
            if sooner and self._again.when() <= due:
                return
            self._again.cancel()
        self._again = loop.call_at(due, self._insist, context=Context())

    def _insist(self) -> None:
        passed = asyncio.get_running_loop().time() - self._began
        log.warning("%s was cancelled %.0f s ago (%s) and still runs", self.what(), passed, self.reason)
        self._cancel(AGAIN)


class Limit:
    """One duration, watched for any number of scopes by one timer of the loop that it is made on.

    Thousands of transitions a second have the same limit and nearly none reaches it: a timer of their own would cost
    each of them more than all else that watching needs. Scopes of one duration end in the order in which they began.
    """

    __slots__ = ("_loop", "lasting", "seconds", "time", "timer", "watched")

    def __init__(self, seconds: float, *, lasting: bool = True) -> None:
        self.seconds = seconds
        self.lasting = lasting
        self.watched: dict[Scope, float] = {}
        self.timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time
        """The clock of the loop, which tests may have replaced."""

    def watch(self, scope: Scope) -> None:
        """Stop the scope if it is still there after the duration."""
        self.watched[scope] = due = self.time() + self.seconds
        if self.timer is None:
            self.arm(due)

    def forget(self, scope: Scope) -> None:
        """Forget a scope that was left in time, or has been stopped."""
        self.watched.pop(scope, None)
        if not self.lasting:
            self.disarm()

    def arm(self, due: float) -> None:
        """Look at the scopes at this moment."""
        self.timer = self._loop.call_at(due, self._fire, context=Context())

    def disarm(self) -> None:
        """Cancel the timer: a deadline days away must not be kept until then."""
        if self.timer is not None and not self.watched:
            self.timer.cancel()
            self.timer = None

    def _fire(self) -> None:
        self.timer = None
        now = self.time()
        for scope, due in list(self.watched.items()):
            if due > now:
                self.arm(due)
                return
            del self.watched[scope]
            scope.stop("timeout")


class LoopLimits(dict[float, Limit | None]):
    """The limits of one loop, by their seconds; each is made when it is first asked for. None for 0: no limit."""

    def __init__(self) -> None:
        self.thread = get_ident()
        """That of the loop."""

    def __missing__(self, seconds: float) -> Limit | None:
        limit = self[seconds] = Limit(seconds) if seconds else None
        return limit


class TimeLimits:
    """The limits of a process, of each loop that executes its transitions: stateless runs may use several threads."""

    def __init__(self) -> None:
        self._limits: dict[asyncio.AbstractEventLoop, LoopLimits] = {}

    def here(self) -> LoopLimits:
        """Return the limits of the running loop."""
        loop = asyncio.get_running_loop()
        limits = self._limits.get(loop)
        if limits is None:
            self._limits = {one: kept for one, kept in self._limits.items() if not one.is_closed()}
            limits = self._limits[loop] = LoopLimits()
        limits.thread = get_ident()  # a loop that was stopped may go on in another thread
        return limits
