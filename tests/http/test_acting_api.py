"""Starting, answering, cancelling and retrying over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from api_shop import (
    ROOT,
    U1,
    U2,
    VIEWER,
    ClientOf,
    Order,
    Ship,
    StepwellOf,
    being,
    good,
    ids,
    lab,
    mended,
    problem,
    served,
    shop,
)

from conformance.support import reaches
from stepwell import App, Tick, WorkflowRunner
from stepwell.testing import VirtualClock

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
START = {"app_name": "shop", "workflow": "ship", "args": {"order_id": "A1"}}


async def start(client: httpx.AsyncClient, given: dict[str, Any] | None = None, **more: Any) -> str:
    """The id of a run that was started over HTTP."""
    return str(good(await client.post("/api/v1/runs", json=START | (given or {}), **more), 202)["workflow_id"])


# -- starting ---------------------------------------------------------------------------------------------------------


async def test_a_started_run_is_as_it_was_asked_for(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        wanted = START | {"labels": ["vip", "eu"], "priority": 7}
        answer = await client.post("/api/v1/runs", json=wanted)
        assert good(answer, 202)["created"] is True
        run = await stepwell.runner.get(answer.json()["workflow_id"])
        assert (run.app_name, run.workflow_name, run.user_id, run.labels, run.priority) == (
            *("shop", "ship", "u1"),
            ("vip", "eu"),
            7,
        )
        again = await start(client, {"workspace_id": run.workspace_id})
        assert (await stepwell.runner.get(again)).workspace_id == run.workspace_id


async def test_a_key_starts_once(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    key = {"Idempotency-Key": "order-A1"}
    async with client_of(stepwell, served(stepwell), **U1) as client:
        first = await client.post("/api/v1/runs", json=START, headers=key)
        again = await client.post("/api/v1/runs", json=START | {"labels": ["other"]}, headers=key)
        assert good(first, 202) == {"workflow_id": first.json()["workflow_id"], "created": True}
        assert good(again, 200) == {"workflow_id": first.json()["workflow_id"], "created": False}
        other = await client.post("/api/v1/runs", json=START | {"args": {"order_id": "B"}}, headers=key)
        assert problem(other, 409)["type"] == "urn:stepwell:idempotency-conflict"
        # Somebody else's key is another one.
        theirs = await client.post("/api/v1/runs", json=START, headers={**key, **U2})
        assert good(theirs, 202)["workflow_id"] != first.json()["workflow_id"]


async def test_a_run_may_start_later(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(shop(), clock=clock)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        delayed = await start(client, {"delay_seconds": 90.5})
        at = await start(client, {"at": "2026-01-05T14:00:00+01:00"})
        timed = await start(client, {"at": "2026-01-06T00:00:00Z"})
        dues = [(await stepwell.runner.get(one)).due_at for one in (delayed, at, timed)]
        assert dues == [NOW + timedelta(seconds=90.5), NOW + timedelta(hours=1), NOW + timedelta(hours=12)]
        clock.move_to(clock.now() + 91_000_000)
        await reaches(stepwell.runner, delayed, "waiting")
        assert (await stepwell.runner.get(at)).status == "pending"


WRONG_STARTS: list[tuple[dict[str, Any], int, str]] = [
    ({"app_name": "chop"}, 404, "chop"),
    ({"workflow": "shipp"}, 404, "shipp"),
    ({"workflow": ""}, 422, "workflow"),
    ({"args": {}}, 422, "order_id"),
    ({"args": None}, 422, "order_id"),
    ({"args": {"order_id": 7}}, 422, "order_id"),
    ({"labels": "vip"}, 422, "labels"),
    ({"labels": [""]}, 422, "labels"),
    ({"delay_seconds": -1}, 422, "delay_seconds"),
    ({"delay_seconds": 1, "at": "2030-01-01T00:00:00Z"}, 422, "at"),
    ({"at": "2030-01-01T00:00:00"}, 422, "at"),
    ({"at": 1700000000}, 422, "at"),
    ({"priority": 2**31}, 422, "priority"),
    ({"priority": True}, 422, "priority"),
    ({"delay_seconds": True}, 422, "delay_seconds"),
    ({"workspace_id": "nope"}, 404, "nope"),
    ({"user_id": "u2"}, 403, "u2"),
    ({"typo": 1}, 422, "typo"),
    ({"labels": ["a\0b"]}, 422, "labels"),
]


async def test_what_cannot_start_says_why(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        for change, status, where in WRONG_STARTS:
            found = problem(await client.post("/api/v1/runs", json=START | change), status)
            assert where in found["detail"]
            assert ("errors" in found) == (status == 422)
            if "errors" in found:
                assert any(where in one["loc"] for one in found["errors"]), found
        assert good(await client.get("/api/v1/runs"))["items"] == []


async def test_others_start_for_others_only_with_the_right(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell)) as client:
        run = await start(client, {"user_id": "u2"}, headers=ROOT)
        assert (await stepwell.runner.get(run)).user_id == "u2"
        theirs = (await stepwell.runner.get(run)).workspace_id
        problem(await client.post("/api/v1/runs", json=START | {"workspace_id": theirs}, headers=U1), 404)
        mine = await start(client, {"user_id": "u1"}, headers=U1)
        assert (await stepwell.runner.get(mine)).user_id == "u1"
        hidden = problem(await client.post("/api/v1/runs", json=START, headers=being("u1", apps="lab")), 404)
        assert (hidden["type"], hidden["detail"]) == ("urn:stepwell:unknown-app", "No app 'shop'. Registered: lab.")
        problem(await client.post("/api/v1/runs", json=START, headers=VIEWER), 403)


async def test_far_moments_stay_readable(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        for far in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"):
            answer = await client.post("/api/v1/runs", json=START | {"at": far})
            assert answer.status_code in (202, 422), answer.text
        good(await client.get("/api/v1/runs"))


def with_handlers() -> App:
    app = shop()

    @app.cron("0 9 * * *", name="daily")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None:
        await runner.run(Ship, Order(order_id="tick"), app_name="shop", user_id="u1")

    return app


async def test_handlers_are_nobodys_to_start_or_to_see(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(with_handlers())
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        assert stepwell.process is not None
        name = "schedule:daily"
        tick = {"schedule": "daily", "scheduled_at": "2026-01-05T09:00:00Z", "fired_at": "2026-01-05T09:00:00Z"}
        found = problem(
            await client.post("/api/v1/runs", json={"app_name": "shop", "workflow": name, "args": tick}), 404
        )
        assert "doesn't list" in found["detail"]
        problem(await client.get(f"/api/v1/workflows/shop/{name}"), 404)
        fired = good(await client.post("/api/v1/schedules/shop/daily/fire"))
        assert (fired["outcome"], fired["workflow_id"]) == ("fired", None)
        handler = (
            await stepwell.process.store.read(lambda tx: tx.rows("SELECT id FROM stepwell_runs WHERE internal=1"))
        )[0][0]
        for tail in ("", "/history", "/documents", "/steps", "/children", "/explain", "/asks", "/taken", "/events"):
            problem(await client.get(f"/api/v1/runs/{handler}{tail}"), 404)
        for tail in ("cancel", "retry"):
            problem(await client.post(f"/api/v1/runs/{handler}/{tail}"), 404)
        problem(await client.post(f"/api/v1/runs/{handler}/signals", json={"name": "x"}), 404)
        result = good(await client.post("/api/v1/runs/bulk", json={"action": "cancel", "runs": [handler]}))
        assert (result["done"], result["failed"]) == (0, [])


async def test_a_body_that_cant_be_read_says_where(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    headers = {"Content-Type": "application/json"}
    async with client_of(stepwell, served(stepwell), **U1) as client:
        for body, status, words in (
            (b'{"app_name": }', 422, "valid JSON at character 13: Expecting value"),
            (b'{"app_name":', 422, "valid JSON at character 12"),
            (b'{"app_name":"\xff"}', 400, "UTF-8"),
            (100_000 * b"[", 400, "can't be read"),
        ):
            answer = await client.post("/api/v1/runs", content=body, headers=headers)
            assert words in problem(answer, status)["detail"], body[:20]


# -- answering --------------------------------------------------------------------------------------------------------


async def test_an_answer_is_taken_once_and_says_whose_it_is(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    key = {"Idempotency-Key": "a1"}
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await start(client)
        await reaches(stepwell.runner, run, "waiting")
        path, answer = f"/api/v1/runs/{run}/signals", {"name": "send", "data": {"street": "Main"}}
        accepted = good(await client.post(path, json=answer, headers=key), 202)
        assert accepted["workflow_id"] == run
        done = await reaches(stepwell.runner, run, "completed")
        assert done.result == "Main"
        # The same one again is the same answer; another one comes too late.
        good(await client.post(path, json=answer, headers=key), 202)
        assert problem(await client.post(path, json=answer), 409)["type"] == "urn:stepwell:run-finished"
        history = good(await client.get(f"/api/v1/runs/{run}/history"))
        assert [row["answered_by"] for row in history] == [None, None, "u1"]


WRONG_ANSWERS: list[tuple[dict[str, Any], int, str]] = [
    ({"name": "send", "data": {}}, 422, "street"),
    ({"name": "send", "data": None}, 422, "street"),
    ({"name": "send", "data": {"street": "M", "express": "maybe"}}, 422, "express"),
    ({"name": "sent", "data": {}}, 422, "sent"),
    ({"name": "pack", "data": {}}, 422, "pack"),
    ({"data": {}}, 422, "name"),
]


async def test_who_answers_too_late_is_told_who_was_first(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), embedded_worker=False)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        parked = await stepwell.runner.run_sync("ship", {"order_id": "A1"}, app_name="shop", user_id="u1")
        path = f"/api/v1/runs/{parked.workflow_id}/signals"
        first = {"name": "send", "data": {"street": "Main"}}
        good(await client.post(path, json=first, headers={"Idempotency-Key": "k"}), 202)
        other = being("root", "operator", everybody=True)
        late = problem(await client.post(path, json={"name": "send", "data": {"street": "Side"}}, headers=other), 409)
        assert (late["type"], late["title"]) == ("urn:stepwell:already-answered", "Already answered")
        assert late["by"] == "u1"
        assert datetime.fromisoformat(late["at"]).tzinfo is not None
        assert "the signal 'send' by u1" in late["detail"]
        good(await client.post(path, json=first, headers={"Idempotency-Key": "k"}), 202)


async def test_nobody_answers_for_a_child(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await start(client, {"workflow": "parent", "args": None})
        before = await reaches(stepwell.runner, run, "waiting")
        assert before.waiting_for == ()
        assert good(await client.get(f"/api/v1/runs/{run}/asks")) == []
        assert "for child runs to end: done" in good(await client.get(f"/api/v1/runs/{run}/explain"))["reasons"][0]
        for who in (U1, being("root", "admin", everybody=True)):
            for data in ("anywhere", {"no": "text"}):
                for headers in (who, who | {"Idempotency-Key": "k"}):
                    given = {"name": "done", "data": data}
                    answer = await client.post(f"/api/v1/runs/{run}/signals", json=given, headers=headers)
                    found = problem(answer, 409)
                    assert found["type"] == "urn:stepwell:unknown-transition"
                    assert "'done' is the callback of a child" in found["detail"]
        assert await stepwell.runner.get(run) == before


async def test_a_wrong_answer_changes_nothing(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await start(client)
        before = await reaches(stepwell.runner, run, "waiting")
        for given, status, where in WRONG_ANSWERS:
            found = problem(await client.post(f"/api/v1/runs/{run}/signals", json=given), status)
            assert where in found["detail"]
            field = where if where in ("street", "express") else "name"
            assert any(field in one["loc"] for one in found["errors"]), found
        assert await stepwell.runner.get(run) == before


# -- cancelling and retrying ------------------------------------------------------------------------------------------


async def test_a_run_is_cancelled_with_its_children(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await start(client, {"workflow": "parent", "args": None})
        await reaches(stepwell.runner, run, "waiting")
        canceled = good(await client.post(f"/api/v1/runs/{run}/cancel", json={"reason": "not wanted"}))
        assert (canceled["status"], canceled["waiting_for"]) == ("canceled", [])
        assert "not wanted" in canceled["error"]
        [child] = good(await client.get(f"/api/v1/runs/{run}/children"))["items"]
        await reaches(stepwell.runner, child["run"]["workflow_id"], "canceled")
        assert good(await client.post(f"/api/v1/runs/{run}/cancel"))["version"] == canceled["version"]
        done = await start(client, {"workflow": "quiet", "args": None})
        await reaches(stepwell.runner, done, "completed")
        problem(await client.post(f"/api/v1/runs/{done}/cancel"), 409)
        problem(await client.post(f"/api/v1/runs/{done}/retry"), 409)
        for wrong in ({"reason": 7}, {"why": "x"}, {"reason": "a\0b"}):
            problem(await client.post(f"/api/v1/runs/{done}/cancel", json=wrong), 422)


async def test_a_failed_run_is_retried(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    mended.discard("retry me")
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await start(client, {"workflow": "break_it", "args": {"text": "retry me"}})
        failed = await reaches(stepwell.runner, run, "failed")
        assert failed.error == "Break.crash: RuntimeError: retry me"
        mended.add("retry me")
        good(await client.post(f"/api/v1/runs/{run}/retry"))
        assert (await reaches(stepwell.runner, run, "completed")).result == "well"


async def test_nobody_acts_on_what_is_not_there_for_them(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell)) as client:
        run = await start(client, headers=U1)
        before = await reaches(stepwell.runner, run, "waiting")
        answer = {"name": "send", "data": {"street": "Main"}}
        for headers, status in (
            (U2, 404),
            (being("u1", apps="lab"), 404),
            (being("root", "admin", apps=""), 404),
            (VIEWER, 403),
            (being("boss", "viewer", everybody=True), 403),
        ):
            problem(await client.post(f"/api/v1/runs/{run}/signals", json=answer, headers=headers), status)
            problem(await client.post(f"/api/v1/runs/{run}/cancel", headers=headers), status)
            problem(await client.post(f"/api/v1/runs/{run}/retry", headers=headers), status)
        assert await stepwell.runner.get(run) == before
        assert ids(good(await client.get("/api/v1/runs", headers=VIEWER))) == [run]
