"""No answer is without a limit: what is large comes in pieces, and each piece says how to go on. Fault 12."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_shop import U1, ClientOf, StepwellOf, good, ids, served
from pydantic import BaseModel

from stepwell import END, App, Document, Markdown, Stepwell, Workflow, transition
from stepwell.runner import weight
from stepwell.store import deliveries
from stepwell.store.reading import overview

LARGE = 1_000
MOST = 3_500


class Large(BaseModel):
    n: int = 0
    filler: str = "x" * LARGE


class Grow(Workflow[None, Large, None]):
    """Ten checkpoints with a large state, a large document and a large step each."""

    async def more(self) -> bool:
        return self.state.n < 10

    @transition(target="growing")
    async def begin(self) -> None: ...

    @transition("growing", "growing", when=more, priority=1)
    async def grow(self) -> None:
        self.state.n += 1
        await self.step(f"measure-{self.state.n}", str, "s" * LARGE)
        await self.documents.save(Markdown(text=f"{self.state.n:02}" + "d" * LARGE))

    @transition("growing", END)
    async def end(self) -> None: ...


@pytest.fixture
async def grown(stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch) -> Stepwell:
    monkeypatch.setattr("stepwell.console.http.routes.runs.ANSWER_BYTES", MOST)
    return stepwell_of(App("shop", workflows=[Grow]))


async def run_of(stepwell: Stepwell) -> str:
    done = await stepwell.runner.run_sync(Grow, app_name="shop", user_id="u1", timeout=timedelta(seconds=60))
    assert done.status == "completed"
    return str(done.workflow_id)


async def test_a_history_of_large_states_comes_in_pieces_from_either_end(grown: Stepwell, client_of: ClientOf) -> None:
    async with client_of(grown, served(grown), **U1) as client:
        path = f"/api/v1/runs/{await run_of(grown)}/history"
        seen: list[int] = []
        while rows := good(await client.get(path, params={"after": seen[-1] if seen else -1})):
            assert len(rows) <= 3
            seen += [row["version"] for row in rows]
        assert seen == list(range(13))
        back: list[int] = []
        while rows := good(await client.get(path, params={"newest": True, **({"before": back[0]} if back else {})})):
            assert len(rows) <= 3
            back = [*(row["version"] for row in rows), *back]
        assert back == seen


async def test_documents_steps_and_runs_come_in_pieces(grown: Stepwell, client_of: ClientOf) -> None:
    async with client_of(grown, served(grown), **U1) as client:
        path = f"/api/v1/runs/{await run_of(grown)}"
        seen: list[Any] = []
        while found := good(
            await client.get(f"{path}/documents", params={"after": seen[-1]["version"] if seen else -1})
        ):
            assert len(found) <= 3
            seen += found
        assert [one["content"]["text"][:2] for one in seen] == [f"{n:02}" for n in range(1, 11)]
        steps = good(await client.get(f"{path}/steps"))
        assert [step["name"] for step in steps] == ["measure-8", "measure-9", "measure-10"]
        visit = good(await client.get(f"{path}/steps", params={"visit": 1}))
        assert [step["visit"] for step in visit] == [1]
        runs = [await run_of(grown) for _ in range(6)]
        ids, cursor = [], None
        while True:
            page = good(await client.get("/api/v1/runs", params={"cursor": cursor} if cursor else {}))
            assert len(page["items"]) <= 3
            ids += [run["workflow_id"] for run in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert ids[:6] == runs[::-1]
        assert len(good(await client.get("/api/v1/runs?brief=true"))["items"]) == 7


async def test_one_that_is_larger_than_all_may_be_comes_alone(
    grown: Stepwell, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.console.http.routes.runs.ANSWER_BYTES", 1)
    async with client_of(grown, served(grown), **U1) as client:
        run = await run_of(grown)
        for what in ("history", "documents", "steps"):
            assert len(good(await client.get(f"/api/v1/runs/{run}/{what}"))) == 1
        assert len(good(await client.get("/api/v1/runs"))["items"]) == 1


async def test_an_apps_runs_are_counted_however_many_others_there_are(
    stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "COUNTED", 3)
    stepwell = stepwell_of(App("shop", workflows=[Grow]), App("other", workflows=[Grow]), embedded_worker=False)
    async with stepwell:
        await stepwell.runner.run(Grow, app_name="shop", user_id="u1")
        for _ in range(5):
            await stepwell.runner.run(Grow, app_name="other", user_id="u1")
        store = stepwell.runner.core.store
        assert (await store.read(lambda tx: overview.counts(tx, None, ["shop"]))) == {("shop", "grow", "pending"): 1}
        assert (await store.read(lambda tx: overview.counts(tx, None))) == {("other", "grow", "pending"): 3}


async def test_old_deliveries_are_found_behind_any_number_of_others(
    stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "WALKED", 4)
    stepwell = stepwell_of(App("shop", workflows=[Grow]), embedded_worker=False)
    async with stepwell:
        now = stepwell.runner.core.shared.clock.now()
        rows = [deliveries.DeliveryRow("shop", "a" if n == 0 else "b", f"d{n}", f"r{n}", now + n) for n in range(10)]
        store = stepwell.runner.core.store
        await store.writer.call(lambda tx: [deliveries.add(tx, row) for row in rows])
        found: list[str] = []
        mark, looks = None, 0
        while looks == 0 or mark is not None:
            before = mark
            page, mark = await store.read(lambda tx: deliveries.newest(tx, 2, before, route="a"))  # noqa: B023
            found, looks = found + [one.delivery_id for one in page], looks + 1
        assert (found, looks) == (["d0"], 3)


class Many(BaseModel):
    n: int = 0
    values: list[list[int]] = [[] for _ in range(100)]


class Multiply(Workflow[Many, Many, None]):
    """Five checkpoints with 100 empty lists in their state, a document and a step each."""

    async def more(self) -> bool:
        return self.state.n < 5

    @transition(target="growing")
    async def begin(self) -> None: ...

    @transition("growing", "growing", when=more, priority=1)
    async def grow(self) -> None:
        self.state.n += 1
        await self.step(f"make-{self.state.n}", list, [[]] * 100)
        await self.documents.save(Values(n=self.state.n, values=[[]] * 100))

    @transition("growing", END)
    async def end(self) -> None: ...


class Values(Document):
    n: int
    values: list[list[int]]


async def test_answers_are_bounded_in_values_too(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 runs with a megabyte of empty lists each took the event loop for 8 s."""
    monkeypatch.setattr(weight, "VALUES", 450)
    stepwell = stepwell_of(App("shop", workflows=[Multiply]))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        given = {"app_name": "shop", "user_id": "u1", "timeout": timedelta(seconds=60)}
        runs = [(await stepwell.runner.run_sync(Multiply, Many(), **given)).workflow_id for _ in range(3)]
        path = f"/api/v1/runs/{runs[0]}"
        listed, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            page = good(await client.get("/api/v1/runs", params={"cursor": cursor} if cursor else {}))
            listed, cursor, pages = listed + ids(page), page["next_cursor"], pages + 1
        assert (listed, pages) == (runs[::-1], 3)
        assert ids(good(await client.get("/api/v1/runs?brief=true"))) == runs[::-1]

        seen: list[int] = []
        while rows := good(await client.get(f"{path}/history", params={"after": seen[-1] if seen else -1})):
            assert len(rows) <= 3
            seen += [row["version"] for row in rows]
        assert seen == list(range(8))
        back = good(await client.get(f"{path}/history", params={"newest": True}))
        assert [row["version"] for row in back] == list(range(8))[-len(back) :]

        documents: list[Any] = []
        while rows := good(
            await client.get(f"{path}/documents", params={"after": documents[-1]["version"] if documents else -1})
        ):
            assert len(rows) <= 2
            documents += rows
        assert [one["content"]["n"] for one in documents] == [1, 2, 3, 4, 5]
        newest = good(await client.get(f"{path}/documents", params={"newest": True}))
        assert [one["content"]["n"] for one in newest] == [4, 5]
        assert [one["name"] for one in good(await client.get(f"{path}/steps"))] == ["make-4", "make-5"]

        monkeypatch.setattr(weight, "VALUES", 1)  # one that has more comes alone
        for what in ("history", "documents", "steps"):
            assert len(good(await client.get(f"{path}/{what}"))) == 1
        assert len(good(await client.get("/api/v1/runs"))["items"]) == 1
