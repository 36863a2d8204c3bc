"""The proof that acknowledged writes are there: a process under load is killed with -9 at a random moment, five
times.

Its transitions append "run n" to a log as they are entered, its caller appends "run 0" once `run` has returned.
Afterwards the file must hold, for each line "run n", the creation and the checkpoints up to n - 1. Nothing is
repaired and no Stepwell is opened before the check. A kill proves the order of commit and call; that a commit also
survives a power cut depends on the pragmas, printed from the connections that wrote.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Answer, answer
from benchmarks.sqlite.store_view import connect, last_checkpoints

START_TIMEOUT = 30.0


def measure(*, runs: int) -> Answer:
    delay = random.uniform(0.05, 1.0)
    kill_under_load(runs, delay)
    entered = last_lines(Path("entered.log"))
    broken = violations(entered, last_checkpoints(connect("bench.db")))
    figures = {"violations": float(len(broken)), "runs_entered": float(len(entered)), "killed_after_s": delay}
    pragmas = Path("pragmas.txt")
    return Answer(figures, {"violations": "; ".join(broken[:5]) or "none", "pragmas": pragmas.read_text().strip()})


def kill_under_load(runs: int, delay: float) -> None:
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.sqlite.crash_victim", str(runs)])
    try:
        wait_for_load(Path("pragmas.txt"), child)
        time.sleep(delay)
        if child.poll() is not None:
            raise AssertionError("the load ended before the kill: give it more runs")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        child.wait()


def wait_for_load(ready: Path, child: subprocess.Popen[bytes]) -> None:
    """The victim has executed a run, noted its pragmas and goes on with the load."""
    deadline = time.monotonic() + START_TIMEOUT
    while not ready.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the victim executed nothing (exit code {child.poll()})")
        time.sleep(0.005)


def last_lines(log: Path) -> dict[str, int]:
    """For each run the highest number in the log. A last line cut off by the kill doesn't count."""
    found: dict[str, int] = {}
    complete = log.read_text().rpartition("\n")[0]
    for line in complete.splitlines():
        run_id, number = line.split()
        found[run_id] = max(found.get(run_id, 0), int(number))
    return found


def violations(entered: dict[str, int], committed: dict[str, int]) -> list[str]:
    """The runs of which the file holds less than was acted upon."""
    missing = [f"{run_id} was started and is not stored" for run_id in entered if run_id not in committed]
    behind = [
        f"{run_id} entered transition {number} with {committed[run_id]} checkpoints"
        for run_id, number in entered.items()
        if run_id in committed and committed[run_id] < number - 1
    ]
    return missing + behind


if __name__ == "__main__":
    answer(measure)
