"""Streams end when the server is told to stop: it waits for open requests, and a stream is one that doesn't end by itself."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType
from typing import Any, Final
from weakref import WeakSet

from stepwell.events.tail import Tail

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_told: WeakSet[Tail] = WeakSet()


def when_told_to_stop(tail: Tail) -> None:
    """The watchers of `tail` are sent away by the signals that a server handles, before it handles them itself.

    Called on the loop, as often as one likes. Where the server's signals can't be seen (it runs in another thread, or
    has no handler of its own), its time limit for open requests has to end the streams.
    """
    if tail in _told or threading.current_thread() is not threading.main_thread():
        return
    _told.add(tail)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            signal.signal(number, _Chain(tail, loop, handler))


class _Chain:
    """Tells the streams, then whoever handled the signal before."""

    def __init__(self, tail: Tail, loop: asyncio.AbstractEventLoop, handler: Any) -> None:
        self._tail = tail
        self._loop = loop
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tail.end)
        self._handler(number, frame)
