"""Standstills, as on a machine that others use too: `--standstills SECONDS`, with pytest-xdist.

While the tests run, a process of its own stops one of the processes that run them, with all that these have started, lets
it go on after so many seconds, and does so again. What fails then has depended on the machine's speed.
"""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from servers.shared import SHARED

GAP = 4.0
"""Seconds from one standstill to the next, at most."""
_STOPS = 0.05
"""Seconds in which a signal to stop has arrived."""
_PATIENCE = 60.0


class Standstills:
    """A plugin: the process that makes them lives from the first test to the last."""

    def __init__(self, config: pytest.Config) -> None:
        if not config.getoption("numprocesses", None):
            raise pytest.UsageError("--standstills stops processes of pytest-xdist: give -n, too.")
        self._seconds: float = config.getoption("standstills")
        self._seed: int = config.getoption("standstills_seed") or random.SystemRandom().randrange(2**32)
        self._count = ""

    def pytest_report_header(self) -> str:
        return f"standstills: of {self._seconds:g} s, --standstills-seed={self._seed}"

    def pytest_sessionstart(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._seconds), str(self._seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C isn't for it: first it lets everything go on
        )

    def pytest_sessionfinish(self) -> None:
        self._count, _ = self._process.communicate(timeout=_PATIENCE)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(f"{self.pytest_report_header()}: {self._count.strip()}")


# -- the process that makes them -------------------------------------------------------------------------------------------


@contextmanager
def stopped(root: psutil.Process) -> Iterator[list[psutil.Process]]:
    """The process and all below it stand still meanwhile; those that a test has stopped before stay so afterwards."""
    ours: list[psutil.Process] = []
    seen: set[psutil.Process] = set()
    try:
        # Parents first. What was being forked meanwhile is found by the next look.
        while new := [one for one in _family(root) if one not in seen]:
            for one in new:
                seen.add(one)
                with suppress(psutil.NoSuchProcess):
                    if one.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                        one.suspend()
                        ours.append(one)
                if one == root:
                    time.sleep(_STOPS)  # its own signals to those below it have arrived
            time.sleep(_STOPS)
        yield ours
    finally:
        for one in reversed(ours):
            with suppress(psutil.NoSuchProcess):
                one.resume()


def _family(root: psutil.Process) -> list[psutil.Process]:
    """The process and all below it, parents first."""
    try:
        return [one for one in (root, *root.children(recursive=True)) if not _shared(one)]
    except psutil.NoSuchProcess:
        return []


def _shared(process: psutil.Process) -> bool:
    """Whether it is of the server that all who run the tests share: to the others it would be a database that hangs."""
    try:
        command = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return True
    return f"cluster_name={SHARED}" in command or command.startswith(f"postgres: {SHARED}: ")


def stand_still(
    workers: Callable[[], list[psutil.Process]], seconds: float, seed: int, over: Callable[[float], bool]
) -> int:
    """How many standstills there were until `over(seconds)`, which waits that long at most, was true."""
    chance = random.Random(seed)
    count = 0
    while not over(chance.uniform(0.0, GAP)):
        victim = chance.random()
        if found := sorted(workers(), key=lambda one: one.pid):
            with stopped(found[int(victim * len(found))]):
                count += 1
                if over(seconds):
                    break
    return count


def _main(seconds: float, seed: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    me = psutil.Process()
    tests = me.parent()
    assert tests is not None

    def workers() -> list[psutil.Process]:
        return [one for one in tests.children() if one != me and one.status() != psutil.STATUS_ZOMBIE]

    def over(seconds: float) -> bool:
        # The pipe is closed when the tests are over, however they ended.
        return bool(select.select([sys.stdin], [], [], seconds)[0])

    count = stand_still(workers, seconds, seed, over)
    with suppress(BrokenPipeError):  # who started this was killed
        print(count, flush=True)  # noqa: T201 - it is the answer


if __name__ == "__main__":
    _main(float(sys.argv[1]), int(sys.argv[2]))
