"""Every operation of the API by every kind of caller, cell by cell: what is answered, and what it shows.

The rows are the operations of the OpenAPI document; one that isn't in the table fails. The columns are callers. The runs,
schedules and deliveries that are asked for belong to the user `ann` and the app `shop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI, Header

from conformance.support import reaches
from stepwell import END, App, Ask, Settings, Start, Stepwell, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.console.http.access.tokens import NewToken, make_token
from stepwell.execution.clock import to_datetime
from stepwell.fastapi import Principal
from stepwell.settings import AuthSettings
from stepwell.store import tokens
from stepwell.testing.webhooks import sign_github
from stepwell.triggers import github_signature

SECRET = "s3cret"

USERS = {
    "viewer": Principal("ann", "viewer"),
    "operator": Principal("ann"),
    "other": Principal("bob"),
    "watcher": Principal("wim", "viewer", everybody=True),
    "everybody": Principal("eve", everybody=True),
    "admin": Principal("adam", "admin"),
    "assignee": Principal("zoe"),
    "member": Principal("mia", groups=frozenset({"finance"})),
}
"""The assignee and the member of the group are asked a question by each run of ann's that rests at a place."""
TOKENS = {
    "ann's token of another app": NewToken(name="t", user_id="ann", role="operator", apps=["office"]),
    "admin of another app": NewToken(name="t", user_id="olaf", role="admin", apps=["office"]),
}
CALLERS = ("nobody", *USERS, *TOKENS)


# -- the world that is asked for --------------------------------------------------------------------------------------


class Review(Workflow[None, None, str]):
    """Waits for its user, asks others too, and has a document, a step and a child."""

    @transition(target="asked")
    async def ask(self) -> None:
        await self.step("once", one)
        await self.start(Break)

    @transition("asked", END, wait=True)
    async def decide(self) -> str:
        return "decided"

    @transition("asked", END, wait=True, ask=Ask("Approve it?", assignee="zoe", group="finance"))
    async def approve(self) -> str:
        return "approved"


async def one() -> int:
    return 1


class Break(Workflow[None, None, str], name="break_it"):
    @transition(target=END)
    async def crash(self) -> str:
        raise RuntimeError("broken")


