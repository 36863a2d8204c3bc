"""The process that `crash.py` kills: starts runs of five transitions, each of which logs that it was entered."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from benchmarks.sqlite import live_pragmas
from benchmarks.workflows import APP, USER, logged, on_file, opened
from stepwell import Stepwell

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


async def live(runs: int) -> None:
    pragmas = live_pragmas.watch()
    log = os.open("entered.log", APPEND, 0o644)
    workflow = logged(log)

    async def start(stepwell: Stepwell, number: int) -> None:
        run = await stepwell.runner.run(workflow, {"number": number}, app_name=APP, user_id=USER)
        os.write(log, f"{run.workflow_id} 0\n".encode())

    async with opened(on_file(), workflow) as stepwell:
        await (await stepwell.runner.run(workflow, {"number": 0}, app_name=APP, user_id=USER)).result()
        note(pragmas)
        for first in range(0, runs, 200):
            await asyncio.gather(*(start(stepwell, number) for number in range(first, first + 200)))
        await asyncio.sleep(60)


def note(pragmas: set[str]) -> None:
    Path("pragmas.txt").write_text("; ".join(sorted(pragmas)) or "not seen")


if __name__ == "__main__":
    asyncio.run(live(int(sys.argv[1])))
