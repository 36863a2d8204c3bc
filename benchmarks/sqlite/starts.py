"""Starts only: seconds until 10,000 `run` calls in one `asyncio.gather` are durable, without a worker in the process
and with one.
"""

from __future__ import annotations

import time

from benchmarks.burst import start_all
from benchmarks.measure import Answer, answer
from benchmarks.workflows import on_file, opened, three_steps


async def measure(*, runs: int, worker: bool) -> Answer:
    workflow = three_steps(lambda workflow_id: None)
    async with opened(on_file(), workflow, embedded_worker=worker) as stepwell:
        await start_all(stepwell, workflow, 1)
        begun = time.perf_counter()
        await start_all(stepwell, workflow, runs)
        seconds = time.perf_counter() - begun
    return Answer({"seconds": seconds, "starts_per_second": runs / seconds})


if __name__ == "__main__":
    answer(measure)
