"""`python -m benchmarks`: measure everything side by side, print a table for each part, write RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import machine, report
from benchmarks.ground import Ground
from benchmarks.measure import MeasurementFailed, ask
from benchmarks.part import Part
from benchmarks.parts import PARTS
from benchmarks.report import Measured
from benchmarks.results import Results, lines
from benchmarks.task import QUICK, Scale, Task

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """0, unless a measurement crashed or, with --check, a goal was missed."""
    options = parse()
    scale = scaled(options)
    where = machine.description()
    with Ground() as ground:
        chosen_parts = [part for part in PARTS if not options.part or part.name in options.part]
        parts = [measured(part, scale, options.only, ground) for part in chosen_parts]
        where |= ground.description()
    for one in parts:
        report.print_table(one)
    if output := destination(options):
        output.write_text(report.markdown(parts, heading(scale) | where))
    crashed = any(one.results.failures for one in parts)
    missed = any(line.met is False for one in parts for line in one.lines)
    return int(crashed or (options.check and missed))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("part", nargs="*", metavar="PART", help=f"{' or '.join(names)} (default: both)")
    parser.add_argument("--rounds", type=int, help="samples of each figure (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round of small numbers, to see that all works")
    parser.add_argument("--only", action="append", default=[], metavar="TASK", help="only tasks that begin like this")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument("--output", type=Path, help="the Markdown file (default: RESULTS.md, after a full run only)")
    options = parser.parse_args()
    if unknown := set(options.part) - set(names):
        parser.error(f"no part is called {', '.join(sorted(unknown))}: there are {' and '.join(names)}")
    return options


def scaled(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else Scale()
    return replace(scale, rounds=options.rounds) if options.rounds else scale


def destination(options: argparse.Namespace) -> Path | None:
    if options.output:
        return Path(options.output)
    return None if options.quick or options.only or options.part else RESULTS


def heading(scale: Scale) -> dict[str, str]:
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    return {"Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "Command": f"`{command}`", "Scale": f"`{scale}`"}


def chosen(task: str, only: Iterable[str]) -> bool:
    return not only or task.startswith(tuple(only))


def measured(part: Part, scale: Scale, only: list[str], ground: Ground) -> Measured:
    """Every task of the part in its turn. One that failed isn't tried again."""
    results = Results(part.ways(scale))
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as shared:
        planned = [task for task in part.tasks(scale, shared) if chosen(task.key, only)]
        for task in track(planned, part.title, console=Console(stderr=True), transient=True):
            measure_one(task, results, ground)
    rows = [row for row in part.rows(scale) if any(chosen(name.task, only) for name in row.names)]
    return Measured(part, results, lines(results, rows))


def measure_one(task: Task, results: Results, ground: Ground) -> None:
    if task.key in results.failures:
        return
    try:
        with ground.given(task) as servers:
            arguments = {**task.arguments, **servers}
            results.add(task.key, ask(task.module, arguments, seconds=task.seconds, interpreter=task.interpreter))
    except MeasurementFailed as failed:
        results.failures[task.key] = str(failed)


if __name__ == "__main__":
    sys.exit(main())
