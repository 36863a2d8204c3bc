"""One measurement: which are chosen, and what comes of one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.ground import Ground
from benchmarks.measure import MeasurementFailed, ask
from benchmarks.results import Results
from benchmarks.task import Task


def chosen(task: str, only: Iterable[str]) -> bool:
    return not only or task.startswith(tuple(only))


def measure_one(task: Task, results: Results, ground: Ground, library: Path | None = None) -> None:
    """Its answer, or why it has none, is among the results. One that failed isn't tried again."""
    if task.key in results.failures:
        return
    try:
        with ground.given(task) as servers:
            found = ask(
                task.module,
                {**task.arguments, **servers},
                seconds=task.seconds,
                interpreter=task.interpreter,
                library=library,
            )
            results.add(task.key, found)
    except MeasurementFailed as failed:
        results.failures[task.key] = str(failed)
