"""Hints within the process: what was committed here, and that somebody else has committed something."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.engine.run import Run
from stepwell.events.base import Listener, News


class Hub:
    """Publishing never waits and never fails; who isn't subscribed misses it, and asks the database instead."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """The listener hears what is published from now on, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, what: Run | News) -> None:
        """Everybody has heard of it."""
        for listener in tuple(self._listeners):
            listener(what)
