"""Workers and a client under load, and what is measured while somebody breaks things around them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acceptance import evidence
from acceptance.audit import Audit, audit
from acceptance.nursery import Child, Nursery

WORKERS = 3
WITNESS = 0.5
"""Seconds for which a process must have lived to know that another one's heart stands still."""
PATIENCE = 180.0
"""Seconds for what must come, whatever the machine."""
SLACK = 1.0
"""Seconds on top of two leases: a beat, a look, and a machine that does other things too."""


@dataclass(slots=True)
class Load:
    """The processes by their roles, and how long the runs of the dead are without an owner who lives.

    That is counted in heartbeats of those who live, and told in seconds: while the machine or the database stands still,
    no heart beats.
    """

    nursery: Nursery
    folder: Path
    lease: float
    unended: int = 120
    """Runs that are under way at once."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings by role, on top of those that all have."""
    deaths: int = 0
    with_runs: int = 0
    takeovers: list[float] = field(default_factory=list)
    cast: dict[str, Child] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    """Roles whose processes live, and can do nothing."""
    _began: float = field(default_factory=time.monotonic)
    _born: dict[str, float] = field(default_factory=dict)
    _waits: list[_Wait] = field(default_factory=list)

    # -- the processes ----------------------------------------------------------------------------------------------------

    @property
    def workers(self) -> list[str]:
        """Their roles."""
        return [f"worker{n}" for n in range(WORKERS)]

    def start(self, role: str) -> None:
        """A process plays this role."""
        log = self.folder / f"{role}.log"
        given: list[Any] = [str(self.folder), self.lease, *([self.unended] if role == "client" else [])]
        target = "acceptance.players:client" if role == "client" else "acceptance.players:worker"
        self.cast[role] = self.nursery.start(target, *given, dict(self.options.get(role, {})), log=log)
        self._born[role] = time.monotonic()

    def kill(self, role: str) -> None:
        """The process of this role was killed, and another one has its role."""
        self.end(role)
        self.start(role)

    def end(self, role: str) -> None:
        """The process of this role was killed, and nobody has its role."""
        victim = self.cast[role]
        self.deaths += 1
        self._miss(role)
        victim.kill()
        assert victim.code == -9, f"{role} had ended by itself ({victim.code})\n{victim.tail()}"
        self._born.pop(role)

    @contextmanager
    def absent(self, role: str) -> Iterator[None]:
        """The process of this role lives, and can do nothing: its runs are others' after a while, as if it were dead."""
        self.away.add(role)
        self._miss(role)
        try:
            yield
        finally:
            self.away.discard(role)
            self._born[role] = time.monotonic()
            self._waits = [one for one in self._waits if one.away != role]

    def _miss(self, role: str) -> None:
        for (owner,) in evidence.read("SELECT id FROM stepwell_workers WHERE pid=?", self.cast[role].pid):
            if _owned(owner):
                self.with_runs += 1
                self._waits.append(_Wait(role if role in self.away else "", owner, time.monotonic(), _counters()))

    # -- looking on -------------------------------------------------------------------------------------------------------

    def watch(self, seconds: float) -> None:
        """Looks for take-overs until the time is over."""
        until = time.monotonic() + seconds
        while True:
            for wait in [one for one in self._waits if not _owned(one.owner)]:
                self._waits.remove(wait)
                # Without anybody who lived through it, the next ones have to see the dead one's heart stand still first.
                if any(role not in self.away and born < wait.since - WITNESS for role, born in self._born.items()):
                    self.takeovers.append(wait.beats() * self.interval)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.02, left))

    @property
    def interval(self) -> float:
        """Seconds between heartbeats."""
        return self.lease / 3

    def check_takeovers(self) -> None:
        """Raise AssertionError if runs of the dead were without an owner for longer than two leases, and some slack."""
        limit = 2 * self.lease + SLACK + self.crowded
        assert max(self.takeovers, default=0.0) < limit, sorted(self.takeovers)[-5:]

    def check_alive(self) -> None:
        """Raises AssertionError if a process has ended by itself."""
        dead = [role for role, child in self.cast.items() if child.ended()]
        assert not dead, f"ended by themselves: {dead}\n{self._told()}"

    def wait(self, look: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
        """How many seconds it took. Raises AssertionError with all that is known."""
        began = time.monotonic()
        while not look():
            self.check_alive()
            assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}\n{self._told()}"
            self.watch(0.05)
        return time.monotonic() - began

    def _told(self) -> str:
        rows = evidence.read(
            "SELECT id, workflow_name, status, place, owner, ready_at, due_at, version, error FROM stepwell_runs"
            " WHERE finished_at IS NULL LIMIT 20"
        )
        return "\n".join([*map(str, rows), self.logs()])

    def logs(self) -> str:
        """The end of what each process has logged."""
        tails = [f"--- {role} (exit code {child.code})\n{child.tail()}" for role, child in self.cast.items()]
        return "\n".join(tails)

    # -- the end ----------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Nothing more is started, everything has ended, and so have the processes."""
        (self.folder / "enough").touch()
        self.wait(_nothing_left, "everything ends")
        self.watch(2.5 * self.lease)
        (self.folder / "over").touch()
        for child in self.cast.values():
            child.wait()

    @property
    def crowded(self) -> float:
        """Seconds that a look, a beat or a new process may come late, because others want the machine too."""
        return max(os.getloadavg()[0] / (os.cpu_count() or 1) - 1.0, 0.0)

    def count(self, *, inexact: float = 0.0, excused: str | None = None) -> Audit:
        """What became of everything, with the figures of the processes."""
        result = audit(inexact=inexact, excused=excused)
        result.figures |= {
            "calls refused meanwhile": len(evidence.lines("refused")),
            "take-overs timed": len(self.takeovers),
            **spread("seconds to take over, by heartbeats", self.takeovers),
            "two leases": f"{2 * self.lease:.2f}",
            "processes that wanted the machine, at the end": f"{os.getloadavg()[0]:.1f}",
            "seconds in all": f"{time.monotonic() - self._began:.0f}",
        }
        result.faults["processes that didn't end well"] = [
            f"{role}: {child.code}" for role, child in self.cast.items() if child.code
        ]
        return result


