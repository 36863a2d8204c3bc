"""Limits on the streams that are open at once, on how long each may last, and their end when the server stops.

The server waits for open requests, and a stream is one that doesn't end by itself.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final
from weakref import WeakSet

from stepwell.console.http.access.access import Access, Identity
from stepwell.errors import TooManyStreams
from stepwell.hints.tail import Tail

MOST: Final = 1_000
"""Streams of one process, at most."""
MOST_OF_ONE: Final = 500
"""Streams of one user among them, at most."""
_RETRY_AFTER: Final = 5
LONGEST: Final = 900.0
"""Seconds after which a stream ends, so that its reader is identified again. It continues where it was."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_watched: WeakSet[Tail] = WeakSet()


class OpenStreams:
    """The open streams of a process, by user."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_of(self, user_id: str) -> Iterator[None]:
        """Count one more stream as open inside this context. Raises TooManyStreams."""
        if self._open[user_id] >= self._most_of_one:
            raise TooManyStreams(
                f"You have {self._most_of_one:,} streams open here. Close some, or watch all runs with one: /events.",
                retry_after=_RETRY_AFTER,
            )
        if self._open.total() >= self._most:
            raise TooManyStreams(
                f"{self._most:,} streams are open here, and this process accepts no more. Try again later.",
                retry_after=_RETRY_AFTER,
            )
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]


@dataclass
class Term:
    """The lifetime of one stream."""

    access: Access
    identity: Identity
    clock: Callable[[], float] = time.monotonic
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock() + LONGEST

    async def over(self) -> bool:
        """Return whether the client should reconnect: the time is up, or what it presented is no longer valid.

        Asked before each event. Tokens are remembered for some seconds, so that this rarely asks the database.
        """
        return self.clock() >= self._last or not await self.access.holds(self.identity)


def close_on_signals(tail: Tail) -> None:
    """Close the streams of `tail` on the signals that a server handles, before the server handles them itself.

    Called on the loop, as often as one likes. Where the server's signals can't be seen (it runs in another thread, or
    has no handler of its own), its time limit for open requests has to end the streams.
    """
    if tail in _watched or threading.current_thread() is not threading.main_thread():
        return
    _watched.add(tail)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            signal.signal(number, _Chain(tail, loop, handler))


class _Chain:
    """A signal handler that closes the streams, then calls the previous handler."""

    def __init__(self, tail: Tail, loop: asyncio.AbstractEventLoop, handler: Any) -> None:
        self._tail = tail
        self._loop = loop
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tail.end)
        self._handler(number, frame)
