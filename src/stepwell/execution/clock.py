"""The time of day, as whole microseconds; a virtual one stands in for it in tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class Clock(Protocol):
    """Says what time it is, and waits for a time to come."""

    def now(self) -> int:
        """Microseconds since 1970-01-01T00:00Z."""
        ...

    async def sleep_until(self, moment: int) -> None:
        """Returns once `now()` is at least `moment`."""
        ...


class SystemClock:
    """The machine's clock; set to that of a shared database, where there is one: machines disagree, runs mustn't."""

    def __init__(self, nanoseconds: Callable[[], int] = time.time_ns) -> None:
        self._nanoseconds = nanoseconds
        self._ahead = 0

    def now(self) -> int:
        return self._nanoseconds() // 1000 + self._ahead

    def correct(self, microseconds: int) -> None:
        """`now()` is later by this than it would have been."""
        self._ahead += microseconds

    async def sleep_until(self, moment: int) -> None:
        # A loop: the clock may be set back meanwhile, and a timer may ring a little early.
        while (left := moment - self.now()) > 0:
            await asyncio.sleep(min(left / 1_000_000, 60.0))


def to_datetime(moment: int) -> datetime:
    """The aware datetime (UTC) of a moment; the last that there is, of one beyond."""
    return _EPOCH + timedelta(microseconds=min(moment, _LAST))


def to_moment(when: datetime) -> int:
    """The moment of an aware datetime. Raises ValueError for a naive one: it names no moment."""
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no timezone: give an aware datetime, as in datetime.now(UTC).")
    return (when - _EPOCH) // timedelta(microseconds=1)


def microseconds(duration: timedelta) -> int:
    """The whole microseconds of a duration."""
    return duration // timedelta(microseconds=1)
