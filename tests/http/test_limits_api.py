"""Limits in use over HTTP: who sees which, in pages, and the runs of one of them."""

from __future__ import annotations

from typing import Any

import pytest
from api_shop import ROOT, U1, ClientOf, StepwellOf, being, good, problem, served

from conformance.support import Gate, until
from stepwell import END, App, Concurrency, Stepwell, Workflow, transition

PATH = "/api/v1/limits"
gate = Gate()


class Crawl(Workflow[dict[str, Any]], concurrency=[Concurrency(1, key="args.host"), Concurrency(9, name="crawler")]):
    @transition(target=END)
    async def fetch(self) -> None:
        await gate.pass_through()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()


async def crawled(stepwell: Stepwell, app: str, *hosts: str) -> list[str]:
    """Runs, of which one for each host executes."""
    runs = [await stepwell.runner.run(Crawl, {"host": host}, app_name=app, user_id="u1") for host in hosts]
    for _ in set(hosts):
        await gate.reached()
    return [run.workflow_id for run in runs]


async def test_limits_are_listed_to_those_who_see_their_runs(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Crawl]), App("lab", workflows=[Crawl]))
    mine = being("lou", "viewer", everybody=True, apps="lab")
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert good(await client.get(PATH)) == {"items": [], "next_cursor": None}
        first, second, _ = await crawled(stepwell, "shop", "a", "a", "b")
        [third] = await crawled(stepwell, "lab", "a")

        async def is_held() -> bool:
            return (await stepwell.runner.row(second)).held_by is not None

        await until(is_held)
        found = good(await client.get(PATH))["items"]
        rules = [("crawler", None), ("lab/crawl#0", "a"), ("shop/crawl#0", "a"), ("shop/crawl#0", "b")]
        assert [(one["rule"], one["key"]) for one in found] == rules
        assert {**found[2], "id": "", "held_since": ""} == {
            "id": "",
            "kind": "executing",
            "rule": "shop/crawl#0",
            "app_name": "shop",
            "workflow_name": "crawl",
            "key": "a",
            "user_id": None,
            "limit": 1,
            "per_seconds": None,
            "holding": 1,
            "held": 1,
            "held_since": "",
            "opens_at": None,
        }
        assert [one["rule"] for one in good(await client.get(f"{PATH}?held=true"))["items"]] == ["shop/crawl#0"]
        assert len(good(await client.get(f"{PATH}?app_name=lab"))["items"]) == 2
        page = good(await client.get(f"{PATH}?limit=3"))
        assert [one["rule"] for one in page["items"]] == [rule for rule, _ in rules[:3]]
        rest = good(await client.get(PATH, params={"cursor": page["next_cursor"]}))
        assert ([one["key"] for one in rest["items"]], rest["next_cursor"]) == (["b"], None)
        problem(await client.get(PATH, params={"cursor": page["next_cursor"]}, headers=mine), 404)
        problem(await client.get(PATH, params={"cursor": "é"}), 422)
        problem(await client.get(PATH, headers=U1), 403)
        theirs = good(await client.get(PATH, headers=mine))["items"]
        assert [(one["rule"], one["holding"]) for one in theirs] == [("crawler", 3), ("lab/crawl#0", 1)]
        await stepwell.runner.update(first, subject="Crawl of a")
        detail = good(await client.get(f"{PATH}/detail", params={"id": found[2]["id"]}))
        assert [(one["workflow_id"], one["subject"]) for one in detail["holders"]] == [(first, "Crawl of a")]
        assert [(one["workflow_id"], one["subject"]) for one in detail["waiting"]] == [(second, None)]
        shared = good(await client.get(f"{PATH}/detail", params={"id": found[0]["id"]}, headers=mine))
        assert [one["workflow_id"] for one in shared["holders"]] == [third]
        refused = problem(await client.get(f"{PATH}/detail", params={"id": found[2]["id"]}, headers=mine), 404)
        assert refused["type"] == "urn:stepwell:limit-not-found"
        problem(await client.get(f"{PATH}/detail", params={"id": "x\0"}), 422)
        problem(await client.get(f"{PATH}/detail"), 422)
        assert good(await client.get("/api/v1/queue"))["held"] == 1
        assert good(await client.get("/api/v1/queue", headers=mine))["held"] == 0
        gate.open()
