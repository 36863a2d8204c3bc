"""A group of children beside as many independent runs, each of one transition that does nothing, the worker in the process.

Together: from the call that starts the parent to its result, which it has from the one call that tells it of its
group's end. Apart: from the first of as many `run` calls in one `asyncio.gather` until the database knows that all
have ended. Each is done some times in a process; the figure is the median.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from benchmarks.burst import Countdown, start_all, until_ended
from benchmarks.many.ground import ended_on, settings_on
from benchmarks.many.workflows import parent_of
from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, USER, one_step, opened
from stepwell import Stepwell

TIMES: Final = 5


async def measure(*, way: str, children: int, url: str | None = None) -> Answer:
    countdown = Countdown(children)
    child = one_step(countdown.tick)
    parent = parent_of(child)
    taken = []
    async with opened(settings_on(url), parent, child) as stepwell, ended_on(url) as ended:

        async def together() -> None:
            await group_of(stepwell, children)

        async def apart() -> None:
            before = await ended()
            await start_all(stepwell, child, children)
            await countdown.over.wait()
            await until_ended(ended, before + children)

        for _ in range(TIMES + 1):
            countdown.again(children)
            begun = time.perf_counter()
            await (together() if way == "together" else apart())
            taken.append(time.perf_counter() - begun)
    return Answer({"seconds": median(taken[1:]), "first_seconds": taken[0]})


async def group_of(stepwell: Stepwell, children: int) -> str:
    """The id of a parent whose children have all completed."""
    run = await stepwell.runner.run("parent", {"number": children}, app_name=APP, user_id=USER)
    completed = await run.result()
    if completed != children:
        raise AssertionError(f"{completed} of {children} children completed")
    return run.workflow_id


if __name__ == "__main__":
    answer(measure)
