"""100,000 runs wait behind one key with `Concurrency(1, key=...)`; how long do claims of runs with other keys take?

The runs of the busy key go on one after the other meanwhile, each for some milliseconds. Those of other keys are
started one by one by a second Stepwell without a worker, after pauses of random length. A claim is timed from the worker's
call to its commit, and with it the wait for what the process is writing. Beside it: the same with no run waiting. Settling:
seconds from the start of the worker until those that wait are held behind their key, and none is ready and claimed in vain.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final

from pydantic import BaseModel

from benchmarks.figures import latency
from benchmarks.many.claims_view import timed_claims
from benchmarks.many.ground import ready_on, settings_on
from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, USER, opened
from stepwell import END, Concurrency, Start, Workflow, transition

BUSY: Final = "busy"
OTHER: Final = "other"
KEYS: Final = 50
HOLD: Final = 0.02
PAUSE: Final = (0.01, 0.05)
SEED: Final = 1
SETTLED: Final = 0.1


class Work(BaseModel):
    key: str


class Keyed(Workflow[Work, dict[str, Any]], concurrency=Concurrency(1, key="args.key")):
    @transition(target=END)
    async def only(self) -> None:
        if self.args.key == BUSY:
            await asyncio.sleep(HOLD)


async def measure(*, waiting: int, claims: int, url: str | None = None) -> Answer:
    chance = random.Random(SEED)
    async with opened(settings_on(url), Keyed, embedded_worker=False) as starting:
        if waiting:
            starts = [Start(Keyed, {"key": BUSY})] * waiting
            await starting.runner.run_batch(starts, app_name=APP, user_id=USER)
        async with opened(settings_on(url), Keyed):
            begun = time.perf_counter()
            while await ready_on(url) > 1:
                await asyncio.sleep(SETTLED)
            settling = time.perf_counter() - begun
            await other(starting.runner.run, 0)
            with timed_claims(OTHER) as taken:
                for number in range(claims):
                    await asyncio.sleep(chance.uniform(*PAUSE))
                    await other(starting.runner.run, number)
        left = (await starting.runner.list(status="pending", limit=1)).items
    if waiting and not left:
        raise AssertionError("no run was waiting any more")
    return Answer(latency("claim", taken) | {"claims": float(len(taken)), "settling_seconds": settling})


async def other(run: Any, number: int) -> None:
    """A run of another key has ended."""
    started = await run(Keyed, {"key": f"key-{number % KEYS}"}, app_name=APP, user_id=OTHER)
    await started.result()


if __name__ == "__main__":
    answer(measure)
