"""A part of the report: what is measured together, and shown in a table of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.goal import Row
from benchmarks.task import Scale, Task


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    title: str
    introduction: str
    modules: tuple[str, ...]
    """Whose docstrings say what was measured."""
    tasks: Callable[[Scale, str], Iterator[Task]]
    """All of it in order. The second argument is a directory for the files that several children use in turn."""
    rows: Callable[[Scale], Iterator[Row]]
    ways: Callable[[Scale], Mapping[str, tuple[str, ...]]]
    """Tasks that do the same in different ways: the key stands for whichever does most."""