class Write(Workflow[None, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return "written"


class Note(Workflow[None, None, None]):
    """Of the other app."""

    @transition(target="noted")
    async def note(self) -> None: ...

    @transition("noted", END, wait=True)
    async def done(self) -> None: ...


def shop(broken: list[bool]) -> App:
    app = App("shop", workflows=[Review, Break, Write])
    app.schedule("breaking", workflow=Break, user_id="ann", every=timedelta(days=365))

    @app.cron("0 3 * * *", name="nightly")
    async def nightly(runner: WorkflowRunner) -> None: ...

    @app.webhook("/hooks/in", verify=github_signature(secret=SECRET), name="in")
    async def take(runner: WorkflowRunner, event: WebhookEvent) -> None:
        if broken:
            raise RuntimeError("broken")

    return app


async def current_user(x_caller: Annotated[str | None, Header()] = None) -> Principal | None:
    return USERS.get(x_caller or "")


@dataclass
class World:
    """The application, open, and a way to make what is asked for; each cell asks for something new."""

    stepwell: Stepwell
    app: FastAPI
    broken: list[bool]
    secrets: dict[str, str]

    async def run(self, workflow: Any = Review) -> str:
        """A run of ann's that rests: it waits, or failed, or completed."""
        runner = self.stepwell.runner
        done = await runner.run_sync(workflow, app_name="shop", user_id="ann", timeout=timedelta(seconds=60))
        return str(done.workflow_id)

    async def delivery(self) -> str:
        """A delivery whose handler failed, and wouldn't any more."""
        body = json.dumps({"a": str(uuid4())})  # the same content again would be the same delivery
        headers = sign_github(body, SECRET)
        self.broken.append(True)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost") as client:
            assert (await client.post("/hooks/in", content=body, headers=headers)).status_code == 500
        self.broken.clear()
        return headers["X-GitHub-Delivery"]

    async def tick(self) -> str:
        """When a tick was due whose run failed."""
        row = await self.stepwell.scheduler.fire("shop", "breaking")
        await reaches(self.stepwell.runner, str(row.run_id), "failed")
        return to_datetime(row.scheduled_at).isoformat()

    async def schedule(self) -> str:
        """The name of a schedule that ann has made."""
        made = self.stepwell.runner.schedules
        return (await made.create(str(uuid4()), Write, app_name="shop", user_id="ann", every=timedelta(days=365))).name

    async def token(self, wanted: NewToken) -> tuple[str, str]:
        """(id, secret) of a new token."""
        now = self.stepwell.opening.shared.clock.now()
        secret, row = make_token(wanted, Principal("cli", "admin"), None, now)
        await self.stepwell.opening.core.store.writer.call(lambda tx: tokens.add(tx, row))
        return row.id, secret

    async def ask(
        self,
        caller: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        until: str = "",
        seconds: float = 60,
        **more: str,
    ) -> tuple[int, bytes]:
        """(status, what came) of a request. One to a stream leaves when `until` has come, or after these seconds."""
        sent: list[Any] = []
        began = asyncio.Event()
        content = b"" if body is None else json.dumps(body).encode()
        where, _, query = path.partition("?")
        headers = self._headers(caller) | more | ({} if body is None else {"content-type": "application/json"})
        given = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Any:
            if given:
                return given.pop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(began.wait(), seconds)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message.get("body") and until.encode() in message["body"]:
                began.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": method,
            "path": f"/api/v1{where}",
            "raw_path": f"/api/v1{where}".encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        async with asyncio.timeout(60):
            await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    def _headers(self, caller: str) -> dict[str, str]:
        if caller in self.secrets:
            return {"host": "localhost", "authorization": f"Bearer {self.secrets[caller]}"}
        return {"host": "localhost", "x-caller": caller}


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    """A world on SQLite: one kind is enough, the stores are compared elsewhere."""
    broken: list[bool] = []
    given = Settings(_env_file=None, database_url=f"sqlite:///{folder}/roles.db", drain_seconds=0, auth=AuthSettings())
    stepwell = Stepwell([shop(broken), App("office", workflows=[Note])], settings=given)
    app = FastAPI(lifespan=stepwell.lifespan)
    stepwell.mount(app, user=Depends(current_user), include_in_schema=True)
    async with stepwell.lifespan(app):
        made = World(stepwell, app, broken, {})
        for caller, wanted in TOKENS.items():
            made.secrets[caller] = (await made.token(wanted))[1]
        yield made


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world of the test's own."""
    async with opened(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world_of_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world for cells, each of which makes what it asks for."""
    async with opened(tmp_path_factory.mktemp("roles")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def looked_at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Mapping[str, str]]]:
    """A world that is only read, and the ids of what is in it of ann's."""
    async with opened(tmp_path_factory.mktemp("looked_at")) as made:
        yield made, await everything(made)


# -- the table --------------------------------------------------------------------------------------------------------

Request = Callable[[World], Awaitable[tuple[str, str, Any]]]


def at(method: str, path: str, body: Any = None) -> Request:
    """The same request for everybody."""

    async def request(world: World) -> tuple[str, str, Any]:
        return method, path, body

    return request


def of_run(method: str, tail: str = "", body: Any = None, workflow: Any = Review) -> Request:
    """A request about a new run of ann's."""

    async def request(world: World) -> tuple[str, str, Any]:
        return method, f"/runs/{await world.run(workflow)}{tail}", body

    return request


def of_batch(method: str, tail: str = "", body: Any = None) -> Request:
    """A request about a new batch of ann's."""

    async def request(world: World) -> tuple[str, str, Any]:
        starts = [Start("review")]
        handle = await world.stepwell.runner.run_batch(starts, app_name="shop", user_id="ann")
        return method, f"/batches/{handle.batch_id}{tail}", body

    return request


def of_workspace(method: str, body: Any = None) -> Request:
    """A request about a new workspace of ann's."""

    async def request(world: World) -> tuple[str, str, Any]:
        made = await world.stepwell.runner.workspaces.create("shop", "ann", "Spring")
        return method, f"/workspaces/{made.workspace_id}", body

    return request


def of_mixed_batch(method: str, tail: str = "", body: Any = None) -> Request:
    """A request about a batch of ann's in another app, of which one run is the shop's."""

    async def request(world: World) -> tuple[str, str, Any]:
        starts = [Start("note"), Start("review", app_name="shop")]
        handle = await world.stepwell.runner.run_batch(starts, app_name="office", user_id="ann")
        return method, f"/batches/{handle.batch_id}{tail}", body

    return request


def of_group(tail: str = "") -> Request:
    """A request about a group of ann's; it is asked in the same way for a batch."""

    async def request(world: World) -> tuple[str, str, Any]:
        handle = await world.stepwell.runner.run_batch([Start("review")], app_name="shop", user_id="ann")
        return "GET", f"/groups/{handle.batch_id}{tail}", None

    return request


async def of_token(world: World) -> tuple[str, str, Any]:
    """A token of ann's that reaches all apps is revoked."""
    token_id, _ = await world.token(NewToken(name="t", user_id="ann", role="operator"))
    return "DELETE", f"/tokens/{token_id}", None


async def of_delivery(world: World) -> tuple[str, str, Any]:
    return "POST", "/deliveries/shop/in/redrive", {"delivery_id": await world.delivery()}


async def of_tick(world: World) -> tuple[str, str, Any]:
    return "POST", "/schedules/shop/breaking/retry", {"scheduled_at": await world.tick()}


async def of_new_schedule(world: World) -> tuple[str, str, Any]:
    return "POST", "/schedules", STARTS | {"name": str(uuid4()), "every": 3600}


def of_schedule(method: str, body: Any = None) -> Request:
    """A request about a new schedule of ann's."""

    async def request(world: World) -> tuple[str, str, Any]:
        name = await world.schedule()
        return method, f"/schedules/shop/{name}", body

    return request


async def of_sign_in(world: World) -> tuple[str, str, Any]:
    _, secret = await world.token(NewToken(name="t", user_id="ann", role="viewer"))
    return "POST", "/session", {"token": secret}


def of_bulk(path: str) -> Request:
    async def request(world: World) -> tuple[str, str, Any]:
        return "POST", path, {"action": "cancel", "runs": [await world.run()]}

    return request


def row(
    nobody: int,
    viewer: int,
    operator: int,
    other: int,
    watcher: int,
    everybody: int,
    admin: int,
    anns: int,
    olafs: int,
    asked: int | None = None,
) -> dict[str, int]:
    """The statuses in the order of CALLERS. Who is asked by a run sees no more than any other, unless `asked` is given."""
    asked = other if asked is None else asked
    found = (nobody, viewer, operator, other, watcher, everybody, admin, asked, asked, anns, olafs)
    return dict(zip(CALLERS, found, strict=True))


OPEN = row(200, 200, 200, 200, 200, 200, 200, 200, 200)
SIGNED_IN = row(401, 200, 200, 200, 200, 200, 200, 200, 200)
READ_RUN = row(401, 200, 200, 404, 200, 200, 200, 404, 404)
READ_SHOP = row(401, 200, 200, 200, 200, 200, 200, 404, 404)
READ_ALL = row(401, 403, 403, 403, 200, 200, 200, 403, 200)
READ_SHOPS = row(401, 403, 403, 403, 200, 200, 200, 404, 404)
ACT_ON_SHOPS = row(401, 403, 403, 403, 403, 200, 200, 403, 404)
ACT_ON_DECLARED = row(401, 403, 403, 403, 403, 200, 200, 404, 404)
ACT_ON_RUN = row(401, 403, 200, 404, 403, 200, 200, 404, 404)
ACT_ON_MANY = row(401, 403, 200, 200, 403, 200, 200, 200, 200)

STARTS = {"app_name": "shop", "workflow": "write"}
PAUSE = {"app_name": "shop", "workflow": "write"}
TOKEN = {"name": "t", "role": "viewer"}

TABLE: dict[str, tuple[Request, dict[str, int]]] = {
    "live": (at("GET", "/health/live"), OPEN),
    "health": (at("GET", "/health"), OPEN),
    "ready": (at("GET", "/health/ready"), OPEN),
    "get_openapi_document": (at("GET", "/openapi.json"), SIGNED_IN),
    "get_me": (at("GET", "/me"), SIGNED_IN),
    "sign_in": (of_sign_in, OPEN),
    "sign_out": (at("DELETE", "/session"), row(*[204] * 9)),
    "list_tokens": (at("GET", "/tokens"), SIGNED_IN),
    "create_token": (at("POST", "/tokens", TOKEN), row(401, *[201] * 8)),
    "revoke_token": (of_token, row(401, 204, 204, 404, 404, 404, 204, 403, 404)),
    "list_apps": (at("GET", "/apps"), SIGNED_IN),
    "list_workflows": (at("GET", "/workflows"), SIGNED_IN),
    "get_workflow": (at("GET", "/workflows/shop/review"), READ_SHOP),
    "start_run": (at("POST", "/runs", STARTS), row(401, 403, 202, 202, 403, 202, 202, 404, 404)),
    "list_runs": (at("GET", "/runs"), SIGNED_IN),
    "get_run": (of_run("GET"), READ_RUN),
    "get_history": (of_run("GET", "/history"), READ_RUN),
    "get_documents": (of_run("GET", "/documents"), READ_RUN),
    "get_steps": (of_run("GET", "/steps"), READ_RUN),
    "get_children": (of_run("GET", "/children"), READ_RUN),
    "explain_run": (of_run("GET", "/explain"), READ_RUN),
    "get_asks": (of_run("GET", "/asks"), READ_RUN),
    "get_taken": (of_run("GET", "/taken"), READ_RUN),
    "stream_run": (of_run("GET", "/events"), READ_RUN),
    "stream_runs": (at("GET", "/events"), SIGNED_IN),
    "signal_run": (
        of_run("POST", "/signals", {"name": "decide"}),
        {k: 202 if v == 200 else v for k, v in ACT_ON_RUN.items()},
    ),
    "get_inbox": (at("GET", "/inbox"), SIGNED_IN),
    "answer_run": (
        of_run("POST", "/answers/approve", {"data": None}),
        row(401, 403, 404, 404, 403, 404, 404, 404, 404, asked=202),  # ann doesn't approve her own, nor does an admin
    ),
    "assign_question": (
        of_run("PUT", "/questions/approve", {"assignee": "bob"}),
        row(401, 403, 404, 404, 403, 200, 200, 404, 404, asked=200),
    ),
    "cancel_run": (of_run("POST", "/cancel", {}), ACT_ON_RUN),
    "retry_run": (of_run("POST", "/retry", workflow=Break), ACT_ON_RUN),
    "fork_run": (
        of_run("POST", "/fork", {"checkpoint": 1}),
        {k: 202 if v == 200 else v for k, v in ACT_ON_RUN.items()},
    ),
    "update_run": (of_run("PATCH", body={"labels": ["a"], "subject": "b"}), ACT_ON_RUN),
    "delete_run": (of_run("DELETE", workflow=Write), {k: 204 if v == 200 else v for k, v in ACT_ON_RUN.items()}),
    "preview_bulk": (of_bulk("/runs/bulk/preview"), ACT_ON_MANY),
    "do_bulk": (of_bulk("/runs/bulk"), ACT_ON_MANY),
    "start_batch": (
        at("POST", "/batches", STARTS | {"items": [None]}),
        row(401, 403, 202, 202, 403, 202, 202, 404, 404),
    ),
    "list_batches": (at("GET", "/batches"), SIGNED_IN),
    "get_batch": (of_batch("GET"), READ_RUN),
    "list_batch_items": (of_batch("GET", "/items"), READ_RUN),
    "retry_batch": (of_batch("POST", "/retry"), ACT_ON_RUN),
    "cancel_batch": (of_batch("POST", "/cancel", {}), ACT_ON_RUN),
    "get_group": (of_group(), READ_RUN),
    "list_group_items": (of_group("/items"), READ_RUN),
    "list_run_groups": (of_run("GET", "/groups"), READ_RUN),
    "list_waiting": (at("GET", "/waiting"), SIGNED_IN),
    "get_counts": (at("GET", "/counts"), SIGNED_IN),
    "list_failures": (at("GET", "/failures"), SIGNED_IN),
    "get_metrics": (at("GET", "/metrics"), SIGNED_IN),
    "list_workspaces": (at("GET", "/workspaces"), SIGNED_IN),
    "create_workspace": (
        at("POST", "/workspaces", {"app_name": "shop", "user_id": "ann", "title": "Spring"}),
        row(401, 403, 201, 403, 403, 201, 201, 404, 404),
    ),
    "get_workspace": (of_workspace("GET"), READ_RUN),
    "rename_workspace": (of_workspace("PATCH", {"title": "Summer"}), ACT_ON_RUN),
    "list_workers": (at("GET", "/workers"), READ_ALL),
    "get_queue": (at("GET", "/queue"), READ_ALL),
    "list_misfits": (at("GET", "/misfits"), READ_ALL),
    "list_schedules": (at("GET", "/schedules"), SIGNED_IN),
    "create_schedule": (of_new_schedule, row(401, 403, 201, 201, 403, 201, 201, 404, 404)),
    "update_schedule": (of_schedule("PATCH", {"paused": True}), ACT_ON_RUN),
    "delete_schedule": (of_schedule("DELETE"), {k: 204 if v == 200 else v for k, v in ACT_ON_RUN.items()}),
    "get_schedule": (at("GET", "/schedules/shop/nightly"), READ_SHOPS),
    "pause_schedule": (at("POST", "/schedules/shop/nightly/pause"), ACT_ON_DECLARED),
    "resume_schedule": (at("POST", "/schedules/shop/nightly/resume"), ACT_ON_DECLARED),
    "fire_schedule": (at("POST", "/schedules/shop/nightly/fire"), ACT_ON_DECLARED),
    "retry_tick": (of_tick, ACT_ON_DECLARED),
    "list_pauses": (at("GET", "/pauses"), SIGNED_IN),
    "pause": (at("POST", "/pauses", PAUSE), ACT_ON_SHOPS),
    "resume": (at("POST", "/pauses/resume", PAUSE), ACT_ON_SHOPS),
    "list_limits": (at("GET", "/limits"), READ_ALL),
    "get_limit": (at("GET", "/limits/detail?id=none"), {k: 404 if v == 200 else v for k, v in READ_ALL.items()}),
    "list_deliveries": (at("GET", "/deliveries"), READ_ALL),
    "redrive_delivery": (of_delivery, ACT_ON_SHOPS),
}
"""Each operation: what is asked, and the status of the answer to each caller."""


@pytest.mark.asyncio(loop_scope="module")
async def test_every_operation_is_in_the_table(world_of_all: World) -> None:
    document = world_of_all.app.openapi()
    operations = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    assert operations == set(TABLE)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", TABLE)
async def test_what_each_caller_is_answered(operation: str, world_of_all: World) -> None:
    request, expected = TABLE[operation]
    answered = {}
    for caller in CALLERS:
        answered[caller], _ = await world_of_all.ask(caller, *await request(world_of_all))
    assert answered == expected


# -- what is shown of somebody else's ---------------------------------------------------------------------------------

ANN_AND_ALL = ("viewer", "operator", "watcher", "everybody", "admin")
ALL = ("watcher", "everybody", "admin")
OF_SHOP = ("viewer", "operator", "other", "watcher", "everybody", "admin", "assignee", "member")

SHOWN: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "list_runs": ("/runs", "waiting run", ANN_AND_ALL),
    "list_runs of the user": ("/runs?user_id=ann", "waiting run", ANN_AND_ALL),
    "list_runs of the app": ("/runs?app_name=shop", "waiting run", ANN_AND_ALL),
    "list_runs of the workspace": ("/runs?workspace_id={workspace}", "waiting run", ANN_AND_ALL),
    "list_runs of the parent": ("/runs?parent_id={waiting run}", "child", ANN_AND_ALL),
    "list_runs by a text": ("/runs?q={waiting run}", "waiting run", ANN_AND_ALL),
    "get_children": ("/runs/{waiting run}/children", "child", ANN_AND_ALL),
    "list_workflows": ("/workflows", "waiting run", ANN_AND_ALL),
    "list_workflows by name": ("/workflows", "break_it", OF_SHOP),
    "list_apps": ("/apps", "shop", OF_SHOP),
    "list_waiting": ("/waiting", "waiting run", ANN_AND_ALL),
    "get_inbox": ("/inbox", '"approve"', ("assignee", "member")),
    "get_inbox of their own": ("/inbox", '"decide"', ("viewer", "operator")),
    "get_inbox of everybody": ("/inbox?everybody=true", '"approve"', ALL),
    "list_failures": ("/failures", "failed run", ANN_AND_ALL),
    "get_counts": ("/counts", '"failed":2', ANN_AND_ALL),
    "get_metrics": ("/metrics", '"completed":1', ANN_AND_ALL),
    "list_workspaces": ("/workspaces", "workspace", ANN_AND_ALL),
    "list_workspaces of the user": ("/workspaces?user_id=ann", "workspace", ANN_AND_ALL),
    "list_workspaces that users made": ("/workspaces", "made workspace", ANN_AND_ALL),
    "get_workspace": ("/workspaces/{made workspace}", "Spring", ANN_AND_ALL),
    "list_runs of a workspace that was made": ("/runs?workspace_id={made workspace}", "run in it", ANN_AND_ALL),
    "list_schedules": ("/schedules", "nightly", ALL),
    "list_schedules that users made": ("/schedules", "schedule", ANN_AND_ALL),
    "list_schedules of the user": ("/schedules?user_id=ann", "schedule", ANN_AND_ALL),
    "list_schedules of a name": ("/schedules?name={schedule}", "schedule", ANN_AND_ALL),
    "get_schedule": ("/schedules/shop/{schedule}", "schedule", ANN_AND_ALL),
    "list_deliveries": ("/deliveries", "delivery", ALL),
    "list_pauses": ("/pauses", '"shop"', OF_SHOP),
    "list_pauses with reasons": ("/pauses", "the bank is away", ALL),
    "list_workers": ("/workers", '"shop"', ALL),
    "get_queue": ("/queue", '"later":2', ALL),
    "list_tokens": ("/tokens", "token", ("viewer", "operator", "admin", "ann's token of another app")),
    "get_history": ("/runs/{failed run}/history", "Traceback", ALL),
    "get_openapi_document": ("/openapi.json", "nightly", ()),
}
"""What a list shows, by what it must have in it (one of the names of `known`, or a text), and to whom."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", SHOWN)
async def test_whom_a_list_shows_what_is_anns(operation: str, looked_at: tuple[World, Mapping[str, str]]) -> None:
    path, text, shown = SHOWN[operation]
    world, known = looked_at
    for name, value in known.items():
        path = path.replace(f"{{{name}}}", value)
    sees = []
    for caller in CALLERS:
        status, body = await world.ask(caller, "GET", path)
        if status == 200 and known.get(text, text).encode() in body:
            sees.append(caller)
    assert set(sees) == set(shown)


async def everything(world: World) -> dict[str, str]:
    """Ids of what there is of ann's."""
    waiting = await world.run()
    failed = await world.run(Break)
    await world.run(Write)
    runner = world.stepwell.runner
    await runner.run(Write, app_name="shop", user_id="ann", delay=timedelta(hours=1))
    [child] = (await runner.list(parent_id=waiting)).items
    await reaches(runner, child.workflow_id, "failed")
    token_id, _ = await world.token(NewToken(name="t", user_id="ann", role="viewer"))
    made = (await runner.workspaces.create("shop", "ann", "Spring")).workspace_id
    later = timedelta(hours=1)
    within = await runner.run(Write, app_name="shop", user_id="ann", workspace_id=made, delay=later)
    await runner.pause("shop", Write, "the bank is away")
    return {
        "waiting run": waiting,
        "failed run": failed,
        "child": child.workflow_id,
        "workspace": (await runner.get(waiting)).workspace_id,
        "made workspace": made,
        "run in it": within.workflow_id,
        "delivery": await world.delivery(),
        "token": token_id,
        "schedule": await world.schedule(),
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_who_may_signal_and_answer_what_is_asked_and_what_isnt(world_of_all: World) -> None:
    asked = row(401, 403, 404, 404, 403, 404, 404, 404, 404, asked=202)
    own = row(401, 403, 202, 404, 403, 404, 404, 404, 404)
    table = {
        "/answers/decide": ({"data": None}, own),
        "/signals": ({"name": "approve"}, asked),
    }
    for tail, (body, expected) in table.items():
        answered = {}
        for caller in CALLERS:
            answered[caller], _ = await world_of_all.ask(caller, *await of_run("POST", tail, body)(world_of_all))
        assert answered == expected, tail


async def test_what_changes_many_runs_leaves_those_of_others_alone(world: World) -> None:
    run = await world.run()
    for choice in ({"runs": [run]}, {"filter": {"app_name": "shop"}}, {"filter": {"user_id": "ann"}}):
        for caller in ("other", *TOKENS):
            status, body = await world.ask(caller, "POST", "/runs/bulk", {"action": "cancel", **choice})
            assert status == 404 or json.loads(body)["done"] == 0, (caller, choice, body)
    assert (await world.stepwell.runner.get(run)).status == "waiting"


@pytest.mark.parametrize("verb", ["retry", "cancel"])
async def test_a_batch_is_changed_only_by_whom_all_of_its_apps_are_visible_to(world: World, verb: str) -> None:
    for caller, expected in row(401, 403, 200, 404, 403, 200, 200, 403, 403).items():
        method, path, body = await of_mixed_batch("POST", f"/{verb}")(world)
        status, text = await world.ask(caller, method, path, body)
        assert (caller, status) == (caller, expected), text
        if expected == 403:
            found = [item.status async for item in world.stepwell.runner.batch(path.split("/")[2]).items()]
            assert "canceled" not in found, caller


async def test_a_stream_tells_nobody_of_somebody_elses_runs(world: World) -> None:
    """`hello` says where one stands; what was missed since then is told to whom it belongs only."""
    _, hello = await world.ask("admin", "GET", "/events")
    position = next(line for line in hello.decode().splitlines() if line.startswith("id: "))[4:]
    run = await world.run()

    async def gets_it(caller: str) -> bool:
        seconds = 60 if caller in ANN_AND_ALL else 1  # what must not come can't be waited for
        given = {"last-event-id": position}
        _, body = await world.ask(caller, "GET", "/events", until=run, seconds=seconds, **given)
        return run.encode() in body

    got = await asyncio.gather(*map(gets_it, CALLERS))
    assert {caller for caller, one in zip(CALLERS, got, strict=True) if one} == set(ANN_AND_ALL)


async def test_starting_for_somebody_else_needs_everybody(world: World) -> None:
    answered = {}
    for caller in CALLERS:
        answered[caller], _ = await world.ask(caller, "POST", "/runs", {**STARTS, "user_id": "yan"})
    assert answered == row(401, 403, 403, 403, 403, 202, 202, 404, 404)
