"""The inbox, answers and assignments over HTTP, with groups that the application names."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
from api_shop import ClientOf, StepwellOf, good, problem, served
from fastapi import FastAPI, Header

from conformance.support import reaches
from stepwell import END, App, Ask, Document, Workflow, transition
from stepwell.fastapi import Principal

USERS = {
    "u1": Principal("u1"),
    "ann": Principal("ann", groups=frozenset({"ops", "sales"})),
    "bob": Principal("bob"),
    "eve": Principal("eve", "admin"),
    "olaf": Principal("olaf", apps=frozenset({"office"}), groups=frozenset({"ops"})),
}


class Receipt(Document):
    cents: int


class Secret(Document):
    text: str


class Pay(Workflow[None, None, str], name="pay", subject="Rent"):
    @transition(target="open")
    async def begin(self) -> None:
        await self.documents.save(Receipt(cents=4))
        await self.documents.save(Secret(text="no"))

    @transition("open", END, wait=True, ask=Ask("Pay?", group="ops", documents=[Receipt]))
    async def pay(self, cents: int) -> str:
        return f"paid {cents}"


async def current_user(x_user: Annotated[str | None, Header()] = None) -> Principal | None:
    return USERS.get(x_user or "")


def by(name: str) -> dict[str, str]:
    return {"x-user": name}


def office(stepwell: Any) -> FastAPI:
    return served(stepwell, current_user)


async def asked(stepwell: Any) -> str:
    run_id = str((await stepwell.runner.run(Pay, app_name="shop", user_id="u1")).workflow_id)
    await reaches(stepwell.runner, run_id, "waiting", "open")
    return run_id


async def inbox(client: httpx.AsyncClient, name: str, query: str = "") -> list[Any]:
    items: list[Any] = good(await client.get(f"/api/v1/inbox{query}", headers=by(name)))["items"]
    return items


async def test_who_is_asked_sees_the_question_answers_it_and_sees_nothing_else(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Pay]))
    async with client_of(stepwell, office(stepwell)) as client:
        run_id = await asked(stepwell)
        [question] = await inbox(client, "ann")
        assert (question["title"], question["group"], question["subject"]) == ("Pay?", "ops", "Rent")
        assert question["payload_schema"]["type"] == "integer"
        assert [one["content"] for one in question["documents"]] == [{"cents": 4}]
        for name in ("u1", "bob", "eve", "olaf"):
            assert await inbox(client, name) == []
        assert len(await inbox(client, "eve", "?everybody=true")) == 1
        problem(await client.get("/api/v1/inbox?everybody=true", headers=by("ann")), 403)
        for part in ("", "/history", "/documents", "/steps", "/children", "/explain", "/asks", "/groups"):
            problem(await client.get(f"/api/v1/runs/{run_id}{part}", headers=by("ann")), 404)
        answers = f"/api/v1/runs/{run_id}/answers/pay"
        for name in ("u1", "bob", "eve", "olaf"):
            refused = problem(await client.post(answers, json={"data": 4}, headers=by(name)), 404)
            assert refused["type"] == "urn:stepwell:workflow-not-found"
            sent = await client.post(
                f"/api/v1/runs/{run_id}/signals", json={"name": "pay", "data": 4}, headers=by(name)
            )
            problem(sent, 404)
        problem(await client.post(answers, json={"data": "many"}, headers=by("ann")), 422)
        problem(await client.post(answers, json={"data": 4, "visit": True}, headers=by("ann")), 422)
        problem(await client.post(answers, json={"data": 4, "visits": 1}, headers=by("ann")), 422)
        given = {"data": 4, "visit": question["visit"]}
        run = good(await client.post(answers, json=given, headers=by("ann") | {"Idempotency-Key": "k"}), 202)
        assert (run["workflow_id"], run["args"], run["state"], run["result"]) == (run_id, None, None, None)
        assert (await reaches(stepwell.runner, run_id, "completed")).result == "paid 4"
        good(await client.post(answers, json=given, headers=by("ann") | {"Idempotency-Key": "k"}), 202)
        late = problem(await client.post(answers, json={"data": 5}, headers=by("ann")), 409)
        assert (late["type"], late["by"]) == ("urn:stepwell:already-answered", "ann")


async def test_those_who_may_answer_give_it_on_and_an_admin_gives_it_to_others(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Pay]))
    async with client_of(stepwell, office(stepwell)) as client:
        run_id = await asked(stepwell)
        question = f"/api/v1/runs/{run_id}/questions/pay"
        for name in ("u1", "bob", "olaf"):
            problem(await client.put(question, json={"assignee": "bob"}, headers=by(name)), 404)
        problem(await client.put(question, json={}, headers=by("ann")), 422)
        problem(await client.put(question, json={"assignee": ""}, headers=by("ann")), 422)
        assigned = good(await client.put(question, json={"assignee": "bob"}, headers=by("ann")))
        assert (assigned["assignee"], assigned["group"]) == ("bob", None)
        problem(await client.put(question, json={"group": "ops"}, headers=by("ann")), 404)  # it is bob's now
        assert len(await inbox(client, "bob")) == 1
        good(await client.put(question, json={"group": "sales"}, headers=by("eve")))
        assert (await inbox(client, "bob"), len(await inbox(client, "ann"))) == ([], 1)
        told = [row.error for row in await stepwell.runner.history(run_id, after=1)]
        assert told == ["assigned to user 'bob' by 'ann'", "assigned to group 'sales' by 'eve'"]
        problem(await client.put(question.replace("pay", "nothing"), json={"assignee": "bob"}, headers=by("eve")), 422)


class Claim(Workflow[None, None, bool], name="claim"):
    """A rejection fails, so that it can be retried."""

    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True, ask=Ask("Pay?", group="ops"))
    async def decide(self, approved: bool) -> bool:
        if not approved:
            raise ValueError("no")
        return approved


async def test_no_answer_of_another_person_is_replaced_in_ones_own_run(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Claim]))
    async with client_of(stepwell, office(stepwell)) as client:
        for owner, other in (("u1", "eve"), ("eve", None)):
            run_id = (await stepwell.runner.run(Claim, app_name="shop", user_id=owner)).workflow_id
            await reaches(stepwell.runner, run_id, "waiting", "open")
            run = f"/api/v1/runs/{run_id}"
            good(await client.post(f"{run}/answers/decide", json={"data": False}, headers=by("ann")), 202)
            await reaches(stepwell.runner, run_id, "failed")
            problem(await client.post(f"{run}/retry", json={"data": True}, headers=by(owner)), 422)
            if other is not None:  # an admin may, and the history says so
                good(await client.post(f"{run}/retry", json={"data": True}, headers=by(other)))
                assert (await reaches(stepwell.runner, run_id, "completed")).result is True
                assert (await stepwell.runner.history(run_id))[-1].answered_by == other


async def test_an_admin_assigns_all_but_their_own(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Pay]))
    async with client_of(stepwell, office(stepwell)) as client:
        run_id = (await stepwell.runner.run(Pay, app_name="shop", user_id="eve")).workflow_id
        await reaches(stepwell.runner, run_id, "waiting", "open")
        question = f"/api/v1/runs/{run_id}/questions/pay"
        problem(await client.put(question, json={"assignee": "eve"}, headers=by("eve")), 404)
        assert await inbox(client, "eve") == []


async def test_pages_of_the_inbox_follow_each_other_and_belong_to_their_user(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Pay]))
    async with client_of(stepwell, office(stepwell)) as client:
        runs = [await asked(stepwell) for _ in range(3)]
        found, cursor = [], ""
        for _ in range(3):
            page = good(await client.get(f"/api/v1/inbox?limit=1{cursor}", headers=by("ann")))
            found += [one["workflow_id"] for one in page["items"]]
            cursor = f"&cursor={page['next_cursor']}"
        assert (found, page["next_cursor"]) == (runs, None)
        first = good(await client.get("/api/v1/inbox?limit=1", headers=by("ann")))["next_cursor"]
        problem(await client.get(f"/api/v1/inbox?cursor={first}", headers=by("bob")), 404)
        mark = first.partition(".")[0]
        for made_up in ("x", "eyI", "WzEsMiwzXQ", "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAsMSwiYSIsImIiXQ"):
            problem(await client.get(f"/api/v1/inbox?cursor={mark}.{made_up}", headers=by("ann")), 422)
