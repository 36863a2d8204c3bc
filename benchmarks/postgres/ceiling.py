"""The upper limit: the rows that a checkpoint writes, written by plain asyncpg and nothing else.

Transactions of 100 checkpoints, as the group commit makes them when 100 runs are in progress: one fenced
`UPDATE ... FROM unnest` of the run rows and one `INSERT ... SELECT unnest` of history rows of about the same width, in
tables with the same keys. No validation, no user code, no claims, one connection: an upper bound for transitions per second here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from benchmarks.measure import Answer, answer
from benchmarks.postgres.store_view import connected

SCHEMA = """
CREATE TABLE runs (
    id text PRIMARY KEY, app_name text, workflow_name text, workflow_version integer, workspace_id text, user_id text,
    labels text, priority integer, args text, created_at bigint, inbox integer,
    status text, place text, version integer, claim integer, owner text, state text, result text, error text,
    visit integer, entered_at bigint, attempt integer, failures integer, automatic integer, takeovers integer,
    ready_at bigint, due_at bigint, deadline bigint, children integer, updated_at bigint, finished_at bigint
) WITH (fillfactor = 50);
CREATE INDEX runs_ready ON runs (app_name, workflow_name, priority DESC, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_workspace ON runs (workspace_id, id);
CREATE TABLE history (
    run_id text, version integer, transition text, source text, target text, attempt integer, status text, error text,
    state text, started_at bigint, finished_at bigint, PRIMARY KEY (run_id, version)
);
"""
UPDATE = """
UPDATE runs r SET place = v.place, version = r.version + 1, visit = r.version + 1, attempt = 0, automatic = automatic + 1,
    entered_at = v.at, updated_at = v.at
FROM unnest($1::text[], $2::integer[], $3::text[], $4::bigint[]) AS v(id, version, place, at)
WHERE r.id = v.id AND r.version = v.version AND r.claim = 1 RETURNING r.id
"""
INSERT_HISTORY = """
INSERT INTO history (run_id, version, transition, source, target, attempt, status, started_at, finished_at)
SELECT id, version, transition, source, target, 1, 'committed', at, at
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bigint[])
    AS v(id, version, transition, source, target, at)
"""
INSERT_RUNS = """
INSERT INTO runs SELECT id, 'bench', 'three_steps', 1, $2, 'user', '[]', 0, '{"number":1}', $3, 0,
    'running', 'start', 0, 1, $4, '{"total":0}', NULL, NULL, 0, $3, 0, 0, 0, 0, NULL, NULL, NULL, 0, $3, NULL
FROM unnest($1::text[]) AS id
"""


async def measure(*, url: str, runs: int, batch: int = 100) -> Answer:
    async with connected(url) as connection:
        await connection.execute(SCHEMA)
        ids = await created(connection, runs)
        begun = time.perf_counter()
        for version in range(3):
            for chunk in chunks(ids, batch):
                await checkpoint(connection, chunk, version)
        seconds = time.perf_counter() - begun
    return Answer({"transitions_per_second": 3 * runs / seconds})


async def created(connection: Any, runs: int) -> list[str]:
    ids = [str(uuid4()) for _ in range(runs)]
    await connection.execute(INSERT_RUNS, ids, str(uuid4()), microseconds(), str(uuid4()))
    return ids


def chunks(ids: list[str], size: int) -> Iterator[list[str]]:
    return (ids[at : at + size] for at in range(0, len(ids), size))


async def checkpoint(connection: Any, ids: list[str], version: int) -> None:
    now, number = microseconds(), len(ids)
    source, target = f"place-{version}", f"place-{version + 1}"
    async with connection.transaction():
        held = await connection.fetch(UPDATE, ids, [version] * number, [target] * number, [now] * number)
        if len(held) != number:
            raise AssertionError(f"{len(held)} of {number} checkpoints were written")
        columns = ([version + 1] * number, [f"step-{version}"] * number, [source] * number, [target] * number)
        await connection.execute(INSERT_HISTORY, ids, *columns, [now] * number)


def microseconds() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    answer(measure)