@dataclass(frozen=True, slots=True)
class _Wait:
    """Runs whose owner died, or was cut off, at a moment: how often had the others' hearts beaten by then?"""

    away: str
    owner: str
    since: float
    counters: dict[str, int]

    def beats(self) -> int:
        """How often the heart that beat most of them has beaten since."""
        now = _counters()
        since = [now[one] - before for one, before in self.counters.items() if one in now and one != self.owner]
        return max(since, default=0)


def _counters() -> dict[str, int]:
    return dict(evidence.read("SELECT id, counter FROM stepwell_workers"))  # type: ignore[arg-type]


def spread(what: str, times: Sequence[float]) -> dict[str, str]:
    """The median and the longest, as text."""
    found = sorted(times)
    median, longest = (f"{found[len(found) // 2]:.2f}", f"{found[-1]:.2f}") if found else ("-", "-")
    return {f"{what}, median": median, f"{what}, longest": longest}


def accepted() -> int:
    """How many calls were acknowledged."""
    return len(evidence.lines("accepted"))


def _owned(owner: str) -> bool:
    return evidence.number("SELECT count(*) FROM stepwell_runs WHERE owner=?", owner) > 0


def _nothing_left() -> bool:
    known = {words[0] for words in evidence.lines("accepted")}
    unacknowledged = [
        key for (key,) in evidence.read("SELECT idempotency_key FROM stepwell_runs WHERE idempotency_key LIKE 'n%'")
        if key[1:] not in known
    ]  # fmt: skip
    unended = "SELECT count(*) FROM stepwell_runs WHERE finished_at IS NULL AND status != 'failed'"
    return not unacknowledged and not evidence.number(unended)
