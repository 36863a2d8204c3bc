"""The cursor of a page goes on for whom it was given, and for nobody else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_shop import ROOT, U1, U2, ClientOf, StepwellOf, being, good, problem, served, shop

from conformance.support import until
from stepwell import Stepwell
from stepwell.console.http.routes import actions

PEER = being("peer", "viewer", everybody=True)
ELSEWHERE = being("eve", "admin", apps="lab")


async def parked(stepwell: Stepwell, workflow: str, args: Any = None, user: str = "u1") -> str:
    run = await stepwell.runner.run(workflow, args, app_name="shop", user_id=user)

    async def at_rest() -> bool:
        return (await stepwell.runner.get(run.workflow_id)).status not in ("pending", "running")

    await until(at_rest)
    return run.workflow_id


async def pages(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> tuple[list[Any], str]:
    """The items of two pages of one, and the cursor between them."""
    first = good(await client.get(path, params={"limit": 1}, headers=headers))
    cursor = first["next_cursor"]
    second = good(await client.get(path, params={"limit": 1, "cursor": cursor}, headers=headers))
    return first["items"] + second["items"], cursor


async def test_somebody_elses_cursor_isnt_there(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        for user in ("u1", "u2"):
            for number in range(2):
                await parked(stepwell, "ship", {"order_id": f"{user}-{number}"}, user)
        for path in ("/api/v1/runs", "/api/v1/waiting"):
            found, cursor = await pages(client, path, U1)
            assert found[0] != found[1], path
            for stranger in (U2, ROOT, ELSEWHERE):
                told = problem(await client.get(path, params={"cursor": cursor}, headers=stranger), 404)
                assert cursor in told["detail"], path
            for none in (cursor[:12], cursor[13:], cursor + "0", "x", f"{cursor[:12]}.x"):
                told = problem(await client.get(path, params={"cursor": none}, headers=U1), 422)
                assert told["errors"][0]["loc"][-1] == "cursor", none
            # Who sees the same may go on for each other: a link to a page can be passed on.
            _, cursor = await pages(client, path, ROOT)
            assert good(await client.get(path, params={"cursor": cursor}, headers=PEER))["items"]
        found, cursor = await pages(client, "/api/v1/workspaces", ROOT)
        assert {one["user_id"] for one in found} == {"u1", "u2"}
        problem(await client.get("/api/v1/workspaces", params={"cursor": cursor}, headers=U1), 404)


async def test_of_children_too(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        family = await parked(stepwell, "family")
        path = f"/api/v1/runs/{family}/children"
        found, cursor = await pages(client, path, U1)
        assert [one["label"] for one in found] == [None, "Second"]
        problem(await client.get(path, params={"cursor": cursor}, headers=ROOT), 404)


async def test_of_what_is_done_page_by_page_too(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "_AT_ONCE", 1)
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        mine = [await parked(stepwell, "ship", {"order_id": str(number)}) for number in range(3)]
        choice = {"action": "cancel", "filter": {"workflow": "ship"}}
        cursor = good(await client.post("/api/v1/runs/bulk", json=choice, headers=U1))["next_cursor"]
        problem(await client.post("/api/v1/runs/bulk", json=choice | {"cursor": cursor}, headers=U2), 404)
        problem(await client.post("/api/v1/runs/bulk", json=choice | {"cursor": cursor}, headers=ROOT), 404)
        assert [(await stepwell.runner.get(one)).status for one in mine] == ["waiting", "waiting", "canceled"]
