"""One action on many runs: what it would hit, that it hits these, and says why it leaves others."""

from __future__ import annotations

from typing import Any

import pytest
from api_shop import (
    ROOT,
    U1,
    VIEWER,
    ClientOf,
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

from conformance.support import until
from stepwell import Stepwell
from stepwell.console.http.routes import actions

PREVIEW, DO = "/api/v1/runs/bulk/preview", "/api/v1/runs/bulk"


async def many(stepwell: Stepwell, *given: tuple[str, Any], user: str = "u1", app: str = "shop") -> list[str]:
    """The ids of runs that were executed as far as they go, oldest first."""
    started = [await stepwell.runner.run(one, args, app_name=app, user_id=user) for one, args in given]
    made = [run.workflow_id for run in started]

    async def at_rest() -> bool:
        return all([(await stepwell.runner.get(one)).status not in ("pending", "running") for one in made])

    await until(at_rest)
    return made


SHIP = ("ship", {"order_id": "A"})
BREAK = ("break_it", {"text": "bulk"})
QUIET = ("quiet", None)


async def test_a_filter_is_previewed_and_done(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    mended.discard("bulk")
    async with client_of(stepwell, served(stepwell), **U1) as client:
        made = await many(stepwell, SHIP, BREAK, QUIET, BREAK, SHIP)
        theirs = await many(stepwell, BREAK, user="u2")
        choice: dict[str, Any] = {"action": "cancel", "filter": {}}
        preview = good(await client.post(PREVIEW, json=choice))
        assert (preview["matching"], preview["eligible"], preview["more"]) == (5, 4, False)
        assert preview["skipped"] == {"it is completed": 1}
        assert ids({"items": preview["sample"]}) == [made[4], made[3], made[1], made[0]]
        assert preview["sample"][0]["args"] is None
        choice = {"action": "retry", "filter": {"app_name": "shop", "status": ["failed", "waiting"]}}
        preview = good(await client.post(PREVIEW, json=choice))
        assert (preview["matching"], preview["eligible"], preview["skipped"]) == (4, 2, {"it is waiting": 2})
        mended.add("bulk")
        done = good(await client.post(DO, json=choice))
        assert done == {"done": 2, "skipped": {"it is waiting": 2}, "failed": [], "next_cursor": None}
        for run in (made[1], made[3]):
            assert (await stepwell.runner.handle(run).result()) == "well"
        assert (await stepwell.runner.get(theirs[0])).status == "failed"


async def test_named_runs_are_done_a_page_at_a_time(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepwell = stepwell_of(shop(), lab())
    monkeypatch.setattr(actions, "_AT_ONCE", 2)
    async with client_of(stepwell, served(stepwell), **being("u1", apps="shop")) as client:
        mine = await many(stepwell, SHIP, SHIP, QUIET, SHIP)
        hidden = [*await many(stepwell, SHIP, user="u2"), *await many(stepwell, SHIP, app="lab")]
        choice = {"action": "cancel", "runs": [*mine, *hidden, mine[0], "no-id", "zz"], "reason": "spring cleaning"}
        preview = good(await client.post(PREVIEW, json={"action": "cancel", "runs": choice["runs"]}))
        absent = {"it is completed": 1, "there is no such run": 4}
        assert (preview["matching"], preview["eligible"], preview["skipped"]) == (4, 3, absent)
        done, skipped, cursor, pages = 0, 0, None, 0
        while pages == 0 or cursor:
            result = good(await client.post(DO, json=choice | {"cursor": cursor}))
            assert result["failed"] == []
            done, skipped, pages = done + result["done"], skipped + sum(result["skipped"].values()), pages + 1
            cursor = result["next_cursor"]
        assert (done, skipped) == (3, 5)
        for run in (mine[0], mine[1], mine[3]):
            found = await stepwell.runner.get(run)
            assert found.status == "canceled"
            assert "spring cleaning" in str(found.error)
        assert [(await stepwell.runner.get(run)).status for run in hidden] == ["waiting", "waiting"]


async def test_a_filter_is_done_a_page_at_a_time(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepwell = stepwell_of(shop())
    monkeypatch.setattr(actions, "_AT_ONCE", 3)
    monkeypatch.setattr(actions, "_LOOKED_AT", 4)
    async with client_of(stepwell, served(stepwell), **ROOT) as client:
        made = await many(stepwell, *[SHIP, QUIET] * 4)
        choice = {"action": "cancel", "filter": {"workflow": "ship", "app_name": "shop", "status": ["waiting"]}}
        assert good(await client.post(PREVIEW, json=choice))["more"] is False
        assert good(await client.post(PREVIEW, json={"action": "cancel", "filter": {}}))["more"] is True
        first = good(await client.post(DO, json=choice))
        assert (first["done"], first["next_cursor"][13:]) == (3, made[2])
        second = good(await client.post(DO, json=choice | {"cursor": first["next_cursor"]}))
        assert (second["done"], second["next_cursor"]) == (1, None)
        assert good(await client.post(PREVIEW, json=choice))["matching"] == 0


async def test_a_run_that_refuses_is_named(
    stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepwell = stepwell_of(shop())
    # As if the one run ended between the look and the deed.
    monkeypatch.setitem(actions._ELIGIBLE, "cancel", ("waiting", "completed"))
    async with client_of(stepwell, served(stepwell), **U1) as client:
        made = await many(stepwell, QUIET, SHIP)
        result = good(await client.post(DO, json={"action": "cancel", "runs": made}))
        assert result["done"] == 1
        [refused] = result["failed"]
        assert refused["workflow_id"] == made[0]
        assert "completed" in refused["detail"]


async def test_what_is_no_choice_says_so(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"action": "cancel"}, "filter"),
            ({"action": "cancel", "runs": ["a"], "filter": {}}, "filter"),
            ({"action": "cancel", "runs": []}, "runs"),
            ({"action": "cancel", "runs": ["a"] * 1001}, "runs"),
            ({"action": "delete", "filter": {}}, "action"),
            ({"action": "cancel", "filter": {"status": ["done"]}}, "status"),
            ({"action": "cancel", "filter": {"colour": "red"}}, "colour"),
            ({"action": "cancel", "filter": {"created_after": "2026-01-05"}}, "created_after"),
        ]
        for path in (PREVIEW, DO):
            for choice, where in wrong:
                answer = problem(await client.post(path, json=choice), 422)
                assert where in answer["detail"]
                assert any(where in one["loc"] for one in answer["errors"]), answer
            problem(await client.post(path, json={"action": "cancel", "filter": {}}, headers=VIEWER), 403)
        problem(await client.post(DO, json={"action": "cancel", "filter": {}, "cursor": "x"}), 422)
        problem(await client.post(DO, json={"action": "cancel", "filter": {}, "reason": "a\0"}), 422)
