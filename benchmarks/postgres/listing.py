"""The table of runs over the API, with a million runs in the database: every filter that it offers, alone and together.

The runs are copies of one row that a real run left, spread over users, workflows, places and a year; 97 of 100 are
completed. Each request is made some times; the figure of a filter is the median, and what counts is the slowest filter.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Final

import httpx
from fastapi import Depends, FastAPI

from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import connected, spread_run
from benchmarks.postgres.waiting import until_parked
from benchmarks.workflows import APP, USER, Parked, on_postgres, opened
from stepwell.fastapi import Principal

TIMES: Final = 9
WORKFLOW: Final = "parked_7"
FILTERS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "completed": {"status": "completed"},
    "failed": {"status": "failed"},
    "needs attention": {"status": ["failed", "waiting", "retrying"]},
    "workflow": {"app_name": APP, "workflow": WORKFLOW},
    "user": {"user_id": "user-7"},
    "failed of a user": {"status": "failed", "user_id": "user-7"},
    "failed of a workflow": {"status": "failed", "app_name": APP, "workflow": WORKFLOW},
    "label": {"label": "rare"},
    "place": {"place": "nowhere"},
    "text that is nowhere": {"q": "nowhere to be found"},
    "beginning of an id": {"q": "018f0000"},
    "one day of last spring": {"created_after": "2026-04-01T00:00:00Z", "created_before": "2026-04-02T00:00:00Z"},
    "failed, before last spring": {"status": "failed", "created_before": "2026-03-01T00:00:00Z"},
}


async def measure(*, url: str, do: str, count: int) -> Answer:
    return await (fill(url, count) if do == "fill" else look(url))


async def fill(url: str, count: int) -> Answer:
    async with opened(on_postgres(url), Parked) as stepwell:
        run = await stepwell.runner.run(Parked, {"number": 1}, app_name=APP, user_id=USER)
        await until_parked(stepwell.runner, run.workflow_id)
    async with connected(url) as connection:
        await spread_run(connection, run.workflow_id, count)
    return Answer()


async def look(url: str) -> Answer:
    async with opened(on_postgres(url), Parked) as stepwell:
        app = FastAPI()
        stepwell.mount(app, user=Depends(everybody))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench/api/v1", timeout=60) as client:
            taken = {name: median([await timed(client, one) for _ in range(TIMES)]) for name, one in FILTERS.items()}
            counts = median([await timed(client, {}, "/counts") for _ in range(TIMES)])
    slowest = max(taken, key=lambda name: taken[name])
    figures = {"slowest_ms": taken[slowest], "none_ms": taken["none"], "counts_ms": counts}
    return Answer(figures, {"slowest": slowest, "all": ", ".join(f"{name} {ms:.0f}" for name, ms in taken.items())})


async def everybody() -> Principal:
    return Principal("root", "admin")


async def timed(client: httpx.AsyncClient, given: dict[str, Any], path: str = "/runs") -> float:
    """Milliseconds until the page is there."""
    start = time.perf_counter()
    answer = await client.get(path, params={"brief": True, **given} if path == "/runs" else given)
    took = (time.perf_counter() - start) * 1000
    answer.raise_for_status()
    return took


if __name__ == "__main__":
    answer(measure)
