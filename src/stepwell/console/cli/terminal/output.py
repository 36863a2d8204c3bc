"""Output: data on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stepwell.console.reading.views import ChildGroup
from stepwell.runner.models import Checkpoint, Run, StoredDocument

COMPLETED: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = 2
WAITING: Final = 3
"""Waiting for input, or simply not ended yet."""
INTERRUPTED: Final = 130
_WIDE = 1000
"""The width where the output isn't a terminal: nothing is cut or wrapped."""
_STEERING: Final = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
_INDENT: Final = 4
_LONGEST: Final = 200
"""Characters of a field that are shown, at most."""


def exit_code(status: str) -> int:
    """Return the exit code of a run with this status."""
    if status == "completed":
        return COMPLETED
    return FAILED if status in ("failed", "canceled") else WAITING


def plain(text: str) -> str:
    """Return the text without terminal control characters: names, errors and documents come from anywhere."""
    return text.translate(_STEERING)


def say(text: str) -> None:
    """Print a line for people on stderr."""
    typer.echo(plain(text), err=True)


def put(text: str) -> None:
    """Print a line of data on stdout, unchanged unless that is a terminal."""
    typer.echo(plain(text) if sys.stdout.isatty() else text)


def put_json(value: Any, *, indent: int | None = 2) -> None:
    """Print JSON on stdout; models are converted to JSON."""
    put(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def put_run(run: Run, json: bool) -> None:
    """Print a run on stdout, as JSON or in one line."""
    put_json(run.model_dump(mode="json")) if json else put(run_line(run))


def put_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table on stdout, as wide as it needs to be where that isn't a terminal."""
    table = table_of(columns, rows)
    Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=True).print(table)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return the table; None is shown as an empty cell."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        texts = (
            moment(cell) if isinstance(cell, datetime) else plain(str("" if cell is None else cell)) for cell in row
        )
        table.add_row(*map(escape, texts))
    return table


def moment(when: datetime | None) -> str:
    """Return the local time, to the second."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def brief(value: Any) -> str:
    """Return a result for people: texts unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def step_line(row: Checkpoint, seconds: float | None = None) -> str:
    """Return a checkpoint in one line, with how long the run was at the place that it left."""
    if row.transition is None:
        return f"[{row.version}] created" if row.version == 0 else f"[{row.version}] {row.status} at {row.source}"
    way = f"{row.source} -> {row.target}" if row.target else f"at {row.source}"
    took = "" if seconds is None else f" ({duration(seconds)})"
    by = f" by {row.answered_by}" if row.answered_by else ""
    tail = "" if row.status == "committed" else f" {row.status} (attempt {row.attempt}): {row.error}"
    return f"[{row.version}] {row.transition}{by}: {way}{took}{tail}"


def duration(seconds: float) -> str:
    """Return a stretch of time in one or two units."""
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


def group_line(group: ChildGroup) -> str:
    """Return a group of children in one line: its name, how far it is, and what was decided."""
    found = group.progress
    name = group.label or group.workflow_name or "children"
    counts = [
        f"{number} {status}"
        for status in ("completed", "failed", "canceled", "running", "waiting", "retrying", "pending", "held")
        if (number := getattr(found, status))
    ]
    outcome = "" if group.outcome is None else f" -> {group.outcome}"
    return f"group {name} of {found.total} ({group.until}{outcome}): {', '.join(counts) or 'no children'}  {group.group_id}"


def run_line(run: Run) -> str:
    """Return the state of a run in one line."""
    rest = f", waiting for {', '.join(run.waiting_for)}" if run.status == "waiting" and run.waiting_for else ""
    due = f", due {moment(run.due_at)}" if run.due_at and not run.finished_at else ""
    return f"{run.workflow_id} {run.workflow_name} {run.status} at {run.place}{rest}{due}"


def show_document(document: StoredDocument) -> None:
    """Print the document on stderr, below the line of the transition that saved it."""
    if sys.stderr.isatty():
        shown = Group(*_rendered(document))
        Console(stderr=True, highlight=False).print(Padding(shown, (0, 0, 0, _INDENT), expand=False))
    else:
        for line in lines_of(document):
            say(line)


def _rendered(document: StoredDocument) -> Iterator[RenderableType]:
    """Yield its title, if it has one, and its content in the form of its type."""
    if document.title is not None:
        yield Text(plain(document.title), style="bold")
    match document.name, document.content:
        case "markdown", {"text": str(found)}:
            yield Markdown(plain(found), hyperlinks=False)
        case "message", {"role": str(role), "text": str()}:
            said = Text(plain(_body(document)))
            said.stylize("bold", 0, len(plain(role)) + 1)
            yield said
        case "error", {"message": str()}:
            yield Text(plain(_body(document)), style="red")
        case _:
            yield Text(plain(_body(document)))


def lines_of(document: StoredDocument) -> list[str]:
    """Return its title, if it has one, and its text, indented like anything below a checkpoint."""
    text = _body(document) if document.title is None else f"{document.title}\n{_body(document)}".rstrip()
    return [" " * _INDENT + line for line in text.splitlines()]


def _body(document: StoredDocument) -> str:
    """Return the text below its title. Without a title it begins with the document's name, unless the text suffices."""
    text = _known(document)
    if text is not None:
        return text
    fields = [f"  {key}: {_shortened(value)}" for key, value in document.content.items()]
    return "\n".join(fields if document.title is not None else [document.name, *fields])


def _known(document: StoredDocument) -> str | None:
    """Return the text of a built-in document; None for others."""
    match document.name, document.content:
        case "message", {"role": str(role), "text": str(text)}:
            return f"{role}: {text}"
        case (("markdown" | "plain"), {"text": str(text)}):
            return text
        case "link", {"label": str(label), "workflow_id": str(run_id)}:
            return f"-> {label}: {run_id}"
        case "error", {"message": str(message), "type": str(type_)}:
            return message if message.startswith(type_) else f"{type_}: {message}"
        case _:
            return None


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
