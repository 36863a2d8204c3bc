"""Schedules that users make over the API: whose they are, and what becomes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_shop import ROOT, U1, U2, ClientOf, Quiet, Ship, StepwellOf, being, good, problem, served

from backends import Database
from conformance.support import reaches
from stepwell import App, Stepwell
from stepwell.testing import VirtualClock

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATH = "/api/v1/schedules"
EVE = being("eve", "operator", everybody=True)
VIEWER = being("u1", "viewer")
HOURLY = {"app_name": "office", "name": "hourly", "workflow": "quiet", "every": 3600}


def office() -> App:
    app = App("office", workflows=[Quiet, Ship])
    app.schedule("nightly", workflow=Quiet, user_id="system", cron="0 3 * * *")
    return app


async def later(stepwell: Stepwell, clock: VirtualClock, duration: timedelta) -> None:
    """It is later, and the schedules have been looked at."""
    clock.move_to(clock.now() + duration // timedelta(microseconds=1))
    await stepwell.scheduler.fire_due()


async def test_a_user_makes_changes_and_deletes_a_schedule(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        made = good(await client.post(PATH, json=HOURLY), 201)
        assert (made["name"], made["user_id"], made["declared"], made["here"]) == ("hourly", "u1", False, True)
        assert (made["workflow"], made["paused"], made["error"]) == ("quiet", False, None)
        assert (made["next"][0], len(made["next"])) == ("2026-01-05T13:00:00Z", 10)
        assert "already" in problem(await client.post(PATH, json=HOURLY), 409)["detail"]
        await later(stepwell, clock, HOUR)
        detail = good(await client.get(f"{PATH}/office/hourly"))
        [tick] = detail["ticks"]
        assert (tick["outcome"], tick["scheduled_at"]) == ("fired", "2026-01-05T13:00:00Z")
        assert (detail["every"], detail["cron"], detail["at"]) == (3600, None, None)
        assert (detail["args"], detail["catch_up"], detail["jitter"]) == (None, 86400, 0)
        assert (await reaches(stepwell.runner, tick["workflow_id"], "completed")).user_id == "u1"

        change = {"cron": "30 9 * * *", "timezone": "Europe/Berlin", "overlap": "allow", "jitter": "PT1M"}
        changed = good(await client.patch(f"{PATH}/office/hourly", json=change))
        assert (changed["rule"], changed["overlap"]) == ("30 9 * * * (Europe/Berlin)", "allow")
        shipped = {"workflow": "ship", "args": {"order_id": "A1"}}
        assert good(await client.patch(f"{PATH}/office/hourly", json=shipped))["workflow"] == "ship"
        detail = good(await client.get(f"{PATH}/office/hourly"))
        assert (detail["args"], detail["jitter"]) == ({"order_id": "A1", "note": ""}, 60)

        assert good(await client.post(f"{PATH}/office/hourly/pause"))["paused"] is True
        fired = good(await client.post(f"{PATH}/office/hourly/fire", headers={"Idempotency-Key": "k"}))
        again = good(await client.post(f"{PATH}/office/hourly/fire", headers={"Idempotency-Key": "k"}))
        assert fired["workflow_id"] == again["workflow_id"]
        assert good(await client.post(f"{PATH}/office/hourly/resume"))["paused"] is False

        assert (await client.delete(f"{PATH}/office/hourly")).status_code == 204
        problem(await client.get(f"{PATH}/office/hourly"), 404)
        problem(await client.delete(f"{PATH}/office/hourly"), 404)
        assert len((await stepwell.runner.list(user_id="u1")).items) == 2


async def test_once_at_a_moment(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        once = {"app_name": "office", "name": "once", "workflow": "quiet", "at": "2026-01-05T14:30:00+01:00"}
        made = good(await client.post(PATH, json=once), 201)
        assert made["next"] == ["2026-01-05T13:30:00Z"]
        await later(stepwell, clock, 2 * HOUR)
        detail = good(await client.get(f"{PATH}/office/once"))
        assert (detail["next"], detail["last"]["outcome"], detail["at"]) == ([], "fired", "2026-01-05T13:30:00Z")


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"every": None}, 422, "give one of cron=, every= and at="),
        ({"cron": "@daily"}, 422, "not cron= and every="),
        ({"every": None, "cron": "99 * * * *"}, 422, "the minute '99'"),
        ({"every": None, "cron": "@daily", "timezone": "Mars/Phobos"}, 422, "Mars/Phobos"),
        ({"every": None, "at": "2026-01-05T11:00:00Z"}, 422, "is in the past"),
        ({"workflow": "none"}, 404, "doesn't list"),
        ({"app_name": "none"}, 404, "No app"),
        ({"args": {"x": 1}}, 422, "takes no args"),
        ({"name": "nightly"}, 409, "declares a schedule"),
        ({"user_id": "u2"}, 403, "needs access to all users' runs"),
        ({"evry": 5}, 422, ""),
        ({"overlap": "never"}, 422, ""),
        ({"name": ""}, 422, ""),
    ],
)
async def test_what_cannot_be_is_refused(
    stepwell_of: StepwellOf, client_of: ClientOf, change: dict[str, Any], status: int, text: str
) -> None:
    stepwell = stepwell_of(office(), clock=VirtualClock(NOW))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        given = {name: value for name, value in {**HOURLY, **change}.items() if value is not None}
        assert text in problem(await client.post(PATH, json=given), status)["detail"]
        assert good(await client.get(PATH)) == []


async def test_a_user_sees_and_changes_their_own_only(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        good(await client.post(PATH, json=HOURLY), 201)
        good(await client.post(PATH, json={**HOURLY, "name": "theirs"}, headers=U2), 201)
        assert [one["name"] for one in good(await client.get(PATH))] == ["hourly"]
        assert good(await client.get(PATH, params={"user_id": "u2"})) == []
        theirs = f"{PATH}/office/theirs"
        for params in ({}, {"user_id": "u2"}):
            problem(await client.get(theirs, params=params), 404)
            problem(await client.patch(theirs, params=params, json={"paused": True}), 404)
            problem(await client.delete(theirs, params=params), 404)
            for verb in ("pause", "resume", "fire"):
                problem(await client.post(f"{theirs}/{verb}", params=params), 404)
        # Who may only look changes nothing of their own either.
        problem(await client.post(PATH, json={**HOURLY, "name": "new"}, headers=VIEWER), 403)
        problem(await client.patch(f"{PATH}/office/hourly", json={"paused": True}, headers=VIEWER), 403)
        problem(await client.delete(f"{PATH}/office/hourly", headers=VIEWER), 403)
        assert good(await client.get(f"{PATH}/office/hourly", headers=VIEWER))["name"] == "hourly"
        narrow = being("u1", "operator", apps="other")
        assert good(await client.get(PATH, headers=narrow)) == []
        problem(await client.get(f"{PATH}/office/hourly", headers=narrow), 404)
        problem(await client.delete(f"{PATH}/office/hourly", headers=narrow), 404)
        problem(await client.post(PATH, json={**HOURLY, "name": "new"}, headers=narrow), 404)


async def test_who_sees_everybody_sees_both_kinds(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **EVE) as client:
        await stepwell.scheduler.fire_due()
        for user in ("u1", "u2"):
            made = good(await client.post(PATH, json={**HOURLY, "user_id": user}), 201)
            assert made["user_id"] == user
        listed = [(one["name"], one["declared"], one["user_id"]) for one in good(await client.get(PATH))]
        assert listed == [("nightly", True, None), ("hourly", False, "u2"), ("hourly", False, "u1")]
        found = good(await client.get(PATH, params={"name": "hourly", "user_id": "u1"}))
        assert [one["user_id"] for one in found] == ["u1"]
        assert "user_id=" in problem(await client.get(f"{PATH}/office/hourly"), 422)["detail"]
        one = good(await client.post(f"{PATH}/office/hourly/pause", params={"user_id": "u2"}))
        assert (one["user_id"], one["paused"]) == ("u2", True)
        assert good(await client.get(f"{PATH}/office/hourly", params={"user_id": "u1"}))["paused"] is False
        assert (await client.delete(f"{PATH}/office/hourly", params={"user_id": "u1"})).status_code == 204
        assert good(await client.get(f"{PATH}/office/hourly"))["user_id"] == "u2"
        # Declared ones are changed in the code only.
        assert "declared" in problem(await client.patch(f"{PATH}/office/nightly", json={"paused": True}), 404)["detail"]
        problem(await client.delete(f"{PATH}/office/nightly"), 404)
        assert good(await client.post(f"{PATH}/office/nightly/pause"))["declared"] is True


async def test_pages(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(), clock=VirtualClock(NOW))
    async with client_of(stepwell, served(stepwell), **EVE) as client:
        for n in range(5):
            good(await client.post(PATH, json={**HOURLY, "name": f"s{n}"}), 201)
        names: list[str] = []
        params: dict[str, Any] = {"limit": 2}
        while True:
            answer = await client.get(PATH, params=params)
            names += [one["name"] for one in good(answer)]
            if "Next-Cursor" not in answer.headers:
                break
            params["cursor"] = answer.headers["Next-Cursor"]
            problem(await client.get(PATH, params=params, headers=U1), 404)
        assert names == ["nightly", "s4", "s3", "s2", "s1", "s0"]


async def test_a_schedule_that_no_process_can_fire_is_told(
    stepwell_of: StepwellOf, client_of: ClientOf, database: Database
) -> None:
    clock = VirtualClock(NOW)
    async with stepwell_of(office(), clock=clock) as there:
        await there.runner.schedules.create("s", Quiet, app_name="office", user_id="u1", every=HOUR)
        here = stepwell_of(App("annex", workflows=[Quiet]), clock=clock)
        async with client_of(here, served(here), **ROOT) as client:
            found = good(await client.get(f"{PATH}/office/s"))
            assert (found["here"], found["error"]) == (False, None), "another process fires it"
    here = stepwell_of(App("annex", workflows=[Quiet]), clock=clock)
    async with client_of(here, served(here), **ROOT) as client:
        database.execute("DELETE FROM stepwell_workers WHERE id<>?", here.process.worker_id if here.process else "")
        [found] = good(await client.get(PATH, params={"name": "s"}))
        assert (found["here"], found["declared"]) == (False, False)
        assert "No process that works here or elsewhere has the workflow 'quiet' of app 'office'" in found["error"]
        assert good(await client.post(f"{PATH}/office/s/pause"))["paused"] is True
        problem(await client.post(f"{PATH}/office/s/fire"), 404)
        assert (await client.delete(f"{PATH}/office/s")).status_code == 204
