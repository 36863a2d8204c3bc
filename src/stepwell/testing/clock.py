"""A clock that stands still until somebody moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from stepwell.execution.clock import to_datetime, to_moment


class VirtualClock:
    """The `Clock` of a harness. Time is the same for everybody, and passes only by `move_to`."""

    def __init__(self, start: datetime) -> None:
        self._now = to_moment(start)
        self._sleepers: dict[asyncio.Future[None], int] = {}
        self.on_sleep: Callable[[], None] = lambda: None
        """Called when somebody begins to wait for a moment."""

    def __repr__(self) -> str:
        return f"VirtualClock({self.now_datetime().isoformat()})"

    def now(self) -> int:
        """Microseconds since 1970-01-01T00:00Z."""
        return self._now

    def now_datetime(self) -> datetime:
        """The time as an aware datetime (UTC)."""
        return to_datetime(self._now)

    async def sleep_until(self, moment: int) -> None:
        """Returns once the clock was moved to `moment` or beyond."""
        if moment <= self._now:
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers[future] = moment
        self.on_sleep()
        try:
            await future
        finally:
            self._sleepers.pop(future, None)

    def move_to(self, moment: int) -> None:
        """It is `moment`, and whoever waited for it goes on. Must be called on the loop. Raises ValueError for the past."""
        if moment < self._now:
            raise ValueError(
                f"{to_datetime(moment).isoformat()} is in the past: it is {self.now_datetime().isoformat()}."
            )
        self._now = moment
        for future, due in list(self._sleepers.items()):
            if due <= moment and not future.done():
                future.set_result(None)
