"""The burst of `durable.py` by a workflow with `Concurrency(10, key=...)` over 1,000 keys, and by one without a limit.

No run has to wait for a slot: what is measured is what a limit costs those that it lets through.
"""

from __future__ import annotations

from typing import Any

from benchmarks.burst import Countdown, burst
from benchmarks.many.ground import ended_on, settings_on
from benchmarks.measure import Answer, answer
from benchmarks.workflows import opened, three_steps
from stepwell import Concurrency


async def measure(*, runs: int, keys: int, url: str | None = None) -> Answer:
    """`keys` 0: no limit."""

    def key(args: Any) -> int:
        return int(args.number % keys)

    countdown = Countdown(runs)
    workflow = three_steps(countdown.tick, **({"concurrency": Concurrency(10, key=key)} if keys else {}))
    async with opened(settings_on(url), workflow) as stepwell, ended_on(url) as ended:
        return Answer(await burst(stepwell, workflow, runs, countdown, ended))


if __name__ == "__main__":
    answer(measure)
