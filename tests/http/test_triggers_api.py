"""Schedules and deliveries as the API tells and steers them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from api_shop import ROOT, U1, ClientOf, Quiet, StepwellOf, being, good, problem, served

from conformance.support import reaches, until
from stepwell import END, App, Stepwell, Tick, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.console.http.access.caller import Cursors
from stepwell.testing import VirtualClock
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "s3cret"
WATCHER = being("wim", "viewer", everybody=True)
KEEPER = being("eve", "operator", everybody=True)
broken: set[str] = set()
"""Names that handlers can't bear."""


class Nap(Workflow[None, None, None]):
    @transition(target="asleep")
    async def lie_down(self) -> None: ...

    @transition("asleep", END, wait=True)
    async def wake(self) -> None: ...


def office(*, handlers: bool = True) -> App:
    app = App("office", workflows=[Quiet, Nap])
    app.schedule("hourly", workflow=Quiet, user_id="u1", every=HOUR)
    app.schedule("slow", workflow=Nap, user_id="u1", every=HOUR, overlap="queue", misfire="all")
    if not handlers:
        return app

    @app.cron("0 9 * * *", timezone="Europe/Berlin", name="daily")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None:
        await runner.run(Quiet, app_name="office", user_id="u2")

    @app.webhook("/webhooks/in", verify=github_signature(secret=SECRET))
    async def on_in(event: WebhookEvent, runner: WorkflowRunner) -> None:
        await runner.run(Quiet, app_name="office", user_id="u3")
        if event.json["name"] in broken:
            raise ValueError(f"can't bear {event.json['name']}")

    return app


def annex() -> App:
    app = App("annex", workflows=[Quiet])
    app.schedule("hourly", workflow=Quiet, user_id="u1", every=HOUR)

    @app.webhook("/webhooks/annex", verify=github_signature(secret=SECRET), name="on_in")
    async def on_annex(event: WebhookEvent) -> None: ...

    return app


async def pass_by(stepwell: Stepwell, clock: VirtualClock, duration: timedelta) -> None:
    """It is later, and the schedules have been looked at."""
    clock.move_to(clock.now() + duration // timedelta(microseconds=1))
    await stepwell.scheduler.fire_due()


# -- schedules --------------------------------------------------------------------------------------------------------


async def test_schedules_say_when_they_tick(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), annex(), clock=clock)
    async with client_of(stepwell, served(stepwell), **WATCHER) as client:
        await stepwell.scheduler.fire_due()
        found = good(await client.get("/api/v1/schedules"))
        assert [(one["app_name"], one["name"]) for one in found] == [
            ("annex", "hourly"),
            ("office", "daily"),
            ("office", "hourly"),
            ("office", "slow"),
        ]
        daily, hourly, slow = found[1:]
        assert (daily["rule"], daily["timezone"], daily["workflow"]) == (
            *("0 9 * * * (Europe/Berlin)", "Europe/Berlin"),
            None,
        )
        assert daily["next"][:2] == ["2026-01-06T08:00:00Z", "2026-01-07T08:00:00Z"]
        assert len(daily["next"]) == 10
        assert (hourly["workflow"], hourly["overlap"], hourly["misfire"]) == ("quiet", "skip", "latest")
        assert (slow["overlap"], slow["misfire"]) == ("queue", "all")
        assert (hourly["paused"], hourly["here"], hourly["last"]) == (False, True, None)
        assert hourly["next"][0] == "2026-01-05T13:00:00Z"
        await pass_by(stepwell, clock, HOUR)
        detail = good(await client.get("/api/v1/schedules/office/hourly"))
        [tick] = detail["ticks"]
        assert (tick["scheduled_at"], tick["outcome"]) == ("2026-01-05T13:00:00Z", "fired")
        assert detail["next"][0] == "2026-01-05T14:00:00Z"
        await reaches(stepwell.runner, tick["workflow_id"], "completed")
        last = good(await client.get("/api/v1/schedules/office/hourly"))["last"]
        assert last == tick | {"status": "completed"}


