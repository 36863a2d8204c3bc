"""No answer is without a limit: what is large comes in pieces, and each piece says how to go on. Fault 12."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_shop import U1, ClientOf, StepwellOf, good, served
from pydantic import BaseModel

from stepwell import END, App, Markdown, Stepwell, Workflow, transition
from stepwell.store import deliveries, overview

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
    monkeypatch.setattr("stepwell.http.runs.ANSWER_BYTES", MOST)
    return stepwell_of(App("shop", workflows=[Grow]))


async def run_of(stepwell: Stepwell) -> str:
    done = await stepwell.runner.run_sync(Grow, app_name="shop", user_id="u1", timeout=timedelta(seconds=20))
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
    monkeypatch.setattr("stepwell.http.runs.ANSWER_BYTES", 1)
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
