"""Starts of a batch as lines of JSON (NDJSON): one line holds the args of one run; blank lines are skipped.

What is kept is the text. A line is parsed when its start is made, and nothing of it is kept then.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from typing import Any, Final, overload

from stepwell.console.http.bodies import is_over
from stepwell.engine.groups import MOST_MEMBERS
from stepwell.errors import InvalidArgs, PayloadTooLarge
from stepwell.runner.batch_starts import NamedStarts, too_many
from stepwell.runner.start import Start

MEDIA_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_MARK: Final = b"\xef\xbb\xbf"
"""A byte order mark, with which some programs begin a file."""


class JsonLines(NamedStarts):
    """Starts of one workflow, known by the lines of their args."""

    def __init__(self, workflow: str, most_bytes: int, most_values: int) -> None:
        self.workflow = workflow
        self._most_bytes = most_bytes
        self._most_values = most_values
        self._lines: list[bytes] = []
        self._numbers = array("L")

    def add(self, number: int, line: bytes) -> None:
        """Add a line of a file, counted from 1. Raises InvalidArgs, PayloadTooLarge for what no batch can hold."""
        line = (line.removeprefix(_MARK) if number == 1 else line).strip()
        if not line:
            return
        if len(line) > self._most_bytes:
            raise PayloadTooLarge(f"line {number} is larger than {self._most_bytes:,} bytes.")
        if len(line) >= self._most_values and is_over(line, self._most_values):
            raise PayloadTooLarge(f"line {number} has more than {self._most_values:,} JSON values.")
        if len(self._lines) == MOST_MEMBERS:
            raise too_many(MOST_MEMBERS + 1)
        self._lines.append(line)
        self._numbers.append(number)

    def where(self, index: int) -> str:
        return f"line {self._numbers[index]}"

    def loc(self, index: int) -> tuple[str | int, ...]:
        return "body", "line", self._numbers[index]

    def body(self) -> Iterator[bytes]:
        """Yield the lines as they are sent, each with the number that it has here."""
        last = 0
        for number, line in zip(self._numbers, self._lines, strict=True):
            yield b"\n" * (number - last - 1) + line + b"\n"
            last = number

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> Start: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Start]: ...
    def __getitem__(self, index: int | slice) -> Start | Sequence[Start]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        return Start(self.workflow, self._value(index, self._lines[index]))

    def _value(self, index: int, line: bytes) -> Any:
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            message = f"{self.where(index)} isn't valid JSON: {error}"
            raise InvalidArgs(message, [{"loc": self.loc(index), "msg": message, "type": "json_invalid"}]) from None


async def read_lines(pieces: AsyncIterable[bytes], into: JsonLines, most_bytes: int) -> JsonLines:
    """Add the lines that arrive in these pieces. Raises InvalidArgs, PayloadTooLarge, as soon as it is known."""
    number, begun = 0, list[bytes]()
    size = 0
    async for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for one in ended:
            number += 1
            into.add(number, b"".join((*begun, one)))
            begun, size = [], 0
        begun.append(rest)
        size += len(rest)
        if size > most_bytes:
            raise PayloadTooLarge(f"line {number + 1} is larger than {most_bytes:,} bytes.")
    into.add(number + 1, b"".join(begun))
    return into


def lines_of(texts: Iterable[tuple[int, bytes]], into: JsonLines) -> JsonLines:
    """Add these lines, each with its number."""
    for number, line in texts:
        into.add(number, line)
    return into
