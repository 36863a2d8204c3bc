"""The time of day, as whole microseconds; a virtual one stands in for it in tests."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LOOK = 10.0
"""Seconds within which a sleeper notices that the clock was put back."""

FAR = _LAST
"""A moment that never comes."""


class Clock(Protocol):
    """Says what time it is, and waits for a time to come."""

    def now(self) -> int:
        """Return microseconds since 1970-01-01T00:00Z."""
        ...

    async def sleep_until(self, moment: int) -> None:
        """Sleep until `now()` is at least `moment`, or the clock was put back: sleepers look again then."""
        ...


def _elapsed() -> Callable[[], int]:
    """Return a counter of nanoseconds that can't be set; it continues while the machine sleeps, if there is one that does."""
    number = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC if sys.platform == "darwin" else None)
    if number is None:
        return time.monotonic_ns
    return partial(time.clock_gettime_ns, number)


elapsed = _elapsed()


class SystemClock:
    """The machine's time when it began, and what has passed since: setting the machine's clock doesn't change it.

    It is corrected from outside (`worker.timekeeper`): to a shared database, and to a machine whose clock was set for good.
    """

    def __init__(self, nanoseconds: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = elapsed) -> None:
        self._nanoseconds = nanoseconds
        self._monotonic = monotonic
        self._put_back = 0
        self.restart()

    def restart(self) -> None:
        """Set `now()` to the machine's time."""
        self._base = self.machine() - self._monotonic() // 1000

    def now(self) -> int:
        return self._monotonic() // 1000 + self._base

    def machine(self) -> int:
        """Return what the machine's own clock says."""
        return self._nanoseconds() // 1000

    def passed(self) -> float:
        """Return the seconds of the clock that can't be set."""
        return self._monotonic() / 1_000_000_000

    def correct(self, microseconds: int) -> None:
        """Move `now()` forward by this."""
        self._base += microseconds
        if microseconds < 0:
            self._put_back += 1

    async def sleep_until(self, moment: int) -> None:
        # A loop: a timer may fire a little early.
        before = self._put_back
        while before == self._put_back and (left := moment - self.now()) > 0:
            await asyncio.sleep(min(left / 1_000_000, _LOOK))


async def sleep_unless(stopped: Callable[[], bool], clock: Clock, moment: int) -> None:
    """Sleep until the moment; return within half a second once it is `stopped`."""
    sleeping = asyncio.ensure_future(clock.sleep_until(moment))
    try:
        while not sleeping.done() and not stopped():
            await asyncio.wait([sleeping], timeout=0.5)
    finally:
        sleeping.cancel()


def to_datetime(moment: int) -> datetime:
    """Return the aware datetime (UTC) of a moment; the first or the last that there is, of one beyond."""
    return _EPOCH + timedelta(microseconds=max(_FIRST, min(moment, _LAST)))


def to_moment(when: datetime) -> int:
    """Return the moment of an aware datetime. Raises ValueError for a naive one: it names no moment."""
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no timezone: give an aware datetime, as in datetime.now(UTC).")
    return (when - _EPOCH) // timedelta(microseconds=1)


def microseconds(duration: timedelta) -> int:
    """Return the whole microseconds of a duration."""
    return duration // timedelta(microseconds=1)
