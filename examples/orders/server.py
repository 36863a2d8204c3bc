"""The application as processes of their own, so that the demo can kill them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import httpx

ROOT = Path(__file__).parents[2]


class Server:
    """`uvicorn examples.orders.app:app` on loopback, and the workers beside it. Ends with the `with` block.

    The environment says where everything is, and how many workers there are; by default it is a SQLite file in `folder`
    and none.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.log = folder / "orders.log"
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "STEPWELL_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/orders.db",
            **(environment or {}),
        }
        self.workers = int(self.environment.get("ORDERS_WORKERS") or 0)
        self._answering: subprocess.Popen[bytes] | None = None
        self._executing: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            if self._run("stepwell.console.cli", "db", "upgrade").wait() != 0:
                raise RuntimeError(f"the database can't be used:\n{self.log.read_text()[-4000:]}")
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, seconds: float = 60.0) -> None:
        """It answers, and its workers take runs. Raises RuntimeError with the end of its log if they don't."""
        if self._answering is None:
            # Idle connections are kept for longer than any client here is idle: else some request meets their end.
            options = ["--log-level", "warning", "--timeout-keep-alive", "120"]
            options += ["--host", "127.0.0.1", "--port", str(self.port)]
            self._answering = self._run("uvicorn", "examples.orders.app:app", *options)
            _wait(self._answering, self._answers, self.log, seconds)
        if self.workers and self._executing is None:
            # After the server, which makes the shop's tables.
            options = ["examples.orders.app:stepwell", "--processes", str(self.workers)]
            self._executing = self._run("stepwell.console.cli", "worker", *options)
            _wait(self._executing, lambda: self.log.read_text().count(" takes ") >= self.workers, self.log, seconds)

    def kill(self, pid: int) -> None:
        """This process of it is gone, at once and without a chance to tidy up (SIGKILL), and another one is there.

        Who supervises the workers starts a worker anew, and `start` the server.
        """
        os.kill(pid, signal.SIGKILL)
        if self._answering is not None and self._answering.pid == pid:
            self._answering.wait()
            self._answering = None
            self.start()

    def stop(self, seconds: float = 15.0) -> None:
        """It has finished what it was doing, and is gone (SIGTERM)."""
        for process in (self._executing, self._answering):
            if process is None:
                continue
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._executing = self._answering = None

    async def command(self, *arguments: str) -> int:
        """The exit code of `stepwell ...` beside it, which draws on the terminal itself."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stepwell.console.cli", *arguments),
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        return await process.wait()

    def _run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends everything in the right order
            )

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/v1/health", timeout=1.0).is_success
        except httpx.TransportError:
            return False


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the application didn't start:\n{log.read_text()[-4000:]}")
        time.sleep(0.05)


def free_port() -> int:
    """A port that no program listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
