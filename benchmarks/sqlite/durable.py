"""Durable runs of three transitions that do nothing, default settings, the worker in the process.

All `run` calls are awaited through one `asyncio.gather`. Starts per second counts until the last of them is durable,
runs and transitions per second until the last run has ended, both from the first call. The three transitions of a run
are three checkpoints, each durable before the next transition starts.
"""

from __future__ import annotations

from benchmarks.burst import Countdown, burst
from benchmarks.measure import Answer, answer
from benchmarks.sqlite import live_pragmas
from benchmarks.sqlite.store_view import connect, ended_in
from benchmarks.workflows import on_file, opened, three_steps


async def measure(*, runs: int) -> Answer:
    pragmas = live_pragmas.watch()
    countdown = Countdown(runs)
    workflow = three_steps(countdown.tick)
    async with opened(on_file(), workflow) as stepwell:
        figures = await burst(stepwell, workflow, runs, countdown, ended_in(connect("bench.db")))
    figures["weak_writers"] = live_pragmas.weak(pragmas)
    return Answer(figures, {"pragmas": "; ".join(sorted(pragmas)) or "not seen"})


if __name__ == "__main__":
    answer(measure)
