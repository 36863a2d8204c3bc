"""The live stream behind a pooler that shares sessions, and with the tables in a schema of an odd name."""

from __future__ import annotations

from typing import Any

import pytest
from serving import events, serving
from test_stream import Chat, chats, next_of, served

from backends import Database
from stepwell import Settings, Stepwell


@pytest.fixture(params=["pooled", "schema"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(database: Database, **more: Any) -> Stepwell:
    given = {"database_url": database.url} | database.settings
    return Stepwell([chats()], settings=Settings(_env_file=None, drain_seconds=0, **given), **more)


async def test_one_may_come_back_to_another_process_after_any_event(database: Database) -> None:
    first, second = opened(database), opened(database, embedded_worker=False)
    async with serving(served(first)) as port, serving(served(second)) as other:
        async with events(port, "/events") as found:
            seen = [await next_of(found, "hello")]
            runs = [await first.runner.run(Chat, 2, app_name="chats", user_id="u1") for _ in range(3)]
            seen += [await next_of(found) for _ in range(15)]
        wanted = sorted((run.workflow_id, n) for run in runs for n in range(5))
        for n in (0, 4, 9, 15):
            before = [one.row for one in seen[1 : n + 1]]
            async with events(other, "/events", last=seen[n].id) as found:
                after = [(await next_of(found)).row for _ in range(15 - n)]
                await next_of(found, "hello")
            assert sorted(before + after) == wanted, f"after event {n}"


async def test_a_run_is_followed_in_a_process_that_does_not_execute_it(database: Database) -> None:
    first, second = opened(database), opened(database, embedded_worker=False)
    async with serving(served(first)), serving(served(second)) as port:
        run = await second.runner.run(Chat, 3, app_name="chats", user_id="u1")
        async with events(port, f"/runs/{run.workflow_id}/events") as found:
            rows = [(await next_of(found)).row[1] for _ in range(6)]
            await second.runner.signal(run.workflow_id, "answer", "yes")
            rest = [one async for one in found]
        assert [*rows, rest[0].row[1]] == list(range(7))
        assert [one.kind for one in rest] == ["checkpoint", "end"]
