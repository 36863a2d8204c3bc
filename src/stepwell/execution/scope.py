"""A time limit that really stops async code, and a handle to stop it from outside.

`asyncio.timeout` cancels once: code that swallows the cancellation would go on for ever. This scope cancels again every
second until the code has left it, and tells its reasons apart.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Literal

log = logging.getLogger("stepwell.execution")

_AGAIN = 1.0

Reason = Literal["timeout", "lost", "drain", "transaction"]


class Scope:
    """`with scope:` around awaited code. `reason` is None unless it was stopped."""

    __slots__ = ("_cancels", "_handle", "_seconds", "_task", "_what", "reason")

    def __init__(self, seconds: float | None, what: str) -> None:
        self._seconds = seconds
        self._what = what
        self._task: asyncio.Task[object] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._cancels = 0
        self.reason: Reason | None = None

    def __enter__(self) -> Scope:
        self._task = asyncio.current_task()
        if self._seconds is not None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self.stop, "timeout")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if self._handle is not None:
            self._handle.cancel()
        if task is None or not self._cancels:
            return False
        for _ in range(self._cancels):
            left = task.uncancel()
        # Swallowed if it was this scope's; a cancellation from elsewhere goes on outwards.
        return kind is asyncio.CancelledError and left == 0

    def stop(self, reason: Reason) -> None:
        """The code inside is cancelled now, and again until it has left the scope."""
        if self.reason is None:
            self.reason = reason
        if self._task is None:
            return
        if self._cancels:
            log.warning("%s was cancelled %d s ago (%s) and still runs", self._what, self._cancels, self.reason)
        self._cancels += 1
        self._task.cancel()
        self._handle = asyncio.get_running_loop().call_later(_AGAIN, self.stop, reason)
