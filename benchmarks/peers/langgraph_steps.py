"""LangGraph with its PostgreSQL saver: graphs of three nodes that do nothing, 32 at once in one process.

Each run is an `ainvoke` on a thread of its own. `sync` writes every checkpoint before the next node starts, as Stepwell does;
`async`, LangGraph's default, writes it while the next node runs. There is no queue and no worker: the caller
executes the run, and no other process takes over.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.measure import Answer, answer

AT_ONCE = 32
CONNECTIONS = 16


class State(TypedDict):
    number: int


async def step(state: State) -> dict[str, int]:
    return {"number": state["number"] + 1}


def graph(saver: Any) -> Any:
    builder = StateGraph(State)
    for name in ("first", "second", "third"):
        builder.add_node(name, step)
    for source, target in ((START, "first"), ("first", "second"), ("second", "third"), ("third", END)):
        builder.add_edge(source, target)
    return builder.compile(checkpointer=saver)


async def measure(*, url: str, runs: int, way: str) -> Answer:
    """`way` is LangGraph's `durability`: `sync` or `async`."""
    connections = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    pool: Any = AsyncConnectionPool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False, kwargs=connections)
    async with pool:
        await pool.wait()
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        return Answer(await steps(graph(saver), way, runs))


async def steps(compiled: Any, way: str, runs: int) -> dict[str, float]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            config = {"configurable": {"thread_id": str(number)}}
            state = await compiled.ainvoke({"number": 0}, config, durability=way)
            if state["number"] != 3:
                raise AssertionError(f"wrong state: {state}")

    await one(-1)
    begun = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(runs)))
    seconds = time.perf_counter() - begun
    return {"runs_per_second": runs / seconds, "transitions_per_second": 3 * runs / seconds}


if __name__ == "__main__":
    answer(measure)
