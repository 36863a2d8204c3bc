"""What was measured, and the lines made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import paired_ratio
from benchmarks.goal import Name, Row
from benchmarks.measure import Answer


@dataclass(slots=True)
class Results:
    """All answers by task, in the order they came, and why a task has none."""

    ways: Mapping[str, tuple[str, ...]]
    """Tasks that do the same in different ways, by the name that stands for the best of them."""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, task: str, answer: Answer) -> None:
        self.answers.setdefault(task, []).append(answer)

    def samples(self, name: Name) -> list[float]:
        """In the order they came. A name of several ways stands for the best of them."""
        task = self.best_way(name) if name.task in self.ways else name.task
        return [answer.figures[name.figure] for answer in self.answers.get(task, []) if name.figure in answer.figures]

    def texts(self, task: str) -> dict[str, list[str]]:
        """The different texts of a task's answers, by name."""
        found: dict[str, list[str]] = {}
        for answer in self.answers.get(task, []):
            for name, text in answer.texts.items():
                if text not in found.setdefault(name, []):
                    found[name].append(text)
        return found

    def best_way(self, name: Name) -> str:
        """The way that has most of this rate; for other figures the one that does most steps per second."""
        rate = name.figure if name.figure.endswith("_per_second") else "transitions_per_second"
        return max(self.ways[name.task], key=lambda way: median(self.samples(Name(way, rate)) or [0.0]))

    def label(self, name: Name, words: str) -> str:
        """The words for a figure, with the way it was reached."""
        if name.task not in self.ways:
            return words
        way = self.best_way(name).removeprefix(f"{name.task}.").replace("_", " ")
        return f"{words} ({way})"


@dataclass(frozen=True, slots=True)
class Line:
    """A row with its figures, as text."""

    title: str
    figure: str
    beside: str
    ratio: str
    goal: str
    met: bool | None
    """None: no goal."""


def lines(results: Results, rows: Iterable[Row]) -> list[Line]:
    return [line(results, row) for row in rows]


def line(results: Results, row: Row) -> Line:
    ours = results.samples(row.name)
    other = results.samples(row.other) if row.other else []
    ratio = paired_ratio(ours, other)
    return Line(
        title=results.label(row.name, row.title),
        figure=spread(ours),
        beside=f"{results.label(row.other, row.beside)}: {spread(other)}" if row.other else "",
        ratio="" if row.other is None else "missing" if ratio is None else number(ratio),
        goal=str(row.goal or ""),
        met=row.goal.met(median(ours) if ours else None, ratio) if row.goal else None,
    )


def spread(samples: list[float]) -> str:
    """The median, and least and most where they differ."""
    if not samples:
        return "missing"
    least, most = number(min(samples)), number(max(samples))
    return number(median(samples)) if least == most else f"{number(median(samples))} ({least}-{most})"


def number(value: float) -> str:
    """Three digits that matter, whole numbers from 100."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
