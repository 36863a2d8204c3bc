"""Every error, how it is made, its text and the HTTP status with which the API answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import BaseModel

from stepwell import END, App, Settings, Stepwell, Workflow, WorkflowRunner, errors, transition
from stepwell.errors import StepwellError

TABLE: list[tuple[StepwellError, int, str]] = [
    (errors.StepwellError("something is wrong"), 500, "something is wrong"),
    (errors.ConfigurationError("queue_url: no such scheme"), 500, "queue_url: no such scheme"),
    (
        errors.DefinitionError("Workflow 'Order'", ["no transition leaves START", "place 'paid' can't be left"]),
        500,
        "Workflow 'Order' can't be used:\n  - no transition leaves START\n  - place 'paid' can't be left",
    ),
    (
        errors.NotBuilt("Settings.queue_url"),
        501,
        "Settings.queue_url isn't built yet in this version of Stepwell; nothing was stored.",
    ),
    (errors.UnknownApp("no app 'shop'"), 404, "no app 'shop'"),
    (errors.UnknownWorkflow("no workflow 'order'"), 404, "no workflow 'order'"),
    (errors.UnknownTransition("no signal 'approve'"), 422, "no signal 'approve'"),
    (errors.WorkflowNotFound("no run 'w1'"), 404, "no run 'w1'"),
    (errors.WorkspaceNotFound("no workspace 'ws1'"), 404, "no workspace 'ws1'"),
    (errors.InvalidArgs("order_id: missing", [{"loc": ("order_id",), "type": "missing"}]), 422, "order_id: missing"),
    (errors.InvalidPayload("note: too long", [{"loc": ("note",), "type": "too_long"}]), 422, "note: too long"),
    (errors.PayloadTooLarge("state: 2 MiB"), 413, "state: 2 MiB"),
    (errors.UnknownTransition("a child fires 'paid'", callback=True), 409, "a child fires 'paid'"),
    (errors.RunFinished("run 'w1' is completed"), 409, "run 'w1' is completed"),
    (errors.RunBusy("run 'w1' is executing"), 409, "run 'w1' is executing"),
    (errors.RunNotFinished("run 'w1' waits"), 409, "run 'w1' waits"),
    (errors.CheckpointGone("checkpoint 3"), 410, "checkpoint 3"),
    (errors.InvalidState("total: missing", [{"loc": ("total",), "type": "missing"}]), 422, "total: missing"),
    (errors.AlreadyAnswered("u2 was first", by="u2", at=datetime(2026, 1, 5, tzinfo=UTC)), 409, "u2 was first"),
    (errors.LinkNotFound("cut off"), 404, "cut off"),
    (errors.LinkExpired("valid until noon"), 410, "valid until noon"),
    (errors.IdempotencyConflict("key 'k'"), 409, "key 'k'"),
    (errors.StatelessError("parked at 'review'"), 409, "parked at 'review'"),
    (errors.TransitionFailed("returned a value"), 500, "returned a value"),
    (errors.TransitionTimeout("took longer than 30 s"), 500, "took longer than 30 s"),
    (errors.RunFailed("run 'w1' failed", workflow_id="w1", status="failed"), 409, "run 'w1' failed"),
    (errors.LeaseLost("run 'w1'"), 409, "run 'w1'"),
    (errors.StoreUnavailable("disk full", outcome="unknown", workflow_id="w1"), 503, "disk full"),
    (errors.ReadTooLong("narrow the filter"), 503, "narrow the filter"),
    (errors.BadSignature("the time stamp is 900 s old"), 401, "the time stamp is 900 s old"),
    (errors.NotSignedIn("sign in first"), 401, "sign in first"),
    (errors.NoAccess("say who asks"), 403, "say who asks"),
    (errors.TooManyAttempts("wait a minute", retry_after=60), 429, "wait a minute"),
    (errors.TooManyReads("wait for answers", retry_after=2), 429, "wait for answers"),
    (errors.TooManyStreams("close some", retry_after=5), 429, "close some"),
    (errors.TooManyTokens("revoke one"), 409, "revoke one"),
    (errors.GroupNotFound("no group 'g'"), 404, "no group 'g'"),
    (errors.LimitNotFound("no limit 'x'"), 404, "no limit 'x'"),
    (errors.BatchNotFound("no batch 'b1'"), 404, "no batch 'b1'"),
    (errors.ScheduleNotFound("no schedule 's'"), 404, "no schedule 's'"),
    (errors.ScheduleExists("'s' is taken"), 409, "'s' is taken"),
    (errors.DeliveryNotFound("no delivery 'd'"), 404, "no delivery 'd'"),
    (errors.CursorNotFound("no page ended there"), 404, "no page ended there"),
    (errors.TokenNotFound("no token 't1'"), 404, "no token 't1'"),
    (errors.IssuerUnavailable("https://login.example can't be reached"), 503, "https://login.example can't be reached"),
    (errors.StepTimeout("the step 'charge' took longer than 5 s"), 500, "the step 'charge' took longer than 5 s"),
    (errors.StepUnknown("the step 'charge' was begun before"), 500, "the step 'charge' was begun before"),
    (errors.NonRetryable("the card was stolen"), 500, "the card was stolen"),
    (errors.RetryAfter(timedelta(seconds=1.5)), 500, "try again after 1.5 s"),
    (errors.RetryAfter(timedelta(minutes=1), "the bank is busy"), 500, "the bank is busy"),
]


@pytest.mark.parametrize(("error", "status", "text"), TABLE, ids=lambda value: type(value).__name__)
def test_an_error_says_what_is_wrong(error: StepwellError, status: int, text: str) -> None:
    assert str(error) == text
    assert error.http_status == status
    assert isinstance(error, StepwellError)


def test_every_error_is_in_the_table() -> None:
    assert {type(error).__name__ for error, _, _ in TABLE} == set(errors.__all__)


def public_classes() -> dict[str, type[StepwellError]]:
    found = inspect.getmembers(errors, lambda value: inspect.isclass(value) and issubclass(value, StepwellError))
    return {name: value for name, value in found if not name.startswith("_")}


def test_every_class_is_public() -> None:
    assert sorted(public_classes()) == errors.__all__


def drawn_tree() -> dict[str, str]:
    """Each class in the module's docstring, with the class that it is drawn under."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"^([ │]*(?:[├└]── )?)([A-Z]\w+)(?:\s{2,}\S|$)", line):
            depth, name = len(match[1]), match[2]
            path = [(at, above) for at, above in path if at < depth]
            parents[name] = path[-1][1] if path else ""
            path.append((depth, name))
    return parents


