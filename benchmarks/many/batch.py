"""A batch of 100,000 runs, no worker: seconds until `run_batch` returns, the memory that the process ever had (which holds
the 100,000 starts, too), and how long one look at the progress takes (the median of some).
"""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from benchmarks.many.ground import settings_on
from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, USER, one_step, opened
from stepwell import Start

LOOKS: Final = 20


async def measure(*, runs: int, url: str | None = None) -> Answer:
    workflow = one_step(lambda workflow_id: None)
    async with opened(settings_on(url), workflow, embedded_worker=False) as stepwell:
        await stepwell.runner.run_batch([Start(workflow, {"number": 0})], app_name=APP, user_id=USER)
        begun = time.perf_counter()
        starts = [Start(workflow, {"number": number}) for number in range(runs)]
        batch = await stepwell.runner.run_batch(starts, app_name=APP, user_id=USER)
        durable = time.perf_counter() - begun
        looks = []
        for _ in range(LOOKS):
            begun = time.perf_counter()
            progress = await batch.progress()
            looks.append((time.perf_counter() - begun) * 1000)
    if (progress.total, progress.pending) != (runs, runs):
        raise AssertionError(f"the batch has {progress.pending} of {progress.total} runs waiting, not {runs}")
    return Answer({"durable_seconds": durable, "starts_per_second": runs / durable, "progress_ms": median(looks)})


if __name__ == "__main__":
    answer(measure)
