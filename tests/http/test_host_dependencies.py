"""`FastAPI(dependencies=[...])` closes the API but for health, whatever the request presents, and runs once per request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.routing import APIRoute
from issuer import AUDIENCE, Issuer

from stepwell import App, Stepwell
from stepwell.console.cli.commands.dev import developer
from stepwell.console.http.access.access import COOKIE, no_user
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings, OidcSettings
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]
KEY = {"x-gateway-key": "open"}
API = "/api/v1"
HEALTH = ("/health", "/health/live", "/health/ready")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer().serving() as serving:
        yield serving


class Gateway:
    """A dependency of the whole application: a key in front of everything. It counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.ended = 0

    async def __call__(
        self, request: Request, response: Response, x_gateway_key: str | None = Header(None)
    ) -> AsyncIterator[None]:
        self.calls += 1
        if x_gateway_key != "open":
            raise HTTPException(418, "closed")
        response.set_cookie("gateway", "seen")
        request.state.by_gateway = True
        try:
            yield
        finally:
            self.ended += 1


async def current_user(x_user: str | None = Header(None)) -> Principal | None:
    return None if x_user is None else Principal(x_user, "admin")


class House:
    """An application behind a gateway; `ways` are the headers of each way in."""

    def __init__(self, stepwell_of: StepwellOf, issuer: Issuer, user: Any) -> None:
        shop = App("shop")

        @shop.webhook("/hooks/in", verify=github_signature("s3cret"))
        async def take(event: Any) -> None: ...

        self.gateway = Gateway()
        oidc = OidcSettings(issuer=issuer.url, audience=AUDIENCE)
        self.stepwell = stepwell_of(shop, auth=AuthSettings(oidc=oidc))
        self.app = FastAPI(dependencies=[Depends(self.gateway)])
        self.stepwell.mount(self.app, user=user)
        self.routes = [one for one in self.app.router.routes if isinstance(one, APIRoute) and one.path.startswith(API)]

    async def ways(self, client: httpx.AsyncClient, issuer: Issuer) -> dict[str, dict[str, str]]:
        jwt = issuer.token()
        self.app.dependency_overrides[no_user] = developer
        made = await client.post(f"{API}/tokens", json={"name": "t", "role": "viewer"}, headers=KEY | {"x-user": "ann"})
        del self.app.dependency_overrides[no_user]
        assert made.status_code == 201, made.text
        token = made.json()["token"]
        return {
            "a token": {"authorization": f"Bearer {token}"},
            "a cookie": {"cookie": f"{COOKIE}={token}"},
            "a JWT": {"authorization": f"Bearer {jwt}"},
            "a wrong token": {"authorization": f"Bearer {token[:-4]}0000"},
            "a wrong cookie": {"cookie": f"{COOKIE}={token[:-4]}0000"},
            "the application's user": {"x-user": "ann"},
            "nothing": {},
        }


@pytest.mark.parametrize("user", [None, Depends(current_user)], ids=["without user=", "with user="])
async def test_no_way_in_passes_the_dependencies_of_the_whole_application(
    stepwell_of: StepwellOf, client_of: ClientOf, issuer: Issuer, user: Any
) -> None:
    house = House(stepwell_of, issuer, user)
    async with client_of(house.stepwell, house.app) as client:
        for way, presented in (await house.ways(client, issuer)).items():
            house.gateway.calls = house.gateway.ended = 0
            refused = await client.get(f"{API}/me", headers=presented)
            assert (refused.status_code, refused.json()) == (418, {"detail": "closed"}), way
            assert house.gateway.calls == 1, way
            answer = await client.get(f"{API}/me", headers=presented | KEY)
            known = way in ("a token", "a cookie", "a JWT") or (user is not None and presented.get("x-user"))
            assert answer.status_code == (200 if known else 401), (way, answer.text)
            assert (house.gateway.calls, house.gateway.ended) == (2, 1), way
            if known:
                assert answer.headers.get_list("set-cookie") == ["gateway=seen; Path=/; SameSite=lax"], way


async def test_each_operation_but_health_is_behind_them(
    stepwell_of: StepwellOf, client_of: ClientOf, issuer: Issuer
) -> None:
    house = House(stepwell_of, issuer, Depends(current_user))
    async with client_of(house.stepwell, house.app) as client:
        ways = await house.ways(client, issuer)
        tried = 0
        for route in house.routes:
            path = route.path_format.format(**dict.fromkeys(route.param_convertors, "x"))
            for method in sorted(route.methods):
                if path.removeprefix(API) in HEALTH:
                    assert (await client.request(method, path)).status_code == 200
                    continue
                for way in ("a token", "a cookie", "a JWT", "nothing"):
                    house.gateway.calls = 0
                    answer = await client.request(method, path, headers=ways[way], json=None)
                    assert (answer.status_code, house.gateway.calls) == (418, 1), (method, path, way)
                    tried += 1
        assert tried > 100


