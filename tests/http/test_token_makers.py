"""Tokens don't outlive what made them: their end, rights and revocation are those of their makers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header
from issuer import AUDIENCE, Issuer

from stepwell import END, App, Stepwell, Workflow, transition
from stepwell.console.http import stream
from stepwell.console.http.access.known_tokens import Attempts, KnownTokens
from stepwell.console.http.access.principal import OWN_USERS
from stepwell.console.http.access.tokens import NewToken, make_token
from stepwell.console.reading.tokens import StoredTokens
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings, OidcSettings
from stepwell.store import tokens
from stepwell.store.tokens import TokenRow

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


class Noted(Workflow[None, dict[str, Any], str]):
    @transition(target="asking")
    async def begin(self) -> None: ...

    @transition("asking", END, wait=True)
    async def answer(self, text: str) -> str:
        return text


class People:
    """The users of the application: a test may change what they may do."""

    def __init__(self) -> None:
        self.known = {
            "ann": Principal("ann"),
            "bob": Principal("bob"),
            "vera": Principal("vera", "viewer"),
            "sam": Principal("sam", apps=frozenset({"shop"})),
            "root": Principal("root", "admin"),
        }

    async def current(self, x_user: Annotated[str | None, Header()] = None) -> Principal | None:
        return self.known.get(x_user or "")


@pytest.fixture
def api(stepwell_of: StepwellOf, client_of: ClientOf) -> Callable[..., Any]:
    """`async with api() as client`, with `client.people` and `client.stepwell`."""

    @asynccontextmanager
    async def opened(auth: AuthSettings | None = None, **more: Any) -> AsyncIterator[Any]:
        people = People()
        stepwell = stepwell_of(App("shop", workflows=[Noted]), App("office"), auth=auth or AuthSettings(), **more)
        app = FastAPI(lifespan=stepwell.lifespan)
        stepwell.mount(app, user=Depends(people.current))
        async with client_of(stepwell, app) as client:
            client.stepwell, client.people = stepwell, people
            yield client

    return opened


def by(user: str) -> dict[str, str]:
    return {"x-user": user}


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def asked(client: httpx.AsyncClient, headers: dict[str, str], **wanted: Any) -> httpx.Response:
    return await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer", **wanted}, headers=headers)


async def made(client: httpx.AsyncClient, headers: dict[str, str], **wanted: Any) -> Any:
    answer = await asked(client, headers, **wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def me(client: httpx.AsyncClient, token: Any) -> Any:
    answer = await client.get("/api/v1/me", headers=bearer(token["token"]))
    return answer.json() if answer.status_code == 200 else answer.status_code


async def line(client: httpx.AsyncClient, length: int = 4) -> list[Any]:
    """A token of ann's, one that was made with it, one made with that, ..."""
    found = [await made(client, by("ann"), role="operator")]
    while len(found) < length:
        found.append(await made(client, bearer(found[-1]["token"]), role="operator"))
    return found


async def change(client: Any, token: Any, **values: Any) -> None:
    """Change the token's row as with an editor."""
    assigned = ", ".join(f"{name}=?" for name in values)
    sql = f"UPDATE stepwell_tokens SET {assigned} WHERE id=?"
    await client.stepwell.opening.core.store.writer.call(lambda tx: tx.run(sql, *values.values(), token["id"]))


async def forgotten(client: Any) -> KnownTokens:
    """The tokens as another process sees them: without what this one remembers."""
    return KnownTokens(client.stepwell.opening, Attempts(10, 60))


async def refused_everywhere(client: Any, *tokens_: Any) -> bool:
    known = await forgotten(client)
    for token in tokens_:
        if await me(client, token) != 401:
            return False
        answers = await asyncio.gather(known.find(token["token"], "there"), return_exceptions=True)
        if not isinstance(answers[0], Exception):
            return False
    return True


# -- the end ----------------------------------------------------------------------------------------------------------


