"""API tokens: shown once, stored as digests, never above who made them, ended by time or by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header

from stepwell import App, Stepwell
from stepwell.console.http.access import known_tokens
from stepwell.console.http.access.access import Access, Identity
from stepwell.console.http.access.known_tokens import Attempts, KnownTokens
from stepwell.console.http.access.tokens import NewToken, make_token
from stepwell.console.reading.tokens import StoredTokens
from stepwell.errors import NotSignedIn, TooManyAttempts
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings
from stepwell.store import tokens
from stepwell.testing.clock import VirtualClock

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

PEOPLE = {
    "ann": Principal("ann"),
    "bob": Principal("bob"),
    "vera": Principal("vera", "viewer"),
    "max": Principal("max", "operator", everybody=True),
    "sam": Principal("sam", apps=frozenset({"shop"})),
    "root": Principal("root", "admin"),
    "boss": Principal("boss", "admin", apps=frozenset({"shop"})),
}


async def current_user(x_user: Annotated[str | None, Header()] = None) -> Principal | None:
    return PEOPLE.get(x_user or "")


@pytest.fixture
def api(stepwell_of: StepwellOf, client_of: ClientOf) -> Callable[..., Any]:
    """`async with api(...) as client`: an application with users of its own, which accepts tokens."""

    @asynccontextmanager
    async def opened(user: Any = current_user, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
        stepwell = stepwell_of(App("shop"), App("office"), auth=AuthSettings(), **more)
        app = FastAPI(lifespan=stepwell.lifespan)
        stepwell.mount(app, user=None if user is None else Depends(user))
        async with client_of(stepwell, app) as client:
            client.stepwell = stepwell
            yield client

    return opened


def by(user: str) -> dict[str, str]:
    return {"headers": {"x-user": user}}  # type: ignore[dict-item]


def bearer(secret: str) -> Any:
    return {"headers": {"authorization": f"Bearer {secret}"}}


async def made(client: httpx.AsyncClient, user: str = "ann", **wanted: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer", **wanted}, **by(user))  # type: ignore[arg-type]
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pass_by(clock: VirtualClock, **time: float) -> None:
    clock.move_to(clock.now() + timedelta(**time) // timedelta(microseconds=1))


async def stored(client: Any, token_id: str) -> tokens.TokenRow:
    row = await client.stepwell.opening.core.store.read(lambda tx: tokens.load(tx, token_id))
    assert row is not None
    return row  # type: ignore[no-any-return]


# -- what a token is --------------------------------------------------------------------------------------------------


async def test_a_token_opens_the_api_for_its_user(api: Any) -> None:
    async with api() as client:
        token = await made(client, "ann", role="operator", name="deploy")
        me = (await client.get("/api/v1/me", **bearer(token["token"]))).json()
        assert (me["user_id"], me["role"], me["everybody"], me["apps"], me["method"], me["sign_out"]) == (
            "ann",
            "operator",
            False,
            None,
            "token",
            False,
        )
        assert me["queue"] == "database"


async def test_a_secret_is_shown_once_and_stored_as_a_digest(api: Any) -> None:
    async with api() as client:
        token = await made(client)
        secret = token.pop("token")
        assert secret.startswith("sw_")
        assert len(secret) == 46
        assert (await client.get("/api/v1/tokens", **by("ann"))).json()["items"] == [token]
        row = await stored(client, token["id"])
        assert row.digest == sha256(secret.encode()).hexdigest()
        assert secret not in map(str, row)
        assert (row.prefix, row.created_by) == (secret[:9], "ann")


@pytest.mark.parametrize("secret", ["sw_", "sw_" + "A" * 43, "sw_" + "ä" * 43, "sw_" + "A" * 5000, "x", "a.b.c"])
async def test_what_is_no_token_opens_nothing(api: Any, secret: str) -> None:
    async with api(user=None) as client:
        headers = {"authorization": b"Bearer " + secret.encode()}
        answer = await client.get("/api/v1/me", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="stepwell"'
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_goes_before_whom_the_application_names(api: Any) -> None:
    async with api() as client:
        token = await made(client, "ann")
        headers = {"authorization": f"Bearer {token['token']}", "x-user": "bob"}
        assert (await client.get("/api/v1/me", headers=headers)).json()["user_id"] == "ann"
        # A wrong one isn't passed over.
        headers["authorization"] = "Bearer sw_wrong"
        assert (await client.get("/api/v1/me", headers=headers)).status_code == 401


async def test_where_tokens_are_off_none_opens_anything(stepwell_of: StepwellOf, client_of: ClientOf, api: Any) -> None:
    async with api() as client:
        secret = (await made(client))["token"]
    for auth in (None, AuthSettings(tokens=False)):
        stepwell = stepwell_of(App("shop"), auth=auth)
        app = FastAPI(lifespan=stepwell.lifespan)
        stepwell.mount(app, user=Depends(current_user))
        async with client_of(stepwell, app) as client:
            assert (await client.get("/api/v1/me", **bearer(secret))).status_code == 401
            for answer in (
                await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"}, **by("root")),
                await client.post("/api/v1/session", json={"token": secret}),
            ):
                assert answer.status_code == 403
                assert "Settings(auth=AuthSettings())" in answer.json()["detail"]


# -- never above who makes it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "wanted", "named"),
    [
        ("vera", {"role": "operator"}, ["role 'operator' is above yours, 'viewer'"]),
        ("ann", {"role": "admin"}, ["role 'admin'"]),
        ("ann", {"everybody": True}, ["everybody"]),
        ("ann", {"user_id": "bob"}, ["user_id 'bob' needs the role admin"]),
        ("max", {"user_id": "bob"}, ["user_id 'bob'"]),
        ("sam", {"apps": ["shop", "office"]}, ["apps 'office'"]),
        ("sam", {"apps": ["nowhere"]}, ["apps 'nowhere'"]),
        ("boss", {"apps": ["office"], "user_id": "ann"}, ["apps 'office'"]),
        ("vera", {"role": "admin", "everybody": True, "user_id": "x"}, ["role 'admin'", "everybody", "user_id 'x'"]),
    ],
)
async def test_a_token_can_not_do_more_than_who_makes_it(
    api: Any, user: str, wanted: dict[str, Any], named: list[str]
) -> None:
    async with api() as client:
        answer = await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer", **wanted}, **by(user))
        assert answer.status_code == 403
        assert all(one in answer.json()["detail"] for one in named)
        assert (await client.get("/api/v1/tokens", **by("root"))).json()["items"] == []


async def test_what_is_left_out_is_what_its_maker_has(api: Any) -> None:
    async with api() as client:
        assert (await made(client, "sam"))["apps"] == ["shop"]
        assert (await made(client, "ann"))["apps"] is None
        admins = await made(client, "root", role="admin")
        assert (admins["everybody"], admins["user_id"]) == (True, "root")
        others = await made(client, "root", user_id="bob", role="operator")
        assert (others["user_id"], others["created_by"]) == ("bob", "root")


async def test_a_token_of_a_token_ends_with_it(api: Any) -> None:
    async with api() as client:
        ends = datetime.now(UTC) + timedelta(hours=1)
        parent = await made(client, "ann", role="operator", expires_at=ends.isoformat())
        by_parent = bearer(parent["token"])
        body = {"name": "child", "role": "viewer"}
        child = (await client.post("/api/v1/tokens", json=body, **by_parent)).json()
        assert datetime.fromisoformat(child["expires_at"]) == ends
        later = (ends + timedelta(seconds=1)).isoformat()
        refused = await client.post("/api/v1/tokens", json={**body, "expires_at": later}, **by_parent)
        assert refused.status_code == 403
        assert "when your own token ends" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"role": "king"}, "role"),
        ({"apps": []}, "apps"),
        ({"apps": ["nowhere"]}, "apps"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2120-01-01T00:00:00"}, "expires_at"),
        ({"digest": "0"}, "digest"),
    ],
)
async def test_what_can_not_be_a_token_names_the_field(api: Any, wanted: dict[str, Any], field: str) -> None:
    async with api() as client:
        answer = await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer", **wanted}, **by("root"))
        assert answer.status_code == 422
        assert {one["loc"][1] for one in answer.json()["errors"]} == {field}


# -- the end of a token -----------------------------------------------------------------------------------------------


async def test_a_revoked_token_opens_nothing_at_once(api: Any) -> None:
    async with api() as client:
        token = await made(client)
        assert (await client.get("/api/v1/me", **bearer(token["token"]))).status_code == 200
        assert (await client.delete(f"/api/v1/tokens/{token['id']}", **by("ann"))).status_code == 204
        refused = await client.get("/api/v1/me", **bearer(token["token"]))
        assert refused.status_code == 401
        assert "was revoked" in refused.json()["detail"]
        # Revoked again, it keeps the moment at which it was revoked first.
        [first] = (await client.get("/api/v1/tokens", **by("ann"))).json()["items"]
        assert (await client.delete(f"/api/v1/tokens/{token['id']}", **by("ann"))).status_code == 204
        [second] = (await client.get("/api/v1/tokens", **by("ann"))).json()["items"]
        assert first["revoked_at"] == second["revoked_at"] is not None


async def test_a_token_that_another_process_revokes_opens_nothing_after_seconds(api: Any) -> None:
    now = 0.0
    async with api() as client:
        stepwell = client.stepwell
        token = await made(client)
        known = KnownTokens(stepwell.opening, Attempts(10, 60), now=lambda: now)
        row = await known.find(token["token"], "here")
        await client.delete(f"/api/v1/tokens/{token['id']}", **by("ann"))
        assert await known.find(token["token"], "here") == row
        assert await known.holds(row)
        now = known_tokens.REMEMBERED
        assert not await known.holds(row)
        with pytest.raises(NotSignedIn, match="was revoked"):
            await known.find(token["token"], "here")


async def test_wrong_tokens_that_come_at_once_are_counted_like_those_that_come_one_after_the_other(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api() as client:
        token = await made(client)
        known = KnownTokens(client.stepwell.opening, Attempts(10, 60))
        find, asked = StoredTokens.find_by_digest, 0

        async def counted(stored: StoredTokens, digest: str) -> Any:
            nonlocal asked
            asked += 1
            return await find(stored, digest)

        monkeypatch.setattr(StoredTokens, "find_by_digest", counted)
        wrong = [
            token["token"][:-1] + one for one in "0123456789abcdefghijklmnopqrstuvwxyz" if one != token["token"][-1]
        ]
        answers = await asyncio.gather(*(known.find(one, "there") for one in wrong * 5), return_exceptions=True)
        assert {type(answer) for answer in answers} == {NotSignedIn, TooManyAttempts}
        assert sum(type(answer) is NotSignedIn for answer in answers) == 10
        assert asked <= 10

        elsewhere = KnownTokens(client.stepwell.opening, Attempts(10, 60))
        found = await asyncio.gather(*(elsewhere.find(token["token"], "here") for _ in range(100)))
        assert {row.id for row in found} == {token["id"]}


async def test_an_expired_token_opens_nothing(api: Any) -> None:
    clock = VirtualClock(NOON)
    async with api(clock=clock) as client:
        token = await made(client, expires_at=(NOON + timedelta(hours=1)).isoformat())
        assert (await client.get("/api/v1/me", **bearer(token["token"]))).status_code == 200
        pass_by(clock, hours=1)
        refused = await client.get("/api/v1/me", **bearer(token["token"]))
        assert refused.status_code == 401
        assert "has expired" in refused.json()["detail"]


async def test_what_a_token_opened_holds_as_long_as_the_token(api: Any) -> None:
    """What a stream asks now and then."""
    clock = VirtualClock(NOON)
    async with api(clock=clock) as client:
        access = Access(client.stepwell, None)
        assert await access.holds(Identity(PEOPLE["ann"]))
        now = clock.now()
        assert await access.holds(Identity(PEOPLE["ann"], until=now + 1))
        assert not await access.holds(Identity(PEOPLE["ann"], until=now))
        row = await stored(client, (await made(client))["id"])
        assert await access.holds(Identity(PEOPLE["ann"], row))
        await client.delete(f"/api/v1/tokens/{row.id}", **by("ann"))
        access.forget(row)
        assert not await access.holds(Identity(PEOPLE["ann"], row))


async def test_when_it_was_used_last_is_known_to_the_minute(api: Any) -> None:
    clock = VirtualClock(NOON)
    async with api(clock=clock) as client:
        token = await made(client)

        async def use() -> int | None:
            assert (await client.get("/api/v1/me", **bearer(token["token"]))).status_code == 200
            await asyncio.sleep(0.05)
            return (await stored(client, token["id"])).last_used_at

        first = await use()
        assert first == clock.now()
        pass_by(clock, seconds=59)
        assert await use() == first
        pass_by(clock, seconds=1)
        assert await use() == clock.now()


# -- whose tokens -----------------------------------------------------------------------------------------------------


async def test_one_manages_ones_own_tokens_and_an_admin_all(api: Any) -> None:
    async with api() as client:
        anns, bobs = await made(client, "ann"), await made(client, "bob")
        given = await made(client, "root", user_id="bob")

        async def seen(user: str) -> list[str]:
            return [one["id"] for one in (await client.get("/api/v1/tokens", **by(user))).json()["items"]]

        assert await seen("ann") == [anns["id"]]
        assert await seen("bob") == [given["id"], bobs["id"]]
        assert await seen("max") == []  # everybody's runs, not everybody's tokens
        assert await seen("boss") == []  # an admin of one app: these reach further
        assert await seen("root") == [given["id"], bobs["id"], anns["id"]]
        for user in ("bob", "max", "boss"):
            refused = await client.delete(f"/api/v1/tokens/{anns['id']}", **by(user))
            missing = await client.delete("/api/v1/tokens/nothing", **by(user))
            assert (refused.status_code, missing.status_code) == (404, 404)
            assert refused.json()["type"] == missing.json()["type"] == "urn:stepwell:token-not-found"
        assert (await client.delete("/api/v1/tokens/%00", **by("root"))).status_code == 404
        assert (await client.delete(f"/api/v1/tokens/{anns['id']}", **by("root"))).status_code == 204
        assert (await client.delete(f"/api/v1/tokens/{given['id']}", **by("bob"))).status_code == 204


async def test_a_token_does_not_revoke_one_that_may_do_more(api: Any) -> None:
    async with api() as client:
        weak, strong = await made(client, "ann"), await made(client, "ann", role="operator")
        narrow = await made(client, "ann", apps=["shop"])
        for by_whom, target in ((weak, strong), (narrow, weak)):
            refused = await client.delete(f"/api/v1/tokens/{target['id']}", **bearer(by_whom["token"]))
            assert refused.status_code == 403
        assert (await client.delete(f"/api/v1/tokens/{narrow['id']}", **bearer(strong["token"]))).status_code == 204
        assert (await client.delete(f"/api/v1/tokens/{weak['id']}", **bearer(weak["token"]))).status_code == 204


async def test_pages_of_tokens(api: Any) -> None:
    async with api() as client:
        ids = [(await made(client, name=str(number)))["id"] for number in range(5)]
        found, cursor = [], None
        while True:
            params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/api/v1/tokens", params=params, **by("ann"))).json()
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == ids[::-1]
        cursor = (await client.get("/api/v1/tokens?limit=1", **by("ann"))).json()["next_cursor"]
        assert (await client.get("/api/v1/tokens", params={"cursor": cursor}, **by("bob"))).status_code == 404
        assert (await client.get("/api/v1/tokens?cursor=%00", **by("ann"))).status_code == 422
        assert (await client.get("/api/v1/tokens?limit=1001", **by("ann"))).status_code == 422


# -- sessions of browsers ---------------------------------------------------------------------------------------------


async def test_a_browser_signs_in_and_out(api: Any) -> None:
    async with api(user=None) as client:
        secret = await self_made(client, "ann")
        refused = await client.get("/api/v1/me")
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
        answer = await client.post("/api/v1/session", json={"token": secret})
        assert answer.status_code == 200
        assert (answer.json()["user_id"], answer.json()["sign_out"]) == ("ann", True)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"stepwell_session={secret}; ")
        assert all(one in cookie for one in ("HttpOnly", "SameSite=strict", "Path=/api/v1", "Max-Age=2592000"))
        assert "Secure" not in cookie  # this was http
        assert (await client.get("/api/v1/me")).json()["sign_out"] is True
        assert (await client.delete("/api/v1/session")).status_code == 204
        assert (await client.get("/api/v1/me")).status_code == 401


async def self_made(client: Any, user: str, **wanted: Any) -> str:
    """A token made on the database."""
    stepwell = client.stepwell
    now = stepwell.opening.shared.clock.now()
    new = NewToken(name="t", user_id=user, role="operator", **wanted)
    secret, row = make_token(new, Principal("cli", "admin"), None, now)
    await stepwell.opening.core.store.writer.call(lambda tx: tokens.add(tx, row))
    return secret


async def test_behind_https_the_cookie_stays_there_and_under_the_applications_path(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    inner, outer = FastAPI(), FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(inner)
    outer.mount("/flows", inner)
    async with client_of(stepwell, outer) as client:
        client.stepwell = stepwell
        ends = datetime.now(UTC) + timedelta(hours=1)
        secret = await self_made(client, "ann", expires_at=ends)
        url = "https://localhost/flows/api/v1/session"
        cookie = (await client.post(url, json={"token": secret})).headers["set-cookie"]
        assert "Secure" in cookie
        assert "Path=/flows/api/v1" in cookie
        [age] = [int(one.partition("=")[2]) for one in cookie.split("; ") if one.startswith("Max-Age")]
        assert 3590 <= age <= 3600
        assert (await client.get("https://localhost/flows/api/v1/me")).json()["user_id"] == "ann"


async def test_a_cookie_that_has_ended_does_not_keep_out_whom_the_application_knows(api: Any) -> None:
    async with api() as client:
        token = await made(client, "ann")
        client.cookies.set("stepwell_session", token["token"], path="/api/v1")
        assert (await client.get("/api/v1/me", **by("bob"))).json()["user_id"] == "ann"
        await client.delete(f"/api/v1/tokens/{token['id']}", **by("ann"))
        assert (await client.get("/api/v1/me", **by("bob"))).json()["user_id"] == "bob"
        assert (await client.get("/api/v1/me")).status_code == 401


# -- failed logins ----------------------------------------------------------------------------------------------------


async def test_after_some_wrong_tokens_others_are_not_looked_at(api: Any) -> None:
    async with api(user=None) as client:
        seen, unseen = await self_made(client, "ann"), await self_made(client, "bob")
        assert (await client.get("/api/v1/me", **bearer(seen))).status_code == 200
        for number in range(10):
            wrong = f"sw_{number:043d}"
            if number % 2:
                answer = await client.get("/api/v1/me", **bearer(wrong))
            else:
                answer = await client.post("/api/v1/session", json={"token": wrong})
            assert answer.status_code == 401
        refused = await client.get("/api/v1/me", **bearer(unseen))
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await client.post("/api/v1/session", json={"token": unseen})).status_code == 429
        # Who guesses can't lock out those whose tokens work.
        assert (await client.get("/api/v1/me", **bearer(seen))).status_code == 200


async def test_a_token_that_has_ended_is_no_guess(api: Any) -> None:
    async with api() as client:
        token = await made(client, "ann")
        await client.delete(f"/api/v1/tokens/{token['id']}", **by("ann"))
        for _ in range(15):
            assert (await client.get("/api/v1/me", **bearer(token["token"]))).status_code == 401
