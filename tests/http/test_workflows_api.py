"""Apps and workflows as the API tells them."""

from __future__ import annotations

from datetime import timedelta

from api_shop import ROOT, U1, U2, ClientOf, Ship, StepwellOf, being, good, lab, problem, served, shop

from stepwell import END, App, Event, Tick, Workflow, WorkflowRunner, transition


class Welcome(Workflow[None, None, None], on=Event("user.signed_up")):
    @transition(target=END)
    async def greet(self) -> None: ...


def triggered() -> App:
    app = App("mail", title="Mail", workflows=[Welcome, Ship])
    app.schedule("nightly", workflow=Welcome, every=timedelta(hours=6))
    app.schedule("by-name", workflow="ship", args={"order_id": "A"}, cron="0 9 * * *")

    @app.cron("0 9 * * *")
    async def daily(runner: WorkflowRunner, tick: Tick) -> None: ...

    return app


async def test_apps_have_workflows_and_no_handlers(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), triggered())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        mail = {"name": "mail", "title": "Mail", "workflows": ["ship", "welcome"]}
        found = good(await client.get("/api/v1/apps"))
        assert [one["name"] for one in found] == ["shop", "mail"]
        assert found[1] == mail
        narrow = being("u1", apps="mail")
        assert good(await client.get("/api/v1/apps", headers=narrow)) == [mail]
        listed = good(await client.get("/api/v1/workflows", headers=narrow))
        assert {(one["app_name"], one["name"]) for one in listed} == {("mail", "welcome"), ("mail", "ship")}
        assert good(await client.get("/api/v1/workflows?app_name=shop", headers=narrow)) == []
        problem(await client.get("/api/v1/workflows/shop/ship", headers=narrow), 404)
        good(await client.get("/api/v1/workflows/mail/ship", headers=narrow))


async def test_workflows_say_how_their_runs_go(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell)) as client:
        for app, user in (("shop", "u1"), ("shop", "u2"), ("lab", "u1")):
            await stepwell.runner.run_sync("ship", {"order_id": "A"}, app_name=app, user_id=user)
        last = await stepwell.runner.run_sync("ship", {"order_id": "B"}, app_name="shop", user_id="u1")
        await stepwell.runner.cancel(str(last.workflow_id))
        for headers, waiting, recent in ((U1, 1, 2), (U2, 1, 1), (ROOT, 2, 3)):
            found = good(await client.get("/api/v1/workflows?app_name=shop", headers=headers))
            [ship] = [one for one in found if one["name"] == "ship"]
            assert (ship["title"], ship["description"]) == ("Ship an order", "Pack it, ask where it goes, send it.")
            assert (ship["version"], ship["takes_args"]) == (1, True)
            assert (ship["counts"]["waiting"], ship["counts"]["completed"]) == (waiting, 0)
            assert len(ship["recent"]) == recent
        assert (ship["recent"][0]["workflow_id"], ship["recent"][0]["status"]) == (last.workflow_id, "canceled")
        assert ship["recent"][0]["finished_at"] is not None
        [quiet] = [one for one in found if one["name"] == "quiet"]
        assert (quiet["takes_args"], quiet["recent"]) == (False, [])


async def test_a_workflow_is_told_as_it_is_declared(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), triggered())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        ship = good(await client.get("/api/v1/workflows/mail/ship"))
        assert ship["args"]["required"] == ["order_id"]
        assert {place["name"] for place in ship["places"]} >= {"start", "packed", "end"}
        send = next(one for one in ship["transitions"] if one["name"] == "send")
        assert (send["source"], send["target"]) == ("packed", "end")
        assert "stateDiagram" in ship["mermaid"]
        assert ship["triggers"] == [{"kind": "schedule", "name": "by-name", "rule": "0 9 * * * (UTC)"}]
        welcome = good(await client.get("/api/v1/workflows/mail/welcome"))
        assert welcome["args"] is None
        assert [(one["kind"], one["name"]) for one in welcome["triggers"]] == [
            ("schedule", "nightly"),
            ("event", "user.signed_up"),
        ]
        for path in ("mail/shipp", "chop/ship", "mail/schedule:daily", "a%00/b", "mail/a%00"):
            answer = await client.get(f"/api/v1/workflows/{path}")
            assert answer.status_code in (404, 422), answer.text
