"""The progress of a batch on stderr: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime
from typing import Final

from stepwell.console.cli.terminal.output import duration, plain, say
from stepwell.runner.batch_models import Batch
from stepwell.runner.groups import GroupProgress

_LONGEST: Final = 30
_SHORTEST: Final = 8
"""Characters of the bar itself."""
_STEP: Final = 10
"""Percent between two lines where there is no terminal."""


class Bar:
    """Shows how far a batch is. Draws by a carriage return only, without colours."""

    def __init__(self) -> None:
        self._draws = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown: int | None = None
        self._drawn = 0

    def show(self, progress: GroupProgress) -> None:
        """Show this progress, where it says something new."""
        if self._draws:
            self._draw(drawn(progress, shutil.get_terminal_size().columns - 1))
            return
        step = percent(progress) // _STEP
        if step != self._shown:
            self._shown = step
            say(", ".join([f"{percent(progress)} %", *parts(progress)]))

    def end(self) -> None:
        """Leave the line that was drawn."""
        if self._drawn:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._drawn = 0

    def _draw(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._drawn))
        sys.stderr.flush()
        self._drawn = len(text)


def drawn(progress: GroupProgress, width: int) -> str:
    """Return the bar with as many words as fit into the width."""
    ahead = f"{percent(progress):3d} %"
    texts = parts(progress)
    while texts and len("  ".join([ahead, *texts])) > width:
        texts.pop()
    words = "  ".join([ahead, *texts])
    room = min(width - len(words) - 3, _LONGEST)
    if room < _SHORTEST:
        return words[: max(width, 0)]
    full = room * percent(progress) // 100
    return f"[{'#' * full}{'-' * (room - full)}] {words}"


def percent(progress: GroupProgress) -> int:
    """Return how much has ended; 100 only for all of it."""
    return 100 if not progress.total else 100 * ended(progress) // progress.total


def ended(progress: GroupProgress) -> int:
    """Return the number of runs that have ended."""
    return progress.completed + progress.failed + progress.canceled


def parts(progress: GroupProgress) -> list[str]:
    """Return what there is to say of a progress, the most important first."""
    found = [f"{ended(progress):,}/{progress.total:,}"]
    found += [f"{number:,} {what}" for what, number in _unlucky(progress) if number]
    if ended(progress) < progress.total and progress.rate:
        found.append(f"{progress.rate:.1f}/s")
        if progress.eta is not None:
            found.append(f"{duration((progress.eta - datetime.now(UTC)).total_seconds())} left")
    return found


def _unlucky(progress: GroupProgress) -> list[tuple[str, int]]:
    return [("failed", progress.failed), ("canceled", progress.canceled), ("waiting", progress.waiting)]


def batch_line(batch: Batch) -> str:
    """Return where a batch stands, in one line."""
    label = "" if batch.label is None else f" {batch.label}"
    return plain(f"{batch.batch_id}{label} {batch.status}: {', '.join(parts(batch.progress))}")
