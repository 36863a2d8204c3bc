"""Stateless runs of three transitions through `run_sync(..., stateless=True)`: runs per second of one process.

One by one, and as one gather. Arguments come as a mapping and are validated; the first transition changes the state.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, USER, Quote, Total, on_file, opened

ARGS = {"item": "chair", "quantity": 3, "cents": 4900}


async def measure(*, runs: int) -> Answer:
    async with opened(on_file(), Quote, embedded_worker=False) as stepwell:

        async def one() -> None:
            done = await stepwell.runner.run_sync(Quote, ARGS, app_name=APP, user_id=USER, stateless=True)
            if Total.model_validate(done.state).total != 14700:
                raise AssertionError(f"wrong state: {done.state}")

        await one()
        begun = time.perf_counter()
        for _ in range(runs):
            await one()
        alone = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(runs)))
        ended = time.perf_counter()
    return Answer({"one_by_one_per_second": runs / (alone - begun), "gather_per_second": runs / (ended - alone)})


if __name__ == "__main__":
    answer(measure)