async def test_a_jwt_with_five_seconds_left_mints_at_most_a_token_of_five_seconds(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async with Issuer().serving() as issuer:
        oidc = OidcSettings(issuer=issuer.url, audience=AUDIENCE)
        stepwell = stepwell_of(App("shop"), auth=AuthSettings(oidc=oidc))
        app = FastAPI(lifespan=stepwell.lifespan)
        stepwell.mount(app)
        async with client_of(stepwell, app) as client:
            ends = (datetime.now(UTC) + timedelta(seconds=5)).replace(microsecond=0)
            jwt = bearer(issuer.token(exp=ends))
            answer = await asked(client, jwt)
            if answer.status_code == 201:
                token = answer.json()
                assert datetime.fromisoformat(token["expires_at"]) == ends
                assert (token["created_via"], token["created_with"]) == ("oidc", None)
                child = await asked(client, bearer(token["token"]))
                assert child.status_code == 401 or datetime.fromisoformat(child.json()["expires_at"]) <= ends
            else:  # on a machine that stood still for five seconds
                assert datetime.now(UTC) >= ends
                assert answer.status_code == 401
            longer = await asked(client, jwt, expires_at=(ends + timedelta(days=1)).isoformat())
            assert longer.status_code in (401, 403)
            # Within the leeway for the issuer's clock a JWT is still accepted, and mints nothing.
            late = bearer(issuer.token(exp=datetime.now(UTC) - timedelta(seconds=5)))
            assert (await client.get("/api/v1/me", headers=late)).status_code == 200
            nothing = await asked(client, late)
            assert (nothing.status_code, "has expired" in nothing.json()["detail"]) == (401, True)


async def test_no_token_in_a_line_ends_after_any_above_it(api: Any) -> None:
    async with api() as client:
        first, second, third = await line(client, 3)
        ends = client.stepwell.opening.shared.clock.now() + 3_600_000_000
        await change(client, first, expires_at=ends)
        row = await (await forgotten(client)).find(third["token"], "there")
        assert row.expires_at == ends
        await change(client, second, expires_at=1)
        with pytest.raises(Exception, match="has expired"):
            await (await forgotten(client)).find(third["token"], "there")


# -- revocation -------------------------------------------------------------------------------------------------------


async def test_revoking_a_token_revokes_what_it_made_transitively(api: Any) -> None:
    async with api() as client:
        tokens_ = await line(client, 5)
        sibling = await made(client, bearer(tokens_[1]["token"]))
        other = await made(client, by("ann"), role="operator")
        assert [await me(client, one) for one in (*tokens_, sibling)] != [401] * 6
        listed = (await client.get("/api/v1/tokens", headers=by("ann"))).json()["items"]
        counts = {one["id"]: (one["descendants"], one["created_with"]) for one in listed}
        assert counts[tokens_[0]["id"]] == (5, None)
        assert counts[tokens_[1]["id"]] == (4, tokens_[0]["id"])
        assert counts[sibling["id"]] == (0, tokens_[1]["id"])
        assert (await client.delete(f"/api/v1/tokens/{tokens_[1]['id']}", headers=by("ann"))).status_code == 204
        assert await refused_everywhere(client, *tokens_[1:], sibling)
        assert (await me(client, tokens_[0]))["user_id"] == (await me(client, other))["user_id"] == "ann"
        listed = (await client.get("/api/v1/tokens", headers=by("ann"))).json()["items"]
        ended = {one["id"]: one["revoked_at"] for one in listed if one["revoked_at"]}
        assert ended.keys() == {one["id"] for one in (*tokens_[1:], sibling)}
        assert len(set(ended.values())) == 1
        assert {one["descendants"] for one in listed} == {0}


async def test_a_token_made_in_a_browsers_session_goes_with_the_token_of_the_session(api: Any) -> None:
    async with api() as client:
        token = await made(client, by("ann"), role="operator")
        assert (await client.post("/api/v1/session", json={"token": token["token"]})).status_code == 200
        child = await made(client, {})
        assert child["created_with"] == token["id"]
        client.cookies.clear()
        await client.delete(f"/api/v1/tokens/{token['id']}", headers=by("ann"))
        assert await refused_everywhere(client, token, child)
        client.cookies.set("stepwell_session", child["token"], path="/api/v1")
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_a_token_whose_maker_was_revoked_by_an_older_version_opens_nothing(api: Any) -> None:
    """It revoked one row only."""
    async with api() as client:
        first, second, third = await line(client, 3)
        await change(client, first, revoked_at=5)
        known = await forgotten(client)
        for token in (second, third):
            with pytest.raises(Exception, match="was revoked"):
                await known.find(token["token"], "there")
        # Nor does one whose maker's row is gone.
        await client.stepwell.opening.core.store.writer.call(
            lambda tx: tx.run("DELETE FROM stepwell_tokens WHERE id=?", first["id"])
        )
        with pytest.raises(Exception, match="was revoked"):
            await (await forgotten(client)).find(third["token"], "there")


async def test_a_line_that_was_edited_into_a_circle_ends_somewhere(api: Any) -> None:
    async with api() as client:
        first, second, third = await line(client, 3)
        await change(client, first, created_with=third["id"])
        assert (await (await forgotten(client)).find(second["token"], "there")).id == second["id"]
        assert (await client.get("/api/v1/tokens", headers=by("ann"))).status_code == 200
        assert (await client.delete(f"/api/v1/tokens/{second['id']}", headers=by("ann"))).status_code == 204
        assert await refused_everywhere(client, first, second, third)


async def test_what_a_process_read_before_a_revocation_is_not_remembered_after_it(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api() as client:
        token = await made(client, by("ann"))
        read, go = asyncio.Event(), asyncio.Event()
        find = StoredTokens.find_by_digest

        async def slow(stored: StoredTokens, digest: str) -> TokenRow | None:
            row = await find(stored, digest)
            read.set()
            await go.wait()
            return row

        monkeypatch.setattr(StoredTokens, "find_by_digest", slow)
        waiting = asyncio.create_task(client.get("/api/v1/me", headers=bearer(token["token"])))
        async with asyncio.timeout(60):
            await read.wait()
        assert (await client.delete(f"/api/v1/tokens/{token['id']}", headers=by("ann"))).status_code == 204
        go.set()
        assert (await waiting).status_code == 401
        assert await me(client, token) == 401


# -- rights -----------------------------------------------------------------------------------------------------------


async def test_a_lowered_role_of_a_token_lowers_what_it_made_at_use(api: Any) -> None:
    async with api() as client:
        admin = await made(client, by("root"), role="admin")
        child = await made(client, bearer(admin["token"]), role="admin")
        grandchild = await made(client, bearer(child["token"]), role="admin")
        await change(client, admin, role="viewer", everybody=0, apps=json.dumps(["shop"]))
        row = await (await forgotten(client)).find(grandchild["token"], "there")
        assert (row.role, row.everybody, row.app_names) == ("viewer", 0, frozenset({"shop"}))
        listed = (await client.get("/api/v1/tokens", headers=by("root"))).json()["items"]
        assert {(one["role"], one["everybody"]) for one in listed} == {("viewer", False)}
        assert [one["apps"] for one in listed] == [["shop"]] * 3


async def test_a_lowered_role_of_a_user_lowers_their_tokens_once_the_application_has_said_so(api: Any) -> None:
    async with api() as client:
        token = await made(client, by("root"), role="admin")
        child = await made(client, bearer(token["token"]), role="operator", everybody=True)
        client.people.known["root"] = Principal("root", "viewer", apps=frozenset({"office"}))
        assert (await client.get("/api/v1/me", headers=by("root"))).json()["role"] == "viewer"
        for one in (token, child):
            row = await (await forgotten(client)).find(one["token"], "there")
            assert (row.role, row.everybody, row.app_names) == ("viewer", 0, frozenset({"office"}))
        # Raised again, they are what they were made as.
        client.people.known["root"] = Principal("root", "admin")
        assert (await client.get("/api/v1/me", headers=by("root"))).status_code == 200
        row = await (await forgotten(client)).find(child["token"], "there")
        assert (row.role, row.everybody, row.app_names) == ("operator", 1, None)


async def test_a_token_can_not_be_made_to_look_like_another_users(api: Any) -> None:
    async with api() as client:
        for user, wanted in (("ann", "bob"), ("ann", "ann "), ("ann", "ANN"), ("vera", "root")):
            refused = await asked(client, by(user), user_id=wanted)
            assert (refused.status_code, f"user_id {wanted!r}" in refused.json()["detail"]) == (403, True)
        given = await made(client, by("root"), user_id="bob")
        assert (given["user_id"], given["created_by"]) == ("bob", "root")
        again = await asked(client, bearer(given["token"]), user_id="ann")
        assert again.status_code == 403
        for name in ("a\nb", "a\x1b[2K", "a\u202eb", "\u200b", " ", "a\u2028b"):
            refused = await asked(client, by("ann"), name=name)
            assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "name"]), name


