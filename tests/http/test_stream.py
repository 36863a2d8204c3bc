"""The live stream under a real server: nothing is missed, nothing is seen twice, wherever one comes back (fault 15 too)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header
from serving import Got, events, serving, until_end
from sqlalchemy.ext.asyncio import create_async_engine

from backends import Database
from stepwell import END, App, Markdown, Message, Stepwell, Workflow, transition
from stepwell.fastapi import Principal

StepwellOf = Callable[..., Stepwell]


class Chat(Workflow[int, dict[str, Any], str]):
    """So many steps, then it waits, then it ends."""

    @transition(target="counting")
    async def begin(self) -> None:
        await self.documents.save(Message(role="bot", text="hello"))

    async def more(self) -> bool:
        return self.state.get("n", 0) < self.args

    @transition("counting", "counting", when=more, priority=1)
    async def count(self) -> None:
        self.state["n"] = self.state.get("n", 0) + 1
        await self.documents.save(Markdown(text=f"step {self.state['n']}"))

    @transition("counting", "asking")
    async def ask(self) -> None: ...

    @transition("asking", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


def served(stepwell: Stepwell) -> FastAPI:
    async def user(x_user: str = Header()) -> Principal:
        return Principal(x_user, "admin" if x_user == "root" else "operator")

    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(user))
    return app


def chats() -> App:
    return App("chats", workflows=[Chat])


async def next_of(found: Any, kind: str = "checkpoint") -> Got:
    async with asyncio.timeout(60):
        async for one in found:
            if one.kind == kind:
                got: Got = one
                return got
    raise AssertionError(f"the stream ended without {kind!r}")


async def test_a_runs_rows_come_as_they_are_committed_until_it_ends(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(chats())
    async with serving(served(stepwell)) as port:
        run = await stepwell.runner.run(Chat, 3, app_name="chats", user_id="u1")
        async with events(port, f"/runs/{run.workflow_id}/events") as found:
            seen = [await next_of(found) for _ in range(6)]
            await stepwell.runner.signal(run.workflow_id, "answer", "yes", user_id="u1")
            rest = [one async for one in found]
        assert rest[0].data["checkpoint"]["answered_by"] == "u1"
        assert [one.kind for one in rest] == ["checkpoint", "end"]
        rows = [one.row[1] for one in [*seen, rest[0]]]
        assert rows == list(range(7)), "each row once, in order"
        assert [one.id for one in [*seen, rest[0]]] == [str(row) for row in rows]
        texts = [d["content"]["text"] for one in seen for d in one.data["documents"]]
        assert texts == ["hello", "step 1", "step 2", "step 3"]
        assert all(one.data["run"]["state"] is None and one.data["checkpoint"]["state"] is None for one in seen)


@pytest.mark.parametrize("last", [None, *map(str, range(7))])
async def test_who_comes_back_gets_exactly_the_rest(last: str | None, stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(chats())
    async with serving(served(stepwell)) as port:
        run = await stepwell.runner.run(Chat, 3, app_name="chats", user_id="u1")
        await stepwell.runner.signal(run.workflow_id, "answer", "yes")
        await run.result(timeout=timedelta(seconds=60))
        found = await until_end(port, f"/runs/{run.workflow_id}/events", last=last)
        begin = 0 if last is None else int(last) + 1
        assert [one.row[1] for one in found if one.kind == "checkpoint"] == list(range(begin, 7))
        assert found[-1].kind == "end"


async def test_fault_15_a_stream_shows_ones_own_runs_only(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(chats())
    async with serving(served(stepwell)) as port:
        async with events(port, "/events") as mine, events(port, "/events", user="root") as all_:
            await next_of(mine, "hello")
            await next_of(all_, "hello")
            theirs = await stepwell.runner.run(Chat, 0, app_name="chats", user_id="u2")
            own = await stepwell.runner.run(Chat, 0, app_name="chats", user_id="u1")
            assert [(await next_of(mine)).row for _ in range(3)] == [(own.workflow_id, n) for n in range(3)]
            both = {(await next_of(all_)).row for _ in range(6)}
            assert both == {(run.workflow_id, n) for run in (theirs, own) for n in range(3)}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            path, me = f"/api/v1/runs/{theirs.workflow_id}/events", {"x-user": "u1"}
            assert (await client.get(path, headers=me)).status_code == 404


async def test_one_may_come_back_to_another_process_after_any_event(stepwell_of: StepwellOf) -> None:
    first, second = stepwell_of(chats()), stepwell_of(chats(), embedded_worker=False)
    async with serving(served(first)) as port, serving(served(second)) as other:
        async with events(port, "/events") as found:
            hello = await next_of(found, "hello")
            runs = [await first.runner.run(Chat, 2, app_name="chats", user_id="u1") for _ in range(5)]
            seen = [hello] + [await next_of(found) for _ in range(25)]
        wanted = {(run.workflow_id, n) for run in runs for n in range(5)}
        assert sorted(one.row for one in seen[1:]) == sorted(wanted)
        for n in (0, 1, 7, 13, 24, 25):
            before = [one.row for one in seen[1 : n + 1]]
            async with events(other, "/events", last=seen[n].id) as found:
                after = [(await next_of(found)).row for _ in range(25 - n)]
                assert (await next_of(found, "hello")).id, "everything missed has come before this"
            assert sorted(before + after) == sorted(wanted), f"after event {n}"


async def test_what_commits_late_is_seen_however_low_its_number(database: Database, stepwell_of: StepwellOf) -> None:
    """A transaction that wrote before others, and commits after them, is in nobody's past."""
    if database.kind != "postgres":
        await one_writer_at_a_time(stepwell_of)
        return
    stepwell = stepwell_of(chats(), embedded_worker=False)
    engine = create_async_engine(database.url.replace("postgresql://", "postgresql+asyncpg://"))
    async with serving(served(stepwell)) as port, engine.connect() as connection:
        async with events(port, "/events") as found:
            hello = await next_of(found, "hello")
            late = await stepwell.runner.run(Chat, 0, app_name="chats", user_id="u1", connection=connection)
            early = await stepwell.runner.run(Chat, 0, app_name="chats", user_id="u1")
            first = await next_of(found)
            assert first.row == (early.workflow_id, 0)
            await connection.commit()
            second = await next_of(found)
            assert second.row == (late.workflow_id, 0)
        more = []
        for last, missed in ((hello.id, [early, late]), (first.id, [late]), (second.id, [])):
            more.append(await stepwell.runner.run(Chat, 0, app_name="chats", user_id="u1"))
            async with events(port, "/events", last=last) as found:
                got = [(await next_of(found)).row[0] for _ in range(len(missed) + len(more))]
            assert sorted(got) == sorted(run.workflow_id for run in [*missed, *more]), "what was seen isn't seen again"
    await engine.dispose()


