"""The command line on a real file: workers in processes of their own, short commands mostly in this one."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from backends import Database
from servers.ports import free_port
from stepwell.console.cli import main

from .typist import Typist

APPLICATIONS = ("shop", "desk", "family", "guarded", "parcels", "approvals")
SCRIPT = Path(sys.executable).parent / "stepwell"
PATIENCE = 120.0
"""Seconds for anything: the machine may be busy."""


class Done(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """A folder with the application in it, in which `stepwell` is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.typists: list[Typist] = []
        for name in APPLICATIONS:
            shutil.copy(Path(__file__).with_name(f"{name}.py"), folder)
        outside = {name: value for name, value in os.environ.items() if not name.startswith("STEPWELL_")}
        self.env = {
            **outside,
            "STEPWELL_APP": "shop:stepwell",
            "STEPWELL_LEASE_SECONDS": "120",
            "PYTHONUNBUFFERED": "1",
        }

    def __call__(self, *args: str, stdin: str | None = None, **env: str) -> Done:
        """What `stepwell args` did, called in this process: nine of ten seconds of a process of its own are imports."""
        out, err = io.StringIO(), io.StringIO()
        modules, path = set(sys.modules), list(sys.path)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("STEPWELL_")]:
                patch.delenv(name)
            for name, value in {**self.env, **env}.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["stepwell", *args])
            patch.setattr(sys, "stdin", io.StringIO(stdin or ""))
            with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as exited:
                main()
        for name in set(sys.modules) - modules:
            if name.split(".")[0] in (*APPLICATIONS, "hello", "broken", "other"):
                del sys.modules[name]
        sys.path[:] = path
        code = exited.value.code
        return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    def script(self, *args: str) -> Done:
        """What the real console script did, in a process of its own."""
        done = subprocess.run(
            [str(SCRIPT), *args],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def json(self, *args: str) -> Any:
        """The JSON that `stepwell args --json` printed."""
        done = self(*args, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def start(self, *args: str, program: Path = SCRIPT, **env: str) -> subprocess.Popen[str]:
        """`stepwell args`, still running; what it says on stderr is in a file."""
        log = (self.folder / f"log{len(self.processes)}").open("w")
        process = subprocess.Popen(
            [str(program), *args],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        self.processes.append(process)
        return process

    def typist(self, *args: str, **env: str) -> Typist:
        """Somebody at a terminal of their own who has typed `stepwell args`."""
        typist = Typist([str(SCRIPT), *args], self.folder, {**self.env, **env})
        self.typists.append(typist)
        return typist

    def serve(self, *args: str, program: Path = SCRIPT) -> str:
        """The URL of a server that was started with `args` and answers; `{port}` in them is its port."""
        port = free_port()
        process = self.start(*(arg.replace("{port}", str(port)) for arg in args), program=program)
        url = f"http://127.0.0.1:{port}"
        self.until(lambda: _answers(url), lambda: self.log(process))
        return url

    def log(self, process: subprocess.Popen[str]) -> str:
        """What a started process has said on stderr so far."""
        return (self.folder / f"log{self.processes.index(process)}").read_text()

    def worker(self, *args: str, target: str = "shop:stepwell", **env: str) -> subprocess.Popen[str]:
        """A worker that is ready to work, and stops if this process dies."""
        process = self.start("worker", target, "--tied", *args, **env)
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

    def close(self) -> None:
        """Nothing that was started goes on."""
        for typist in self.typists:
            typist.close()
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/health/live", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def stepwell(tmp_path: Path) -> Iterator[Shell]:
    """The shell of one test."""
    shell = Shell(tmp_path)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def afar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose commands reach the desk on a server; its folder holds no application."""
    here = Shell(tmp_path_factory.mktemp("server"))
    shell = Shell(tmp_path_factory.mktemp("afar"))
    url = here.serve("dev", "desk:stepwell", "--no-reload", "--port", "{port}")
    for name in APPLICATIONS:
        (shell.folder / f"{name}.py").unlink()
    del shell.env["STEPWELL_APP"]
    shell.env["STEPWELL_URL"] = url
    yield shell
    shell.close()
    here.close()


@pytest.fixture
def on_each_database(stepwell: Shell, database: Database) -> None:
    """The application is on a database of either kind."""
    stepwell.env["STEPWELL_DATABASE_URL"] = database.url
