"""The benchmarks measure what they say: an old Stepwell beside this one, each in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[1]


def compared(checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "sqlite", "--quick", "--only", "import", "--against", str(checkout)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_an_older_checkout_is_measured_beside_this_one() -> None:
    done = compared(ROOT)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if " names milliseconds " in line]
    ratio = float(line.replace("│", " ").split()[-1])
    assert ratio > 0


def test_it_is_really_the_other_one_that_is_measured(tmp_path: Path) -> None:
    package = tmp_path / "src" / "stepwell"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('this is the other one')")
    done = compared(Path(os.path.relpath(tmp_path, ROOT)))  # relative: it was looked for in the folder of the child
    assert done.returncode == 1
    assert "import (before) has no result" in done.stdout
    assert "this is the other one" in done.stdout.replace("\n", "")


def test_a_folder_without_a_stepwell_is_refused(tmp_path: Path) -> None:
    done = compared(tmp_path)
    assert done.returncode == 2
    assert "that is no checkout of Stepwell" in done.stderr.replace("\n", " ")
