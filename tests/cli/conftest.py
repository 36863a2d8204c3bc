"""The real console script, in processes of its own, on a real file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(sys.executable).parent / "stepwell"
PATIENCE = 60.0
"""Seconds for anything: the machine may be busy."""


class Shell:
    """A folder with the application in it, in which `stepwell` is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        shutil.copy(Path(__file__).with_name("shop.py"), folder / "shop.py")
        outside = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")}
        self.env = {**outside, "STEPWELL_APP": "shop:stepwell", "STEPWELL_LEASE_SECONDS": "1", "PYTHONUNBUFFERED": "1"}

    def __call__(self, *args: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """What `stepwell args` did."""
        return subprocess.run(
            [str(SCRIPT), *args],
            cwd=self.folder,
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def json(self, *args: str) -> Any:
        """The JSON that `stepwell args --json` printed."""
        done = self(*args, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """`stepwell args`, still running; what it says on stderr is in a file."""
        log = (self.folder / f"log{len(self.processes)}").open("w")
        process = subprocess.Popen(
            [str(SCRIPT), *args],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def log(self, process: subprocess.Popen[str]) -> str:
        """What a started process has said on stderr so far."""
        return (self.folder / f"log{self.processes.index(process)}").read_text()

    def worker(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """A worker that is ready to work."""
        process = self.start("worker", "shop:stepwell", *args, **env)
        self.until(lambda: "takes" in self.log(process), lambda: self.log(process))
        return process

    def until(self, condition: Callable[[], object], seen: Callable[[], object] = lambda: "") -> None:
        """The condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, seen()
            time.sleep(0.02)

    def naps(self) -> list[int]:
        """The processes that have executed Nap.sleep, in order."""
        file = self.folder / "naps"
        return [int(line) for line in file.read_text().split()] if file.exists() else []


@pytest.fixture
def stepwell(tmp_path: Path) -> Iterator[Shell]:
    """The shell of one test."""
    shell = Shell(tmp_path)
    yield shell
    for process in shell.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