async def test_a_paused_schedule_misses_its_ticks(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), clock=clock)
    path = "/api/v1/schedules/office/hourly"
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:

        async def ticks() -> list[tuple[str, str]]:
            found = good(await client.get(path))["ticks"]
            return [(one["scheduled_at"][11:16], one["outcome"]) for one in found]

        await stepwell.scheduler.fire_due()
        await pass_by(stepwell, clock, HOUR)
        assert await ticks() == [("13:00", "fired")]
        paused = good(await client.post(f"{path}/pause"))
        assert (paused["paused"], paused["name"], "ticks" in paused) == (True, "hourly", False)
        assert good(await client.post(f"{path}/pause"))["paused"] is True
        await pass_by(stepwell, clock, HOUR)
        await pass_by(stepwell, clock, HOUR)
        assert await ticks() == [("15:00", "missed"), ("14:00", "missed"), ("13:00", "fired")]
        fired = good(await client.post(f"{path}/fire"))
        assert (fired["outcome"], fired["scheduled_at"]) == ("fired", "2026-01-05T15:00:00Z")
        await reaches(stepwell.runner, fired["workflow_id"], "completed")
        assert await ticks() == [("15:00", "fired"), ("14:00", "missed"), ("13:00", "fired")]
        await pass_by(stepwell, clock, HOUR / 2)
        assert good(await client.post(f"{path}/resume"))["paused"] is False
        await pass_by(stepwell, clock, HOUR / 2)
        assert [one[1] for one in await ticks()] == ["fired", "fired", "missed", "fired"]
        missed = good(await client.get(path))["ticks"][2]
        assert (missed["workflow_id"], missed["fired_at"], missed["status"]) == (None, None, None)


async def test_a_tick_of_now_fires_between_the_others(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW + timedelta(minutes=20))
    stepwell = stepwell_of(office(), clock=clock)
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        await stepwell.scheduler.fire_due()
        fired = good(await client.post("/api/v1/schedules/office/slow/fire"))
        assert (fired["outcome"], fired["scheduled_at"]) == ("fired", "2026-01-05T12:20:00Z")
        await reaches(stepwell.runner, fired["workflow_id"], "waiting")
        await pass_by(stepwell, clock, HOUR)
        found = good(await client.get("/api/v1/schedules/office/slow"))
        assert [(one["outcome"], one["status"]) for one in found["ticks"]] == [("queued", None), ("fired", "waiting")]
        # A handler's tick has no run to show, but says how it went.
        good(await client.post("/api/v1/schedules/office/daily/fire"))

        async def handled() -> bool:
            last: Any = good(await client.get("/api/v1/schedules/office/daily"))["last"]
            assert last["workflow_id"] is None
            return bool(last["status"] == "completed")

        await until(handled)
        assert [run.workflow_name for run in (await stepwell.runner.list(user_id="u2")).items] == ["quiet"]


