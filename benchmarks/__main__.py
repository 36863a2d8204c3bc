"""`python -m benchmarks`: measure everything side by side, print one table, write RESULTS.md."""

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

from benchmarks import goals, machine, report
from benchmarks.measure import MeasurementFailed, ask
from benchmarks.plan import QUICK, Scale, Task, tasks
from benchmarks.results import Results, lines

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """0, unless a measurement crashed or, with --check, a goal was missed."""
    options = parse()
    scale = scaled(options)
    where = machine.description()
    results = measured(scale, options.only)
    rows = [row for row in goals.rows(scale) if chosen(row.name.task, options.only)]
    table = lines(results, rows)
    report.print_table(table, results)
    if output := destination(options):
        output.write_text(report.markdown(table, results, heading(scale) | where))
    missed = any(line.met is False for line in table)
    return int(bool(results.failures) or (options.check and missed))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="samples of each figure (default 3)")
    parser.add_argument("--quick", action="store_true", help="one round of small numbers, to see that all works")
    parser.add_argument("--only", action="append", default=[], metavar="TASK", help="only tasks that begin like this")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument("--output", type=Path, help="the Markdown file (default: RESULTS.md, after a full run only)")
    return parser.parse_args()


def scaled(options: argparse.Namespace) -> Scale:
    scale = QUICK if options.quick else Scale()
    return replace(scale, rounds=options.rounds) if options.rounds else scale


def destination(options: argparse.Namespace) -> Path | None:
    if options.output:
        return Path(options.output)
    return None if options.quick or options.only else RESULTS


def heading(scale: Scale) -> dict[str, str]:
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    return {"Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "Command": f"`{command}`", "Scale": f"`{scale}`"}


def chosen(task: str, only: Iterable[str]) -> bool:
    return not only or task.startswith(tuple(only))


def measured(scale: Scale, only: list[str]) -> Results:
    """Every task in its turn. One that failed isn't tried again."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as shared:
        planned = [task for task in tasks(scale, shared) if chosen(task.key, only)]
        for task in track(planned, "Measuring", console=Console(stderr=True), transient=True):
            measure_one(task, results)
    return results


def measure_one(task: Task, results: Results) -> None:
    if task.key in results.failures:
        return
    try:
        results.add(task.key, ask(task.module, task.arguments, seconds=task.seconds))
    except MeasurementFailed as failed:
        results.failures[task.key] = str(failed)


if __name__ == "__main__":
    sys.exit(main())
