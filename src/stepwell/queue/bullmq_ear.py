"""Waiting for jobs without asking: BullMQ's markers of many queues, over one connection."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from stepwell.queue.bullmq import Bull, Mark

_LOOK: Final = 5.0
"""Seconds after which all queues are looked at, whatever was heard: a mark may be lost with who took it."""


class Heard(NamedTuple):
    """Queues to look at now, and those of them of whose marks nobody else knows."""

    queues: Sequence[str]
    marks: Sequence[Mark]


class Ear:
    """Hears each mark once in the whole fleet; so whoever can't act on it gives it back."""

    def __init__(self, bull: Bull, queues: Sequence[str], now: Callable[[], int]) -> None:
        self._bull = bull
        self._queues = queues
        self._now = now
        self._later: dict[str, int] = {}
        self._looked = -math.inf

    async def hear(self) -> Heard:
        """What is to be looked at now; maybe nothing. Raises Away."""
        left = self._looked + _LOOK - time.monotonic()
        if left <= 0:
            self._looked = time.monotonic()
            return Heard(self._queues, ())
        mark = await self._bull.listen(self._queues, min(left, self._until_next()))
        now = self._milliseconds()
        if mark is not None:
            self._later[mark.queue] = min(mark.at, self._later.get(mark.queue, mark.at))
        ripe = [Mark(name, at) for name, at in self._later.items() if at <= now]
        for name, _ in ripe:
            del self._later[name]
        return Heard([name for name, _ in ripe], ripe)

    def _until_next(self) -> float:
        if not self._later:
            return _LOOK
        return max(min(self._later.values()) - self._milliseconds(), 1) / 1000

    def empty(self, queues: Mapping[str, int]) -> None:
        """These queues were empty, and will have a job at these moments (0: unknown)."""
        for name, at in queues.items():
            if at:
                self._later[name] = at
            else:
                self._later.pop(name, None)

    def forget(self) -> list[Mark]:
        """What it knew of later moments, for others to hear."""
        later, self._later = self._later, {}
        return [Mark(name, at) for name, at in later.items()]

    def look_again(self) -> None:
        """All queues are looked at next: what was heard before counts no more."""
        self._looked = -math.inf
        self._later.clear()

    def _milliseconds(self) -> int:
        return self._now() // 1000
