"""Studio's own tests, in Node: pure functions on recorded runs, and components without a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from chromium import STUDIO


def test_vitest() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["node", str(STUDIO / "node_modules" / "vitest" / "vitest.mjs"), "run", "--no-color"],
        cwd=STUDIO,
        env=os.environ | {"PATH": path, "CI": "true"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout[-8_000:] + ended.stderr[-4_000:]
