"""What a line of the report is made of: a figure, what it stands beside, and what we want to see. Pure."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit for the median of a figure, or for its ratio to what stands beside it."""

    on: Literal["value", "ratio"]
    side: Literal["at least", "at most"]
    limit: float

    def met(self, value: float | None, ratio: float | None) -> bool:
        """A figure that is missing doesn't meet its goal."""
        judged = value if self.on == "value" else ratio
        compare = operator.ge if self.side == "at least" else operator.le
        return judged is not None and compare(judged, self.limit)

    def __str__(self) -> str:
        return f"{'ratio ' if self.on == 'ratio' else ''}{'≥' if self.side == 'at least' else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Name:
    """A figure: the key of its task, and its name in the answers."""

    task: str
    figure: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the figure, what it is compared with, and its goal."""

    title: str
    name: Name
    beside: str = ""
    other: Name | None = None
    goal: Goal | None = None

    @property
    def names(self) -> tuple[Name, ...]:
        return (self.name,) if self.other is None else (self.name, self.other)


def at_most(limit: float) -> Goal:
    return Goal("value", "at most", limit)


def at_least(limit: float) -> Goal:
    return Goal("value", "at least", limit)


def ratio_at_least(limit: float) -> Goal:
    return Goal("ratio", "at least", limit)


def ratio_at_most(limit: float) -> Goal:
    return Goal("ratio", "at most", limit)
