"""Leases (rule 31): when this process must act for its own, and which other workers are dead. No thread, no loop, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from stepwell.store.workers import WorkerRow


class Turn(Enum):
    """An action that the heartbeat's thread has to do now."""

    NAME_BLOCKER = auto()
    """Log what blocks the event loop."""
    LAPSE = auto()
    """The lease is over: stop what executes."""
    GIVE_UP = auto()
    """The loop has been blocked for too long: hand the runs over to other workers."""
    BEAT = auto()
    """Write a heartbeat."""


_BEATS_PER_LEASE: Final = 3
_STUCK_LEASES: Final = 4
"""A loop that has been blocked for this many leases counts as dead: the heartbeat stops, too."""
_SLOW_LOOP: Final = 2.0
"""Seconds after which what blocks the loop is named in the log."""
_STANDSTILL: Final = 1.0
"""Seconds by which a turn is late when the whole process stood still, and not only its loop."""


@dataclass(slots=True)
class Lease:
    """The last heartbeat and the last turn of the event loop, and what follows. Moments are monotonic seconds."""

    seconds: float
    beaten_at: float
    """The moment of the last heartbeat that was written."""
    turned_at: float = field(init=False)
    """The last moment at which the loop was seen to turn."""
    lapsed: bool = False
    """Nothing may begin: others may have taken over what this process owns."""
    given_up: bool = False
    """The loop has been blocked for so long that others were given its runs."""
    _named: bool = False

    def __post_init__(self) -> None:
        self.turned_at = self.beaten_at

    @property
    def interval(self) -> float:
        """Seconds between heartbeats."""
        return self.seconds / _BEATS_PER_LEASE

    @property
    def turn_seconds(self) -> float:
        """Seconds between two turns of the thread."""
        return min(0.5, self.interval / 2)

    def over(self, now: float) -> bool:
        """Return whether the last heartbeat is older than the lease."""
        return now - self.beaten_at > self.seconds

    def holds(self, now: float) -> bool:
        """Return whether the lease can be counted on, whatever the thread has noticed so far."""
        return not self.lapsed and now - self.beaten_at <= self.seconds  # as `over`

    def blocked(self, now: float) -> float:
        """Return the seconds since the loop last turned."""
        return now - self.turned_at

    def stuck(self, now: float) -> bool:
        """Return whether the loop has been blocked for so long that the process counts as dead."""
        return self.blocked(now) > self.seconds * _STUCK_LEASES

    def take_due(self, now: float) -> list[Turn]:
        """Return what a turn at this moment has to do, and note that it is done."""
        found: list[Turn] = []
        if self.blocked(now) >= _SLOW_LOOP and not self._named:
            self._named = True
            found.append(Turn.NAME_BLOCKER)
        if self.lapse(now):
            found.append(Turn.LAPSE)
        if self.stuck(now):
            if not self.given_up:
                self.given_up = True
                found.append(Turn.GIVE_UP)
        elif now - self.beaten_at >= self.interval - self.turn_seconds / 2:
            found.append(Turn.BEAT)
        return found

    def lapse(self, now: float) -> bool:
        """Note that the lease is over. Return whether this is new."""
        if self.lapsed or not self.over(now):
            return False
        self.lapsed = True
        return True

    def beat(self, at: float) -> None:
        """Note a heartbeat that was written at this moment."""
        self.beaten_at = at

    def removed(self) -> None:
        """Note that other workers have declared this process dead: nothing may begin before it has registered again."""
        self.lapsed = True

    def resume(self, now: float) -> bool:
        """Continue after a lapse, once the owned runs were read again. Return False if the lease is over once more."""
        if self.over(now):
            return False
        self.lapsed = False
        return True

    def loop_turned(self, now: float) -> None:
        """Note that the event loop isn't blocked."""
        self.turned_at = now
        self._named = self.given_up = False

    def slept(self, seconds: float, busy: float, now: float) -> None:
        """Note how long the thread slept for a turn until now, and how long the process was busy on a CPU meanwhile.

        Where it slept far too long and the process wasn't busy, all of it stood still, and no method is to blame for the
        loop. The heartbeat isn't excused: other processes saw none.
        """
        late = seconds - self.turn_seconds - busy
        if late > _STANDSTILL:
            self.turned_at = min(self.turned_at + late, now)  # the loop may have turned already since then


@dataclass(slots=True)
class _Sighting:
    counter: int
    since: float
    beats: int


class Observer:
    """A judge of other workers (rule 31): dead is one whose counter stood still for a lease with two heartbeats of our own."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease = lease_seconds
        self._seen: dict[str, _Sighting] = {}

    def dead(self, rows: Iterable[WorkerRow], me: str, my_beats: int, monotonic: float) -> list[WorkerRow]:
        """Return those of `rows` that are dead by now, by this process's own monotonic clock."""
        rows = [row for row in rows if row.id != me]
        self._seen = {row.id: self._sighting(row, my_beats, monotonic) for row in rows}
        return [row for row in rows if self._still(self._seen[row.id], my_beats, monotonic)]

    def _sighting(self, row: WorkerRow, beats: int, monotonic: float) -> _Sighting:
        known = self._seen.get(row.id)
        return known if known and known.counter == row.counter else _Sighting(row.counter, monotonic, beats)

    def _still(self, seen: _Sighting, beats: int, monotonic: float) -> bool:
        return monotonic - seen.since >= self._lease and beats - seen.beats >= 2