async def test_schedules_of_other_processes_can_be_seen(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    async with stepwell_of(office(), clock=clock) as there:
        await there.scheduler.fire_due()
    here = stepwell_of(annex(), clock=clock)
    async with client_of(here, served(here), **KEEPER) as client:
        found = {one["name"]: one for one in good(await client.get("/api/v1/schedules")) if one["app_name"] == "office"}
        assert found["daily"]["rule"] == "0 9 * * * (Europe/Berlin)"
        assert (found["daily"]["here"], found["daily"]["next"], found["daily"]["timezone"]) == (False, [], None)
        assert good(await client.get("/api/v1/schedules/office/daily"))["ticks"] == []
        for verb in ("pause", "resume", "fire"):
            assert "process" in problem(await client.post(f"/api/v1/schedules/office/daily/{verb}"), 404)["detail"]


async def test_schedules_are_for_who_sees_everybody(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(), annex(), clock=VirtualClock(NOW))
    async with client_of(stepwell, served(stepwell)) as client:
        await stepwell.scheduler.fire_due()
        narrow = being("eve", "admin", apps="annex")
        assert [one["app_name"] for one in good(await client.get("/api/v1/schedules", headers=narrow))] == ["annex"]
        for path in ("office/hourly", "annex/none", "none/hourly", "a%00b/hourly", "office/a%00b"):
            answer = await client.get(f"/api/v1/schedules/{path}", headers=narrow)
            assert answer.status_code in (404, 422), answer.text
            for verb in ("pause", "resume", "fire"):
                answer = await client.post(f"/api/v1/schedules/{path}/{verb}", headers=narrow)
                assert answer.status_code in (404, 422), answer.text
        assert good(await client.get("/api/v1/schedules", headers=U1)) == []
        problem(await client.get("/api/v1/schedules/office/hourly", headers=U1), 403)
        for headers in (U1, WATCHER):
            for verb in ("pause", "resume", "fire"):
                problem(await client.post(f"/api/v1/schedules/office/hourly/{verb}", headers=headers), 403)
        found = good(await client.get("/api/v1/schedules/office/hourly", headers=WATCHER))
        assert (found["paused"], found["ticks"]) == (False, [])


# -- deliveries -------------------------------------------------------------------------------------------------------


async def deliver(client: httpx.AsyncClient, name: str, path: str = "/webhooks/in") -> int:
    body = json.dumps({"name": name})
    answer = await client.post(path, content=body, headers=sign_github(body, SECRET, delivery=name))
    return answer.status_code


async def test_deliveries_say_what_became_of_them(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(office(), annex(), clock=clock)
    broken.clear()
    broken.add("bad")
    async with client_of(stepwell, served(stepwell)) as client:
        for name in ("one", "two", "bad", "last"):
            assert await deliver(client, name) == (500 if name == "bad" else 200)
            clock.move_to(clock.now() + 1_000_000)
        assert await deliver(client, "away", "/webhooks/annex") == 200

        async def of(query: str = "", headers: dict[str, str] = WATCHER) -> list[str]:
            page = good(await client.get(f"/api/v1/deliveries{query}", headers=headers))
            return [one["delivery_id"] for one in page["items"]]

        page = good(await client.get("/api/v1/deliveries", headers=WATCHER))
        first, bad = page["items"][0], page["items"][2]
        assert [one["delivery_id"] for one in page["items"]] == ["away", "last", "bad", "two", "one"]
        assert (first["app_name"], first["route"], first["path"], first["status"], first["error"]) == (
            *("annex", "on_in", "/webhooks/annex"),
            "completed",
            None,
        )
        assert (bad["received_at"], bad["status"], bad["attempt"]) == ("2026-01-05T12:00:02Z", "failed", 1)
        assert "can't bear bad" in bad["error"]
        assert await of("?app_name=office") == ["last", "bad", "two", "one"]
        assert await of("?status=failed") == ["bad"]
        assert await of("?route=on_in&app_name=annex") == ["away"]
        assert await of("?route=none") == []
        assert await of("", being("eve", "admin", apps="annex")) == ["away"]
        for none in ("annex2", ""):
            narrow = being("eve", "admin", apps=none)
            assert await of("", narrow) == await of("?app_name=office", narrow) == []
        found, cursor = [], ""
        while cursor is not None:
            page = good(
                await client.get(f"/api/v1/deliveries?limit=2{cursor and '&cursor=' + cursor}", headers=WATCHER)
            )
            found += [one["delivery_id"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert found == ["away", "last", "bad", "two", "one"]
        problem(await client.get("/api/v1/deliveries", headers=U1), 403)
        # What the handlers are doing is nobody's run.
        assert {one["workflow_name"] for one in good(await client.get("/api/v1/runs", headers=ROOT))["items"]} == {
            "quiet"
        }


def mark(*given: Any) -> str:
    return urlsafe_b64encode(json.dumps(given).encode()).decode()


NO_CURSORS = [
    "x",
    "é",
    mark(),
    mark(1, "a", "b"),
    mark(10**30, "a", "b", "c"),
    mark(float("inf"), "a", "b", "c"),
    mark(1, "a\0", "b", "c"),
    mark(1, "\ud800", "b", "c"),
    mark(1, None, "b", "c"),
    urlsafe_b64encode(b"[" * 3000).decode(),
    urlsafe_b64encode(b"\xff\xfe").decode(),
]


async def test_what_is_no_cursor_says_so(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office())
    async with client_of(stepwell, served(stepwell), **WATCHER) as client:
        for cursor in NO_CURSORS:
            answer = await client.get("/api/v1/deliveries", params={"cursor": Cursors.whose(None).cursor(cursor)})
            assert "cursor" in problem(answer, 422)["detail"], cursor
        for query in ("limit=0", "status=done", "route=a%00b", "app_name="):
            problem(await client.get(f"/api/v1/deliveries?{query}"), 422)


async def test_a_failed_delivery_is_driven_again(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(office(), annex())
    broken.clear()
    broken.add("bad")
    path = "/api/v1/deliveries/office/on_in/redrive"
    async with client_of(stepwell, served(stepwell), **KEEPER) as client:
        assert await deliver(client, "bad") == 500
        assert await deliver(client, "good") == 200
        for headers, status in ((U1, 403), (WATCHER, 403), (being("eve", "admin", apps="annex"), 404)):
            problem(await client.post(path, json={"delivery_id": "bad"}, headers=headers), status)
        for other in ("/api/v1/deliveries/annex/on_in/redrive", "/api/v1/deliveries/office/none/redrive"):
            problem(await client.post(other, json={"delivery_id": "bad"}), 404)
        problem(await client.post(path, json={"delivery_id": "none"}), 404)
        problem(await client.post(path, json={"delivery_id": "good"}), 409)
        for wrong in ({}, {"delivery_id": ""}, {"delivery_id": "a\0"}, {"delivery": "bad"}):
            assert "delivery" in problem(await client.post(path, json=wrong), 422)["detail"]
        broken.clear()
        again = good(await client.post(path, json={"delivery_id": "bad"}))
        assert (again["delivery_id"], again["path"], again["status"] != "failed") == ("bad", "/webhooks/in", True)

        async def handled() -> bool:
            page = good(await client.get("/api/v1/deliveries?status=completed"))
            return {one["delivery_id"] for one in page["items"]} == {"good", "bad"}

        await until(handled)
        # What it had started before it failed isn't started twice.
        assert len((await stepwell.runner.list(user_id="u3")).items) == 2
