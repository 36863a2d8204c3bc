"""The child process protocol: a module gets JSON arguments in `argv[1]` and leaves one JSON answer on stdout.

The parent imports neither Stepwell nor a peer.
"""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from asyncio import run as run_loop
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.task import Interpreter

ROOT = Path(__file__).resolve().parent.parent
OURS = ("STEPWELL_", "DBOS")


class MeasurementFailed(Exception):
    """A child ended without an answer. The text is the end of what it wrote to stderr."""


@dataclass(slots=True)
class Answer:
    """What one child measured: numbers to take medians of, and texts to print as they are."""

    figures: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def ask(
    module: str,
    arguments: Mapping[str, Any],
    *,
    seconds: float,
    interpreter: Interpreter = "own",
    library: Path | None = None,
) -> Answer:
    """Run `benchmarks.<module>` in a fresh directory and process, and return its answer.

    `library` is the folder with the Stepwell that is measured, if it isn't this one. Raises MeasurementFailed if it
    crashes or isn't done within `seconds`; the child is gone in every case.
    """
    command = [python(interpreter), "-m", f"benchmarks.{module}", json.dumps(dict(arguments))]
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-", ignore_cleanup_errors=True) as fresh:
        output = _output_of(command, Path(fresh), seconds, library)
    return Answer(**json.loads(output))


def python(interpreter: Interpreter) -> str:
    """The interpreter of that environment. Without one for the peers, they are looked for in our own."""
    theirs = Path(sys.prefix) / "peers" / "bin" / "python"
    return str(theirs) if interpreter == "peers" and theirs.exists() else sys.executable


def answer(measure: Callable[..., Answer | Awaitable[Answer]]) -> None:
    """Be the child: call `measure` with the arguments and write its answer and the peak memory of this process.

    Whatever else prints to stdout meanwhile goes to stderr.
    """
    channel = os.dup(1)
    os.dup2(2, 1)
    result = measure(**json.loads(sys.argv[1]))
    measured = run_loop(_awaited(result)) if inspect.isawaitable(result) else result
    measured.figures["peak_rss_mb"] = peak_rss_mb()
    with os.fdopen(channel, "w") as stream:
        json.dump(asdict(measured), stream)


def peak_rss_mb() -> float:
    """The most memory this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Belongs to this program. `ru_maxrss` also knows what the process held that started it.
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def child_environment(library: Path | None) -> dict[str, str]:
    """The parent's environment without settings of the measured systems, and with this package and that library importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONPATH": os.pathsep.join(str(path) for path in (library, ROOT) if path)}


async def _awaited(result: Awaitable[Answer]) -> Answer:
    return await result


def _output_of(command: list[str], directory: Path, seconds: float, library: Path | None) -> str:
    pipe, environment = subprocess.PIPE, child_environment(library)
    process = subprocess.Popen(
        command, cwd=directory, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise MeasurementFailed(f"not done after {seconds:.0f} s") from None
    finally:
        _end(process)
    if process.returncode != 0:
        raise MeasurementFailed(f"exit code {process.returncode}: {errors.strip()[-2000:]}")
    return output


def _end(process: subprocess.Popen[str]) -> None:
    """The child and what it started are gone: it leads a process group of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
