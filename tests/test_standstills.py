"""Standstills of the processes that run the tests: all of a process, and nothing else, stands still and goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from standstills import stand_still, stopped

_TREE = """
import subprocess, sys, time
depth = int(sys.argv[1])
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]])
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def tree() -> Iterator[list[psutil.Process]]:
    """A process, its child and its grandchild; one that a test has stopped is the last."""
    with subprocess.Popen([sys.executable, "-c", _TREE, "2", _TREE], stdout=subprocess.PIPE, text=True) as root:
        assert root.stdout is not None
        assert [root.stdout.readline() for _ in range(3)] == ["ready\n"] * 3
        family = [psutil.Process(root.pid), *psutil.Process(root.pid).children(recursive=True)]
        yield family
        for one in family:
            one.send_signal(signal.SIGKILL)


def _stand(processes: list[psutil.Process]) -> list[bool]:
    return [one.status() == psutil.STATUS_STOPPED for one in processes]


def _until(processes: list[psutil.Process], expected: list[bool]) -> None:
    deadline = time.monotonic() + 60
    while _stand(processes) != expected:
        assert time.monotonic() < deadline, _stand(processes)
        time.sleep(0.01)


def test_a_process_and_all_below_it_stand_still_and_go_on(tree: list[psutil.Process]) -> None:
    with stopped(tree[0]) as still:
        assert still == tree
        _until(tree, [True, True, True])
    assert _stand(tree) == [False, False, False]


def test_what_stood_still_before_does_so_afterwards(tree: list[psutil.Process]) -> None:
    tree[2].suspend()
    _until(tree, [False, False, True])
    with stopped(tree[0]) as still:
        assert still == tree[:2]
    assert _stand(tree) == [False, False, True]


def test_everything_goes_on_if_the_end_comes_meanwhile(tree: list[psutil.Process]) -> None:
    asked: list[float] = []

    def over(seconds: float) -> bool:
        asked.append(seconds)
        if len(asked) == 2:
            _until(tree, [True, True, True])
        return len(asked) == 2

    assert stand_still(lambda: tree[:1], 3_600, 1, over) == 1
    assert asked[1] == 3_600
    assert _stand(tree) == [False, False, False]


def test_the_seed_is_told_and_processes_to_stop_are_asked_for() -> None:
    tests = Path(__file__).parent
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--standstills",
        "1",
        "-p",
        "no:cacheprovider",
        str(tests / "test_keywords.py"),
    ]
    options = {"cwd": tests.parent, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    refused = subprocess.run([*command, "-n", "0"], check=False, **options)  # type: ignore[call-overload]
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "give -n, too" in refused.stdout
    told = subprocess.run([*command, "-n", "1"], check=False, **options)  # type: ignore[call-overload]
    assert told.returncode == 0, told.stdout
    assert "standstills: of 1 s, --standstills-seed=" in told.stdout
