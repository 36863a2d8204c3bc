"""One `self.start_many` of 10,000 children that do nothing, the worker in the process.

Durable: from the call that starts the parent until the database knows that the children are there, by looking every
few milliseconds. Ended: until the parent has its result. Checkpoints: the rows of the parent's history, its creation among them.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.many.ground import settings_on
from benchmarks.many.workflows import parent_of
from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, USER, one_step, opened

PAUSE = 0.005


async def measure(*, children: int, url: str | None = None) -> Answer:
    child = one_step(lambda workflow_id: None)
    async with opened(settings_on(url), parent_of(child), child) as stepwell:
        runner = stepwell.runner
        await (await runner.run("parent", {"number": 1}, app_name=APP, user_id=USER)).result()
        begun = time.perf_counter()
        run = await runner.run("parent", {"number": children}, app_name=APP, user_id=USER)
        while (await runner.get(run.workflow_id)).place == "start":
            await asyncio.sleep(PAUSE)
        durable = time.perf_counter()
        completed = await run.result()
        ended = time.perf_counter()
        checkpoints = len(await runner.history(run.workflow_id))
    if completed != children:
        raise AssertionError(f"{completed} of {children} children completed")
    return Answer(
        {"durable_seconds": durable - begun, "ended_seconds": ended - begun, "parents_checkpoints": float(checkpoints)}
    )


if __name__ == "__main__":
    answer(measure)
