"""What was measured, and the lines made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.figures import paired_ratio
from benchmarks.goals import Name, Row
from benchmarks.measure import Answer

DBOS_WAYS = ("dbos.gather", "dbos.bounded", "dbos.queue")


@dataclass(slots=True)
class Results:
    """All answers by task, in the order they came, and why a task has none."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, task: str, answer: Answer) -> None:
        self.answers.setdefault(task, []).append(answer)

    def samples(self, name: Name) -> list[float]:
        """In the order they came. The task `dbos` stands for its best way."""
        task = self.best_dbos(name.figure) if name.task == "dbos" else name.task
        return [answer.figures[name.figure] for answer in self.answers.get(task, []) if name.figure in answer.figures]

    def texts(self, task: str) -> dict[str, list[str]]:
        """The different texts of a task's answers, by name."""
        found: dict[str, list[str]] = {}
        for answer in self.answers.get(task, []):
            for name, text in answer.texts.items():
                if text not in found.setdefault(name, []):
                    found[name].append(text)
        return found

    def best_dbos(self, figure: str) -> str:
        """The way that has most of this rate; for other figures the one that does most steps per second."""
        rate = figure if figure.endswith("_per_second") else "transitions_per_second"
        return max(DBOS_WAYS, key=lambda way: median(self.samples(Name(way, rate)) or [0.0]))

    def label(self, row: Row) -> str:
        """What stands beside the row's figure, in words."""
        if row.other is None or row.other.task != "dbos":
            return row.beside
        return f"DBOS ({self.best_dbos(row.other.figure).removeprefix('dbos.')})"


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
        title=row.title,
        figure=spread(ours),
        beside=f"{results.label(row)}: {spread(other)}" if row.other else "",
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
