"""Nothing of a request is accepted and ignored, on any operation of the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import pytest
from api_shop import ROOT, U1, good, problem, served, shop
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Security
from fastapi.security import APIKeyQuery
from starlette.applications import Starlette

from stepwell import Settings, Stepwell
from stepwell.errors import ConfigurationError

API = "/api/v1"


class Operation(NamedTuple):
    """One operation of the document, with a request that reaches it."""

    method: str
    path: str
    described: dict[str, Any]

    @property
    def url(self) -> str:
        path = self.path
        for name in ("workflow_id", "app_name", "workflow_name", "name", "route", "token_id"):
            path = path.replace(f"{{{name}}}", "shop" if name == "app_name" else "x")
        return path

    def parameters(self, where: str) -> dict[str, dict[str, Any]]:
        return {one["name"]: one["schema"] for one in self.described.get("parameters", ()) if one["in"] == where}

    @property
    def takes_body(self) -> bool:
        return "requestBody" in self.described

    async def refused(self, client: httpx.AsyncClient, **request: Any) -> list[dict[str, Any]]:
        """The fields for which this request is refused."""
        found: list[dict[str, Any]] = problem(await client.request(self.method, self.url, **request), 422)["errors"]
        return found


@asynccontextmanager
async def opened(folder: Path, app: FastAPI | None = None, **mounted: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(_env_file=None, database_url=f"sqlite:///{folder}/s.db", drain_seconds=0)
    stepwell = Stepwell([shop()], settings=settings, embedded_worker=False)
    if app is None:
        app = served(stepwell)
    else:
        stepwell.mount(app, **mounted)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        stepwell.lifespan(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=ROOT) as client,
    ):
        yield client


async def operations(client: httpx.AsyncClient) -> list[Operation]:
    paths = good(await client.get(f"{API}/openapi.json"))["paths"]
    found = [
        Operation(method.upper(), path, described)
        for path, methods in paths.items()
        for method, described in methods.items()
    ]
    assert len(found) > 35
    return found


def many(schema: dict[str, Any]) -> bool:
    return any(one.get("type") == "array" for one in (schema, *schema.get("anyOf", ())))


async def test_an_unknown_query_parameter_is_refused_by_every_operation(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        for one in await operations(client):
            [error] = await one.refused(client, params={"zzzz": "1"})
            assert error["loc"] == ["query", "zzzz"], one
            assert error["msg"].startswith(("no such parameter; choose from ", "no such parameter; there is none")), one
            for name in one.parameters("query"):
                [error] = await one.refused(client, params={name + "x": "1"})
                assert error["msg"].endswith(f"did you mean {name}?"), one


async def test_a_single_value_given_twice_is_refused_by_every_operation(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        for one in await operations(client):
            for name, schema in one.parameters("query").items():
                if not many(schema):
                    errors = await one.refused(client, params={name: ["1", "1"]})
                    assert [error["loc"] for error in errors] == [["query", name]], one
                    assert errors[0]["msg"] == "it is given 2 times; give it once"
        good(await client.get(f"{API}/runs", params={"status": ["failed", "waiting"]}))


async def test_a_header_of_the_apis_own_is_refused_where_it_does_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        for one in await operations(client):
            for name in ("Idempotency-Key", "Last-Event-ID"):
                if name not in one.parameters("header"):
                    [error] = await one.refused(client, headers={name: "1"})
                    assert error["loc"] == ["header", name], one
                else:
                    errors = await one.refused(client, headers=[*ROOT.items(), (name, "1"), (name, "1")])
                    assert ["header", name] in [error["loc"] for error in errors], one


async def test_a_body_is_refused_where_it_does_nothing_and_its_fields_are_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        for one in await operations(client):
            errors = await one.refused(client, json={"zzzz": 1})
            if one.takes_body:
                wrong = [error for error in errors if error["loc"] == ["body", "zzzz"]]
                assert wrong[0]["msg"].startswith("no such field; choose from "), one
            else:
                assert [error["loc"] for error in errors] == [["body"]], one


async def test_an_unknown_field_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        body = {"app_name": "shop", "workflow": "write", "lables": []}
        answer = problem(await client.post(f"{API}/runs", json=body), 422)
        assert answer["detail"] == "lables: no such field; did you mean labels?"
        bulk = {"action": "cancel", "filter": {"lable": "x"}}
        answer = problem(await client.post(f"{API}/runs/bulk/preview", json=bulk), 422)
        assert answer["detail"] == "filter.lable: no such field; did you mean label?"
        assert answer["errors"][0]["loc"] == ["body", "filter", "lable"]


async def test_a_bulk_action_tells_of_each_run_that_was_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        run = good(await client.post(f"{API}/runs", json={"app_name": "shop", "workflow": "write"}), 202)["workflow_id"]
        absent = "0" * 8 + run[8:]
        named = {"action": "cancel", "runs": [run.upper(), "nonsense", absent]}
        answer = good(await client.post(f"{API}/runs/bulk/preview", json=named))
        assert (answer["eligible"], answer["skipped"]) == (1, {"there is no such run": 2})
        answer = good(await client.post(f"{API}/runs/bulk", json=named))
        assert (answer["done"], answer["skipped"]) == (1, {"there is no such run": 2})
        retried = {"action": "retry", "runs": [run], "reason": "why"}
        answer = problem(await client.post(f"{API}/runs/bulk", json=retried), 422)
        assert answer["errors"][0]["loc"] == ["body", "reason"]


async def test_a_body_that_says_nothing_may_be_sent_anywhere(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        for body in ({}, None):
            problem(await client.post(f"{API}/runs/x/retry", json=body), 404)


async def test_it_is_told_after_it_is_known_who_asks(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        client.headers["x-user"] = ""
        problem(await client.get(f"{API}/runs", params={"lable": "x"}), 401)
        problem(await client.get(f"{API}/health", params={"lable": "x"}), 422)


# -- what belongs to the application ------------------------------------------------------------------------------------

KEY = APIKeyQuery(name="api_key", auto_error=False)


async def raw(request: Request) -> str:
    return request.query_params["me"]


async def several(request: Request) -> str:
    return dict(request.query_params)["me"]


async def declared(me: str) -> str:
    return me


async def secured(me: Annotated[str, Security(APIKeyQuery(name="me"))]) -> str:
    return me


async def by_header(request: Request) -> str:
    return request.headers["x-user"]


@pytest.mark.parametrize("user", [raw, several, declared, secured])
async def test_what_the_application_reads_to_know_who_asks_is_its_own(tmp_path: Path, user: Any) -> None:
    async with opened(tmp_path, FastAPI(), user=Depends(user)) as client:
        assert good(await client.get(f"{API}/me", params={"me": "u1"}))["user_id"] == "u1"
        if user is not several:
            problem(await client.get(f"{API}/me", params={"me": "u1", "you": "u2"}), 422)


async def test_what_only_looks_at_headers_leaves_parameters_unknown(tmp_path: Path) -> None:
    async with opened(tmp_path, FastAPI(), user=Depends(by_header)) as client:
        problem(await client.get(f"{API}/me", params={"me": "u1"}), 422)


async def test_what_the_dependencies_of_the_whole_application_take_is_its_own(tmp_path: Path) -> None:
    async def tenant(
        tenant: str, key: Annotated[str | None, Security(KEY)] = None, page: int = Query(1, alias="p")
    ) -> None: ...

    app = FastAPI(dependencies=[Depends(tenant)])
    async with opened(tmp_path, app, user=Depends(by_header)) as client:
        good(await client.get(f"{API}/me", params={"tenant": "t", "api_key": "k", "p": "2"}))
        problem(await client.get(f"{API}/me", params={"tenant": "t", "api_kez": "k"}), 422)


async def test_the_applications_own_routes_are_left_alone(tmp_path: Path) -> None:
    app = FastAPI()

    @app.get("/own")
    async def own() -> str:
        return "mine"

    async with opened(tmp_path, app) as client:
        assert good(await client.get("/own", params={"what": "ever"}, headers={"Idempotency-Key": "k"})) == "mine"


NOT_APPLICATIONS = [
    pytest.param(None, "it is None", id="None"),
    pytest.param(APIRouter(), "it is an APIRouter", id="a router"),
    pytest.param(Starlette(), "it is of type starlette.applications.Starlette", id="Starlette"),
    pytest.param(FastAPI, "it is the class FastAPI", id="the class"),
    pytest.param("main:app", "it is of type builtins.str", id="a text"),
]


@pytest.mark.parametrize(("app", "text"), NOT_APPLICATIONS)
def test_only_a_fastapi_application_takes_a_mount(tmp_path: Path, app: Any, text: str) -> None:
    stepwell = Stepwell([shop()], settings=Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/s.db"))
    with pytest.raises(ConfigurationError, match=rf"mount\(app\): {text}, not a FastAPI application\. .*app"):
        stepwell.mount(app)


async def test_the_last_event_must_be_one_of_the_stream(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        client.headers.update(U1)
        run = good(await client.post(f"{API}/runs", json={"app_name": "shop", "workflow": "write"}), 202)
        for path in (f"{API}/runs/{run['workflow_id']}/events", f"{API}/events"):
            problem(await client.get(path, headers={"Last-Event-ID": "garbage"}), 422)
