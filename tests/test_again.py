"""What failed among others is tried again alone: what passes then is named, whatever else happened fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import again

_UNSTEADY = """
from pathlib import Path
def test_{n}():
    tried = Path("tried-{n}")
    before = tried.exists()
    tried.touch()
    assert before
"""


def _run(folder: Path, suite: str) -> tuple[int, str]:
    """Return the exit code and the output of such a run of these tests."""
    (folder / "test_suite.py").write_text(suite)
    done = subprocess.run(
        [sys.executable, again.__file__, "-q"], cwd=folder, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout


def test_what_passes_alone_is_named_and_holds_nothing_up(tmp_path: Path) -> None:
    code, said = _run(tmp_path, _UNSTEADY.format(n=1) + "def test_good(): pass\n")
    assert (code, "1 passed" in said) == (0, True)
    assert "UNSTEADY: test_suite.py::test_1 failed among others" in said


@pytest.mark.parametrize(
    ("suite", "exit_code"),
    [
        ("def test_bad(): assert False\n", 1),
        (_UNSTEADY.format(n=1) + "def test_bad(): assert False\n", 1),
        ("".join(_UNSTEADY.format(n=n) for n in range(again.MOST + 1)), 1),
        (_UNSTEADY.format(n=1) + "def test_bad(): raise KeyboardInterrupt\n", 2),
        ("import nothing_of_that_name\n", 2),
        ("", 5),
    ],
    ids=["fails alone", "one of two fails alone", "too many", "interrupted", "can't be collected", "no test"],
)
def test_whatever_else_failed_fails(tmp_path: Path, suite: str, exit_code: int) -> None:
    assert _run(tmp_path, suite)[0] == exit_code
