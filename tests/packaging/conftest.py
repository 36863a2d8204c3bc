"""A copy of the checkout, and the build backend as a build frontend calls it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from wheels import Backend

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What git has of this, with nothing built."""
    copy = tmp_path / "checkout"
    kept = ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".gitignore", "src", "studio")
    ignored = shutil.ignore_patterns("node_modules", "static", "__pycache__", ".studio-*", "*.egg-info")
    for name in kept:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            copy.mkdir(exist_ok=True)
            shutil.copyfile(source, copy / name)
    return copy


@pytest.fixture
def backend() -> Backend:
    """`backend(folder, hook, *arguments, **environment)`: what the hook returned, and what was said, as one text."""

    def call(folder: Path, hook: str, *arguments: str, **environment: str) -> str:
        code = f"import hatchling.build; print(hatchling.build.{hook}(*{arguments!r}))"
        ended = subprocess.run(
            # The last argument is where a frontend's own process names the hook.
            [sys.executable, "-c", code, hook],
            cwd=folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if ended.returncode:
            raise AssertionError(ended.stdout + ended.stderr)
        return ended.stdout + ended.stderr

    return call
