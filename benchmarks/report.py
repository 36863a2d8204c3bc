"""The tables on the terminal, and the same with everything behind them as Markdown."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.goal import Name
from benchmarks.part import Part
from benchmarks.results import Line, Results, spread

HEADER = ("What", "Stepwell: median (min-max)", "Compared with", "Ratio", "Goal", "Met")
PLAIN_WIDTH = 150
INTRODUCTION = """\
Every measurement ran in its own process and directory; those that are compared took turns. A ratio is the median of the
ratios of neighbouring samples. Other programs may have used the machine too: compare ratios, not absolute figures.
Slower systems got fewer runs. No rate includes the start-up."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A part with what came of it."""

    part: Part
    results: Results
    lines: Sequence[Line]


def cells(line: Line) -> tuple[str, ...]:
    met = "" if line.met is None else "yes" if line.met else "NO"
    return (line.title, line.figure, line.beside, line.ratio, line.goal, met)


def print_table(measured: Measured) -> None:
    table = Table(*HEADER, title=measured.part.title)
    for line in measured.lines:
        table.add_row(*cells(line), style="red" if line.met is False else None)
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(table)
    for task, reason in measured.results.failures.items():
        console.print(f"{task} has no result: {reason}", style="red", markup=False)


def markdown(parts: Sequence[Measured], heading: Mapping[str, str]) -> str:
    texts = [
        "# Results",
        "Written by `python -m benchmarks`; don't edit.",
        bullets(heading),
        INTRODUCTION,
        *(text for measured in parts for text in shown(measured)),
        *(text for measured in parts for text in explained(measured)),
    ]
    return "\n\n".join(text for text in texts if text) + "\n"


def shown(measured: Measured) -> Iterable[str]:
    yield f"## {measured.part.title}"
    yield measured.part.introduction
    yield markdown_table(HEADER, (cells(line) for line in measured.lines))
    yield failures(measured.results)


def explained(measured: Measured) -> Iterable[str]:
    yield f"## Details: {measured.part.title}"
    if texts := said(measured.results):
        yield "### What the processes reported"
        yield bullets(texts)
    yield "### What was measured"
    yield from (described(module) for module in measured.part.modules)
    yield "### All figures"
    yield markdown_table(("Task", "Figure", "Median (min-max)", "Samples"), all_figures(measured.results))


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
    file = f"{module.replace('.', '/')}.py"
    tree = ast.parse((Path(__file__).parent / file).read_text())
    return f"**{file}**: {ast.get_docstring(tree)}"


def all_figures(results: Results) -> Iterable[tuple[str, ...]]:
    for task, answers in results.answers.items():
        for figure in answers[0].figures:
            samples = results.samples(Name(task, figure))
            yield task, figure.replace("_", " "), spread(samples), str(len(samples))