# -- how many ---------------------------------------------------------------------------------------------------------


async def test_a_user_has_a_limit_of_tokens_and_200_at_once_do_not_pass_it(api: Any) -> None:
    async with api(AuthSettings(max_tokens=7)) as client:
        for headers in (by("vera"), by("ann")):
            answers = await asyncio.gather(*(asked(client, headers) for _ in range(200)))
            assert sorted(answer.status_code for answer in answers) == [201] * 7 + [409] * 193
            refused = next(answer.json() for answer in answers if answer.status_code == 409)
            assert refused["type"] == "urn:stepwell:too-many-tokens"
            assert "has 7 valid tokens" in refused["detail"]
        # Those that are made with tokens count, too, and one that is revoked makes room again.
        token = (await client.get("/api/v1/tokens", headers=by("ann"))).json()["items"][0]
        client.people.known["max"] = Principal("max")
        parent = await made(client, by("max"))
        answers = await asyncio.gather(*(asked(client, bearer(parent["token"])) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [201] * 6 + [409] * 14
        await client.delete(f"/api/v1/tokens/{token['id']}", headers=by("ann"))
        assert (await asked(client, by("ann"))).status_code == 201
        assert (await asked(client, by("ann"))).status_code == 409


async def test_making_and_revoking_without_end_leaves_no_rows_without_end(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepwell.console.reading.tokens._ENDED_KEPT", 3)
    async with api() as client:
        for _ in range(12):
            token = await made(client, by("ann"))
            await client.delete(f"/api/v1/tokens/{token['id']}", headers=by("ann"))
        assert len((await client.get("/api/v1/tokens", headers=by("ann"))).json()["items"]) <= 4


# -- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["revoked", "its maker is revoked", "expired", "lowered"])
async def test_an_open_stream_ends_with_its_token_and_sends_nothing_after_it(
    api: Any, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_PING", 0.05)
    monkeypatch.setattr("stepwell.console.http.access.known_tokens.REMEMBERED", 0.0)
    async with api() as client:
        stepwell = client.stepwell
        maker = await made(client, by("root"), role="admin")
        token = await made(client, bearer(maker["token"]), role="viewer", everybody=True)
        got: list[bytes] = []
        opened, over = asyncio.Event(), asyncio.Event()

        async def receive() -> Any:
            if opened.is_set():
                await over.wait()
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            opened.set()
            got.append(message.get("body", b""))

        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token['token']}".encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/events",
            "raw_path": b"/api/v1/events",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "headers": headers,
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "http_version": "1.1",
        }
        app = client._transport.app
        serving = asyncio.create_task(app(scope, receive, send))
        async with asyncio.timeout(60):
            while not any(b"event: hello" in one for one in got):
                await asyncio.sleep(0.01)
        if end == "revoked":
            await client.delete(f"/api/v1/tokens/{token['id']}", headers=by("root"))
        elif end == "its maker is revoked":
            await client.delete(f"/api/v1/tokens/{maker['id']}", headers=by("root"))
        elif end == "expired":
            await change(client, token, expires_at=1)
        else:
            await change(client, maker, everybody=0)
        told = len(got)
        await stepwell.runner.run(Noted, app_name="shop", user_id="bob")
        async with asyncio.timeout(60):
            await serving
        over.set()
        assert b": come back\n\n" in got
        assert not any(b"checkpoint" in one for one in got[told:])


# -- ids of Stepwell's own --------------------------------------------------------------------------------------------


async def test_a_stranger_whose_id_is_system_does_not_become_the_system(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async with Issuer().serving() as issuer:
        oidc = OidcSettings(issuer=issuer.url, audience=AUDIENCE)
        stepwell = stepwell_of(App("shop", workflows=[Noted]), auth=AuthSettings(oidc=oidc))

        async def user(x_user: Annotated[str | None, Header()] = None) -> str | None:
            return x_user

        plain, named = FastAPI(lifespan=stepwell.lifespan), FastAPI()
        stepwell.mount(plain)
        stepwell.mount(named, user=Depends(user))
        plain.mount("/named", named)
        async with client_of(stepwell, plain) as client:
            runs = {one: await stepwell.runner.run(Noted, app_name="shop", user_id=one) for one in sorted(OWN_USERS)}
            for own, run in runs.items():
                ways = {"/api/v1": bearer(issuer.token(sub=own)), "/named/api/v1": by(own)}
                for api, headers in ways.items():
                    for path in ("/me", "/runs", f"/runs/{run.workflow_id}", "/events", "/tokens"):
                        answer = await client.get(api + path, headers=headers)
                        assert answer.status_code == 403, (own, api, path)
                        assert "one of Stepwell's own" in answer.json()["detail"]
                    assert (await asked(client, headers)).status_code in (401, 403)
            alike = [
                "System",
                "SYSTEM",
                "system ",
                " system",
                "\uff53\uff59\uff53\uff54\uff45\uff4d",
                "syste\u043c",
                "system\u200b",
                "cli\t",
                "Local",
            ]
            for own in alike:
                answer = await client.get("/api/v1/runs", headers=bearer(issuer.token(sub=own)))
                assert (answer.status_code, answer.json()["items"]) == (200, []), own
            for nothing in ("", "a\0b", "\ud800", "x" * 257, "system\0"):
                answer = await client.get("/api/v1/runs", headers=bearer(issuer.token(sub=nothing)))
                assert answer.status_code == 401, nothing


@pytest.mark.parametrize("user_id", ["a\0b", "\ud800", "x" * 257, "x" * 100_000])
@pytest.mark.parametrize("form", ["text", "object", "principal"])
async def test_an_id_that_can_not_be_stored_is_no_login(
    stepwell_of: StepwellOf, client_of: ClientOf, user_id: str, form: str
) -> None:
    class User:
        id = user_id

    def user() -> Any:
        return user_id if form == "text" else User() if form == "object" else Principal(user_id)

    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(user))
    async with client_of(stepwell, app) as client:
        answer = await client.get("/api/v1/me")
        assert (answer.status_code, "1 to 256 characters" in answer.json()["detail"]) == (401, True)


async def test_a_token_of_an_own_id_is_the_operators_or_none(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell.console.http.access.known_tokens.REMEMBERED", 0.0)
    async with api() as client:
        for own in sorted(OWN_USERS):
            refused = await asked(client, by("root"), user_id=own)
            assert (refused.status_code, "one of Stepwell's own" in refused.json()["detail"]) == (403, True)
        now = client.stepwell.opening.shared.clock.now()
        wanted = NewToken(name="t", user_id="system", role="operator")
        secret, row = make_token(wanted, Principal("cli", "admin", method="local"), None, now)
        await client.stepwell.opening.core.store.writer.call(lambda tx: tokens.add(tx, row))
        assert (await me(client, {"token": secret}))["user_id"] == "system"
        # One that a stranger made before logins of this name were refused.
        await change(client, {"id": row.id}, created_via=None, created_by="system")
        assert await me(client, {"token": secret}) == 401
        assert (await client.post("/api/v1/session", json={"token": secret})).status_code == 401
        client.cookies.set("stepwell_session", secret, path="/api/v1")
        assert (await client.get("/api/v1/me", headers=by("ann"))).json()["user_id"] == "ann"


async def test_the_operators_tokens_are_not_those_of_a_user_with_the_operators_name(api: Any) -> None:
    async with api() as client:
        now = client.stepwell.opening.shared.clock.now()
        operator = Principal("cli", "admin", method="local")
        rows = []
        for user_id in ("cli", "ann"):
            secret, row = make_token(NewToken(name="t", user_id=user_id, role="operator"), operator, None, now)
            await client.stepwell.opening.core.store.writer.call(lambda tx, row=row: tokens.add(tx, row))
            rows.append((secret, row))
        (secret, own), (_, anns) = rows
        listed = (await client.get("/api/v1/tokens", headers=bearer(secret))).json()["items"]
        assert [one["id"] for one in listed] == [own.id]
        assert (await client.delete(f"/api/v1/tokens/{anns.id}", headers=bearer(secret))).status_code == 404
