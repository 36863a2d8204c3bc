"""A process that dies while it stores a batch, or as soon as it has: `python batch_victim.py URL before|after`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from stepwell import END, App, Settings, Start, Stepwell, Workflow, transition
from stepwell.runner import batch_starts

TOTAL = 2_500
KEY = "monday"


class Quick(Workflow[int, None, int]):
    @transition(target=END)
    async def go(self) -> int:
        return self.args


def starts() -> list[Start]:
    return [Start(Quick, number) for number in range(TOTAL)]


def dying() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, moment: str) -> None:
    if moment == "before":
        store = batch_starts.Storing._some

        def some(self: Any, start: int, tx: Any) -> bool:
            more = store(self, start, tx)
            if start + batch_starts._CHUNK >= TOTAL:  # everything is written, and nothing is committed
                dying()
            return more

        batch_starts.Storing._some = some  # type: ignore[method-assign]
    settings = Settings(_env_file=None, database_url=url)
    async with Stepwell([App("shop", workflows=[Quick])], settings=settings, embedded_worker=False) as stepwell:
        await stepwell.runner.run_batch(starts(), app_name="shop", user_id="u1", idempotency_key=KEY)
        dying()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