async def test_signing_in_and_out_is_behind_them(stepwell_of: StepwellOf, client_of: ClientOf, issuer: Issuer) -> None:
    house = House(stepwell_of, issuer, None)
    async with client_of(house.stepwell, house.app) as client:
        token = (await house.ways(client, issuer))["a token"]["authorization"].removeprefix("Bearer ")
        house.gateway.calls = 0
        assert (await client.post(f"{API}/session", json={"token": token})).status_code == 418
        assert (await client.delete(f"{API}/session")).status_code == 418
        assert house.gateway.calls == 2
        signed_in = await client.post(f"{API}/session", json={"token": token}, headers=KEY)
        assert signed_in.status_code == 200
        cookies = " ".join(signed_in.headers.get_list("set-cookie"))
        assert COOKIE in cookies
        assert "gateway=seen" in cookies
        assert (await client.delete(f"{API}/session", headers=KEY)).status_code == 204
        assert house.gateway.calls == 4


async def test_the_developer_is_behind_them(stepwell_of: StepwellOf, client_of: ClientOf, issuer: Issuer) -> None:
    house = House(stepwell_of, issuer, None)
    house.app.dependency_overrides[no_user] = developer
    async with client_of(house.stepwell, house.app) as client:
        assert (await client.get(f"{API}/me")).status_code == 418
        assert (await client.get(f"{API}/me", headers=KEY)).status_code == 200
        assert house.gateway.calls == 2


async def test_health_webhooks_and_studios_files_are_not_behind_them(
    stepwell_of: StepwellOf, client_of: ClientOf, issuer: Issuer
) -> None:
    house = House(stepwell_of, issuer, Depends(current_user))
    async with client_of(house.stepwell, house.app) as client:
        for path in HEALTH:
            assert (await client.get(f"{API}{path}")).status_code == 200
        hook = await client.post("/hooks/in", content="{}", headers=sign_github("{}", "s3cret"))
        assert hook.status_code == 200
        assert (await client.get("/studio")).status_code in (200, 503)
        assert house.gateway.calls == 0


async def test_one_that_is_user_too_is_called_once(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    calls: list[str] = []

    async def signed_in(x_user: str = Header()) -> Principal:
        calls.append(x_user)
        return Principal(x_user, "admin")

    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    app = FastAPI(dependencies=[Depends(signed_in)])
    stepwell.mount(app, user=Depends(signed_in))
    async with client_of(stepwell, app) as client:
        ann = {"x-user": "ann"}
        assert (await client.get(f"{API}/me", headers=ann)).json()["user_id"] == "ann"
        assert calls == ["ann"]
        stale = {"cookie": f"{COOKIE}=stw_nothing"}
        assert (await client.get(f"{API}/me", headers=ann | stale)).json()["user_id"] == "ann"
        assert calls == ["ann", "ann"]


async def test_overrides_and_parameters_of_theirs_count_whatever_identifies_the_caller(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    async def original() -> None:
        raise HTTPException(418, "original")

    async def tenant(tenant: str) -> None: ...

    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    app = FastAPI(dependencies=[Depends(original)])
    stepwell.mount(app, user=Depends(current_user))
    app.dependency_overrides[original] = tenant
    async with client_of(stepwell, app) as client:
        asked, ann = {"tenant": "t"}, {"x-user": "ann"}
        made = await client.post(f"{API}/tokens", json={"name": "t", "role": "viewer"}, headers=ann, params=asked)
        bearer = {"authorization": f"Bearer {made.json()['token']}"}
        assert (await client.get(f"{API}/me", headers=bearer)).status_code == 422
        assert (await client.get(f"{API}/me", headers=bearer, params=asked)).status_code == 200
        unknown = await client.get(f"{API}/me", headers=bearer, params=asked | {"tenand": "t"})
        assert unknown.status_code == 422
        assert "tenand" in unknown.text
        signed_in = await client.post(f"{API}/session", json={"token": made.json()["token"]}, params=asked)
        assert signed_in.status_code == 200


async def test_one_that_reads_the_body_leaves_it_to_the_operation_and_has_its_bounds(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    seen: list[Any] = []

    async def noted(given: Annotated[Any, Body()]) -> None:
        seen.append(given)

    stepwell = stepwell_of(App("shop"), auth=AuthSettings())
    app = FastAPI(dependencies=[Depends(noted)])
    stepwell.mount(app, user=Depends(current_user))
    async with client_of(stepwell, app) as client:
        wanted = {"name": "t", "role": "viewer"}
        made = await client.post(f"{API}/tokens", json=wanted, headers={"x-user": "ann"})
        assert made.status_code == 201
        signed_in = await client.post(f"{API}/session", json={"token": made.json()["token"]})
        assert signed_in.status_code == 200
        assert seen == [wanted, {"token": made.json()["token"]}]
        large = await client.post(f"{API}/session", json={"token": "x" * 20_000})
        assert (large.status_code, len(seen)) == (413, 2)
