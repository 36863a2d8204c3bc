"""Background tasks of an open process: each duty has a task of its own, which is restarted if it fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

log = logging.getLogger("stepwell.worker")

Duty = Callable[[], Coroutine[Any, Any, None]]
"""A coroutine function that works until it is cancelled."""

_PAUSE: Final = 1.0
"""Seconds before a duty that failed restarts."""
_TOLD: Final = 10.0
"""Seconds for which a health check reports the failure."""


class Duties:
    """The tasks of a process besides its runs."""

    def __init__(self) -> None:
        self.lasting: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._broken: dict[str, float] = {}
        self._ending = False

    def begin(self, duties: Iterable[Duty]) -> None:
        """Begin these duties. Must be called on the loop."""
        self.lasting += [self.once(self._for_ever(duty)) for duty in duties]

    def once(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Return the task of a piece of work that ends by itself; `end` ends it too."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_report)
        self._tasks = [one for one in self._tasks if not one.done()]
        self._tasks.append(task)
        return task

    def faults(self) -> list[str]:
        """Return the current faults of the duties."""
        found = ["a duty of this process has ended"] if any(task.done() for task in self.lasting) else []
        now = time.monotonic()
        return found + [f"the duty {name} failed" for name, at in self._broken.items() if now - at < _TOLD]

    @property
    def over(self) -> bool:
        """True if none of them continues."""
        return all(task.done() for task in self._tasks)

    async def end(self) -> None:
        """End all of them."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A task that was cancelled keeps what it was doing, and with it a connection that it was about to get.
        self.lasting, self._tasks = [], []

    async def _for_ever(self, duty: Duty) -> None:
        """Run the duty until it is cancelled, and restart it whatever goes wrong meanwhile."""
        name = getattr(duty, "__qualname__", repr(duty))
        while True:
            try:
                await duty()
                log.error("the duty %s ended; it restarts in %g s", name, _PAUSE)
            except asyncio.CancelledError:
                if self._ending or _cancelled():
                    raise
                # Something within it was cancelled, and not the duty.
                log.exception("the duty %s failed; it restarts in %g s", name, _PAUSE)
            except Exception:
                log.exception("the duty %s failed; it restarts in %g s", name, _PAUSE)
            self._broken[name] = time.monotonic()
            await asyncio.sleep(_PAUSE)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a duty of this process ended", exc_info=task.exception())
