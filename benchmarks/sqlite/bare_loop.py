"""The bare loop for comparison with stateless runs: three awaits of an async function, each under `asyncio.timeout(300)`, and
Pydantic.

The figure that counts validates the same arguments and the same state once per run of three. A second one validates
both for each of the three, as a durable run does. No engine, no choice of transitions, no
injection, no cancellation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, TypeAdapter

from benchmarks.measure import Answer, answer

ARGS = {"item": "chair", "quantity": 3, "cents": 4900}


class Line(BaseModel):
    item: str
    quantity: int
    cents: int


class Total(BaseModel):
    total: int = 0


LINES, TOTALS = TypeAdapter(Line), TypeAdapter(Total)


async def price(line: Line, total: Total) -> None:
    total.total = line.quantity * line.cents


async def check(line: Line, total: Total) -> None: ...


async def finish(line: Line, total: Total) -> None: ...


METHODS = (price, check, finish)


async def validated_once() -> None:
    line, total = LINES.validate_python(ARGS), TOTALS.validate_python({"total": 0})
    for method in METHODS:
        async with asyncio.timeout(300):
            await method(line, total)


async def validated_each() -> None:
    state = {"total": 0}
    for method in METHODS:
        line, total = LINES.validate_python(ARGS), TOTALS.validate_python(state)
        async with asyncio.timeout(300):
            await method(line, total)
        state = {"total": total.total}


async def rate(one: Callable[[], Awaitable[None]], runs: int) -> float:
    begun = time.perf_counter()
    for _ in range(runs):
        await one()
    return runs / (time.perf_counter() - begun)


async def measure(*, runs: int) -> Answer:
    return Answer(
        {
            "runs_per_second": await rate(validated_once, runs),
            "validated_each_per_second": await rate(validated_each, runs),
        }
    )


if __name__ == "__main__":
    answer(measure)
