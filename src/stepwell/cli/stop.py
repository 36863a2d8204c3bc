"""How a process is told to end: a first signal asks it to, a second one ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType


class Stop:
    """Told by SIGTERM or SIGINT, of which the second calls what it was given with the signal's number."""

    def __init__(self, at_once: Callable[[int], object]) -> None:
        self.event = asyncio.Event()
        self._at_once = at_once
        self._asked = False
        self._loop = asyncio.get_running_loop()
        # Not the loop's own handlers: the second signal must reach a process whose loop is blocked.
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._signal)

    def asked(self) -> bool:
        """Whether it was told."""
        return self.event.is_set()

    def ask(self) -> None:
        """It was told, without a signal."""
        self.event.set()

    def _signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._asked:
            self._at_once(signum)
        self._asked = True
        self._loop.call_soon_threadsafe(self.event.set)

    def ask_when_stdin_closes(self) -> None:
        """It is told when whoever holds the other end of stdin closes it, or dies."""
        self._loop.add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            self._loop.remove_reader(sys.stdin.fileno())
            self.ask()

    async def within(self, seconds: float) -> bool:
        """True once it was told; False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return False
        return True
