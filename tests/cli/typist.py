"""Somebody at a terminal: a command in a pseudo-terminal of its own, what it shows there, and what is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 120.0
"""Seconds for anything: the machine may be busy."""


class Typist:
    """stdin and stderr are the terminal; stdout is a pipe, so that data can be told from everything else."""

    def __init__(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        self._terminal, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**env, "TERM": "xterm", "COLUMNS": "100"},
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),  # Ctrl-C becomes a signal
        )
        os.close(slave)
        self.shown = ""
        self._read = 0

    def sees(self, text: str) -> str:
        """The text is shown, after all that was seen before. What was shown up to it."""
        deadline = time.monotonic() + PATIENCE
        while (at := self.shown.find(text, self._read)) < 0:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.shown[self._read :]}"
            assert self._more(), f"it ended without {text!r}:\n{self.shown}"
        before, self._read = self.shown[self._read : at], at + len(text)
        return before

    def sees_that_it_is_settled(self, reason: str) -> None:
        """Its answer isn't needed, for this reason; or, where the transition that says so isn't over yet, for none."""
        before = self.sees("Your answer is no longer needed.")
        assert reason in before or "The run goes on. " in before, before

    def types(self, text: str) -> None:
        """The text is typed, with Enter."""
        os.write(self._terminal, text.encode() + b"\n")

    def presses(self, key: bytes) -> None:
        """A key, as the terminal sends it."""
        os.write(self._terminal, key)

    def ends(self) -> int:
        """The exit code, once all that it shows was read."""
        deadline = time.monotonic() + PATIENCE
        while self._more():
            assert time.monotonic() < deadline, f"it goes on:\n{self.shown}"
        return self.process.wait(PATIENCE)

    @property
    def data(self) -> str:
        """What was on stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def _more(self) -> bool:
        """False once nobody has the terminal open any more."""
        ready, _, _ = select.select([self._terminal], [], [], 0.1)
        if not ready:
            return True
        try:
            found = os.read(self._terminal, 65_536)
        except OSError:  # Linux says so at the end
            return False
        self.shown += found.decode(errors="replace").replace("\r\n", "\n")
        return bool(found)

    def close(self) -> None:
        """It is gone, whatever it was doing."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._terminal)