def test_the_docstring_draws_the_tree() -> None:
    classes = public_classes()
    public_parents = {
        name: next((base.__name__ for base in cls.__mro__[1:] if base.__name__ in classes), "")
        for name, cls in classes.items()
    }
    assert drawn_tree() == public_parents


@pytest.mark.parametrize("error", [errors.InvalidArgs, errors.InvalidPayload])
def test_validation_errors_carry_pydantics_list(error: type[errors.InvalidArgs] | type[errors.InvalidPayload]) -> None:
    assert error("wrong", [{"loc": ("a", 0), "type": "missing"}]).errors() == [{"loc": ("a", 0), "type": "missing"}]


def test_errors_carry_what_a_program_needs() -> None:
    failed = errors.RunFailed("cancelled", workflow_id="w1", status="canceled")
    assert (failed.workflow_id, failed.status) == ("w1", "canceled")

    lost = errors.StoreUnavailable("gone", outcome="unknown", workflow_id="w1")
    assert (lost.outcome, lost.workflow_id) == ("unknown", "w1")
    assert errors.StoreUnavailable("gone").outcome == "nothing"

    assert errors.DefinitionError("App 'shop'", ["one", "two"]).faults == ("one", "two")
    assert errors.RetryAfter(timedelta(seconds=2)).delay == timedelta(seconds=2)
    assert isinstance(errors.NotBuilt("runner.fork"), NotImplementedError)


class Order(BaseModel):
    order_id: str


class Answer(BaseModel):
    note: str = ""


class Approve(Workflow[Order, None, str]):
    @transition(target="review")
    async def ask(self) -> None: ...

    @transition("review", END, wait=True)
    async def decide(self, answer: Answer) -> str:
        if answer.note == "explode":
            raise ValueError("no such account")
        return "approved"


@pytest_asyncio.fixture
async def runner(tmp_path: Path) -> AsyncIterator[WorkflowRunner]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'shop.db'}", max_args_bytes=100, max_payload_bytes=100)
    async with Stepwell(apps=[App("shop", workflows=[Approve])], settings=settings) as stepwell:
        yield stepwell.runner


async def waiting(runner: WorkflowRunner) -> str:
    """The id of a run at "review"."""
    done = await runner.run_sync(Approve, Order(order_id="A1"), app_name="shop", user_id="u1", idempotency_key="cart-7")
    assert done.place == "review"
    assert done.workflow_id is not None
    return done.workflow_id


Provoke = Callable[[WorkflowRunner, str], Awaitable[object]]


def start(workflow: object, args: object, app_name: str = "shop", **more: object) -> Provoke:
    return lambda runner, _: runner.run(workflow, args, app_name=app_name, user_id="u1", **more)  # type: ignore[call-overload]


