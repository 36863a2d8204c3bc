"""An idle process: the queries that it sends per second, by PostgreSQL's own log.

Stepwell is open with its worker, has executed one run and has nothing to do. Over 20 seconds, every statement that the
database received is counted, and separately those that don't only begin or end a transaction (BEGIN, COMMIT, ROLLBACK).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import connected
from benchmarks.workflows import APP, USER, on_postgres, opened, three_steps

STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]*): (.*)")
FRAMES = ("BEGIN", "COMMIT", "ROLLBACK")
SETTLE = 3.0


async def measure(*, url: str, log: str, seconds: float) -> Answer:
    async with connected(url) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
    workflow = three_steps(lambda workflow_id: None)
    async with opened(on_postgres(url), workflow) as stepwell:
        await (await stepwell.runner.run(workflow, {"number": 0}, app_name=APP, user_id=USER)).result()
        await asyncio.sleep(SETTLE)
        before = len(lines_of(log))
        await asyncio.sleep(seconds)
        asked = statements(lines_of(log)[before:])
    framed = sum(statement.upper().startswith(FRAMES) for statement in asked)
    figures = {"statements_per_second": len(asked) / seconds, "queries_per_second": (len(asked) - framed) / seconds}
    return Answer(figures, {"asked": ", ".join(f"{times} x {text}" for text, times in Counter(asked).most_common())})


def lines_of(log: str) -> list[str]:
    return Path(log).read_text(errors="replace").splitlines()


def statements(lines: Iterable[str]) -> list[str]:
    """Their beginnings."""
    return [found[1].strip()[:60] for line in lines if (found := STATEMENT.search(line))]


if __name__ == "__main__":
    answer(measure)
