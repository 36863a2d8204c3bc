"""No request makes the database read without limit, and no user's requests hold up those of others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_shop import ROOT, U1, U2, ClientOf, Order, Ship, StepwellOf, being, good, served
from httpx_sse import aconnect_sse
from pydantic import BaseModel
from serving import events, serving, until_end
from sqlalchemy.util import await_only

from backends import Database
from stepwell import END, App, Markdown, Settings, Stepwell, Workflow, transition
from stepwell.store import deliveries, history, reader_queue, runs
from stepwell.store.base import Store
from stepwell.store.reading import feed, overview, queries
from stepwell.store.tx import Tx

FOREIGN = 60_000
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60000)"
RUNS = (
    f"{NUMBERS} INSERT INTO stepwell_runs (id, app_name, workflow_name, workflow_version, workspace_id, user_id, internal,"
    " labels, priority, args, created_at, inbox, status, place, version, claim, state, visit, entered_at, attempt, failures,"
    " automatic, takeovers, children, updated_at) SELECT '00000000-0000-7000-8000-' || substr('00000000000' || i,"
    " length('' || i), 12), 'shop', 'ship', 1, 'ws', 'other', 0, '[]', 0, 'null', 0, 0, 'waiting', 'p', 0, 0, '{}', 0, 0, 0,"
    " 0, 0, 0, 0, 0 FROM n"
)
ROWS = (
    f"{NUMBERS} INSERT INTO stepwell_history (run_id, version, attempt, status, started_at, finished_at, seq, xact) SELECT"
    " '00000000-0000-7000-8000-' || substr('00000000000' || i, length('' || i), 12), 0, 1, 'committed', 0, 0, i, XACT FROM n"
)
START = "0:0:"
"""The position before every row."""


def foreign_rows(database: Database) -> None:
    """60,000 runs of another user, in transactions that are over long since."""
    database.execute(RUNS)
    # One transaction wrote a hundred of them; all that write from now on have greater numbers.
    xact = "i" if database.kind == "sqlite" else "3 + i / 100"
    database.execute(ROWS.replace("XACT", xact))
    if database.kind == "postgres":
        database.execute("SELECT setval(pg_get_serial_sequence('stepwell_history', 'seq'), 60001)")
        while int(database.read("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")[0][0]) < 700:
            pass


@contextmanager
def counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """The reads for users, and the rows that their statements return."""
    found = {"reads": 0, "rows": 0, "most": 0}
    read_for, rows = type(store).read_for, Tx.rows

    async def counting(self: Store, user: str | None, query: Callable[[Tx], Any]) -> Any:
        found["reads"] += 1
        return await read_for(self, user, query)

    def returned(self: Tx, sql: str, *parameters: Any) -> Any:
        got = rows(self, sql, *parameters)
        if "FROM stepwell_history" in sql:
            found["rows"] += len(got)
            found["most"] = max(found["most"], len(got))
        return got

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "read_for", counting)
        patch.setattr(Tx, "rows", returned)
        yield found


async def until_hello(port: int, last: str, user: str = "u1") -> list[Any]:
    async with asyncio.timeout(300), events(port, "/events", user=user, last=last) as found:
        seen = []
        async for one in found:
            seen.append(one)
            if one.kind == "hello":
                return seen
    raise AssertionError("the stream ended")


async def test_streams_from_the_beginning_read_only_what_their_user_may_see(
    stepwell_of: StepwellOf, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A viewer with one run behind 60,000 rows of others: each read walks over some thousand rows and returns none."""
    foreign_rows(database)
    stepwell = stepwell_of(App("shop", workflows=[Ship]), embedded_worker=False)
    async with serving(served(stepwell)) as port:
        assert stepwell.process is not None
        run = await stepwell.runner.run(Ship, Order(order_id="A"), app_name="shop", user_id="u1")
        with counted(stepwell.process.store, monkeypatch) as found:
            seen = await until_hello(port, START)
            assert [one.row for one in seen if one.kind == "checkpoint"] == [(run.workflow_id, 0)]
            assert found["most"] <= 1, "no row of another user left the database"
            assert found["reads"] <= FOREIGN / 5_000 + 4
            # Whoever comes back goes on behind what was searched.
            positions = [one.id for one in seen if one.kind == "position"]
            assert len(positions) >= FOREIGN / 5_000 - 1
            found["reads"] = 0
            again = await until_hello(port, positions[-1])
            assert [one.row for one in again if one.kind == "checkpoint"] == [(run.workflow_id, 0)]
            assert found["reads"] <= 3


