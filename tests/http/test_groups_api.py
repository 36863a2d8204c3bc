"""Groups of children over HTTP: how far they are, their items, and whose they are (rule 53)."""

from __future__ import annotations

from typing import Any

import httpx
from api_shop import U1, U2, ClientOf, StepwellOf, good, problem, served

from conformance.support import until
from stepwell import END, App, Group, Start, Workflow, transition


class Part(Workflow[int, dict[str, Any], int]):
    @transition(target=END)
    async def go(self) -> int:
        if self.args == 1:
            raise ValueError("no")
        return self.args * 10


class Whole(Workflow):
    @transition(target="waiting")
    async def begin(self) -> None:
        starts = [Start(Part, n) for n in range(5)]
        await self.start_many(starts, callback="told", until="all_ended", max_in_flight=2, label="parts")

    @transition("waiting", END, wait=True)
    async def told(self, end: Group[int]) -> str:
        return end.group_id


async def test_a_group_and_its_items(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Whole, Part]))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await stepwell.runner.run(Whole, app_name="shop", user_id="u1")
        group_id = await run.result()

        async def finished() -> Any:
            found = good(await client.get(f"/api/v1/groups/{group_id}"))
            return found if found["finished_at"] else None

        found = await until(finished)
        counts = {name: found[name] for name in ("group_id", "total", "completed", "failed", "held", "pending")}
        assert counts == {"group_id": group_id, "total": 5, "completed": 4, "failed": 1, "held": 0, "pending": 0}
        first = good(await client.get(f"/api/v1/groups/{group_id}/items", params={"limit": 2}))
        assert [(one["index"], one["result"]) for one in first["items"]] == [(0, 0), (1, None)]
        assert "no" in first["items"][1]["error"]
        given = {"cursor": first["next_cursor"]}
        rest = good(await client.get(f"/api/v1/groups/{group_id}/items", params=given))
        assert [one["result"] for one in rest["items"]] == [20, 30, 40]
        assert rest["next_cursor"] is None
        failed = good(await client.get(f"/api/v1/groups/{group_id}/items", params={"status": "failed"}))
        assert [one["index"] for one in failed["items"]] == [1]
        [group] = good(await client.get(f"/api/v1/runs/{run.workflow_id}/groups"))
        told = {name: group[name] for name in ("group_id", "label", "workflow_name", "callback", "until", "outcome")}
        assert told == {
            "group_id": group_id,
            "label": "parts",
            "workflow_name": "part",
            "callback": "told",
            "until": "all_ended",
            "outcome": "completed",
        }
        assert group["progress"]["total"] == 5
        child = good(await client.get(f"/api/v1/runs/{first['items'][1]['workflow_id']}"))
        assert (child["group_id"], child["group_index"]) == (group_id, 1)


async def test_another_users_group_is_not_there(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Whole, Part]))
    async with client_of(stepwell, served(stepwell), **U2) as client:
        run = await stepwell.runner.run(Whole, app_name="shop", user_id="u1")
        group_id = await run.result()
        for path in (f"groups/{group_id}", f"groups/{group_id}/items", "groups/none", f"runs/{run.workflow_id}/groups"):
            answer: httpx.Response = await client.get(f"/api/v1/{path}")
            assert answer.status_code == 404
        assert problem(await client.get(f"/api/v1/groups/{group_id}"), 404)["type"].endswith("group-not-found")
