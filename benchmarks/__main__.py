"""`python -m benchmarks`: measure everything side by side, print a table for each part, write RESULTS.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import machine, report
from benchmarks.against import compare, print_comparison
from benchmarks.ground import Ground
from benchmarks.part import Part
from benchmarks.parts import PARTS
from benchmarks.report import Measured
from benchmarks.results import Results, lines
from benchmarks.task import QUICK, Scale
from benchmarks.turn import chosen, measure_one

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """0, unless a measurement crashed or, with --check, a goal was missed."""
    options = parse()
    scale = scaled(options)
    where = machine.description()
    with Ground() as ground:
        chosen_parts = [part for part in PARTS if not options.part or part.name in options.part]
        if options.against:
            sides = [(part, compare(part, scale, options.only, ground, options.against)) for part in chosen_parts]
            for part, results in sides:
                print_comparison(part.title, results)
            return int(any(one.failures for _, results in sides for one in results.values()))
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
    against = "measure beside the Stepwell in this checkout, and print ratios only"
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help=against)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument("--output", type=Path, help="the Markdown file (default: RESULTS.md, after a full run only)")
    options = parser.parse_args()
    if unknown := set(options.part) - set(names):
        parser.error(f"no part is called {', '.join(sorted(unknown))}: there are {' and '.join(names)}")
    if options.against is not None:
        if options.check or options.output:
            parser.error("--against prints ratios only: leave out --check and --output")
        if not (options.against / "src" / "stepwell" / "__init__.py").is_file():
            parser.error(f"--against {options.against}: that is no checkout of Stepwell")
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


def measured(part: Part, scale: Scale, only: list[str], ground: Ground) -> Measured:
    """Every task of the part in its turn. One that failed isn't tried again."""
    results = Results(part.ways(scale))
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as shared:
        planned = [task for task in part.tasks(scale, shared) if chosen(task.key, only)]
        for task in track(planned, part.title, console=Console(stderr=True), transient=True):
            measure_one(task, results, ground)
    rows = [row for row in part.rows(scale) if any(chosen(name.task, only) for name in row.names)]
    return Measured(part, results, lines(results, rows))


if __name__ == "__main__":
    sys.exit(main())
