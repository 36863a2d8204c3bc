"""A process that starts servers, and ends them when nobody uses them any more.

Who uses them holds a shared lock on a file; the kernel gives it back however the user ended. Once all are gone, the keeper
ends its servers and removes their folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil

from servers.disk import leave_disk, own_disk

_TESTS = Path(__file__).parents[1]
_PATIENCE = 60.0
USER = "nobody"
"""Who executes what refuses to be executed by root."""


class NoDisk(Exception):
    """This machine gives nobody a disk of their own."""


class Keeper:
    """A folder, and the processes that live as long as somebody uses it."""

    def __init__(self, name: str, *, disk_mib: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"stepwell-{name}-", dir=place_for_all()))
        self.folder.chmod(0o711)
        self.room = self.folder / "room"
        """Belongs to whoever executes what root may not. With `disk_mib`: a disk of its own, which only the processes see."""
        self._use = use(self.folder)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "servers.keeper", str(self.folder), str(disk_mib)],
            cwd=_TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        refusal = self._answer()
        if refusal is not None:
            self.close()
            raise NoDisk(refusal)

    def seen(self, path: Path) -> Path:
        """The same path, as the processes see it."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def start(
        self, command: list[str], log: Path, *, unprivileged: bool = False, end: signal.Signals = signal.SIGKILL
    ) -> int:
        """The process id of a command that runs now, logs into this file, and is ended by this signal."""
        return int(self._ask({"start": command, "log": str(log), "unprivileged": unprivileged, "end": end}))

    def code(self, pid: int) -> int | None:
        """Its exit code; None while it lives."""
        code = self._ask({"code": pid})
        return None if code is None else int(code)

    def close(self) -> None:
        """The servers have ended, and the folder is gone. For a keeper whose servers nobody else uses."""
        if self._leave():
            self._process.wait(_PATIENCE)

    def leave(self) -> None:
        """This process uses it no more; its servers end with their last user."""
        self._leave()

    def _leave(self) -> bool:
        if self._use.closed:
            return False
        self._use.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        return True

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if isinstance(answer, str):
            raise OSError(answer)
        return answer

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], _PATIENCE)[0], "the keeper of the servers doesn't answer"
        return json.loads(self._process.stdout.readline())


def use(folder: Path) -> Any:
    """The servers of this folder stay as long as this file is open. Raises FileNotFoundError if they have ended."""
    file = (folder / "users").open("a")
    fcntl.flock(file, fcntl.LOCK_SH)
    if (folder / "ending").exists() or not folder.exists():
        file.close()
        raise FileNotFoundError(f"The servers in {folder} have ended.")
    return file


def identity() -> dict[str, Any]:
    """The arguments for `subprocess` of a process that must not be root's."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def entered_by_all(folder: Path) -> bool:
    """Whether every user may enter this folder, and all folders on the way to it."""
    return folder.is_dir() and all(one.stat().st_mode & 0o001 for one in (folder.resolve(), *folder.resolve().parents))


def place_for_all() -> str:
    """The temporary folder; if that is root's own and something runs as another user, one that everybody may enter."""
    places = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    return next((one for one in places if not identity() or entered_by_all(Path(one))), places[0])


# -- the keeper's own process ----------------------------------------------------------------------------------------------


class _Children:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._living: dict[int, subprocess.Popen[bytes]] = {}
        self._ends: dict[int, int] = {}

    def serve(self) -> None:
        """Answers who has started the keeper, until that one is gone."""
        for line in sys.stdin:
            question = json.loads(line)
            try:
                answer: Any = self._living[question["code"]].poll() if "code" in question else self._start(**question)
            except OSError as error:
                answer = str(error)
            _say(answer)

    def _start(self, start: list[str], log: str, unprivileged: bool, end: int) -> int:
        with open(log, "ab") as output:
            child = subprocess.Popen(
                start,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **(identity() if unprivileged else {}),
            )
        self._living[child.pid] = child
        self._ends[child.pid] = end
        return child.pid

    def end(self) -> None:
        """None of them, and none of theirs, is left."""
        everybody = psutil.Process().children(recursive=True)
        for one in everybody:
            _send(one, signal.SIGCONT)
        for pid, child in self._living.items():
            child.send_signal(self._ends[pid])
        _, left = psutil.wait_procs(everybody, timeout=5)
        for one in left:
            _send(one, signal.SIGKILL)
        psutil.wait_procs(left, timeout=5)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _prepare(room: Path, disk_mib: int) -> str | None:
    """Why there is no such room; None if there is."""
    room.mkdir()
    if disk_mib:
        try:
            own_disk(room, disk_mib)
        except OSError as error:
            return str(error)
    if owner := identity():
        os.chown(room, owner["user"], owner["group"])
    return None


def _keep(folder: Path, disk_mib: int) -> None:
    children = _Children(folder)
    _say(_prepare(folder / "room", disk_mib))
    threading.Thread(target=children.serve, daemon=True).start()
    users = (folder / "users").open()
    fcntl.flock(users, fcntl.LOCK_EX)
    (folder / "ending").touch()
    children.end()
    if disk_mib:
        leave_disk(folder / "room")
    shutil.rmtree(folder)
    os._exit(0)  # the thread may stand in a read


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