async def test_a_viewer_who_owns_nothing_walks_over_nothing(
    stepwell_of: StepwellOf, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 streams of such a viewer from the beginning: a read each, and the process stays ready."""
    foreign_rows(database)
    stepwell = stepwell_of(App("shop", workflows=[Ship]), embedded_worker=False)
    async with serving(served(stepwell)) as port:
        assert stepwell.process is not None
        monkeypatch.setattr("stepwell.process._READ_WITHIN", 60)
        with counted(stepwell.process.store, monkeypatch) as found:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=300) as client:
                streams = [asyncio.create_task(first_event(client)) for _ in range(50)]
                assert (await stepwell.condition()).ready
                assert await asyncio.gather(*streams) == ["hello"] * 50
            assert found["reads"] <= 50
            assert found["rows"] == 0


async def first_event(client: httpx.AsyncClient) -> str:
    headers = {**U1, "Last-Event-ID": START}
    async with aconnect_sse(client, "GET", "/events", headers=headers) as source:
        async for one in source.aiter_sse():
            return one.event
    raise AssertionError("the stream ended")


async def test_a_stream_of_one_workspace_or_app_is_restricted_in_the_database_too(
    stepwell_of: StepwellOf, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an admin, who may see all of them: those that weren't asked for don't leave the database either."""
    foreign_rows(database)
    stepwell = stepwell_of(App("shop", workflows=[Ship]), App("other", workflows=[Ship]), embedded_worker=False)
    async with serving(served(stepwell)) as port:
        assert stepwell.process is not None
        run = await stepwell.runner.run(Ship, Order(order_id="A"), app_name="other", user_id="u1")
        workspace = (await run.get()).workspace_id
        apps = being("root", "admin", everybody=True, apps="other")
        for path, headers in (("?app_name=other", ROOT), (f"?workspace_id={workspace}", ROOT), ("", apps)):
            with counted(stepwell.process.store, monkeypatch) as found:
                assert await rows_until_hello(port, f"/events{path}", headers) == [(run.workflow_id, 0)]
                assert found["most"] <= 1


async def rows_until_hello(port: int, path: str, headers: dict[str, str]) -> list[tuple[str, int]]:
    rows: list[tuple[str, int]] = []
    async with (
        asyncio.timeout(300),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=300) as client,
        aconnect_sse(client, "GET", path, headers={**headers, "Last-Event-ID": START}) as source,
    ):
        async for one in source.aiter_sse():
            if one.event == "hello":
                return rows
            if one.event == "checkpoint":
                event = json.loads(one.data)
                rows.append((event["workflow_id"], event["checkpoint"]["version"]))
    raise AssertionError("the stream ended")


async def test_the_walk_reads_indexes_only(sqlite_database: Database) -> None:
    """On SQLite, where the plan is decided by the statement; PostgreSQL decides by its statistics."""
    settings = Settings(_env_file=None, database_url=sqlite_database.url)
    async with Stepwell([App("shop", workflows=[Ship])], settings=settings, embedded_worker=False) as stepwell:
        plans: list[list[str]] = []

        def explained(tx: Tx) -> None:
            rows = tx.rows

            class Explaining:
                """Explains what would be read."""

                dialect, driver = tx.dialect, tx.driver
                listed, scalar = tx.listed, tx.scalar

                def rows(self, sql: str, *parameters: Any) -> list[Any]:
                    plans.append([row[3] for row in rows(f"EXPLAIN QUERY PLAN {sql}", *parameters)])
                    return []

            given: Any = Explaining()
            visible = feed.Visible("u1")
            feed.between(given, feed.Horizon(0, 0), feed.Horizon(9, 9), 0, 200, visible)

        await stepwell.runner.core.store.read(explained)
        [plan] = plans
        assert any("h USING COVERING INDEX stepwell_history_feed" in line for line in plan), plan
        assert any("u USING COVERING INDEX stepwell_runs_user" in line for line in plan), plan


