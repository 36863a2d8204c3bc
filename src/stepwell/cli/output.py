"""What is printed where: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from stepwell.runner.models import Checkpoint, Run

COMPLETED: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
WAITING: Final = 3
"""Waiting for input, or simply not ended yet."""
INTERRUPTED: Final = 130

_WIDE = 1000
"""Columns where nobody looks at a terminal: nothing is cut or wrapped."""

_STEERING: Final = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}


def exit_code(status: str) -> int:
    """The exit code of a run with this status."""
    if status == "completed":
        return COMPLETED
    return FAILED if status in ("failed", "canceled") else WAITING


def plain(text: str) -> str:
    """The text without what steers a terminal: names, errors and documents come from anywhere."""
    return text.translate(_STEERING)


def say(text: str) -> None:
    """A line for people, on stderr."""
    typer.echo(plain(text), err=True)


def put(text: str) -> None:
    """A line of data, on stdout: as it is, unless that is a terminal."""
    typer.echo(plain(text) if sys.stdout.isatty() else text)


def put_json(value: Any, *, indent: int | None = 2) -> None:
    """JSON on stdout; models become JSON as they are."""
    put(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def put_run(run: Run, json: bool) -> None:
    """A run on stdout, as JSON or in one line."""
    put_json(run.model_dump(mode="json")) if json else put(run_line(run))


def put_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on stdout: as wide as it needs to be where it isn't a terminal."""
    table = table_of(columns, rows)
    Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=True).print(table)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """The table; None is shown as nothing."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if cell is None else _escaped(cell) for cell in row))
    return table


def _escaped(cell: Any) -> str:
    from rich.markup import escape

    return escape(moment(cell) if isinstance(cell, datetime) else plain(str(cell)))


def moment(when: datetime | None) -> str:
    """The local time, to the second."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def brief(value: Any) -> str:
    """A result for people: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def step_line(row: Checkpoint, seconds: float | None = None) -> str:
    """One checkpoint in one line, with how long the run was at the place that it left."""
    if row.transition is None:
        return f"[{row.version}] created" if row.version == 0 else f"[{row.version}] {row.status} at {row.source}"
    way = f"{row.source} -> {row.target}" if row.target else f"at {row.source}"
    took = "" if seconds is None else f" ({duration(seconds)})"
    by = f" by {row.answered_by}" if row.answered_by else ""
    tail = "" if row.status == "committed" else f" {row.status} (attempt {row.attempt}): {row.error}"
    return f"[{row.version}] {row.transition}{by}: {way}{took}{tail}"


def duration(seconds: float) -> str:
    """A stretch of time in one or two units."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def run_line(run: Run) -> str:
    """Where a run stands, in one line."""
    rest = f", waiting for {', '.join(run.waiting_for)}" if run.status == "waiting" and run.waiting_for else ""
    due = f", due {moment(run.due_at)}" if run.due_at and not run.finished_at else ""
    return f"{run.workflow_id} {run.workflow_name} {run.status} at {run.place}{rest}{due}"
