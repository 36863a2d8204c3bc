"""What type checkers tell a user: `typed_shop` is an application, checked by mypy --strict and by pyright's strict mode.

The lines that end in `# error: ...` must be refused, and no other line. `basedpyright` is pyright as a package that brings
all it needs; the PyPI package `pyright` downloads itself when it is run.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import stepwell

HERE = Path(__file__).parent
APPLICATION = HERE / "typed_shop"
SOURCES = Path(stepwell.__file__).parents[1]
CACHE = HERE.parents[1] / ".mypy_cache" / "typing"
SECONDS = 600.0

Refused = Mapping[tuple[str, int], str]
"""By file and line, what a checker says."""


def expected() -> set[tuple[str, int]]:
    """The lines that are wrong."""
    return {
        (path.name, number)
        for path in APPLICATION.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "  # error: " in line
    }


def mypy() -> Refused:
    """What mypy refuses."""
    told = checked("mypy", "--strict", "--follow-imports=silent", "--no-error-summary", f"--cache-dir={CACHE}", ".")
    found = re.findall(r"^typed_shop/(\w+\.py):(\d+): error: (.*)$", told, re.MULTILINE)
    assert len(found) == told.count(" error: "), told
    return {(file, int(line)): message for file, line, message in found}


def pyright() -> Refused:
    """What pyright refuses."""
    told = checked("basedpyright", f"--pythonpath={sys.executable}", "--outputjson", "--project", str(HERE))
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in json.loads(told)["generalDiagnostics"]
    }


def checked(module: str, *arguments: str) -> str:
    """What the checker prints about the application."""
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=HERE,
        env={**os.environ, "MYPYPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("check", [mypy, pyright])
def test_what_is_wrong_is_refused_and_nothing_else(check: Callable[[], Refused]) -> None:
    found, wrong = check(), expected()
    accepted = sorted(wrong - found.keys())
    refused = {line: message for line, message in found.items() if line not in wrong}
    assert (accepted, refused) == ([], {})


def test_the_application_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    triggers = importlib.import_module("typed_shop.triggers")
    assert sorted(triggers.orders.definitions) == ["cleanup", "process_order", "quote"]
    assert [one.name for one in triggers.orders.schedules] == ["daily", "nightly-cleanup", "weekly", "hourly"]
