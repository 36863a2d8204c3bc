"""A worker process for trips: `python -m examples.saga.worker`, until it is stopped or killed.

The database and the lease are those of the environment (`STEPWELL_DATABASE_URL`, `STEPWELL_LEASE_SECONDS`).
"""

from __future__ import annotations

import asyncio

from examples.saga.workflows import trips
from stepwell import Stepwell


async def main() -> None:
    """Execute trips."""
    async with Stepwell(apps=[trips]):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
