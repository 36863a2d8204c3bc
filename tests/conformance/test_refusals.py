"""Bad input: a typed error that names the value and the cure, and nothing stored by it (rules 27, 43)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from conformance.support import ME, StepwellOn, everything, reaches
from stepwell import END, App, Document, Event, Start, Stepwell, StepwellError, Workflow, WorkflowRunner, transition
from stepwell.errors import (
    ConfigurationError,
    DefinitionError,
    IdempotencyConflict,
    InvalidArgs,
    InvalidPayload,
    PayloadTooLarge,
    RunFinished,
    StatelessError,
    UnknownApp,
    UnknownTransition,
    UnknownWorkflow,
    WorkflowNotFound,
    WorkspaceNotFound,
)


class TicketArgs(BaseModel):
    number: int = 1
    text: str = ""
    share: float = 0.5


class Answer(BaseModel):
    approved: bool
    note: str = Field(default="", max_length=2_000_000)


class Ticket(Workflow[TicketArgs]):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def answer(self, answer: Answer) -> None: ...

    @transition("open", "open", wait=True)
    async def poke(self) -> None: ...

    @transition("open", END, after=timedelta(days=1))
    async def expire(self) -> None: ...

    @transition("open", END, on=Event("ticket.closed"))
    async def close(self) -> None: ...


class Quick(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


class Unlisted(Workflow):
    @transition(target=END)
    async def go(self) -> None: ...


Verb = Callable[[WorkflowRunner], Awaitable[Any]]


async def refused(stepwell: Stepwell, error: type[Exception], text: str, verb: Awaitable[Any]) -> Exception:
    """The call raises this, and the database is as it was, to the last row."""
    before = await everything(stepwell)
    with pytest.raises(error, match=text) as caught:
        await verb
    assert isinstance(caught.value, StepwellError), "callers catch StepwellError"
    assert await everything(stepwell) == before
    return caught.value


STARTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown app": ({"app_name": "shops"}, UnknownApp, r"'shops'.*Registered: shop"),
    "no user": ({"user_id": None}, InvalidArgs, r"user_id.*user_id='u1'"),
    "empty user": ({"user_id": ""}, InvalidArgs, r"user_id=''"),
    "user isn't text": ({"user_id": 7}, InvalidArgs, r"user_id=7"),
    "unknown workflow": ({"workflow": "tickets"}, UnknownWorkflow, r"'tickets'.*It lists: quick, ticket"),
    "unlisted class": ({"workflow": Unlisted}, UnknownWorkflow, r"Unlisted.*It lists: quick, ticket"),
    "no workflow": ({"workflow": None}, UnknownWorkflow, r"None.*It lists"),
    "not a workflow": ({"workflow": dict}, UnknownWorkflow, r"dict.*It lists"),
    "unknown workspace": ({"workspace_id": "w-7"}, WorkspaceNotFound, r"'w-7'.*'u1'"),
    "args of a wrong type": ({"args": {"number": "many"}}, InvalidArgs, r"Ticket.*number: .*integer.*'many'"),
    "args aren't a mapping": ({"args": "number=1"}, InvalidArgs, r"'number=1'"),
    "args of another model": ({"args": Answer(approved=True)}, InvalidArgs, r"TicketArgs"),
    "args changed into wrong ones": ({"args": TicketArgs.model_construct(number="x")}, InvalidArgs, r"number.*'x'"),
    "args that aren't JSON": ({"args": TicketArgs.model_construct(text=object())}, InvalidArgs, r"Ticket"),
    "args for none": ({"workflow": Quick, "args": {"a": 1}}, InvalidArgs, r"Quick takes no args.*Leave them out"),
    "args too large": (
        {"args": {"text": "x" * 1100}},
        PayloadTooLarge,
        r"args of Ticket would take 1,1\d\d bytes.*1,000",
    ),
    "labels as text": ({"labels": "vip"}, InvalidArgs, r"labels='vip'.*labels=\['vip'\]"),
    "labels of a wrong type": ({"labels": [7]}, InvalidArgs, r"labels=\[7\]"),
    "an empty label": ({"labels": [""]}, InvalidArgs, r"labels=\[''\]"),
    "too many labels": ({"labels": [str(n) for n in range(51)]}, InvalidArgs, r"51 labels.*50"),
    "an empty key": ({"idempotency_key": ""}, InvalidArgs, r"idempotency_key=''"),
    "a key with NUL": ({"idempotency_key": "a\0b"}, InvalidArgs, r"idempotency_key='a\\x00b'"),
    "a key that is no Unicode": ({"idempotency_key": "a\ud800"}, InvalidArgs, r"idempotency_key='a\\ud800'"),
    "a key of a handler": ({"idempotency_key": "handler:1"}, InvalidArgs, r"idempotency_key='handler:1'.*made by"),
    "a key of an event": ({"idempotency_key": "event:1:x"}, InvalidArgs, r"idempotency_key='event:1:x'.*made by"),
    "a user with NUL": ({"user_id": "a\0"}, InvalidArgs, r"user_id='a\\x00'"),
    "a user that is no Unicode": ({"user_id": "\udc80"}, InvalidArgs, r"user_id='\\udc80'"),
    "a label with NUL": ({"labels": ["a\0"]}, InvalidArgs, r"labels=\['a\\x00'\]"),
    "a label that is no Unicode": ({"labels": ["\ud800"]}, InvalidArgs, r"labels=\['\\ud800'\]"),
    "a long key": ({"idempotency_key": "k" * 513}, InvalidArgs, r"idempotency_key=.*512"),
}

QUEUED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "delay and at": ({"delay": timedelta(1), "at": datetime.now(UTC)}, InvalidArgs, r"delay and at .*one of them"),
    "negative delay": ({"delay": timedelta(seconds=-1)}, InvalidArgs, r"delay=.*zero or more"),
    "delay as a number": ({"delay": 5}, InvalidArgs, r"delay=5.*timedelta"),
    "delay beyond the calendar": ({"delay": timedelta.max}, InvalidArgs, r"delay=.*"),
    "naive at": ({"at": datetime(2030, 1, 1)}, InvalidArgs, r"at=.*timezone.*aware"),
    "at as text": ({"at": "2030-01-01"}, InvalidArgs, r"at='2030-01-01'.*datetime"),
    "priority as text": ({"priority": "high"}, InvalidArgs, r"priority='high'.*whole number"),
    "huge priority": ({"priority": 2**40}, InvalidArgs, r"priority=\d+"),
}


def start(case: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    given = {"workflow": Ticket, "args": None, **ME, **case}
    return given.pop("workflow"), given.pop("args"), given


@pytest.mark.parametrize("case", [*STARTS, *QUEUED])
async def test_a_refused_start_stores_nothing(stepwell_on: StepwellOn, case: str) -> None:
    given, error, text = {**STARTS, **QUEUED}[case]
    workflow, args, rest = start(given)
    async with stepwell_on([Ticket, Quick], max_args_bytes=1000) as stepwell:
        await refused(stepwell, error, text, stepwell.runner.run(workflow, args, **rest))
        many = {name: rest.pop(name) for name in ("app_name", "user_id")}
        batch = [Start(Quick), Start(workflow, args, **rest)]
        await refused(stepwell, error, text, stepwell.runner.run_many(batch, **many))
        assert (await stepwell.runner.run_sync(Quick, **ME)).status == "completed", "slots were given back"


RUN_SYNC = [(case, stateless) for case in STARTS for stateless in (False, True)]


@pytest.mark.parametrize(("case", "stateless"), RUN_SYNC)
async def test_a_refused_run_sync_stores_nothing(stepwell_on: StepwellOn, case: str, stateless: bool) -> None:
    given, error, text = STARTS[case]
    workflow, args, rest = start(given)
    async with stepwell_on([Ticket, Quick], max_args_bytes=1000) as stepwell:
        call = stepwell.runner.run_sync(workflow, args, **rest, stateless=stateless)
        await refused(stepwell, error, text if "idempotency" not in text or not stateless else "idempotency_key", call)


async def test_fault_16_errors_carry_pydantics_list_of_what_is_wrong(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        with pytest.raises(InvalidArgs) as args:
            await stepwell.runner.run(Ticket, {"number": "many", "share": "x"}, **ME)
        assert [error["loc"] for error in args.value.errors()] == [("number",), ("share",)]
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        with pytest.raises(InvalidPayload) as payload:
            await stepwell.runner.signal(parked.workflow_id or "", "answer", {"note": "no"})
        assert [(error["loc"], error["type"]) for error in payload.value.errors()] == [(("approved",), "missing")]


async def test_refused_starts_take_no_slot_of_the_worker(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket, Quick], worker_concurrency=1) as stepwell:
        for _ in range(3):
            with pytest.raises(InvalidArgs):
                await stepwell.runner.run(Ticket, {"number": "many"}, **ME)
            with pytest.raises(WorkspaceNotFound):
                await stepwell.runner.run(Ticket, **ME, workspace_id="w-7")
        await (await stepwell.runner.run(Quick, **ME)).result(60)


# -- signals ----------------------------------------------------------------------------------------------------------

SIGNALS: dict[str, tuple[str, Any, dict[str, Any], type[Exception], str]] = {
    "unknown": ("answers", None, {}, UnknownTransition, r"Ticket has no signal transition 'answers'.*answer, poke"),
    "automatic": ("begin", None, {}, UnknownTransition, r"'begin'.*answer, poke"),
    "timer": ("expire", None, {}, UnknownTransition, r"'expire'.*answer, poke"),
    "event": ("close", None, {}, UnknownTransition, r"'close'.*answer, poke"),
    "no name": ("", None, {}, UnknownTransition, r"''.*answer, poke"),
    "no data": ("answer", None, {}, InvalidPayload, r"Ticket\.answer.*approved: Field required"),
    "wrong data": ("answer", {"approved": "perhaps"}, {}, InvalidPayload, r"approved: .*boolean.*'perhaps'"),
    "another model": ("answer", TicketArgs(), {}, InvalidPayload, r"Ticket\.answer"),
    "not JSON": ("poke", object(), {}, InvalidPayload, r"Ticket\.poke"),
    "too large": ("answer", {"approved": True, "note": "x" * 1100}, {}, PayloadTooLarge, r"1,1\d\d bytes.*1,000"),
    "ignored and too large": ("poke", "x" * 1100, {}, PayloadTooLarge, r"Ticket\.poke.*1,000"),
    "an empty key": ("poke", None, {"idempotency_key": ""}, InvalidArgs, r"idempotency_key=''"),
    "a key of an event": ("poke", None, {"idempotency_key": "event:1:poke"}, InvalidArgs, r"'event:1:poke'.*made by"),
}


@pytest.mark.parametrize("case", SIGNALS)
async def test_fault_10_a_refused_signal_leaves_the_run_and_its_wait_untouched(
    stepwell_on: StepwellOn, case: str
) -> None:
    name, data, more, error, text = SIGNALS[case]
    async with stepwell_on([Ticket], max_payload_bytes=1000) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        assert parked.workflow_id is not None
        before = await stepwell.runner.get(parked.workflow_id)
        await refused(stepwell, error, text, stepwell.runner.signal(parked.workflow_id, name, data, **more))
        assert await stepwell.runner.get(parked.workflow_id) == before
        await stepwell.runner.signal(parked.workflow_id, "answer", {"approved": True})
        await stepwell.runner.handle(parked.workflow_id).result(60)


async def test_a_signal_key_used_for_other_data_is_a_conflict(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        assert parked.workflow_id is not None
        await stepwell.runner.signal(parked.workflow_id, "poke", 1, idempotency_key="k")
        await reaches(stepwell.runner, parked.workflow_id, "waiting", version=2)
        for name, data in (("poke", 2), ("answer", {"approved": True})):
            call = stepwell.runner.signal(parked.workflow_id, name, data, idempotency_key="k")
            await refused(stepwell, IdempotencyConflict, r"'k'.*'poke'.*another key", call)


@pytest.mark.parametrize("end", ["completed", "canceled"])
async def test_a_finished_run_takes_nothing(stepwell_on: StepwellOn, end: str) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        run_id = parked.workflow_id or ""
        if end == "completed":
            await stepwell.runner.signal(run_id, "answer", {"approved": True})
            await stepwell.runner.handle(run_id).result(60)
            await refused(stepwell, RunFinished, f"{run_id} is completed", stepwell.runner.cancel(run_id))
        else:
            canceled = await stepwell.runner.cancel(run_id)
            assert await stepwell.runner.cancel(run_id, reason="again") == canceled
        call = stepwell.runner.signal(run_id, "answer", {"approved": True})
        await refused(stepwell, RunFinished, f"{run_id} is {end}.*'answer'", call)
        await refused(stepwell, RunFinished, f"{run_id} is {end}.*retried", stepwell.runner.retry(run_id))


async def test_a_run_that_hasnt_failed_isnt_retried(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        call = stepwell.runner.retry(parked.workflow_id or "")
        await refused(stepwell, RunFinished, r"is waiting.*failed or retrying", call)


@pytest.mark.parametrize("reason", [7, "x" * 10_001], ids=["number", "too long"])
async def test_fault_12_a_reason_that_cant_be_stored_cancels_nothing(stepwell_on: StepwellOn, reason: Any) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        call = stepwell.runner.cancel(parked.workflow_id or "", reason=reason)
        await refused(stepwell, InvalidArgs, r"reason=.*at most 10000 characters", call)


@pytest.mark.parametrize("timeout", ["1", -1, timedelta(seconds=-1)], ids=str)
@pytest.mark.parametrize("stateless", [False, True], ids=["stored", "stateless"])
async def test_a_timeout_that_is_none_starts_nothing(stepwell_on: StepwellOn, timeout: Any, stateless: bool) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        call = stepwell.runner.run_sync(Ticket, **ME, timeout=timeout, stateless=stateless)
        await refused(stepwell, InvalidArgs, r"timeout=.*zero or more", call)
        await refused(
            stepwell, InvalidArgs, r"timeout=.*zero or more", stepwell.runner.handle("x").result(timeout=timeout)
        )


# -- events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "more", "error", "text"),
    [
        ("ticket.closed", object(), {}, InvalidPayload, r"event 'ticket.closed'.*JSON"),
        ("ticket.closed", "x" * 1100, {}, PayloadTooLarge, r"event 'ticket.closed'.*1,1\d\d bytes.*1,000"),
        ("", None, {}, InvalidArgs, r"name=''"),
        (None, None, {}, InvalidArgs, r"name=None"),
        ("ticket.closed", None, {"event_id": ""}, InvalidArgs, r"event_id=''"),
        ("ticket.closed", None, {"event_id": "a\0"}, InvalidArgs, r"event_id='a\\x00'"),
        ("ticket.closed", None, {"event_id": "\ud800"}, InvalidArgs, r"event_id='\\ud800'"),
        ("ticket.closed", None, {"event_id": "handler:1"}, InvalidArgs, r"event_id='handler:1'.*made by"),
        ("ticket\0closed", None, {}, InvalidArgs, r"name='ticket\\x00closed'"),
    ],
    ids=["not JSON", "too large", "no name", "None", "empty id", "NUL", "no Unicode", "reserved", "name with NUL"],
)
async def test_a_refused_event_reaches_nobody(
    stepwell_on: StepwellOn, name: Any, data: Any, more: Any, error: type[Exception], text: str
) -> None:
    async with stepwell_on([Ticket], max_payload_bytes=1000) as stepwell:
        await stepwell.runner.run_sync(Ticket, **ME)
        await refused(stepwell, error, text, stepwell.runner.emit(name, data, **more))


# -- somebody else's --------------------------------------------------------------------------------------------------

VERBS: dict[str, Callable[[WorkflowRunner, str, dict[str, Any]], Awaitable[Any]]] = {
    "get": lambda runner, run_id, user: runner.get(run_id, **user),
    "history": lambda runner, run_id, user: runner.history(run_id, **user),
    "documents": lambda runner, run_id, user: runner.documents(run_id, **user),
    "explain": lambda runner, run_id, user: runner.explain(run_id, **user),
    "signal": lambda runner, run_id, user: runner.signal(run_id, "poke", **user),
    "cancel": lambda runner, run_id, user: runner.cancel(run_id, **user),
    "retry": lambda runner, run_id, user: runner.retry(run_id, **user),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_fault_15_somebody_elses_run_is_as_good_as_none_on_every_verb(stepwell_on: StepwellOn, verb: str) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        run_id = parked.workflow_id or ""
        there = await refused(
            stepwell, WorkflowNotFound, run_id, VERBS[verb](stepwell.runner, run_id, {"user_id": "u2"})
        )
        gone = await refused(
            stepwell, WorkflowNotFound, "no-such-run", VERBS[verb](stepwell.runner, "no-such-run", {"user_id": "u2"})
        )
        assert str(there).replace(run_id, "no-such-run") == str(gone), "the texts don't tell which it is"
        await refused(stepwell, WorkflowNotFound, run_id, VERBS[verb](stepwell.runner.as_user("u2"), run_id, {}))
        await refused(
            stepwell,
            WorkflowNotFound,
            "'u2' only",
            VERBS[verb](stepwell.runner.as_user("u2"), run_id, {"user_id": "u1"}),
        )


async def test_fault_15_a_restricted_runner_starts_lists_and_reaches_for_its_user_only(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        parked = await stepwell.runner.run_sync(Ticket, **ME)
        run_id = parked.workflow_id or ""
        other = stepwell.runner.as_user("u2")
        await refused(stepwell, WorkflowNotFound, "'u2' only", other.run(Ticket, **ME))
        await refused(stepwell, WorkflowNotFound, "'u2' only", other.run_sync(Ticket, **ME))
        await refused(stepwell, WorkflowNotFound, "'u2' only", other.run_many([Start(Ticket)], **ME))
        await refused(stepwell, WorkflowNotFound, "'u2' only", other.emit("ticket.closed", user_id="u1"))
        await refused(stepwell, WorkflowNotFound, "'u2' only", other.list(user_id="u1"))
        await refused(stepwell, WorkflowNotFound, run_id, other.handle(run_id).result(1))
        await refused(stepwell, WorkflowNotFound, run_id, other.handle(run_id).get())
        await refused(stepwell, WorkflowNotFound, run_id, other.handle(run_id).cancel())
        await refused(stepwell, WorkflowNotFound, run_id, other.handle(run_id).signal("poke"))
        assert (await other.list()).items == ()
        assert (await other.emit("ticket.closed")).resumed == ()
        mine = await other.run(Ticket, app_name="shop")
        assert (await mine.get()).user_id == "u2"


async def test_fault_15_somebody_elses_workspace_is_as_good_as_none(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        theirs = await stepwell.runner.get((await stepwell.runner.run_sync(Ticket, **ME)).workflow_id or "")
        call = stepwell.runner.run(Ticket, app_name="shop", user_id="u2", workspace_id=theirs.workspace_id)
        await refused(stepwell, WorkspaceNotFound, f"{theirs.workspace_id}.*'u2'", call)


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"limit": 0}, r"limit=0.*1 to 1,000"),
        ({"limit": 1001}, r"limit=1001.*1 to 1,000"),
        ({"limit": "10"}, r"limit='10'.*1 to 1,000"),
        ({"limit": None}, r"limit=None.*1 to 1,000"),
        ({"status": "done"}, r"status='done'.*completed"),
        ({"status": ["failed", "done"]}, r"'done'.*completed"),
        ({"cursor": "page 2"}, r"cursor='page 2'.*next_cursor"),
    ],
    ids=str,
)
async def test_a_list_that_cant_be_meant_is_refused(stepwell_on: StepwellOn, given: Any, text: str) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        await refused(stepwell, InvalidArgs, text, stepwell.runner.list(**given))


@pytest.mark.parametrize("verb", ["get", "history", "documents", "explain", "cancel", "retry"])
async def test_an_unknown_run_is_named(stepwell_on: StepwellOn, verb: str) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        await refused(stepwell, WorkflowNotFound, "'nothing'", getattr(stepwell.runner, verb)("nothing"))
        await refused(stepwell, WorkflowNotFound, "'nothing'", stepwell.runner.handle("nothing").result(60))


# -- stateless --------------------------------------------------------------------------------------------------------


class Note(Document):
    text: str


class StartsAChild(Workflow):
    @transition(target=END)
    async def go(self) -> str:
        return await self.start(Quick)


class Emits(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        await self.emit("anything")


class Transacts(Workflow):
    @transition(target=END)
    async def go(self) -> None:
        async with self.transaction():
            pass


@pytest.mark.parametrize(
    ("workflow", "text"),
    [
        (Ticket, r"Ticket waits at 'open'"),
        (StartsAChild, r"self\.start"),
        (Emits, r"self\.emit\('anything'\)"),
        (Transacts, r"self\.transaction\(\)"),
    ],
    ids=["waits", "starts a child", "emits", "opens a transaction"],
)
async def test_a_stateless_run_that_needs_the_database_says_so(
    stepwell_on: StepwellOn, workflow: Any, text: str
) -> None:
    async with stepwell_on([Ticket, Quick, StartsAChild, Emits, Transacts]) as stepwell:
        call = stepwell.runner.run_sync(workflow, **ME, stateless=True)
        await refused(stepwell, StatelessError, rf"{text}.*without stateless=True", call)


# -- what can't be built at all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["args", "state"])
def test_secrets_in_args_or_state_are_refused_when_the_class_is_made(where: str) -> None:
    class Login(BaseModel):
        password: SecretStr = SecretStr("")

    types = (Login, dict[str, Any]) if where == "args" else (None, Login)
    with pytest.raises(DefinitionError, match=rf"password.*{where}.*SecretStr"):

        class _Bad(Workflow[types[0], types[1]]):  # type: ignore[valid-type, misc]
            @transition(target=END)
            async def go(self) -> None: ...


def test_two_apps_of_one_name_are_refused(stepwell_on: StepwellOn) -> None:
    with pytest.raises(DefinitionError, match="two apps are named 'shop'"):
        stepwell_on([App("shop"), App("shop")])


async def test_opening_twice_is_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        with pytest.raises(ConfigurationError, match="open already"):
            await stepwell.__aenter__()
        assert (await stepwell.runner.run_sync(Ticket, **ME)).status == "waiting"


LONG = "x" * 10_000


@pytest.mark.parametrize(
    "call",
    [
        lambda runner: runner.run(Ticket, app_name="shop", user_id=LONG),
        lambda runner: runner.run(Ticket, **ME, labels=[LONG]),
        lambda runner: runner.run(Ticket, **ME, idempotency_key=LONG),
        lambda runner: runner.run_many([LONG], **ME),
        lambda runner: runner.run_batch(LONG, **ME),
        lambda runner: runner.run_batch([LONG], **ME),
        lambda runner: runner.run_batch([], **ME, label=LONG),
        lambda runner: runner.run_batch([], **ME, idempotency_key=LONG),
        lambda runner: runner.run_batch([], **ME, max_in_flight=LONG),
        lambda runner: runner.run_batch([], **ME, stop_after_failures=LONG),
        lambda runner: runner.schedules.create(LONG, Ticket, every=timedelta(hours=1), **ME),
        lambda runner: runner.schedules.create("s", Ticket, cron=LONG, **ME),
        lambda runner: runner.schedules.create("s", Ticket, every=timedelta(hours=1), **ME, overlap=LONG),
        lambda runner: runner.pause(LONG),
        lambda runner: runner.pause("shop", LONG),
        lambda runner: runner.pause(reason=LONG * 2),
        lambda runner: runner.group(LONG),
        lambda runner: runner.batch(LONG).progress(),
        lambda runner: runner.schedules.get(LONG, app_name="shop"),
        lambda runner: runner.schedules.get("s", app_name=LONG),
    ],
)
async def test_a_value_that_is_too_long_is_not_repeated_as_a_whole(
    stepwell_on: StepwellOn, call: Callable[[WorkflowRunner], Awaitable[object]]
) -> None:
    async with stepwell_on([Ticket]) as stepwell:
        with pytest.raises(StepwellError) as raised:
            await call(stepwell.runner)
        assert len(str(raised.value)) < 1_000
        assert "xxx" in str(raised.value)
