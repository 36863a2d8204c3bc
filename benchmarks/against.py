"""This Stepwell beside an older one: the same measurements of both, in turns. Peers are left out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.figures import paired_ratio
from benchmarks.goal import Name
from benchmarks.ground import Ground
from benchmarks.part import Part
from benchmarks.results import Results, spread
from benchmarks.task import Scale, Task
from benchmarks.turn import chosen, measure_one

SIDES = ("before", "now")


def compare(part: Part, scale: Scale, only: list[str], ground: Ground, checkout: Path) -> dict[str, Results]:
    """What this tree measures of the library in `checkout`, and of its own. One that failed isn't tried again."""
    results = {side: Results(part.ways(scale)) for side in SIDES}
    libraries = {"before": checkout.resolve() / "src", "now": None}  # each child has a folder of its own
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as shared:
        plans = {side: _plan(part, scale, only, Path(shared) / side) for side in SIDES}
        for turn, pair in enumerate(zip(plans["before"], plans["now"], strict=True)):
            for side, task in list(zip(SIDES, pair, strict=True))[:: 1 if turn % 2 else -1]:
                measure_one(_apart(task, side), results[side], ground, libraries[side])
    return results


def print_comparison(title: str, results: dict[str, Results]) -> None:
    """A line for each figure, with the median of the ratios of neighbouring samples."""
    table = Table(
        "Task", "Figure", "Before: median (min-max)", "Now", "Now / before", title=f"{title}, beside the older one"
    )
    before, now = results["before"], results["now"]
    for task, answers in now.answers.items():
        for figure in answers[0].figures:
            old, new = before.samples(Name(task, figure)), now.samples(Name(task, figure))
            ratio = paired_ratio(new, old)
            if old and median(old):
                table.add_row(
                    task, figure.replace("_", " "), spread(old), spread(new), "" if ratio is None else f"{ratio:.3f}"
                )
    console = Console()
    if not console.is_terminal:
        console.width = 150
    console.print(table)
    for side in SIDES:
        for task, reason in results[side].failures.items():
            console.print(Text(f"{task} ({side}) has no result: {reason}", style="red"))


def _plan(part: Part, scale: Scale, only: list[str], shared: Path) -> Iterator[Task]:
    shared.mkdir()
    for task in part.tasks(scale, str(shared)):
        if not task.module.startswith("peers.") and chosen(task.key, only):
            yield task


def _apart(task: Task, side: str) -> Task:
    """The task on databases of its side."""
    if task.database is None or not task.database.shared:
        return task
    return replace(task, database=replace(task.database, shared=f"{task.database.shared}_{side}"))