async def signal_completed(runner: WorkflowRunner, run: str) -> None:
    await runner.signal(run, "decide")
    await runner.handle(run).result()
    await runner.signal(run, "decide")


async def result_of_failed(runner: WorkflowRunner, run: str) -> None:
    await runner.signal(run, "decide", {"note": "explode"})
    await runner.handle(run).result()


PROVOKED: list[tuple[Provoke, type[StepwellError], str]] = [
    (start(Approve, {"order_id": "A1"}, "shp"), errors.UnknownApp, "No app 'shp'. Registered: shop."),
    (
        start("aprove", {"order_id": "A1"}),
        errors.UnknownWorkflow,
        "The app 'shop' doesn't list the workflow 'aprove'. It lists: approve.",
    ),
    (
        start(Approve, {"order": 1}),
        errors.InvalidArgs,
        "The args of Approve don't fit Order: order_id: Field required (got {'order': 1})",
    ),
    (
        start(Approve, {"order_id": "x" * 200}),
        errors.PayloadTooLarge,
        "The args of Approve would take 215 bytes as JSON; the limit is 100. Store a reference instead.",
    ),
    (
        start(Approve, {"order_id": "A1"}, workspace_id="w9"),
        errors.WorkspaceNotFound,
        "No workspace 'w9' of user 'u1'.",
    ),
    (
        start(Approve, {"order_id": "A2"}, idempotency_key="cart-7"),
        errors.IdempotencyConflict,
        "The idempotency key 'cart-7' of user 'u1' in app 'shop' belongs to run RUN of 'approve' with other args: "
        "use another key, or the same workflow and args.",
    ),
    (lambda runner, _: runner.get("r9"), errors.WorkflowNotFound, "No run 'r9'."),
    (lambda runner, run: runner.get(run, user_id="u2"), errors.WorkflowNotFound, "No run 'RUN' of user 'u2'."),
    (
        lambda runner, run: runner.signal(run, "aprove"),
        errors.UnknownTransition,
        "Approve has no signal transition 'aprove'. Those that may be signalled: decide.",
    ),
    (
        lambda runner, run: runner.signal(run, "decide", {"note": 7}),
        errors.InvalidPayload,
        "The payload of Approve.decide doesn't fit: note: Input should be a valid string (got 7)",
    ),
    (
        lambda runner, run: runner.retry(run),
        errors.RunFinished,
        "Run RUN is waiting: only a failed or retrying run can be retried.",
    ),
    (signal_completed, errors.RunFinished, "Run RUN is completed: it takes no signal 'decide' any more."),
    (
        result_of_failed,
        errors.RunFailed,
        "Run RUN (approve): Approve.decide: ValueError: no such account",
    ),
    (
        lambda runner, _: runner.run_sync(Approve, Order(order_id="A1"), app_name="shop", user_id="u1", stateless=True),
        errors.StatelessError,
        "Approve waits at 'review' (decide), and a stateless run can't wait. Run it without stateless=True.",
    ),
    (
        lambda runner, run: runner.fork(run, checkpoint=9),
        errors.InvalidArgs,
        "checkpoint=9 of run RUN: its history has no such row; it has those from 0 to 1.",
    ),
]


@pytest.mark.parametrize(("provoke", "error", "text"), PROVOKED, ids=lambda value: getattr(value, "__name__", None))
async def test_a_caller_is_told_object_value_and_cure(
    runner: WorkflowRunner, provoke: Provoke, error: type[StepwellError], text: str
) -> None:
    run = await waiting(runner)
    with pytest.raises(StepwellError) as raised:
        await provoke(runner, run)
    assert type(raised.value) is error
    assert str(raised.value).replace(run, "RUN") == text


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        (
            "mysql://localhost",
            errors.ConfigurationError,
            "database_url begins with 'mysql', which is neither SQLite nor PostgreSQL. Examples: "
            "'sqlite+aiosqlite:///stepwell.db', 'postgresql+asyncpg://user:password@host/database'.",
        ),
        (
            "postgresql://127.0.0.1:1/shop",
            errors.StoreUnavailable,
            "'postgresql+asyncpg://127.0.0.1:1/shop' can't be opened: [Errno 111] Connect call failed ('127.0.0.1', 1). "
            "Is the server running, and reachable from here at this host and port?",
        ),
    ],
)
async def test_a_database_that_cannot_be_used(url: str, error: type[StepwellError], text: str) -> None:
    with pytest.raises(error) as raised:
        async with Stepwell(apps=[App("shop")], settings=Settings(database_url=url)):
            pass
    assert str(raised.value) == text
