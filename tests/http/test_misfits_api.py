"""Runs in flight that the code of the server can't carry on: told page by page to those who see all users' runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from api_shop import ROOT, U1, ClientOf, StepwellOf, being, good, problem, served

from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.console.reading import overview
from stepwell.runner import checking


class Before(Workflow, name="loan"):
    @transition(target="review")
    async def begin(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self) -> None: ...


class After(Workflow, name="loan", version=2):
    @transition(target="desk")
    async def begin(self) -> None: ...

    @transition("desk", END, wait=True)
    async def decide(self) -> None: ...


def apps(workflow: type[Workflow]) -> tuple[App, App]:
    return App("shop", workflows=[workflow]), App("lab", workflows=[workflow])


async def left(stepwell: Stepwell, **numbers: int) -> list[str]:
    """Ids of runs that wait at a place which only the code before knows."""
    async with stepwell:
        return [
            (
                await stepwell.runner.run_sync(Before, app_name=app, user_id="u1", timeout=timedelta(minutes=1))
            ).workflow_id
            for app, number in numbers.items()
            for _ in range(number)
        ]


async def test_each_misfit_says_what_mends_it(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    runs = await left(stepwell_of(*apps(Before)), shop=3, lab=1)
    stepwell = stepwell_of(*apps(After))
    async with client_of(stepwell, served(stepwell)) as client:
        found = good(await client.get("/api/v1/misfits", headers=ROOT))
        assert found["next_cursor"] is None
        assert [(one["app_name"], one["runs"]) for one in found["items"]] == [("lab", 1), ("shop", 3)]
        [lab, shop] = found["items"]
        assert (shop["workflow"], shop["workflow_version"], shop["place"]) == ("loan", 1, "review")
        assert "write @migrate(from_version=1) that sets old.place" in shop["reason"]
        assert (lab["example"], shop["example"]) == (runs[3], runs[0])
        explained = good(await client.get(f"/api/v1/runs/{runs[0]}/explain", headers=ROOT))
        assert "@migrate(from_version=1)" in " ".join(explained["reasons"])
        narrow = good(await client.get("/api/v1/misfits", headers=being("root", "admin", apps="lab")))
        assert [one["app_name"] for one in narrow["items"]] == ["lab"]
        problem(await client.get("/api/v1/misfits", headers=U1), 403)
    fitting = stepwell_of(*apps(Before))
    async with client_of(fitting, served(fitting)) as client:
        assert good(await client.get("/api/v1/misfits", headers=ROOT)) == {"items": [], "next_cursor": None}


async def test_a_request_looks_at_so_many_runs_and_the_next_goes_on(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = await left(stepwell_of(*apps(Before)), shop=3)
    monkeypatch.setattr(checking, "_PAGE", 1)
    monkeypatch.setattr(overview, "_CHECKED", 2)
    stepwell = stepwell_of(*apps(After))
    async with client_of(stepwell, served(stepwell)) as client:
        first = good(await client.get("/api/v1/misfits", headers=ROOT))
        assert [one["runs"] for one in first["items"]] == [2]
        second = good(await client.get(f"/api/v1/misfits?cursor={first['next_cursor']}", headers=ROOT))
        assert [(one["runs"], one["example"]) for one in second["items"]] == [(1, runs[2])]
        assert second["next_cursor"] is None
        lab = being("root", "admin", apps="lab")
        problem(await client.get(f"/api/v1/misfits?cursor={first['next_cursor']}", headers=lab), 404)
        wrong = first["next_cursor"].replace("waiting", "completed")
        problem(await client.get(f"/api/v1/misfits?cursor={wrong}", headers=ROOT), 422)
