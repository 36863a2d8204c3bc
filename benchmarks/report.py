"""The table on the terminal, and the same with everything behind it as Markdown."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.goals import Name
from benchmarks.results import Line, Results, spread

HEADER = ("What", "Stepwell: median (min-max)", "Beside it", "Ratio", "Goal", "Met")
PLAIN_WIDTH = 150
MEASURED = (
    "durable", "ceiling", "peers_dbos", "pickup", "starts", "stateless", "bare_loop", "waiting", "crash", "import_time",
)  # fmt: skip
INTRODUCTION = """\
Every measurement ran in a process and a directory of its own; those that are compared took turns. A ratio is the median
of the ratios of neighbouring samples. The machine may have done other things too: compare ratios, not absolute figures.
DBOS got fewer runs, because it is slower; no rate here counts its start-up. It keeps SQLite's rollback journal, its
default, and like Stepwell waits for the disk at each commit (`synchronous=2` is FULL). Both are embedded in one process
on SQLite: nothing here speaks about PostgreSQL or about several machines."""


def cells(line: Line) -> tuple[str, ...]:
    met = "" if line.met is None else "yes" if line.met else "NO"
    return (line.title, line.figure, line.beside, line.ratio, line.goal, met)


def print_table(lines: Sequence[Line], results: Results) -> None:
    table = Table(*HEADER, title="Stepwell, measured")
    for line in lines:
        table.add_row(*cells(line), style="red" if line.met is False else None)
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(table)
    for task, reason in results.failures.items():
        console.print(f"{task} has no result: {reason}", style="red", markup=False)


def markdown(lines: Sequence[Line], results: Results, heading: Mapping[str, str]) -> str:
    parts = [
        "# Results",
        "Written by `python -m benchmarks`; don't edit.",
        bullets(heading),
        INTRODUCTION,
        markdown_table(HEADER, (cells(line) for line in lines)),
        failures(results),
        "## What the processes said about themselves",
        bullets(said(results)),
        "## What was measured",
        *(described(module) for module in MEASURED),
        "## All figures",
        markdown_table(("Task", "Figure", "Median (min-max)", "Samples"), all_figures(results)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def bullets(items: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {text}" for name, text in items.items())


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *body])


def failures(results: Results) -> str:
    if not results.failures:
        return ""
    rows = (f"- {task}: {reason.splitlines()[-1]}" for task, reason in results.failures.items())
    return "Without a result:\n\n" + "\n".join(rows)


def said(results: Results) -> dict[str, str]:
    """The pragmas, the plan of the claim and the like, by task."""
    return {
        f"{task}, {name.replace('_', ' ')}": " / ".join(f"`{text}`" for text in texts)
        for task in results.answers
        for name, texts in results.texts(task).items()
    }


def described(module: str) -> str:
    """The docstring of a measurement is its description: read from the source, so that nothing is imported here."""
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
    return f"**{module}.py**: {ast.get_docstring(tree)}"


def all_figures(results: Results) -> Iterable[tuple[str, ...]]:
    for task, answers in results.answers.items():
        for figure in answers[0].figures:
            samples = results.samples(Name(task, figure))
            yield task, figure.replace("_", " "), spread(samples), str(len(samples))
