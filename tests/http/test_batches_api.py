"""Batches over HTTP: started from a list or from lines, looked at, retried and cancelled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from api_shop import (
    ROOT,
    U1,
    U2,
    VIEWER,
    ClientOf,
    StepwellOf,
    being,
    good,
    lab,
    mended,
    problem,
    served,
    shop,
)

from conformance.support import until

BATCHES = "/api/v1/batches"
WHAT = {"app_name": "shop", "workflow": "break_it"}
FAULTS = [{"text": f"flaw {number}"} for number in range(4)]
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture(autouse=True)
def _mended() -> Any:
    mended.update(one["text"] for one in FAULTS[1:])
    yield
    mended.clear()


def lines(*items: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in items)


async def ended(client: httpx.AsyncClient, batch_id: str) -> dict[str, Any]:
    """The batch, once it has ended."""

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = good(await client.get(f"{BATCHES}/{batch_id}"))
        return None if found["status"] == "running" else found

    return await until(look)  # type: ignore[return-value]


async def test_a_batch_from_a_list(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        given = WHAT | {"items": FAULTS, "label": "monday", "max_in_flight": 3, "stop_after_failures": 0.5}
        answer = good(await client.post(BATCHES, json=given), 202)
        assert answer["created"] is True
        batch = await ended(client, answer["batch_id"])
        assert (batch["label"], batch["app_name"], batch["user_id"], batch["status"], batch["workflow_name"]) == (
            *("monday", "shop", "u1", "ended"),
            "break_it",
        )
        counts = {name: batch["progress"][name] for name in ("total", "completed", "failed", "canceled")}
        assert counts == {"total": 4, "completed": 3, "failed": 1, "canceled": 0}
        page = good(await client.get(f"{BATCHES}/{answer['batch_id']}/items"))
        assert [one["index"] for one in page["items"]] == [0, 1, 2, 3]
        assert [one["result"] for one in page["items"]] == [None, "well", "well", "well"]
        assert page["next_cursor"] is None
        run = good(await client.get(f"/api/v1/runs/{page['items'][2]['workflow_id']}"))
        assert run["args"]["text"] == "flaw 2"
        listed = good(await client.get(BATCHES))
        assert [one["batch_id"] for one in listed["items"]] == [answer["batch_id"]]


async def test_a_batch_from_lines(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    body = b"\xef\xbb\xbf" + lines(*FAULTS[:2]) + b"\r\n   \n" + lines(FAULTS[2])[:-1]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    async with client_of(stepwell, served(stepwell), **U1) as client:
        query = WHAT | {"label": "lines", "stop_after_failures": "2", "max_in_flight": "5"}
        answer = good(await client.post(BATCHES, params=query, content=pieces(), headers=LINES), 202)
        batch = await ended(client, answer["batch_id"])
        assert (batch["label"], batch["progress"]["total"], batch["progress"]["failed"]) == ("lines", 3, 1)


async def test_a_key_starts_once(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), embedded_worker=False)
    key = {"Idempotency-Key": "k"}
    async with client_of(stepwell, served(stepwell), **U1) as client:
        first = good(await client.post(BATCHES, json=WHAT | {"items": FAULTS}, headers=key), 202)
        again = await client.post(BATCHES, params=WHAT, content=lines(*FAULTS), headers={**key, **LINES})
        assert good(again) == first | {"created": False}
        other = await client.post(BATCHES, json=WHAT | {"items": FAULTS[1:]}, headers=key)
        assert problem(other, 409)["type"] == "urn:stepwell:idempotency-conflict"


async def test_retrying_and_cancelling(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **U1) as client:
        batch_id = good(await client.post(BATCHES, json=WHAT | {"items": FAULTS}), 202)["batch_id"]
        assert (await ended(client, batch_id))["progress"]["failed"] == 1
        failed = good(await client.get(f"{BATCHES}/{batch_id}/items", params={"status": "failed"}))
        assert [one["index"] for one in failed["items"]] == [0]
        assert "flaw 0" in failed["items"][0]["error"]
        mended.add("flaw 0")
        assert good(await client.post(f"{BATCHES}/{batch_id}/retry")) == {"batch_id": batch_id, "retried": 1}
        assert (await ended(client, batch_id))["progress"]["completed"] == 4
        given = {"app_name": "shop", "workflow": "ship", "items": [{"order_id": "a"}, {"order_id": "b"}]}
        waiting = good(await client.post(BATCHES, json=given), 202)["batch_id"]
        answer = await client.post(f"{BATCHES}/{waiting}/cancel", json={"reason": "enough"})
        assert good(answer) == {"batch_id": waiting, "canceled": 2}
        items = good(await client.get(f"{BATCHES}/{waiting}/items"))["items"]
        assert {one["error"] for one in items} == {"canceled: enough"}


async def test_pages(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop(), embedded_worker=False)
    async with client_of(stepwell, served(stepwell), **U1) as client:
        made = [good(await client.post(BATCHES, json=WHAT | {"items": FAULTS}), 202)["batch_id"] for _ in range(3)]
        found: list[str] = []
        cursor = None
        while True:
            page = good(await client.get(BATCHES, params={"limit": 2} | ({"cursor": cursor} if cursor else {})))
            found += [one["batch_id"] for one in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert found == made[::-1]
        indexes: list[int] = []
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = good(await client.get(f"{BATCHES}/{made[0]}/items", params=query))
            indexes += [one["index"] for one in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        assert indexes == [0, 1, 2, 3]
        page = good(await client.get(f"{BATCHES}/{made[0]}/items", params={"limit": 2}))
        theirs = await client.get(
            f"{BATCHES}/{made[0]}/items", params={"cursor": page["next_cursor"]}, headers=being("root", "admin")
        )
        problem(theirs, 404)


class TestAccess:
    async def test_a_user_sees_their_own_only(self, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
        stepwell = stepwell_of(shop(), lab(), embedded_worker=False)
        async with client_of(stepwell, served(stepwell), **U1) as client:
            mine = good(await client.post(BATCHES, json=WHAT | {"items": FAULTS}), 202)["batch_id"]
            for path, method in (("", "GET"), ("/items", "GET"), ("/retry", "POST"), ("/cancel", "POST")):
                for who in (U2, being("root", "admin", apps="lab")):
                    answer = await client.request(method, f"{BATCHES}/{mine}{path}", headers=who)
                    assert problem(answer, 404)["type"] == "urn:stepwell:batch-not-found"
            for who in (U2, being("root", "admin", apps="lab")):
                assert good(await client.get(BATCHES, headers=who))["items"] == []
            assert good(await client.get(BATCHES, params={"user_id": "u1"}, headers=U2))["items"] == []
            assert good(await client.get(f"{BATCHES}/{mine}", headers=ROOT))["batch_id"] == mine
            assert len(good(await client.get(BATCHES, params={"app_name": "shop"}, headers=ROOT))["items"]) == 1
            assert good(await client.get(BATCHES, params={"app_name": "lab"}, headers=ROOT))["items"] == []
            assert good(await client.get(f"{BATCHES}/{mine}", headers=VIEWER))["progress"]["pending"] == 4

    async def test_a_viewer_changes_nothing(self, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False)
        async with client_of(stepwell, served(stepwell), **U1) as client:
            mine = good(await client.post(BATCHES, json=WHAT | {"items": FAULTS}), 202)["batch_id"]
            problem(await client.post(BATCHES, json=WHAT | {"items": FAULTS}, headers=VIEWER), 403)
            answer = await client.post(BATCHES, params=WHAT, content=lines(*FAULTS), headers={**VIEWER, **LINES})
            problem(answer, 403)
            problem(await client.post(f"{BATCHES}/{mine}/retry", headers=VIEWER), 403)
            problem(await client.post(f"{BATCHES}/{mine}/cancel", headers=VIEWER), 403)
            assert good(await client.get(f"{BATCHES}/{mine}"))["progress"]["pending"] == 4

    async def test_who_isnt_signed_in_sends_no_lines(self, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False)
        read = 0

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 1
                yield lines(*FAULTS)

        async with client_of(stepwell, served(stepwell)) as client:
            problem(await client.post(BATCHES, params=WHAT, content=pieces(), headers=LINES), 401)
            assert read <= 1

    async def test_for_another_user(self, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False)
        async with client_of(stepwell, served(stepwell), **U1) as client:
            problem(await client.post(BATCHES, json=WHAT | {"items": [], "user_id": "u2"}), 403)
            made = good(await client.post(BATCHES, json=WHAT | {"items": [], "user_id": "u2"}, headers=ROOT), 202)
            batch = good(await client.get(f"{BATCHES}/{made['batch_id']}", headers=U2))
            assert (batch["user_id"], batch["status"]) == ("u2", "ended")


class TestRefused:
    async def test_an_item_that_is_wrong_is_named_and_nothing_is_stored(
        self, stepwell_of: StepwellOf, client_of: ClientOf
    ) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False)
        async with client_of(stepwell, served(stepwell), **U1) as client:
            wrong = await client.post(BATCHES, json=WHAT | {"items": [*FAULTS, {"text": 5}]})
            found = problem(wrong, 422)
            assert "items[4]: The args of Break don't fit" in found["detail"]
            assert found["errors"][0]["loc"] == ["body", "items", 4, "text"]
            for line, text in (
                (b'{"text": 5}\n', "line 6: The args of Break don't fit"),
                (b'{"text": \n', "line 6 isn't valid JSON"),
                (b"[" * 100_000 + b"\n", "line 6 isn't valid JSON"),
                (b"\xff\n", "line 6 isn't valid JSON"),
            ):
                body = lines(*FAULTS) + b"\n" + line + lines(*FAULTS)
                answer = await client.post(BATCHES, params=WHAT, content=body, headers=LINES)
                assert text in problem(answer, 422)["detail"]
            assert good(await client.get("/api/v1/runs"))["items"] == []
            assert good(await client.get(BATCHES))["items"] == []

    @pytest.mark.parametrize(
        "given",
        [
            {"workflow": "unknown"},
            {"app_name": "nowhere"},
            {"items": {"a": 1}},
            {"label": ""},
            {"max_in_flight": 0},
            {"max_in_flight": True},
            {"stop_after_failures": True},
            {"stop_after_failures": 1.0},
            {"stop_after_failures": 1.5},
            {"stop_after_failures": -1},
            {"colour": "red"},
        ],
        ids=str,
    )
    async def test_a_request_that_is_wrong(
        self, stepwell_of: StepwellOf, client_of: ClientOf, given: dict[str, Any]
    ) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False)
        status = 404 if given.keys() & {"workflow", "app_name"} else 422
        async with client_of(stepwell, served(stepwell), **U1) as client:
            problem(await client.post(BATCHES, json=WHAT | {"items": FAULTS} | given), status)
            if "items" not in given:
                query = {name: str(value) for name, value in (WHAT | given).items()}
                answer = await client.post(BATCHES, params=query, content=lines(*FAULTS), headers=LINES)
                problem(answer, status)
            assert good(await client.get(BATCHES))["items"] == []

    async def test_more_than_a_batch_holds(self, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False, max_batch_bytes=1_200_000, max_args_bytes=1_000)
        async with client_of(stepwell, served(stepwell), **U1) as client:
            send = client.post
            large = await send(BATCHES, params=WHAT, content=b"{}\n" * 100_001, headers=LINES)
            assert "at most 100,000" in problem(large, 422)["detail"]
            heavy = await send(BATCHES, params=WHAT, content=b"{}\n" * 400_001, headers=LINES)
            assert "1,200,000 bytes" in problem(heavy, 413)["detail"]
            long = await send(BATCHES, params=WHAT, content=b'"' + b"x" * 100_000, headers=LINES)
            assert "line 1 is larger" in problem(long, 413)["detail"]
            # What isn't lines, or isn't for batches, has the limits of all requests.
            other = await send("/api/v1/runs", content=lines(*FAULTS), headers=LINES)
            problem(other, 415)
            listed = await send(BATCHES, json=WHAT | {"items": [{"text": "x" * 900}] * 1400})
            assert "larger than" in problem(listed, 413)["detail"]

    async def test_a_body_that_comes_too_slowly(self, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
        stepwell = stepwell_of(shop(), embedded_worker=False, max_request_seconds=0.2)

        async def pieces() -> AsyncIterator[bytes]:
            yield lines(*FAULTS)
            await asyncio.sleep(60)

        async with client_of(stepwell, served(stepwell), **U1) as client:
            problem(await client.post(BATCHES, params=WHAT, content=pieces(), headers=LINES), 408)
            assert good(await client.get(BATCHES))["items"] == []
