"""Pick-up on an idle system: from calling `run` to the first line of user code, in one process, with 20 ms of silence
before each.

The start is durable before user code sees it. For DBOS the first line of user code is that of the workflow function;
the first line of its first step is given too.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.figures import latency
from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, USER, first_line, on_file, opened

SILENCE = 0.02


async def measure(*, runs: int) -> Answer:
    entered: list[int] = []
    workflow = first_line(lambda: entered.append(time.perf_counter_ns()))
    called: list[int] = []
    async with opened(on_file(), workflow) as stepwell:
        for number in range(runs + 1):
            await asyncio.sleep(SILENCE)
            called.append(time.perf_counter_ns())
            run = await stepwell.runner.run(workflow, {"number": number}, app_name=APP, user_id=USER)
            await run.result()
    warm = [entry - call for call, entry in zip(called, entered, strict=True)][1:]
    return Answer(latency("pickup", warm))


if __name__ == "__main__":
    answer(measure)
