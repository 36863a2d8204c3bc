"""Who asks: what the application's own dependency may return, when it is asked, and what a Principal may do (rule 41)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response, Security
from fastapi.security import SecurityScopes

from stepwell import App, Stepwell
from stepwell.console.cli.commands.dev import developer
from stepwell.console.http.access.access import Access, no_user
from stepwell.console.http.access.known_tokens import Attempts, address_of
from stepwell.console.http.access.principal import permit, principal_of
from stepwell.errors import ConfigurationError, NoAccess, NotSignedIn, TooManyAttempts
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


@dataclass
class User:
    id: Any
    role: Any = None
    everybody: Any = None
    apps: Any = None


class Rank(Enum):
    CHIEF = "admin"


# -- what names a user ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("u1", Principal("u1")),
        (User(7), Principal("7", "operator", False, None)),
        (User("u1", "viewer"), Principal("u1", "viewer")),
        (User("u1", Rank.CHIEF), Principal("u1", "admin", True)),
        (User("u1", "operator", True, ["a"]), Principal("u1", "operator", True, frozenset({"a"}))),
        (Principal("u1", "viewer", apps=frozenset()), Principal("u1", "viewer", apps=frozenset())),
    ],
)
def test_what_the_application_returns_is_a_principal(user: object, expected: Principal) -> None:
    assert principal_of(user) == expected


@pytest.mark.parametrize(
    ("user", "named"),
    [
        (User("u1", "customer"), "role='customer' isn't one of viewer, operator, admin"),
        (User("u1", everybody=lambda: True), "is neither True nor False"),
        (User("u1", everybody=1), "everybody=1"),
        (User("u1", apps="shop"), "apps='shop' isn't a set of apps' names"),
        (User("u1", apps=[1]), "apps="),
        ({"id": "u1"}, "dict has no id"),
    ],
)
def test_what_means_something_else_is_refused_and_not_guessed(user: object, named: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mount\(user=...\)") as raised:
        principal_of(user)
    assert named in str(raised.value)


@pytest.mark.parametrize("user", [None, "", User(None), User("")])
def test_nobody_is_nobody(user: object) -> None:
    with pytest.raises(NotSignedIn):
        principal_of(user)


def test_a_principal_is_checked_when_it_is_made() -> None:
    assert Principal("u1", "admin").everybody
    made: Any = Principal
    assert made("u1", apps=["a"]).apps == frozenset({"a"})
    for wrong in ({"user_id": ""}, {"user_id": 1}, {"role": "king"}, {"everybody": "no"}, {"apps": "a"}):
        with pytest.raises(ConfigurationError, match="Principal: "):
            made(**{"user_id": "u1", **wrong})


ROLES = ("viewer", "operator", "admin")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("everybody", [False, True])
@pytest.mark.parametrize("needs", [{}, {"act": True}, {"everybody": True}, {"act": True, "everybody": True}])
def test_what_a_role_permits(role: Any, everybody: bool, needs: dict[str, bool]) -> None:
    principal = Principal("u1", role, everybody)
    lacks_role = needs.get("act", False) and role == "viewer"
    lacks_sight = needs.get("everybody", False) and not (everybody or role == "admin")
    if not lacks_role and not lacks_sight:
        permit(principal, **needs)
        return
    with pytest.raises(NoAccess) as raised:
        permit(principal, **needs)
    assert ("role operator or admin (yours is viewer)" in str(raised.value)) == lacks_role
    assert ("all users' runs" in str(raised.value)) == lacks_sight


# -- when the application is asked ------------------------------------------------------------------------------------


def mounted(stepwell: Stepwell, user: Any) -> FastAPI:
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=user)
    return app


async def asked(stepwell: Stepwell, app: FastAPI, client_of: ClientOf, **headers: str) -> Any:
    async with client_of(stepwell, app, **headers) as client:
        return await client.get("/api/v1/me")


async def by_header(x_user: Annotated[str | None, Header()] = None) -> str | None:
    return x_user


async def test_a_generators_end_a_sub_dependency_and_what_it_sets_work_as_elsewhere(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    done: list[str] = []

    async def session() -> AsyncIterator[str]:
        done.append("opened")
        yield "u1"
        done.append("closed")

    opened: Any = Depends(session)

    def user(request: Request, response: Response, found: str = opened) -> Iterator[User]:
        response.set_cookie("renewed", "yes")
        assert request.app.state.database == "here"
        yield User(found, "viewer")

    stepwell = stepwell_of(App("shop"))
    app = mounted(stepwell, Depends(user))
    app.state.database = "here"
    answer = await asked(stepwell, app, client_of)
    assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
    assert "renewed=yes" in answer.headers["set-cookie"]
    assert answer.headers.get_list("content-type") == ["application/json"]
    assert done == ["opened", "closed"]


async def test_scopes_reach_the_application(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    async def user(scopes: SecurityScopes) -> str:
        return ",".join(scopes.scopes)

    stepwell = stepwell_of(App("shop"))
    answer = await asked(stepwell, mounted(stepwell, Security(user, scopes=["flows"])), client_of)
    assert answer.json()["user_id"] == "flows"


async def test_tests_may_override_the_dependency_at_any_time(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(App("shop"))
    app = mounted(stepwell, Depends(by_header))
    async with client_of(stepwell, app) as client:
        assert (await client.get("/api/v1/me")).status_code == 401
        app.dependency_overrides[by_header] = lambda: "tester"
        assert (await client.get("/api/v1/me")).json()["user_id"] == "tester"
        app.dependency_overrides = {}
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_a_dependency_that_reads_the_body_finds_it_and_so_does_the_route(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    bodies: list[bytes] = []

    async def user(request: Request) -> Principal:
        bodies.append(await request.body())
        return Principal("root", "admin")

    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    async with client_of(stepwell, mounted(stepwell, Depends(user))) as client:
        made = await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"})
        assert made.status_code == 201, made.text
        assert bodies == [b'{"name":"t","role":"viewer"}']
        assert (await client.get("/api/v1/me")).status_code == 200


async def test_what_the_application_misses_is_named(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    async def user(x_tenant: Annotated[int, Header()]) -> str:
        return str(x_tenant)

    stepwell = stepwell_of(App("shop"))
    answer = await asked(stepwell, mounted(stepwell, Depends(user)), client_of)
    assert answer.status_code == 422
    assert [one["loc"] for one in answer.json()["errors"]] == [["header", "x-tenant"]]


async def test_the_application_is_asked_only_if_nothing_else_says_who_asks(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async def user(authorization: Annotated[str | None, Header()] = None) -> Principal:
        if authorization is not None and not authorization.startswith("Bearer own-"):
            raise HTTPException(401, "I don't know that.")
        return Principal("root", "admin")

    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    async with client_of(stepwell, mounted(stepwell, Depends(user))) as client:
        made = (await client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"})).json()

        async def me(authorization: str) -> tuple[int, str | None]:
            answer = await client.get("/api/v1/me", headers={"authorization": authorization})
            return answer.status_code, answer.json().get("method") or answer.json()["detail"]

        assert await me(f"Bearer {made['token']}") == (200, "token")
        assert await me("Bearer own-thing") == (200, "application")
        assert await me("Basic xyz") == (401, "I don't know that.")
        assert await me("Bearer a.b.c") == (401, "I don't know that.")


# -- where the application names nobody -------------------------------------------------------------------------------


async def test_without_access_there_is_the_cure_and_with_it_a_login(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    for auth, status, said in (
        (None, 403, "stepwell.mount(app, user=Depends(current_user))"),
        (AuthSettings(tokens=False), 403, "Settings(auth=AuthSettings())"),
        (AuthSettings(), 401, "Sign in: this needs an API token"),
    ):
        stepwell = stepwell_of(App("shop"), auth=auth)
        answer = await asked(stepwell, mounted(stepwell, None), client_of)
        assert answer.status_code == status
        assert said in answer.json()["detail"]


async def test_under_dev_the_developer_may_do_everything(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    for auth in (None, AuthSettings()):
        stepwell = stepwell_of(App("shop"), auth=auth)
        app = mounted(stepwell, None)
        app.dependency_overrides[no_user] = developer
        me = (await asked(stepwell, app, client_of)).json()
        assert (me["user_id"], me["role"], me["everybody"], me["method"]) == ("local", "admin", True, "local")


async def test_under_dev_an_application_that_names_its_users_is_open_too(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    for auth in (None, AuthSettings()):
        stepwell = stepwell_of(App("shop"), auth=auth)
        app = mounted(stepwell, Depends(by_header))
        assert (await asked(stepwell, app, client_of)).status_code == 401
        app.dependency_overrides[no_user] = developer
        for headers in ({}, {"x-user": "u1"}, {"cookie": "stepwell_session=sw_stale"}):
            me = (await asked(stepwell, app, client_of, **headers)).json()
            assert (me["user_id"], me["role"], me["method"]) == ("local", "admin", "local")


async def test_access_says_what_it_lacks(stepwell_of: StepwellOf, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jwt", None)
    monkeypatch.delitem(sys.modules, "stepwell.console.http.access.oidc", raising=False)
    monkeypatch.delitem(sys.modules, "stepwell.console.http.access.oidc", raising=False)
    oidc: Any = {"issuer": "https://login.example.com", "audience": "flows"}
    with pytest.raises(ConfigurationError, match=r"pip install 'stepwell\[oidc\]'"):
        Access(stepwell_of(App("shop"), auth=AuthSettings(oidc=oidc)), None)


# -- failed logins ----------------------------------------------------------------------------------------------------


def test_after_some_failures_a_place_waits() -> None:
    now = 0.0
    attempts = Attempts(3, 60, now=lambda: now)
    for _ in range(3):
        attempts.check("a")
        attempts.failed("a", "b")
    now = 20.5
    for places in (("a",), ("c", "b")):
        with pytest.raises(TooManyAttempts, match="Wait 40 s") as raised:
            attempts.check(*places)
        assert raised.value.retry_after == 40
    attempts.check("c")
    now = 60.0
    attempts.check("a", "b")
    attempts.failed("a")
    attempts.check("a")


def test_only_so_many_places_are_remembered() -> None:
    attempts = Attempts(1, 60, now=lambda: 0.0, room=100)
    for number in range(1000):
        attempts.failed(f"place {number}")
    attempts.check("place 899")
    with pytest.raises(TooManyAttempts):
        attempts.check("place 900")
    assert len(attempts._failed) == 100


def test_a_network_of_ipv6_is_one_place() -> None:
    assert address_of("2001:db8::1") == address_of("2001:db8::ffff:1") != address_of("2001:db8:0:1::1")
    assert address_of("192.0.2.1") != address_of("192.0.2.2")
    assert address_of(None) == address_of(None)
    assert address_of("/tmp/socket") != address_of(None)
