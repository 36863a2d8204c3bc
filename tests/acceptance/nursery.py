"""Real processes for the crash tests, quick to start: a process that has imported everything forks them.

The mother never opens a database, has no loop and no thread. When the test's process dies she ends her children.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parents[1]
_PATIENCE = 60.0


class Child:
    """A process of a test."""

    def __init__(self, nursery: Nursery, pid: int, log: Path) -> None:
        self._nursery = nursery
        self.pid = pid
        self.log = log
        self.code: int | None = None

    def kill(self) -> None:
        """It is dead at once: nothing of its own runs any more."""
        self.send(signal.SIGKILL)
        self.wait()

    def freeze(self) -> None:
        """It stands still, with all its threads, until `thaw`."""
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + _PATIENCE
        while self._state() != "T":
            assert time.monotonic() < deadline, f"process {self.pid} doesn't stop"
            time.sleep(0.002)

    def thaw(self) -> None:
        """It goes on where it stood."""
        self.send(signal.SIGCONT)

    def terminate(self) -> None:
        """It was asked to end."""
        self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        if self.code is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float = _PATIENCE) -> int:
        """Its exit code; that of a signal is negative. Raises AssertionError if it lives on."""
        deadline = time.monotonic() + seconds
        while not self.ended():
            assert time.monotonic() < deadline, f"process {self.pid} still lives\n{self.tail()}"
            time.sleep(0.005)
        assert self.code is not None  # it has ended
        return self.code

    def ended(self) -> bool:
        """True if it lives no more; then it has a code."""
        if self.code is None:
            self.code = self._nursery.ask({"wait": self.pid})
        return self.code is not None

    def tail(self, lines: int = 30) -> str:
        """The end of what it has logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]


class Nursery:
    """Starts children, and ends those that are left when it is closed."""

    def __init__(self) -> None:
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "acceptance.nursery"],
            cwd=_TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._children: list[Child] = []
        assert self._answer() == "ready"

    def start(self, target: str, *arguments: Any, log: Path) -> Child:
        """A process that calls `module:function` with these arguments (JSON), and logs into this file."""
        child = Child(self, self.ask({"start": target, "arguments": arguments, "log": str(log)}), log)
        self._children.append(child)
        return child

    def end_all(self) -> None:
        """None of those that were started is left, nor writes to a database that the next test may be given."""
        while self._children:
            self._children.pop().kill()

    def ask(self, question: dict[str, Any]) -> Any:
        """The mother's answer."""
        assert self._mother.stdin is not None
        self._mother.stdin.write(json.dumps(question) + "\n")
        self._mother.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._mother.stdout is not None
        assert select.select([self._mother.stdout], [], [], _PATIENCE)[0], "the mother of the processes doesn't answer"
        return json.loads(self._mother.stdout.readline())

    def close(self) -> None:
        """No child is left."""
        assert self._mother.stdin is not None
        self._mother.stdin.close()
        self._mother.wait(_PATIENCE)


# -- the mother -----------------------------------------------------------------------------------------------------------


def _mother() -> None:
    for module in ("acceptance.players", "acceptance.small", "acceptance.once"):
        importlib.import_module(module)
    children: set[int] = set()
    _say("ready")
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            _say(_reap(children, question["wait"]))
        else:
            pid = os.fork()
            if pid == 0:
                _live(question)
            children.add(pid)
            _say(pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _reap(children: set[int], pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return None
    children.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _live(question: dict[str, Any]) -> None:
    code = 1
    try:
        log = os.open(question["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        module, _, name = question["start"].partition(":")
        getattr(importlib.import_module(module), name)(*question["arguments"])
        code = 0
    except BaseException:  # noqa: BLE001 - the last place where it can be told
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _mother()
