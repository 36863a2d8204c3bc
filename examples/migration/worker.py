"""`python -m examples.migration.worker before`: a worker of one version, until its stdin is closed or it is killed."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module


async def main(version: str) -> None:
    """Execute runs, and say so once it can."""
    stepwell = import_module(f"examples.migration.{version}").stepwell
    async with stepwell:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