class Large(BaseModel):
    needle: str
    filler: str = ""


class Keep(Workflow[Large, dict[str, Any], None]):
    @transition(target=END)
    async def end(self) -> None: ...


async def test_a_search_over_large_runs_comes_in_pieces_and_loads_none_of_them(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`q` looks at the first 16,384 characters of the args; the database reads a bounded number of bytes for a page."""
    monkeypatch.setattr(queries, "READ_BYTES", 1_500_000)
    stepwell = stepwell_of(App("shop", workflows=[Keep]), embedded_worker=False)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        runner = stepwell.runner
        for n in range(40):
            await runner.run(Keep, Large(needle=f"n{n}", filler="x" * 100_000), app_name="shop", user_id="u1")
        last = await runner.run(Keep, Large(needle="early"), app_name="shop", user_id="u1")
        late = Large(needle="-", filler="y" * queries.SEARCHED + "late")
        await runner.run(Keep, late, app_name="shop", user_id="u1")
        loaded: list[str] = []
        load = runs.load

        def loading(tx: Tx, ids: Any) -> Any:
            loaded.extend(ids)
            return load(tx, ids)

        monkeypatch.setattr(runs, "load", loading)
        for text, expected in (("nowhere", []), ("late", []), ("early", [last.workflow_id])):
            loaded.clear()
            got, pages, cursor = [], 0, None
            while pages == 0 or cursor is not None:
                page = good(
                    await client.get("/api/v1/runs", params={"q": text} | ({"cursor": cursor} if cursor else {}))
                )
                got += [run["workflow_id"] for run in page["items"]]
                pages, cursor = pages + 1, page["next_cursor"]
            assert got == expected, text
            assert loaded == expected, "only what is found is loaded"
            assert 2 <= pages <= 5, "each page reads about 1.5 MB of 4 MB"
        got = good(await client.get("/api/v1/runs", params={"q": "n39"}))["items"]
        assert [run["args"]["needle"] for run in got] == ["n39"]


class Grow(Workflow[None, dict[str, Any], None]):
    """Ten checkpoints, each with a large state and a large document."""

    async def more(self) -> bool:
        return len(self.state.get("n", "")) < 10

    @transition(target="growing")
    async def begin(self) -> None:
        self.state["filler"] = "x" * 10_000

    @transition("growing", "growing", when=more, priority=1)
    async def grow(self) -> None:
        self.state["n"] = self.state.get("n", "") + "1"
        await self.documents.save(Markdown(text="d" * 10_000))

    @transition("growing", END)
    async def end(self) -> None: ...


async def test_a_history_and_a_stream_of_large_rows_load_no_more_than_they_send(
    stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.console.http.routes.runs.ANSWER_BYTES", 35_000)
    monkeypatch.setattr(feed, "DOCUMENT_BYTES", 35_000)
    stepwell = stepwell_of(App("shop", workflows=[Grow]))
    rows: list[int] = []
    saved: list[int] = []
    of_run, documents = history.of_run, feed._documents

    def read_rows(*given: Any) -> Any:
        found = of_run(*given)
        rows.append(len(found))
        return found

    def read_documents(*given: Any) -> Any:
        found = documents(*given)
        saved.append(len(found))
        return found

    monkeypatch.setattr(history, "of_run", read_rows)
    monkeypatch.setattr(feed, "_documents", read_documents)
    async with serving(served(stepwell)) as port:
        run = await stepwell.runner.run(Grow, app_name="shop", user_id="u1")
        await run.result(timeout=timedelta(seconds=60))
        seen = await until_end(port, f"/runs/{run.workflow_id}/events")
        assert [one.row[1] for one in seen if one.kind == "checkpoint"] == list(range(13))
        assert sum(len(one.data["documents"]) for one in seen if one.kind == "checkpoint") == 10
        assert max(saved) == 3, "three are no larger than 35 kB"
        reader = stepwell.runner
        after, versions = -1, []
        while page := await reader.history(run.workflow_id, after=after, most_bytes=35_000):
            versions += [one.version for one in page]
            after = versions[-1]
        assert versions == list(range(13))
        assert max(rows) <= 4, rows  # the first, of the creation, is small


async def held(store: Store, user: str, count: int) -> Callable[[], Any]:
    """This user holds a reader with each of so many reads, as far as there are any; call what is returned to end them."""
    go, entered = asyncio.Event(), 0

    def hold(tx: Tx) -> None:
        nonlocal entered
        entered += 1
        await_only(go.wait())

    tasks = [asyncio.create_task(store.read_for(user, hold)) for _ in range(count)]
    async with asyncio.timeout(60):
        while entered < store.reader_queue._share:
            await asyncio.sleep(0.01)

    async def end() -> None:
        go.set()
        await asyncio.gather(*tasks)

    return end


async def test_one_user_reads_while_another_holds_all_readers_of_their_own(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reads of a user who sees all users' runs count as theirs, too."""
    monkeypatch.setattr("stepwell.process._READ_WITHIN", 60)
    stepwell = stepwell_of(App("shop", workflows=[Ship]), embedded_worker=False)
    async with client_of(stepwell, served(stepwell)) as client:
        assert stepwell.process is not None
        run = await stepwell.runner.run(Ship, Order(order_id="A"), app_name="shop", user_id="u1")
        store = stepwell.process.store
        end = await held(store, "root", 30)
        try:
            async with asyncio.timeout(60):
                for path in ("/runs", f"/runs/{run.workflow_id}", "/counts", "/metrics", "/waiting", "/workspaces"):
                    good(await client.get(f"/api/v1{path}", headers=U1))
                answer = await client.get("/api/v1/health")
                assert answer.status_code == 200, answer.text
            waits = asyncio.create_task(client.get("/api/v1/queue", headers=ROOT))
            async with asyncio.timeout(60):
                queue = store.reader_queue
                while len(queue._waiting["root"]) < 31 - queue._share:  # their own wait for them
                    await asyncio.sleep(0.01)
            assert not waits.done()
        finally:
            await end()
        good(await waits)


async def test_too_many_reads_of_a_user_are_refused_with_the_time_to_wait(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_queue, "MOST_WAITING", 5)
    stepwell = stepwell_of(App("shop", workflows=[Ship]), embedded_worker=False)
    async with client_of(stepwell, served(stepwell)) as client:
        assert stepwell.process is not None
        store = stepwell.process.store
        end = await held(store, "u1", 5 + store.reader_queue._share)
        try:
            answer = await client.get("/api/v1/runs", headers=U1)
            assert (answer.status_code, answer.json()["title"]) == (429, "Too many reads")
            assert int(answer.headers["retry-after"]) > 0
            good(await client.get("/api/v1/runs", headers=U2))
        finally:
            await end()
        good(await client.get("/api/v1/runs", headers=U1))


async def test_a_read_over_its_time_is_a_problem_that_names_the_cure(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"
    stepwell = stepwell_of(App("shop", workflows=[Ship]), embedded_worker=False, read_seconds=0.3)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        with monkeypatch.context() as patch:
            patch.setattr(overview, "counts", lambda tx, *_: tx.scalar(endless))
            answer = await client.get("/api/v1/counts")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:stepwell:read-too-long")
        assert "Narrow the filter" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
        good(await client.get("/api/v1/counts"))


@pytest.mark.parametrize("answered", [False, True])
def test_of_a_large_result_of_a_handler_its_beginning_has_the_ids(answered: bool) -> None:
    ids = [f"00000000-0000-7000-8000-{n:012}" for n in range(1_000)]
    value = json.dumps({"started": ids, "answer": {"body": "]"}} if answered else ids)
    found = deliveries._ids(value[: deliveries._BEGINNING])
    assert found == ids[: len(found)]
    assert len(found) >= 200
    few = json.dumps({"started": ids[:2], "answer": {"body": "x" * 9_000}})
    assert deliveries._ids(few[: deliveries._BEGINNING]) == ids[:2]
