"""Twenty runs of one user behind a burst of 3,000 runs of another, all ready, with `fair_by="user_id"` and without it.

All are started while the workflow is paused. From the end of the pause: milliseconds until the last of the twenty
has begun, how many runs of the burst began before it, and runs per second until all have ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.burst import Countdown, until_ended
from benchmarks.many.ground import ended_on, settings_on
from benchmarks.measure import Answer, answer
from benchmarks.workflows import APP, Number, Total, WorkflowClass, opened
from stepwell import END, Workflow, transition

FEW: Final = 20
ADA, BOB = "ada", "bob"


def job(on_begin: Callable[[str], None], keywords: dict[str, Any]) -> WorkflowClass:
    """One transition that tells `on_begin` its user."""

    class Job(Workflow[Number, Total], **keywords):
        @transition(target=END)
        async def only(self) -> None:
            on_begin(self.info.user_id)

    return Job


async def measure(*, fair: bool, burst: int, url: str | None = None) -> Answer:
    begun: list[tuple[str, float]] = []
    countdown = Countdown(burst + FEW)

    def on_begin(user: str) -> None:
        begun.append((user, time.perf_counter()))
        countdown.tick(user)

    workflow = job(on_begin, {"fair_by": "user_id"} if fair else {})
    async with opened(settings_on(url), workflow) as stepwell, ended_on(url) as ended:
        run = stepwell.runner.run
        before = await ended()
        await stepwell.runner.pause(app_name=APP)
        for user, runs in ((ADA, burst), (BOB, FEW)):
            await asyncio.gather(*(run(workflow, {"number": n}, app_name=APP, user_id=user) for n in range(runs)))
        resumed = time.perf_counter()
        await stepwell.runner.resume(app_name=APP)
        await countdown.over.wait()
        await until_ended(ended, before + burst + FEW)
        over = time.perf_counter()
    last = max(place for place, (user, _) in enumerate(begun) if user == BOB)
    figures = {
        "begun_before": float(last + 1 - FEW),
        "last_begun_ms": (begun[last][1] - resumed) * 1000,
        "runs_per_second": (burst + FEW) / (over - resumed),
    }
    return Answer(figures)


if __name__ == "__main__":
    answer(measure)
