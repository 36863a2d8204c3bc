"""Forks, repairs, updates and deleting over HTTP."""

from __future__ import annotations

from typing import Any

from api_shop import U1, ClientOf, StepwellOf, good, problem, served
from pydantic import BaseModel

from conformance.support import reaches
from stepwell import END, App, Workflow, transition


class Total(BaseModel):
    cents: int | None = 0


class Pay(Workflow[None, Total, Any], name="pay", subject="Payment"):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def pay(self, cents: int | None) -> Any:
        if cents == 13:
            raise ValueError("unlucky")
        return [cents, self.state.cents]


class Sink(Workflow[None, None, None], name="sink"):
    @transition(target=END)
    async def fall(self) -> None:
        raise ValueError("deep")


async def test_a_run_is_forked_repaired_updated_and_deleted(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Pay]))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run_id = (await stepwell.runner.run(Pay, app_name="shop", user_id="u1")).workflow_id
        run = f"/api/v1/runs/{run_id}"
        await reaches(stepwell.runner, run_id, "waiting", "open")
        assert problem(await client.delete(run), 409)["type"] == "urn:stepwell:run-not-finished"
        updated = good(await client.patch(run, json={"labels": ["a"], "subject": "Rent"}))
        assert (updated["labels"], updated["subject"]) == (["a"], "Rent")
        assert good(await client.patch(run, json={"labels": []}))["subject"] == "Rent"

        asked = {"checkpoint": 1, "state": {"cents": None}, "labels": ["again"]}
        key = {"Idempotency-Key": "k"}
        fork = good(await client.post(f"{run}/fork", json=asked, headers=key), 202)
        assert good(await client.post(f"{run}/fork", json=asked, headers=key)) == fork | {"created": False}
        other = asked | {"checkpoint": 1, "state": {"cents": 5}}
        problem(await client.post(f"{run}/fork", json=other, headers=key), 409)
        shown = good(await client.get(f"/api/v1/runs/{fork['workflow_id']}"))
        assert (shown["forked_from"], shown["state"], shown["labels"]) == ([run_id, 1], {"cents": None}, ["again"])
        assert problem(await client.post(f"{run}/fork", json={"checkpoint": 0}), 422)
        invalid = problem(await client.post(f"{run}/fork", json={"checkpoint": 1, "state": {"cents": "x"}}), 422)
        assert invalid["type"] == "urn:stepwell:invalid-state"
        assert problem(await client.post(f"{run}/fork", json={"checkpoint": True}), 422)
        assert problem(await client.post(f"{run}/fork", json={"checkpoint": 1, "stat": {}}), 422)

        await stepwell.runner.signal(run_id, "pay", 13)
        await reaches(stepwell.runner, run_id, "failed")
        problem(await client.post(f"{run}/retry", json={"data": "many"}), 422)
        good(await client.post(f"{run}/retry", json={"data": None, "state": {"cents": 4}}))
        assert (await reaches(stepwell.runner, run_id, "completed")).result == [None, 4]
        assert (await client.delete(run)).status_code == 204
        problem(await client.get(run), 404)


async def test_a_failed_run_shows_what_its_failed_transition_took(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Pay, Sink]))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run_id = (await stepwell.runner.run(Pay, app_name="shop", user_id="u1")).workflow_id
        run = f"/api/v1/runs/{run_id}"
        await reaches(stepwell.runner, run_id, "waiting", "open")
        assert good(await client.get(f"{run}/taken")) is None, "nothing has failed yet"
        good(await client.post(f"{run}/signals", json={"name": "pay", "data": 13}), 202)
        await reaches(stepwell.runner, run_id, "failed")
        taken = good(await client.get(f"{run}/taken"))
        assert (taken["transition"], taken["title"], taken["data"], taken["answered_by"]) == ("pay", "Pay", 13, "u1")
        assert taken["schema"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
        good(await client.post(f"{run}/retry", json={"data": 14}))
        await reaches(stepwell.runner, run_id, "completed")
        assert good(await client.get(f"{run}/taken")) is None, "a run that has ended can't be retried"

        sunk = (await stepwell.runner.run(Sink, app_name="shop", user_id="u1")).workflow_id
        await reaches(stepwell.runner, sunk, "failed")
        assert good(await client.get(f"/api/v1/runs/{sunk}/taken")) is None, "it failed without a signal"
