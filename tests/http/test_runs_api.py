"""What the API answers about runs: lists, one run, its history, documents, steps, children, questions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from api_shop import ROOT, U1, U2, ClientOf, Quiet, StepwellOf, being, good, ids, lab, problem, served, shop

from conformance.support import reaches
from stepwell import END, App, Document, Stepwell, Workflow, transition

ORDER = {"order_id": "A1"}


async def started(stepwell: Stepwell, workflow: str, args: Any = None, user: str = "u1", **more: Any) -> str:
    """The id of a run that was executed as far as it goes."""
    more = {"app_name": "shop"} | more
    done = await stepwell.runner.run_sync(workflow, args, user_id=user, timeout=timedelta(seconds=60), **more)
    return str(done.workflow_id)


async def test_a_run_says_all_about_itself(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        waits = await started(stepwell, "ship", ORDER, labels=["vip"], idempotency_key="k1")
        run = good(await client.get(f"/api/v1/runs/{waits}"))
        assert (run["workflow_name"], run["app_name"], run["user_id"], run["status"]) == (
            "ship",
            "shop",
            "u1",
            "waiting",
        )
        assert (run["place"], run["version"], run["waiting_for"]) == ("packed", 1, ["send"])
        assert (run["args"], run["state"], run["result"]) == ({"order_id": "A1", "note": ""}, {"weight": 2}, None)
        assert (run["labels"], run["idempotency_key"], run["parent_id"]) == (["vip"], "k1", None)
        assert (run["ready_at"], run["due_at"], run["finished_at"]) == (None, None, None)
        assert run["created_at"].endswith("Z")
        [brief] = good(await client.get("/api/v1/runs?brief=true"))["items"]
        assert brief == run | {"args": None, "state": None, "result": None}
        [step] = good(await client.get(f"/api/v1/runs/{waits}/steps"))
        assert (step["visit"], step["transition"], step["name"], step["value"]) == (0, "pack", "weigh", 2)
        explained = good(await client.get(f"/api/v1/runs/{waits}/explain"))
        assert (explained["workflow_id"], explained["status"], explained["place"]) == (waits, "waiting", "packed")
        assert explained["reasons"]


async def test_a_run_that_no_worker_takes_says_since_when_it_is_ready(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(shop(), embedded_worker=False)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        run = await stepwell.runner.run("quiet", app_name="shop", user_id="u1")
        late = await stepwell.runner.run("quiet", app_name="shop", user_id="u1", delay=timedelta(hours=1))
        now = good(await client.get(f"/api/v1/runs/{run.workflow_id}"))
        assert (now["status"], now["ready_at"], now["due_at"]) == ("pending", now["created_at"], None)
        then = good(await client.get(f"/api/v1/runs/{late.workflow_id}"))
        assert (then["status"], then["ready_at"]) == ("pending", None)
        assert then["due_at"] > now["created_at"]


async def test_the_questions_of_a_run_have_schemas(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        waits = await started(stepwell, "ship", ORDER)
        [ask] = good(await client.get(f"/api/v1/runs/{waits}/asks"))
        assert (ask["transition"], ask["title"], ask["description"]) == ("send", "Send", "Where does it go?")
        assert (ask["source"], ask["target"], ask["optional"]) == ("packed", "end", False)
        assert ask["schema"]["required"] == ["street"]
        done = await started(stepwell, "quiet")
        assert good(await client.get(f"/api/v1/runs/{done}/asks")) == []
        broken = await started(stepwell, "break_it", {})
        assert good(await client.get(f"/api/v1/runs/{broken}/asks")) == []


async def test_what_a_child_answers_is_no_question(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        parent, family = await started(stepwell, "parent"), await started(stepwell, "family")
        assert good(await client.get(f"/api/v1/runs/{parent}/asks")) == []
        [ask] = good(await client.get(f"/api/v1/runs/{family}/asks"))
        assert (ask["transition"], ask["title"], ask["schema"]) == ("give_up", "Give up", None)
        assert ask["description"] == "It takes too long."


async def test_children_say_how_they_are_shown(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        family = await started(stepwell, "family")
        page = good(await client.get(f"/api/v1/runs/{family}/children"))
        assert [(c["show"], c["label"], c["callback"], c["on_parent_end"]) for c in page["items"]] == [
            ("hidden", None, None, "cancel"),
            ("link", "Second", None, "abandon"),
            ("inline", "First", "done", "cancel"),
        ]
        assert {c["run"]["parent_id"] for c in page["items"]} == {family}
        assert [c["run"]["args"] for c in page["items"]] == [None] * 3
        first = good(await client.get(f"/api/v1/runs/{family}/children?limit=2"))
        rest = good(await client.get(f"/api/v1/runs/{family}/children", params={"cursor": first["next_cursor"]}))
        assert [c["label"] for c in first["items"] + rest["items"]] == [None, "Second", "First"]
        assert rest["next_cursor"] is None
        assert good(await client.get(f"/api/v1/runs?parent_id={family}"))["items"][2]["args"]["order_id"] == "c1"


class Link(Document):
    """An application's own, which is named as Stepwell's."""

    url: str


class Refers(Workflow[None, None, None]):
    @transition(target=END)
    async def refer(self) -> None:
        await self.documents.save(Link(url="https://example.org"))
        await self.start(Quiet)


async def test_an_applications_own_links_are_no_childrens(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop", workflows=[Refers, Quiet]))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        refers = await started(stepwell, "refers")
        [child] = good(await client.get(f"/api/v1/runs/{refers}/children"))["items"]
        assert (child["run"]["workflow_name"], child["show"]) == ("quiet", "inline")


# -- history ----------------------------------------------------------------------------------------------------------


async def test_history_goes_both_ways(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        path = f"/api/v1/runs/{await started(stepwell, 'write')}/history"
        rows = good(await client.get(path))
        assert [(row["version"], row["transition"], row["source"], row["target"]) for row in rows] == [
            (0, None, None, None),
            (1, "first", "start", "second"),
            (2, "again", "second", "third"),
            (3, "last", "third", "end"),
        ]
        assert [row["state"] for row in rows] == [{}, {"drafts": 1}, {"drafts": 2}, {"drafts": 3}]
        assert {row["status"] for row in rows} == {"committed"}
        for query, versions in {
            "after=0": [1, 2, 3],
            "after=3": [],
            "limit=2": [0, 1],
            "after=1&limit=1": [2],
            "newest=true&limit=2": [2, 3],
            "newest=true&limit=2&before=2": [0, 1],
            "newest=true&limit=3&before=2": [0, 1],
            "newest=true&before=0": [],
            "newest=true&before=1&limit=1": [0],
            "newest=true": [0, 1, 2, 3],
            "newest=true&after=2": [3],
            "before=2": [0, 1],
            "after=0&before=3": [1, 2],
        }.items():
            found = good(await client.get(f"{path}?{query}"))
            assert [row["version"] for row in found] == versions, query
            assert [row["state"] for row in found] == [rows[n]["state"] for n in versions], query


async def test_history_says_who_answered_and_what_failed(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        waits = await started(stepwell, "ship", ORDER)
        answer = {"name": "send", "data": {"street": "Main"}}
        good(await client.post(f"/api/v1/runs/{waits}/signals", json=answer, headers=ROOT), 202)
        await reaches(stepwell.runner, waits, "completed")
        rows = good(await client.get(f"/api/v1/runs/{waits}/history", headers=U1))
        assert [row["answered_by"] for row in rows] == [None, None, "root"]
        broken = await started(stepwell, "break_it", {})
        own = good(await client.get(f"/api/v1/runs/{broken}/history", headers=U1))
        all_ = good(await client.get(f"/api/v1/runs/{broken}/history", headers=ROOT))
        assert (own[1]["status"], own[1]["error"], own[1]["trace"]) == (
            "failed",
            "Break.crash: RuntimeError: broken",
            None,
        )
        assert "Traceback" in all_[1]["trace"]


# -- documents --------------------------------------------------------------------------------------------------------


async def test_documents_have_older_versions_and_no_internal_ones(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        path = f"/api/v1/runs/{await started(stepwell, 'write')}/documents"
        for headers in (U1, ROOT):
            for query, texts in {
                "": ["three", "between"],
                "replaced=true": ["one", "two", "three", "between"],
                "after=1": ["three", "between"],
                "after=2": ["three"],
                "after=3": [],
                "after=1&replaced=true": ["two", "three", "between"],
                "newest=true&limit=1": ["between"],
                "limit=1": ["three"],
                "newest=true&replaced=true&limit=3": ["two", "three", "between"],
                "newest=true&after=2&limit=5": ["three"],
            }.items():
                found = good(await client.get(f"{path}?{query}", headers=headers))
                assert [one["content"]["text"] for one in found] == texts, query
                assert not any(one["internal"] for one in found)
        found = good(await client.get(f"{path}?replaced=true", headers=U1))
        back: list[str] = []
        while page := good(
            await client.get(
                f"{path}?replaced=true&newest=true&limit=1{f'&before={back[0]}' if back else ''}", headers=U1
            )
        ):
            back = [page[0]["id"], *back]
        assert back == [one["id"] for one in found], "walked backwards, several of one version among them"
        of_another = f"/api/v1/runs/{await started(stepwell, 'write')}/documents?before={back[-1]}"
        assert good(await client.get(of_another, headers=U1)) == [], "a foreign document is no position here"
        assert [one["version"] for one in found] == [1, 2, 3, 2]
        assert [one["replaced_at"] is None for one in found] == [False, False, True, True]
        assert [one["key"] for one in found] == ["draft"] * 3 + [None]
        assert found[0]["transition"] == "first"
        assert [(one["name"], one["title"]) for one in found] == [("draft", "Your draft")] * 3 + [("markdown", None)]


# -- whose ------------------------------------------------------------------------------------------------------------

BELONGINGS = ("", "/history", "/documents", "/steps", "/children", "/explain", "/asks", "/taken", "/events")


async def test_what_is_somebody_elses_or_of_another_app_is_not_there(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(shop(), lab())
    async with client_of(stepwell, served(stepwell)) as client:
        run = await started(stepwell, "ship", ORDER)
        there = good(await client.get(f"/api/v1/runs/{run}", headers=U1))
        blind = [U2, being("u1", apps="lab"), being("root", "admin", apps="lab"), being("u1", apps="")]
        for headers in blind:
            for tail in BELONGINGS:
                problem(await client.get(f"/api/v1/runs/{run}{tail}", headers=headers), 404)
            for query in (
                "",
                f"?workspace_id={there['workspace_id']}",
                "?app_name=shop",
                "?user_id=u1",
                f"?q={run}",
                "?app_name=shop&workflow=ship",
                "?status=waiting",
            ):
                assert good(await client.get(f"/api/v1/runs{query}", headers=headers))["items"] == [], query
        for headers in (U1, being("u1", apps="shop"), being("root", "admin", apps="shop lab")):
            assert ids(good(await client.get("/api/v1/runs?app_name=shop", headers=headers))) == [run]
            assert ids(good(await client.get("/api/v1/runs", headers=headers))) == [run]


# -- what can't be ----------------------------------------------------------------------------------------------------


WRONG = {
    "limit=0": "limit",
    "limit=1001": "limit",
    "status=done": "status",
    "cursor=abc": "cursor",
    "created_after=yesterday": "created_after",
    "created_before=1700000000": "created_before",
    "created_after=2026-01-05T09:00:00": "created_after",
    "label=": "label",
    "q=" + 201 * "x": "q",
}


async def test_wrong_parameters_are_named(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        for query, field in WRONG.items():
            found = problem(await client.get(f"/api/v1/runs?{query}"), 422)
            assert field in found["errors"][0]["loc"]
            assert field in found["detail"]


ODD = ["a%00b", "%ED%A0%80", "%F0%9F%98%80", "100%25_x", "%5C", "'", '"', "%E4%BD%A0"]


async def test_odd_texts_find_nothing_and_break_nothing(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        await started(stepwell, "quiet")
        for odd in ODD:
            for name in ("app_name", "workflow", "label", "workspace_id", "user_id", "parent_id", "place", "q"):
                answer = await client.get(f"/api/v1/runs?{name}={odd}")
                assert answer.status_code in (200, 422), (name, odd, answer.text)
                if answer.status_code == 200:
                    assert answer.json()["items"] == [], (name, odd)
            for tail in BELONGINGS[:-1]:
                problem(await client.get(f"/api/v1/runs/{odd}{tail}"), 404)
        for far in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"):
            good(await client.get(f"/api/v1/runs?created_after={far}"))
            good(await client.get(f"/api/v1/runs?created_before={far}"))
