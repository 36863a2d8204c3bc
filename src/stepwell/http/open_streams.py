"""How many streams are open at once, and how long each of them may go on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from stepwell.errors import TooManyStreams
from stepwell.http.access import Access, Asked

MOST: Final = 1_000
"""Streams of one process."""
MOST_OF_ONE: Final = 500
"""Streams of one user among them."""
_RETRY_AFTER: Final = 5

LONGEST: Final = 900.0
"""Seconds after which a stream ends, so that who reads it is asked again who they are. It goes on where it was."""
ASKED_EVERY: Final = 15.0
"""Seconds after which it is looked whether what they presented still holds."""


class OpenStreams:
    """The streams of a process, by whose they are."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_of(self, user_id: str) -> Iterator[None]:
        """Inside, one more is open. Raises TooManyStreams."""
        if self._open[user_id] >= self._most_of_one:
            raise TooManyStreams(
                f"You have {self._most_of_one:,} streams open here. Close some, or watch all runs by one: /events.",
                retry_after=_RETRY_AFTER,
            )
        if self._open.total() >= self._most:
            raise TooManyStreams(
                f"{self._most:,} streams are open here, and this process takes no more. Come back later.",
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
    """The time of one stream."""

    access: Access
    asked: Asked
    clock: Callable[[], float] = time.monotonic
    _last: float = field(init=False)
    _looked: float = field(init=False)

    def __post_init__(self) -> None:
        self._looked = self.clock()
        self._last = self._looked + LONGEST

    async def over(self) -> bool:
        """Whether the client should come back: the time is up, or what it has presented holds no longer."""
        now = self.clock()
        if now >= self._last:
            return True
        if now - self._looked < ASKED_EVERY:
            return False
        self._looked = now
        return not await self.access.holds(self.asked)