async def one_writer_at_a_time(stepwell_of: StepwellOf) -> None:
    """On SQLite nobody writes while another transaction has written: numbers are in the order of commits."""
    stepwell = stepwell_of(chats(), embedded_worker=False)
    async with serving(served(stepwell)) as port, events(port, "/events") as found:
        await next_of(found, "hello")
        runs = await asyncio.gather(*(stepwell.runner.run(Chat, 0, app_name="chats", user_id="u1") for _ in range(100)))
        rows = [(await next_of(found)).row for _ in range(100)]
        assert sorted(rows) == sorted((run.workflow_id, 0) for run in runs)


@pytest.mark.parametrize(
    "last",
    [
        "x",
        "1:2",
        "1:2:3:4",
        "1:2:a",
        "1:2:/1:2:",
        "9" * 5000,
        f"0:{2**63}:",
        "-5:-5:",
        f"1:1:/9:9:/{2**63}",
        f"1:9:{'5,' * 1500}",
    ],
)
async def test_a_number_of_nothing_is_refused(last: str, stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(chats())
    async with serving(served(stepwell)) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        answer = await client.get("/api/v1/events", headers={"x-user": "u1", "Last-Event-ID": last})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert [one["loc"] for one in answer.json()["errors"]] == [["header", "Last-Event-ID"]]


async def test_what_a_stream_is_restricted_to_has_to_be_there(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(chats())
    async with serving(served(stepwell)) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        run = await stepwell.runner.run(Chat, 1, app_name="chats", user_id="u1")
        theirs = (await stepwell.runner.get(run.workflow_id)).workspace_id
        for query, status in (
            ({"workspace_id": theirs}, 404),
            ({"workspace_id": "nowhere"}, 404),
            ({"app_name": "none"}, 404),
        ):
            answer = await client.get("/api/v1/events", params=query, headers={"x-user": "u2"})
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        for user in ("u1", "root"):
            path = f"/events?app_name=chats&workspace_id={theirs}"
            async with events(port, path, user=user, last="") as found:  # an empty Last-Event-ID is none
                assert (await next_of(found, "hello")).kind == "hello"


async def test_who_does_not_read_is_cut_off(stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell.console.http.stream._SEND_WITHIN", 0.5)
    stepwell = stepwell_of(chats(), max_transitions_per_pass=100_000)
    async with serving(served(stepwell)) as port:
        with socket.create_connection(("127.0.0.1", port)) as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nx-user: u1\r\n\r\n")
            tail = stepwell.runner.core.tail
            async with asyncio.timeout(60):
                while tail.watchers == 0:
                    await asyncio.sleep(0.01)
            args: Any = 8000  # more than the buffers of the two sockets hold
            run = await stepwell.runner.run(Chat, args, app_name="chats", user_id="u1")
            async with asyncio.timeout(120):
                while tail.watchers:
                    await asyncio.sleep(0.05)
            assert run.workflow_id
