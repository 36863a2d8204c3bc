"""The starts of a batch from a file: lines of JSON, or CSV whose headers are the fields of the args.

A cell is read as the value of `--arg` is, but never as the name of a file: tables come from anywhere. An empty one is left
out.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from stepwell.console.cli.terminal.arguments import coerced, is_closed, is_object
from stepwell.console.http.json_lines import JsonLines, lines_of
from stepwell.definition.forms.fitting import JsonSchema, leaves, resolved
from stepwell.errors import ConfigurationError, InvalidArgs
from stepwell.nearest import suggestion

_STDIN: Final = "-"


def starts_of(name: str, workflow: str, schema: JsonSchema, *, as_csv: bool = False) -> JsonLines:
    """Return the starts in a file, or in stdin (`-`). Raises ConfigurationError, InvalidArgs with the line that is wrong."""
    into = JsonLines(workflow, sys.maxsize, sys.maxsize)
    content = _content(name)
    if as_csv or name.lower().endswith(".csv"):
        return lines_of(_rows(_decoded(name, content), schema), into)
    return lines_of(enumerate(content.split(b"\n"), 1), into)


def _content(name: str) -> bytes:
    if name == _STDIN:
        binary = getattr(sys.stdin, "buffer", None)
        return sys.stdin.read().encode() if binary is None else bytes(binary.read())
    try:
        return Path(name).expanduser().read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{name!r} can't be read: {error.strerror or error}.") from error


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"line {line} of {name!r} isn't UTF-8: save the file as UTF-8.") from error


def _rows(text: str, schema: JsonSchema) -> Iterator[tuple[int, bytes]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    numbered = _numbered(reader)
    _, headers = next(numbered, (1, []))
    _check_headers(headers, schema)
    fields = resolved(schema, schema).get("properties", {})
    for number, cells in numbered:
        if len(cells) > len(headers):
            raise InvalidArgs(f"line {number} has {len(cells)} cells, and there are {len(headers)} headers.")
        given = {
            header: coerced(cell, fields.get(header, {}), schema)
            for header, cell in zip(headers, cells, strict=False)
            if cell != ""
        }
        yield number, json.dumps(given, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that aren't blank, each with the line where it begins. Raises InvalidArgs."""
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidArgs(f"line {number} isn't valid CSV: {error}.") from error
        if any(cells):
            yield number, cells


def _check_headers(headers: Sequence[str], schema: JsonSchema) -> None:
    fields = resolved(schema, schema).get("properties", {})
    if not any(is_object(leaf) for leaf in leaves(schema, schema)):
        raise ConfigurationError("The args of this workflow have no fields: give lines of JSON, one value each.")
    for header in headers:
        if not header:
            raise InvalidArgs("line 1: a header is empty: the headers are the names of the fields.")
        if headers.count(header) > 1:
            raise InvalidArgs(f"line 1: the header {header!r} is there twice: name each field once.")
        if header not in fields and is_closed(schema):
            raise InvalidArgs(f"line 1: there is no field {header!r}; {suggestion(header, fields)}")
