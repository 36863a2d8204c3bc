"""What `mount` serves: whose runs, in which form, and errors that say what was wrong. Faults 15 and 16."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel

from stepwell import END, App, Markdown, Stepwell, Workflow, WorkflowRunner, transition
from stepwell import Depends as StepwellDepends
from stepwell.errors import ConfigurationError, StepwellError, StoreUnavailable, WorkflowNotFound
from stepwell.fastapi import Runner
from stepwell.triggers import BadSignature

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


class Order(BaseModel):
    order_id: str


class Ship(Workflow[Order, dict[str, Any], str]):
    @transition(target="packed")
    async def pack(self) -> None:
        await self.documents.save(Markdown(text="packed"))

    @transition("packed", END, wait=True)
    async def send(self) -> str:
        return "sent"


class Break(Workflow[None, None, str], name="break_it"):
    @transition(target=END)
    async def crash(self) -> str:
        raise RuntimeError("broken")


def shop() -> App:
    return App("shop", workflows=[Ship, Break])


@dataclass
class User:
    id: Any


async def current_user(x_user: Annotated[str | None, Header()] = None) -> User | None:
    if x_user == "barred":
        raise HTTPException(401, "Not yours.", headers={"WWW-Authenticate": "Bearer"})
    return User(x_user) if x_user else None


CURRENT_USER = Depends(current_user)


def served(stepwell: Stepwell, user: Any = CURRENT_USER) -> FastAPI:
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=user)
    return app


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    return found


# -- whose runs -------------------------------------------------------------------------------------------------------


async def test_without_user_the_runs_are_nobodys_and_health_works(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell, None)) as client:
        run = await stepwell.runner.run(Ship, {"order_id": "A"}, app_name="shop", user_id="u1")
        for path in (
            "",
            f"/{run.workflow_id}",
            f"/{run.workflow_id}/history",
            f"/{run.workflow_id}/documents",
            "?limit=0",
        ):
            found = problem(await client.get(f"/api/v1/runs{path}"))
            assert found["status"] == 403
            assert "stepwell.mount(app, user=Depends(current_user))" in found["detail"]
        assert (await client.get("/api/v1/health")).status_code == 200


async def test_fault_15_a_user_sees_their_own_runs_and_nobody_elses(
    stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        mine = await stepwell.runner.run(Ship, {"order_id": "A"}, app_name="shop", user_id="u1")
        other = await stepwell.runner.run(Ship, {"order_id": "B"}, app_name="shop", user_id="u2")
        me = {"x-user": "u1"}
        listed = (await client.get("/api/v1/runs", headers=me)).json()
        assert [run["workflow_id"] for run in listed["items"]] == [mine.workflow_id]
        for tail in ("", "/history", "/documents"):
            assert (await client.get(f"/api/v1/runs/{mine.workflow_id}{tail}", headers=me)).status_code == 200
            found = problem(await client.get(f"/api/v1/runs/{other.workflow_id}{tail}", headers=me))
            missing = problem(await client.get(f"/api/v1/runs/{mine.workflow_id[::-1]}{tail}", headers=me))
            assert (found["status"], missing["status"]) == (404, 404)
            assert found["type"] == missing["type"] == "urn:stepwell:workflow-not-found"
        # No parameter widens what the user may see.
        for query in ("?user_id=u2", f"?workspace_id={(await other.get()).workspace_id}"):
            items = (await client.get(f"/api/v1/runs{query}", headers=me)).json()["items"]
            assert other.workflow_id not in [run["workflow_id"] for run in items]


@pytest.mark.parametrize("headers", [{}, {"x-user": ""}])
async def test_nobody_signed_in_sees_nothing(
    headers: dict[str, str], stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell)) as client:
        await stepwell.runner.run(Ship, {"order_id": "A"}, app_name="shop", user_id="u1")
        assert problem(await client.get("/api/v1/runs", headers=headers))["status"] == 401


async def test_the_applications_own_refusal_stays_its_own(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **{"x-user": "barred"}) as client:
        answer = await client.get("/api/v1/runs")
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not yours."})
        assert answer.headers["www-authenticate"] == "Bearer"


SAME = UUID("6b3c0a0e-0000-4000-8000-000000000001")


def a_text() -> str:
    return str(SAME)


@pytest.mark.parametrize("user", [Depends(lambda: User(SAME)), Depends(a_text), a_text, lambda: User(str(SAME))])
async def test_a_user_is_an_id_or_has_one(user: Any, stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell, user)) as client:
        await stepwell.runner.run(Ship, {"order_id": "A"}, app_name="shop", user_id=str(SAME))
        assert len((await client.get("/api/v1/runs")).json()["items"]) == 1


async def test_a_user_without_an_id_is_said_to_be_none(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell, lambda: {"id": "u1"})) as client:
        found = problem(await client.get("/api/v1/runs"))
        assert (found["status"], found["detail"]) == (
            500,
            "mount(user=...): dict has no id; return one, or the id itself.",
        )


def _exits() -> str:
    raise SystemExit(3)


async def _leaves() -> str:
    raise KeyboardInterrupt("left")


@pytest.mark.parametrize("user", [_exits, _leaves])
async def test_a_dependency_that_exits_is_an_error_of_its_request_and_ends_no_server(
    user: Any, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell, Depends(user))) as client:
        assert (await client.get("/api/v1/runs")).status_code == 500


@pytest.mark.parametrize("user", ["u1", StepwellDepends(a_text)])
def test_what_cannot_say_who_asks_is_refused_at_once(user: Any, stepwell_of: StepwellOf) -> None:
    app = FastAPI()
    with pytest.raises(ConfigurationError, match="give FastAPI's Depends"):
        stepwell_of(shop()).mount(app, user=user)
    assert not hasattr(app.state, "stepwell")


def test_an_application_has_one_stepwell(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(shop())
    app = served(stepwell)
    with pytest.raises(ConfigurationError, match="mounted on this application already"):
        stepwell.mount(app)


# -- in which form ----------------------------------------------------------------------------------------------------


async def test_runs_are_json_of_the_runners_models(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **{"x-user": "u1"}) as client:
        done = await stepwell.runner.run_sync(
            Ship, {"order_id": "A"}, app_name="shop", user_id="u1", labels=["vip"], timeout=timedelta(seconds=60)
        )
        path = f"/api/v1/runs/{done.workflow_id}"
        run = (await client.get(path)).json()
        assert run == (await stepwell.runner.get(str(done.workflow_id))).model_dump(mode="json")
        assert (run["status"], run["waiting_for"], run["args"]) == ("waiting", ["send"], {"order_id": "A"})
        history = (await client.get(f"{path}/history")).json()
        assert [(row["version"], row["transition"], row["status"]) for row in history] == [
            (0, None, "committed"),
            (1, "pack", "committed"),
        ]
        [document] = (await client.get(f"{path}/documents")).json()
        assert (document["name"], document["content"]) == ("markdown", {"text": "packed"})


async def test_lists_are_filtered_and_paged(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **{"x-user": "u1"}) as client:
        for number in range(5):
            await stepwell.runner.run_sync(
                Ship, {"order_id": str(number)}, app_name="shop", user_id="u1", labels=[f"n{number % 2}"]
            )
        first = (await client.get("/api/v1/runs?limit=3")).json()
        second = (await client.get("/api/v1/runs", params={"limit": 3, "cursor": first["next_cursor"]})).json()
        orders = [run["args"]["order_id"] for run in first["items"] + second["items"]]
        assert orders == ["4", "3", "2", "1", "0"]
        assert second["next_cursor"] is None
        for query, count in {
            "?status=waiting": 5,
            "?status=waiting&status=failed": 5,
            "?status=completed": 0,
            "?label=n1": 2,
            "?workflow=ship&app_name=shop": 5,
            "?workflow=other": 0,
        }.items():
            assert len((await client.get(f"/api/v1/runs{query}")).json()["items"]) == count, query


async def test_a_traceback_stays_inside(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **{"x-user": "u1"}) as client:
        done = await stepwell.runner.run_sync(Break, app_name="shop", user_id="u1")
        rows = (await client.get(f"/api/v1/runs/{done.workflow_id}/history")).json()
        assert rows[1]["error"] == "Break.crash: RuntimeError: broken"
        assert [row["trace"] for row in rows] == [None, None]


# -- health -----------------------------------------------------------------------------------------------------------


async def test_health(stepwell_of: StepwellOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell, None)) as client:
        for path in ("", "/live", "/ready"):
            assert (await client.get(f"/api/v1/health{path}")).status_code == 200
        assert stepwell.process is not None

        async def unreachable() -> None:
            raise StoreUnavailable("The database can't be read: secret details.")

        with monkeypatch.context() as patch:
            patch.setattr(stepwell.process.store, "_probe", unreachable)
            answer = await client.get("/api/v1/health/ready")
            assert (answer.status_code, answer.json()["faults"]) == (503, ["the database can't be read"])
            assert (await client.get("/api/v1/health/live")).status_code == 200
        stepwell.process.duties.lasting[0].cancel()
        await asyncio.wait(stepwell.process.duties.lasting[:1], timeout=60)
        answer = await client.get("/api/v1/health")
        assert (answer.status_code, answer.json()["faults"]) == (503, ["a duty of this process has ended"])


# -- errors -----------------------------------------------------------------------------------------------------------


async def test_fault_16_wrong_parameters_are_named(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, served(stepwell), **{"x-user": "u1"}) as client:
        for query, name in {"limit=0": "limit", "limit=x": "limit", "status=done": "status"}.items():
            found = problem(await client.get(f"/api/v1/runs?{query}"))
            assert found["status"] == 422
            assert name in found["errors"][0]["loc"]
            assert found["detail"]


def with_endpoints(app: FastAPI) -> FastAPI:
    @app.get("/run")
    async def run(runner: Runner, order_id: str = "A", app_name: str = "shop") -> dict[str, str]:
        args = {"order_id": order_id} if order_id != "none" else {"password": "hunter2"}
        started = await runner.run(Ship, args, app_name=app_name, user_id="u1")
        return {"workflow_id": started.workflow_id}

    @app.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise {
            "store": StoreUnavailable("The disk is full.", outcome="unknown", workflow_id="w1"),
            "signature": BadSignature("HMAC: check the secret."),
            "other": RuntimeError("not of Stepwell"),
        }[name]

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, runner: Runner) -> None:
        await websocket.accept()
        run = await runner.run(Ship, {"order_id": "W"}, app_name="shop", user_id="u1")
        await websocket.send_text(run.workflow_id)
        await runner.get("nope")

    return app


async def test_fault_16_errors_in_the_applications_endpoints_are_problems(
    stepwell_of: StepwellOf, client_of: ClientOf, caplog: pytest.LogCaptureFixture
) -> None:
    stepwell = stepwell_of(shop())
    async with client_of(stepwell, with_endpoints(served(stepwell))) as client:
        found = problem(await client.get("/run?order_id=none"))
        assert (found["status"], found["title"]) == (422, "Invalid args")
        assert found["detail"].startswith("The args of Ship don't fit Order: order_id: Field required")
        assert found["errors"] == [{"type": "missing", "loc": ["order_id"], "msg": "Field required"}]
        found = problem(await client.get("/run?app_name=chop"))
        assert (found["status"], found["detail"]) == (404, "No app 'chop'. Registered: shop.")
        answer = await client.get("/raise/store")
        assert (answer.headers["retry-after"], problem(answer)["outcome"], problem(answer)["workflow_id"]) == (
            "1",
            "unknown",
            "w1",
        )
        assert "The disk is full." in caplog.text
        assert problem(await client.get("/raise/signature"))["detail"] == "The signature is missing, wrong or too old."
        assert (await client.get("/raise/other")).text == "Internal Server Error"


@pytest.mark.parametrize("before", [True, False])
async def test_a_handler_of_the_application_is_not_overridden(
    before: bool, stepwell_of: StepwellOf, client_of: ClientOf
) -> None:
    stepwell = stepwell_of(shop())
    app = FastAPI(lifespan=stepwell.lifespan)
    if not before:
        stepwell.mount(app, user=CURRENT_USER)

    @app.exception_handler(StepwellError)
    async def own(request: Request, error: StepwellError) -> JSONResponse:
        return JSONResponse({"own": type(error).__name__}, status_code=418)

    if before:
        stepwell.mount(app, user=CURRENT_USER)
    with_endpoints(app)
    async with client_of(stepwell, app, **{"x-user": "u1"}) as client:
        assert (await client.get("/run?app_name=chop")).json() == {"own": "UnknownApp"}
        # Stepwell's own routes speak one language, whatever the application's.
        assert problem(await client.get("/api/v1/runs/nope"))["status"] == 404


# -- Runner -----------------------------------------------------------------------------------------------------------


async def test_runner_without_mount(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())
    app = with_endpoints(FastAPI(lifespan=stepwell.lifespan))
    async with client_of(stepwell, app) as client:
        started = (await client.get("/run")).json()
        assert (await stepwell.runner.get(started["workflow_id"])).args == {"order_id": "A"}


async def test_runner_with_a_lifespan_of_the_applications_own(stepwell_of: StepwellOf, client_of: ClientOf) -> None:
    stepwell = stepwell_of(shop())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with stepwell:
            yield

    app = with_endpoints(FastAPI(lifespan=lifespan))
    stepwell.mount(app)
    transport = httpx.ASGITransport(app)
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/run")).status_code == 200


async def test_an_application_without_a_stepwell_is_told_the_cure() -> None:
    app = with_endpoints(FastAPI())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        with pytest.raises(
            ConfigurationError, match=r"FastAPI\(lifespan=stepwell.lifespan\), or call stepwell.mount\(app\)"
        ):
            await client.get("/run")


def test_runner_in_plain_endpoints_and_websockets(stepwell_of: StepwellOf) -> None:
    stepwell = stepwell_of(shop())
    app = with_endpoints(served(stepwell))

    @app.get("/plain")
    def plain(runner: Runner) -> str:
        assert isinstance(runner, WorkflowRunner)
        return str(runner.blocking.run(Ship, {"order_id": "P"}, app_name="shop", user_id="u1").workflow_id)

    with TestClient(app, headers={"x-user": "u1"}) as client:
        assert client.get(f"/api/v1/runs/{client.get('/plain').json()}").json()["args"] == {"order_id": "P"}
        # Raised in the endpoint, seen when the socket is left.
        with pytest.raises(WorkflowNotFound), client.websocket_connect("/socket") as socket:  # noqa: PT012
            assert client.get(f"/api/v1/runs/{socket.receive_text()}").status_code == 200
            socket.receive_text()


def test_the_routes_are_in_the_applications_schema(stepwell_of: StepwellOf, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        app = FastAPI()
        stepwell_of(shop()).mount(app, include_in_schema=True)
        schema = app.openapi()
    assert {"/api/v1/runs", "/api/v1/runs/{workflow_id}", "/api/v1/events", "/api/v1/health"} <= schema["paths"].keys()
    assert all(path.startswith("/api/v1/") for path in schema["paths"])
