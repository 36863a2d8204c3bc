"""Counts, failures, metrics, what waits, workspaces, workers and the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_shop import (
    ROOT,
    U1,
    U2,
    Break,
    ClientOf,
    Quiet,
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

from conformance.support import Gate, reaches, until
from stepwell import END, App, Stepwell, Tick, Workflow, WorkflowRunner, transition
from stepwell.store.reading import queries
from stepwell.testing import VirtualClock

NOW = datetime(2026, 1, 5, 12, 0, 30, tzinfo=UTC)
gate = Gate()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gate.clear()


class Hold(Workflow[None, None, None]):
    @transition(target=END)
    async def hold(self) -> None:
        await gate.pass_through()


class Nap(Workflow[None, None, None]):
    """Takes as long as its timer says."""

    @transition(target="asleep")
    async def lie_down(self) -> None: ...

    @transition("asleep", END, wait=True)
    async def wake(self) -> None: ...


async def placed(stepwell: Stepwell, workflow: str, args: Any = None, user: str = "u1", app: str = "shop") -> str:
    done = await stepwell.runner.run_sync(workflow, args, app_name=app, user_id=user, timeout=timedelta(seconds=60))
    return str(done.workflow_id)


SHIP = {"order_id": "A"}


async def test_counts_and_failures_are_of_what_one_sees(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    mended.clear()
    async with client_of(stepwell, served(stepwell)) as client:
        await placed(stepwell, "ship", SHIP)
        await placed(stepwell, "quiet")
        await placed(stepwell, "quiet", app="lab")
        await placed(stepwell, "quiet", user="u2")
        first = await placed(stepwell, "break_it", {"text": "order 17 is 'gone'\nsecond line"})
        second = await placed(stepwell, "break_it", {"text": "order 23 is 'lost'"})
        other = await placed(stepwell, "break_it", {"text": "down"})
        await placed(stepwell, "break_it", {"text": "order 5 is 'gone'"}, user="u2")
        away = await placed(stepwell, "break_it", {"text": "order 5 is 'gone'"}, app="lab")
        for headers, query, expected in (
            (U1, "", {"waiting": 1, "completed": 2, "failed": 4}),
            (U1, "?app_name=lab", {"completed": 1, "failed": 1}),
            (U2, "", {"completed": 1, "failed": 1}),
            (ROOT, "", {"waiting": 1, "completed": 3, "failed": 5}),
            (being("root", "admin", apps="lab"), "", {"completed": 1, "failed": 1}),
            (being("root", "admin", apps="lab"), "?app_name=shop", {}),
            (ROOT, "?app_name=none", {}),
        ):
            found = good(await client.get(f"/api/v1/counts{query}", headers=headers))
            assert {status: n for status, n in found["counts"].items() if n} == expected, (headers, query)
            assert (len(found["counts"]), found["capped_at"]) == (7, 10_000)
        groups = good(await client.get("/api/v1/failures", headers=U1))
        assert (groups[0]["app_name"], groups[0]["count"], groups[0]["workflow_id"]) == ("shop", 2, second)
        assert {one["workflow_id"] for one in groups[1:]} == {other, away}
        assert groups[0]["error"] == "Break.crash: RuntimeError: order 23 is 'lost'"
        assert groups[0]["last_at"] == (await stepwell.runner.get(second)).updated_at.isoformat().replace("+00:00", "Z")
        assert first not in str(groups)
        assert groups[0]["subject"] is None
        await stepwell.runner.update(second, subject="Order 23")
        assert good(await client.get("/api/v1/failures", headers=U1))[0]["subject"] == "Order 23"
        [group] = good(await client.get("/api/v1/failures?app_name=lab", headers=ROOT))
        assert (group["workflow_id"], group["workflow_name"], group["count"]) == (away, "break_it", 1)
        narrow = being("root", "admin", apps="lab")
        assert [one["workflow_id"] for one in good(await client.get("/api/v1/failures", headers=narrow))] == [away]
        assert good(await client.get("/api/v1/failures?app_name=shop", headers=narrow)) == []


async def test_metrics_are_of_stretches_of_time(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)
    stepwell = stepwell_of(App("shop", workflows=[Nap, Break, Quiet]), clock=clock)
    mended.clear()
    async with client_of(stepwell, served(stepwell), **U1) as client:

        async def take(seconds: int, ends: int) -> None:
            """That many runs complete, after that long."""
            runs = [await placed(stepwell, "nap") for _ in range(ends)]
            clock.move_to(clock.now() + seconds * 1_000_000)
            for run in runs:
                await stepwell.runner.signal(run, "wake")
                await reaches(stepwell.runner, run, "completed")

        await placed(stepwell, "quiet")  # 12:00:30, more than an hour before the end
        clock.move_to(clock.now() + 3600_000_000)
        await take(10, 3)  # 13:00:40
        await take(100, 1)  # 13:02:20
        await placed(stepwell, "break_it", {"text": "down"})
        canceled = await placed(stepwell, "nap")
        await stepwell.runner.cancel(canceled)
        clock.move_to(clock.now() + 60_000_000)  # 13:03:20
        hour = good(await client.get("/api/v1/metrics"))
        assert (hour["window"], hour["bucket_seconds"], len(hour["buckets"])) == ("hour", 60, 60)
        assert (hour["since"], hour["until"]) == ("2026-01-05T12:04:00Z", "2026-01-05T13:04:00Z")
        full = {
            one["at"]: (one["completed"], one["failed"], one["canceled"], one["p50_seconds"], one["p95_seconds"])
            for one in hour["buckets"]
            if one["completed"] or one["failed"] or one["canceled"]
        }
        assert full == {
            "2026-01-05T13:00:00Z": (3, 0, 0, 10.0, 10.0),
            "2026-01-05T13:02:00Z": (1, 1, 1, 100.0, 100.0),
        }
        assert (hour["completed"], hour["failed"], hour["canceled"]) == (4, 1, 1)
        assert (hour["p50_seconds"], hour["p95_seconds"]) == (10.0, 100.0)
        day = good(await client.get("/api/v1/metrics?window=day"))
        assert (day["bucket_seconds"], len(day["buckets"]), day["completed"], day["failed"]) == (1800, 48, 5, 1)
        assert (day["since"], day["until"]) == ("2026-01-04T13:30:00Z", "2026-01-05T13:30:00Z")
        for headers in (U2, being("root", "admin", apps="lab")):
            none = good(await client.get("/api/v1/metrics", headers=headers))
            assert (none["completed"], none["failed"], none["canceled"], none["p50_seconds"]) == (0, 0, 0, None)
        assert good(await client.get("/api/v1/metrics", headers=ROOT)) == hour
        problem(await client.get("/api/v1/metrics?window=week"), 422)


# -- what waits -------------------------------------------------------------------------------------------------------


async def test_people_are_shown_what_waits_for_them(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell)) as client:

        async def waiting(headers: dict[str, str], query: str = "") -> list[tuple[str, list[str]]]:
            found, cursor = [], ""
            for _ in range(100):
                page = good(await client.get(f"/api/v1/waiting?limit=2{query}{cursor}", headers=headers))
                found += [
                    (one["run"]["workflow_id"], [ask["transition"] for ask in one["asks"]]) for one in page["items"]
                ]
                if page["next_cursor"] is None:
                    return found
                cursor = f"&cursor={page['next_cursor']}"
            raise AssertionError("the pages have no end")

        ship = await placed(stepwell, "ship", SHIP)
        parent = await placed(stepwell, "parent")
        family = await placed(stepwell, "family")
        theirs = await placed(stepwell, "ship", SHIP, user="u2")
        away = await placed(stepwell, "ship", SHIP, app="lab")
        children = [
            run.workflow_id for one in (family, parent) for run in (await stepwell.runner.list(parent_id=one)).items
        ]
        for child in children:
            await reaches(stepwell.runner, child, "waiting")
        mine = sorted([ship, family, away, *children], reverse=True)
        found = await waiting(U1)
        assert [one[0] for one in found] == mine
        assert dict(found)[family] == ["give_up"]
        assert dict(found)[ship] == ["send"]
        assert [one[0] for one in await waiting(ROOT)] == sorted([*mine, theirs], reverse=True)
        assert await waiting(U2) == [(theirs, ["send"])]
        assert await waiting(U1, "&app_name=lab") == [(away, ["send"])]
        assert await waiting(being("root", "admin", apps="lab")) == [(away, ["send"])]
        assert await waiting(being("u1", apps="")) == []
        [one] = good(await client.get("/api/v1/waiting", headers=U2))["items"]
        assert (one["run"]["args"], one["asks"][0]["description"]) == (None, "Where does it go?")
        assert one["since"] == one["run"]["updated_at"]
        with monkeypatch.context() as patch:
            patch.setattr(queries, "TRIED", 2)
            assert await waiting(U1) == found
            assert len(await waiting(ROOT)) == len(found) + 1
        # A child that has answered asks nobody any more.
        [child] = [run.workflow_id for run in (await stepwell.runner.list(parent_id=parent)).items]
        await stepwell.runner.signal(child, "send", {"street": "Main"})
        await reaches(stepwell.runner, parent, "completed")
        assert child not in dict(await waiting(U1))


async def test_what_was_answered_waits_for_nobody(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    idle = stepwell_of(shop(), embedded_worker=False)
    async with stepwell_of(shop()) as busy:
        run = await placed(busy, "ship", SHIP)
    async with client_of(idle, served(idle), **U1) as client:
        assert len(good(await client.get("/api/v1/waiting"))["items"]) == 1
        answer = {"name": "send", "data": {"street": "Main"}}
        sent = good(await client.post(f"/api/v1/runs/{run}/signals", json=answer), 202)
        assert (sent["status"], sent["ready_at"] is None) == ("waiting", False)
        assert good(await client.get("/api/v1/waiting"))["items"] == []


# -- workspaces, workers, the queue -----------------------------------------------------------------------------------


async def test_workspaces(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell)) as client:
        for app, user in (("shop", "u1"), ("shop", "u2"), ("lab", "u1")):
            await placed(stepwell, "quiet", app=app, user=user)

        async def of(headers: dict[str, str], query: str = "") -> set[tuple[str, str]]:
            page = good(await client.get(f"/api/v1/workspaces{query}", headers=headers))
            return {(one["app_name"], one["user_id"]) for one in page["items"]}

        assert await of(U1) == {("shop", "u1"), ("lab", "u1")}
        assert await of(U1, "?user_id=u2") == set()
        assert await of(U1, "?user_id=u1&app_name=lab") == {("lab", "u1")}
        assert await of(U1, "?app_name=lab") == {("lab", "u1")}
        assert await of(ROOT) == {("shop", "u1"), ("shop", "u2"), ("lab", "u1")}
        assert await of(ROOT, "?user_id=u2") == {("shop", "u2")}
        assert await of(being("root", "admin", apps="lab")) == {("lab", "u1")}
        assert await of(being("root", "admin", apps="lab"), "?app_name=shop") == set()
        found, cursor = [], ""
        for _ in range(2):
            page = good(await client.get(f"/api/v1/workspaces?limit=2{cursor}", headers=ROOT))
            found += [one["id"] for one in page["items"]]
            cursor = f"&cursor={page['next_cursor']}"
        assert page["next_cursor"] is None
        assert len(set(found)) == 3
        run = good(await client.get("/api/v1/runs?app_name=lab", headers=U1))["items"][0]
        assert run["workspace_id"] in found


async def test_a_workspace_is_made_read_and_renamed(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        made = good(await client.post("/api/v1/workspaces", json={"app_name": "shop", "title": "Spring"}), 201)
        assert (made["user_id"], made["title"], made["id"]) == ("u1", "Spring", made["workspace_id"])
        path = f"/api/v1/workspaces/{made['id']}"
        assert good(await client.get(path)) == made
        assert good(await client.patch(path, json={"title": "Summer"})) == made | {"title": "Summer"}
        assert good(await client.get("/api/v1/workspaces"))["items"] == [made | {"title": "Summer"}]
        for body in ({}, {"title": ""}, {"title": "x" * 201}, {"title": "a", "user": "u2"}, {"title": 5}):
            problem(await client.patch(path, json=body), 422)
            problem(await client.post("/api/v1/workspaces", json={"app_name": "shop"} | body), 422)
        problem(await client.post("/api/v1/workspaces", json={"app_name": "shopp", "title": "a"}), 404)
        problem(await client.post("/api/v1/workspaces", json={"app_name": "shop", "title": "a", "user_id": "u2"}), 403)
        missing = problem(await client.get("/api/v1/workspaces/none"), 404)
        assert missing["type"] == "urn:stepwell:workspace-not-found"
        begun = {"app_name": "shop", "workflow": "quiet", "workspace_id": made["id"]}
        run = good(await client.post("/api/v1/runs", json=begun), 202)["workflow_id"]
        assert good(await client.get(f"/api/v1/runs/{run}"))["workspace_id"] == made["id"]
        for verb in (
            client.get(path, headers=being("u2")),
            client.patch(path, json={"title": "a"}, headers=being("u2")),
        ):
            problem(await verb, 404)


async def test_workers_say_what_they_hold(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    app = App("shop", workflows=[Hold])

    @app.cron("0 9 * * *", name="daily")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None: ...

    stepwell = stepwell_of(app, App("lab", workflows=[Hold]))
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        run = await stepwell.runner.run(Hold, app_name="shop", user_id="u1")
        await gate.reached()
        [worker] = good(await client.get("/api/v1/workers"))
        assert (worker["alive"], worker["holding"]) == (True, 1)
        assert ids({"items": worker["runs"]}) == [run.workflow_id]
        assert worker["takes"] == [
            {"app_name": "shop", "workflow_name": "hold"},
            {"app_name": "lab", "workflow_name": "hold"},
        ]
        [narrow] = good(await client.get("/api/v1/workers", headers=being("root", "admin", apps="lab")))
        assert (narrow["runs"], narrow["holding"]) == ([], 0)
        assert narrow["takes"] == [{"app_name": "lab", "workflow_name": "hold"}]
        for path in ("workers", "queue"):
            problem(await client.get(f"/api/v1/{path}", headers=U1), 403)
        gate.open()
        await reaches(stepwell.runner, run.workflow_id, "completed")


async def test_the_queue_without_a_worker(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    clock = VirtualClock(NOW)

    def apps() -> list[App]:
        made = shop()

        @made.cron("0 9 * * *", name="daily")
        async def daily(runner: WorkflowRunner, tick: Tick) -> None: ...

        return [made, lab()]

    stepwell = stepwell_of(*apps(), clock=clock, embedded_worker=False)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        empty = good(await client.get("/api/v1/queue"))
        assert (empty["ready"], empty["oldest_at"], empty["later"], empty["next_at"], empty["lanes"]) == (
            *(0, None, 0, None),
            [],
        )
        for app, workflow in (("shop", "quiet"), ("shop", "quiet"), ("lab", "quiet")):
            await stepwell.runner.run(workflow, app_name=app, user_id="u1")
            clock.move_to(clock.now() + 1_000_000)
        await stepwell.runner.run("quiet", app_name="shop", user_id="u1", delay=timedelta(hours=2))
        await stepwell.runner.run("quiet", app_name="lab", user_id="u1", delay=timedelta(hours=1))
        good(await client.post("/api/v1/schedules/shop/daily/fire"))
        depth = good(await client.get("/api/v1/queue"))
        assert (depth["ready"], depth["oldest_at"]) == (3, "2026-01-05T12:00:30Z")
        assert (depth["later"], depth["next_at"]) == (2, "2026-01-05T13:00:33Z")
        assert depth["lanes"] == [
            {
                "app_name": "shop",
                "workflow_name": "quiet",
                "ready": 2,
                "oldest_at": "2026-01-05T12:00:30Z",
                "workers": 0,
                "paused": False,
            },
            {
                "app_name": "lab",
                "workflow_name": "quiet",
                "ready": 1,
                "oldest_at": "2026-01-05T12:00:32Z",
                "workers": 0,
                "paused": False,
            },
        ]
        assert depth["capped_at"] > 0
        narrow = good(await client.get("/api/v1/queue", headers=being("root", "admin", apps="lab")))
        assert (narrow["ready"], narrow["later"], [one["app_name"] for one in narrow["lanes"]]) == (1, 1, ["lab"])
        async with stepwell_of(*apps(), clock=clock):

            async def emptied() -> bool:
                found: int = good(await client.get("/api/v1/queue"))["ready"]
                return found == 0

            await until(emptied)
            assert good(await client.get("/api/v1/queue"))["later"] == 2
