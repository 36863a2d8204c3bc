"""Suspects that this process executes: while they are on trial nothing else begins here (rule 48).

If a process dies with a suspect and other runs, its death doesn't show which of them was the cause. So a process that has
taken suspects takes nothing else until each of them has come to a checkpoint, or was executed for some time: a short time
after a first death, which mostly has an outside cause, and twice as long after each further one. A suspect that is the only
one left of its group, and whose workers have died more than once, begins only when this process executes nothing else, or
has waited for that long enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from stepwell.engine.run import RunRow
from stepwell.engine.suspicion import suspicion_of

_LONGEST: Final = 60.0
"""Seconds for which a suspect keeps others from beginning, at most."""
_LONGEST_WAIT: Final = 300.0
_LOOK: Final = 0.5


class Trial:
    """`seconds` is how long a suspect is on trial after its first death, at most."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.on_over: Callable[[], None] = lambda: None
        self.on = False
        """True if suspects are on trial here."""
        self._groups: dict[str, str] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._over = asyncio.Event()
        self._over.set()

    def has(self, run_id: str) -> bool:
        """Return whether this run is on trial here."""
        return run_id in self._groups

    async def over(self, seconds: float | None) -> None:
        """Wait until no suspect is on trial here, or so many seconds have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    def enter(self, run: RunRow) -> None:
        """Put the run on trial, if it is a suspect."""
        if run.suspicion is not None:
            self._groups[run.id] = run.suspicion
            self.on = True
            self._over.clear()

    async def begin(
        self, run: RunRow, others: Callable[[], Iterable[asyncio.Task[object]]], go_on: Callable[[], bool]
    ) -> None:
        """Wait until the suspect may begin: when nothing else is executed here, or after the longest wait for that."""
        deaths = suspicion_of(run.suspicion or "").deaths
        if deaths > 1 and list(self._groups.values()).count(run.suspicion or "") == 1:
            await self._alone(min(self.seconds * 4**deaths, _LONGEST_WAIT), others, go_on)
        if run.id in self._groups:
            seconds = min(self.seconds * 2 ** min(deaths - 1, 30), _LONGEST)
            self._timers[run.id] = asyncio.get_running_loop().call_later(seconds, self.clear, run.id)

    @staticmethod
    async def _alone(
        seconds: float, others: Callable[[], Iterable[asyncio.Task[object]]], go_on: Callable[[], bool]
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (tasks := list(others())) and go_on() and (left := deadline - loop.time()) > 0:
            await asyncio.wait(tasks, timeout=min(left, _LOOK))

    def clear(self, run_id: str) -> None:
        """Take the run off trial."""
        timer = self._timers.pop(run_id, None)
        if timer is not None:
            timer.cancel()
        if self._groups.pop(run_id, None) is not None and not self._groups:
            self.on = False
            self._over.set()
            self.on_over()
