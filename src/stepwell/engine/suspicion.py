"""Suspicion: the runs that may have killed a worker, found from deaths alone (rules 32, 48).

A dead process leaves no reason. The runs that it executed continue under suspicion, in groups that are executed apart
from each other: a group whose worker dies again is halved, so that one culprit among n is alone after at most log2(n) + 1
deaths. A death counts against a run only if the process executed nothing else: no run fails because of
the runs beside it. A commit clears a run. The exception is a run with more deaths than any halving needs: it is never
alone, because it kills late or waits for another run that kills, and each further death counts against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

MANY: Final = 20
"""Deaths since its last checkpoint, from which on each counts against a run: halving 10,000 runs takes 15."""


class Suspicion(NamedTuple):
    """The suspicion against a run, stored in its row as one text: `deaths:group`, and a reason if one is known."""

    deaths: int
    """Deaths of workers that executed it since its last checkpoint."""
    group: str
    """Suspects of one group are executed together, apart from those of others."""
    reason: str | None = None
    """The reason why the workers died, if it is known."""

    def __str__(self) -> str:
        return f"{self.deaths}:{self.group}" + (f" {self.reason}" if self.reason else "")


class Executed(NamedTuple):
    """A run that a dead worker executed, with the suspicion that it was under before."""

    id: str
    suspicion: str | None


class Charge(NamedTuple):
    """Runs that are suspected together from now on."""

    ids: tuple[str, ...]
    suspicion: str | None
    counts: bool
    """True if the death counts against them: the worker executed this run and nothing else, or there were many before."""


def suspicion_of(text: str) -> Suspicion:
    """Return the suspicion in a row's text."""
    label, _, reason = str(text).partition(" ")  # a person may have written anything there by hand
    deaths, _, group = label.partition(":")
    return Suspicion(int(deaths) if deaths.isdecimal() else 1, group, reason or None)


def charges(executed: Iterable[Executed], new_group: Callable[[], str]) -> list[Charge]:
    """Return the new suspicions against the runs that one worker executed when it died.

    Those that were suspected together before are halved; so are those that weren't suspected at all.
    """
    parts: dict[str | None, list[str]] = {}
    for run_id, suspicion in executed:
        parts.setdefault(suspicion, []).append(run_id)
    alone = sum(map(len, parts.values())) == 1
    return [
        Charge(tuple(half), _next(suspicion, new_group()), alone or deaths >= MANY)
        for suspicion, ids in parts.items()
        for deaths in [0 if suspicion is None else suspicion_of(suspicion).deaths]
        for half in _halves(sorted(ids))
    ]


def _next(suspicion: str | None, group: str) -> str:
    if suspicion is None:
        return str(Suspicion(1, group))
    before = suspicion_of(suspicion)
    return str(Suspicion(before.deaths + 1, group, before.reason))


def _halves(ids: list[str]) -> list[list[str]]:
    middle = (len(ids) + 1) // 2
    return [half for half in (ids[:middle], ids[middle:]) if half]
