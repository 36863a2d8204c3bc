"""Pauses over HTTP: who may put and lift them, who sees what, and what runs, the queue and health checks say of them."""

from __future__ import annotations

from api_shop import ROOT, U1, ClientOf, StepwellOf, being, good, lab, problem, served, shop

from conformance.support import reaches

KEEPER = being("eve", everybody=True)
PATH = "/api/v1/pauses"


async def test_pauses_are_put_listed_and_lifted(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        assert good(await client.get(PATH)) == []
        made = good(await client.post(PATH, json={"app_name": "shop", "reason": "a migration"}))
        assert {**made, "paused_at": ""} == {
            "app_name": "shop",
            "workflow": None,
            "reason": "a migration",
            "paused_at": "",
            "who": "eve",
        }
        every = good(await client.post(PATH, json={}))
        assert good(await client.get(PATH)) == [made, every]
        lifted = good(await client.post(f"{PATH}/resume", json={"app_name": "shop"}))
        assert lifted == {"lifted": made, "remaining": [every]}
        nothing = good(await client.post(f"{PATH}/resume", json={"app_name": "shop", "workflow": "quiet"}))
        assert nothing == {"lifted": None, "remaining": [every]}
        assert good(await client.post(f"{PATH}/resume", json={})) == {"lifted": every, "remaining": []}


async def test_wrong_names_fields_and_callers_are_refused(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        for path in (PATH, f"{PATH}/resume"):
            found = problem(await client.post(path, json={"app_name": "shpo"}), 404)
            assert "did you mean 'shop'" in found["detail"]
            found = problem(await client.post(path, json={"app_name": "shop", "workflow": "quite"}), 404)
            assert "did you mean 'quiet'" in found["detail"]
            found = problem(await client.post(path, json={"app": "shop"}), 422)
            assert "app_name" in found["detail"]
            problem(await client.post(path, json={"app_name": ""}), 422)
            for caller in (U1, being("wim", "viewer", everybody=True)):
                problem(await client.post(path, json={"app_name": "shop"}, headers=caller), 403)
        problem(await client.post(PATH, json={"reason": "x\0"}), 422)
        assert good(await client.get(PATH)) == []


async def test_who_reaches_one_app_pauses_and_sees_that_one(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    mine = being("lou", everybody=True, apps="lab")
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert "Name one of yours: 'lab'" in problem(await client.post(PATH, json={}, headers=mine), 403)["detail"]
        assert (
            "Name one of yours"
            in problem(await client.post(PATH, json={"workflow": "quiet"}, headers=mine), 403)["detail"]
        )
        assert (
            problem(await client.post(PATH, json={"app_name": "shop"}, headers=mine), 404)["detail"]
            == "No app 'shop'. Yours: 'lab'."
        )
        made = good(await client.post(PATH, json={"app_name": "lab", "workflow": "quiet"}, headers=mine))
        await stepwell.runner.pause("shop")
        every = await stepwell.runner.pause(workflow="quiet", reason="all of them", by="ada")
        assert good(await client.get(PATH, headers=mine)) == [made, every.model_dump(mode="json")]
        assert len(good(await client.get(PATH))) == 3
        # A user sees that there are pauses; who put them, and why, is for those who see all users' runs.
        assert [(one["app_name"], one["who"], one["reason"]) for one in good(await client.get(PATH, headers=U1))] == [
            ("lab", None, None),
            ("shop", None, None),
            (None, None, None),
        ]


async def test_runs_the_queue_and_health_tell_of_a_pause(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        asked = good(
            await client.post("/api/v1/runs", json={"app_name": "shop", "workflow": "ship", "args": {"order_id": "a"}}),
            202,
        )
        await reaches(stepwell.runner, asked["workflow_id"], "waiting")
        assert good(await client.get("/api/v1/health"))["paused"] == 0
        pause = good(await client.post(PATH, json={"app_name": "shop", "reason": "the bank is away"}))
        run = good(await client.post("/api/v1/runs", json={"app_name": "shop", "workflow": "quiet"}), 202)[
            "workflow_id"
        ]
        since = pause["paused_at"].partition(".")[0].removesuffix("Z")
        [first, second] = good(await client.get(f"/api/v1/runs/{run}/explain"))["reasons"]
        assert first.startswith(f"App 'shop' has been paused since {since}")
        assert "by 'eve' (the bank is away): the run isn't begun before that is lifted." in first
        assert first.endswith("Lift it with runner.resume(app_name='shop') or `stepwell resume --app-name shop`.")
        assert second.startswith("It has been ready since")
        reasons = good(await client.get(f"/api/v1/runs/{asked['workflow_id']}/explain"))["reasons"]
        assert [one.partition(" has been paused")[0] for one in reasons] == [
            "It waits at 'packed' for a signal: send.",
            "App 'shop'",
        ]
        theirs = await stepwell.runner.as_user("eve").explain(run)
        assert "has been paused since" in theirs.reasons[0]
        assert "bank" not in str(theirs)
        depth = good(await client.get("/api/v1/queue"))
        assert (depth["ready"], depth["paused"], depth["oldest_at"]) == (1, 1, None)
        assert [(one["workflow_name"], one["paused"]) for one in depth["lanes"]] == [("quiet", True)]
        health = good(await client.get("/api/v1/health"))
        assert (health["ready"], health["paused"], health["faults"]) == (True, 1, [])
        good(await client.post(f"{PATH}/resume", json={"app_name": "shop"}))
        await reaches(stepwell.runner, run, "completed")
        assert good(await client.get("/api/v1/health"))["paused"] == 0
