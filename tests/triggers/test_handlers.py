"""Handlers: their signatures are checked at declaration, and their starts have keys of their own (rule 38)."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import Depends as FastDepend
from pydantic import BaseModel

from stepwell import END, App, Depends, Settings, Stepwell, Tick, WebhookEvent, Workflow, WorkflowRunner, transition
from stepwell.errors import DefinitionError, InvalidArgs
from stepwell.runner.blocking import BlockingRunner
from stepwell.testing import Harness
from stepwell.triggers import github_signature
from stepwell.triggers.handler_runner import Calls
from stepwell.triggers.handlers import DELIVERY_ROLES, TICK_ROLES, bind


class Job(BaseModel):
    name: str
    size: int = 1


@dataclass
class Part:
    sku: str
    id: UUID = field(default_factory=uuid4)


class Report(Workflow[Job, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return self.args.name


SIGNED = github_signature(secret="s")


def value() -> str:
    return "v"


async def test_a_handler_starts_workflows_of_its_own_app_without_naming_it() -> None:
    office, archive = App("office", workflows=[Report]), App("archive", workflows=[Report])

    @office.cron("0 * * * *")
    async def hourly(runner: WorkflowRunner) -> None:
        await runner.as_user("u1").run(Report, {"name": "hourly"})

    async with Harness(apps=[office, archive]) as harness:
        await harness.advance(timedelta(hours=1))
        [run] = (await harness.runner.list(workflow=Report)).items
        assert (run.app_name, run.user_id) == ("office", "u1")


# -- parameters -------------------------------------------------------------------------------------------------------


async def by_name(tick, runner): ...  # type: ignore[no-untyped-def]


async def by_type(at: Tick, verbs: WorkflowRunner) -> None: ...


async def blocking(verbs: BlockingRunner) -> None: ...


async def annotated(at: Annotated[Tick, "now"]) -> None: ...


async def unknown_here(runner: OnlyForCheckers, tick: OnlyForCheckers) -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def nothing() -> None: ...


async def spare(tick: Tick, size: int = 3, *rest: Any, **more: Any) -> None: ...


class Callable:
    async def __call__(self, tick: Tick) -> None: ...

    async def method(self, runner: WorkflowRunner) -> None: ...


@pytest.mark.parametrize(
    ("handler", "filled"),
    [
        (by_name, {"tick": "tick", "runner": "runner"}),
        (by_type, {"at": "tick", "verbs": "runner"}),
        (blocking, {"verbs": "runner"}),
        (annotated, {"at": "tick"}),
        (unknown_here, {"tick": "tick", "runner": "runner"}),
        (nothing, {}),
        (spare, {"tick": "tick"}),
        (Callable(), {"tick": "tick"}),
        (Callable().method, {"runner": "runner"}),
        (functools.partial(by_type, at=None), {"verbs": "runner"}),
    ],
)
def test_parameters_are_filled_by_annotation_and_name(handler: Any, filled: dict[str, str]) -> None:
    binding, faults = bind(handler, TICK_ROLES)
    assert (faults, dict(binding.filled), binding.asynchronous) == ([], filled, True)


async def two_unknown(tick: Tick, order: Job, db: Any) -> None: ...


async def of_a_webhook(event: WebhookEvent) -> None: ...


async def of_fastapi(tick: Tick, name: Annotated[str, FastDepend(value)]) -> None: ...


async def by_position(tick: Tick, /) -> None: ...


async def generator(tick: Tick) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("handler", "faults"),
    [
        (
            two_unknown,
            ["nothing fills its parameter 'order'; it takes `runner: WorkflowRunner` and `tick: Tick`", "'db'"],
        ),
        (of_a_webhook, ["nothing fills its parameter 'event'"]),
        (
            of_fastapi,
            ["'name' is marked with FastAPI's Depends; annotate it Annotated[..., Depends(...)] with `from stepwell"],
        ),
        (by_position, ["'tick' is positional-only"]),
        (generator, ["it contains yield"]),
        (print, []),
    ],
)
def test_a_parameter_that_nothing_fills_is_refused_at_once(handler: Any, faults: list[str]) -> None:
    app = App("office")
    if not faults:
        app.cron("@daily", name="builtin")(handler)
        return
    with pytest.raises(DefinitionError) as caught:
        app.cron("@daily")(handler)
    assert str(caught.value).startswith(f"The schedule '{handler.__name__}' of app 'office' can't be used:")
    assert len(caught.value.faults) == len(faults)
    for fault, text in zip(caught.value.faults, faults, strict=True):
        assert text in fault
    assert app.schedules == []


def test_a_webhook_takes_an_event_and_no_tick() -> None:
    assert bind(of_a_webhook, DELIVERY_ROLES)[1] == []
    with pytest.raises(
        DefinitionError, match=r"The webhook '/in' of app 'office'.*\n.*'at'; it takes `event: WebhookEvent`"
    ):
        App("office").webhook("/in", verify=SIGNED)(annotated)


# -- what a schedule starts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"workflow": Report, "args": {}}, "The args of Report don't fit Job: name: Field required"),
        ({"workflow": "report", "args": {"name": 1}}, "name: Input should be a valid string"),
        ({"workflow": "repotr"}, "the app doesn't list the workflow 'repotr' (it lists: report)"),
        ({"workflow": Job}, "the app doesn't list the workflow 'Job'"),
    ],
)
def test_what_a_schedule_starts_is_checked_when_it_is_declared(given: dict[str, Any], fault: str) -> None:
    app = App("office", workflows=[Report])
    with pytest.raises(DefinitionError) as caught:
        app.schedule("nightly", every=timedelta(hours=1), **given)
    assert fault in str(caught.value)
    assert app.schedules == []


# -- where it is declared ---------------------------------------------------------------------------------------------


async def test_triggers_may_be_declared_after_the_composition_root(database_url: str) -> None:
    app = App("office", workflows=[Report])
    stepwell = Stepwell([app], settings=Settings(_env_file=None, database_url=database_url))
    app.cron("@daily")(by_name)
    app.webhook("/in", verify=SIGNED)(of_a_webhook)
    async with stepwell:
        assert stepwell.process is not None
        assert {("office", "schedule:by_name"), ("office", "webhook:of_a_webhook")} <= set(stepwell.process.lanes)
        with pytest.raises(DefinitionError, match="it is open already: declare triggers before the application starts"):
            app.cron("@hourly", name="late")(by_name)
    app.cron("@hourly", name="late")(by_name)
    async with stepwell:
        pass


def test_two_webhooks_at_one_path_are_refused(tmp_path: Path) -> None:
    apps = [App("one"), App("two")]
    for app in apps:
        app.webhook("/in", verify=SIGNED)(of_a_webhook)
    settings = Settings(_env_file=None, database_url=f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(
        DefinitionError, match="'/in' belongs to 'of_a_webhook' of app 'one' and 'of_a_webhook' of app 'two'"
    ):
        Stepwell(apps, settings=settings)


async def test_handlers_of_one_name_in_two_apps_are_two(harness_of: Callable[..., Harness]) -> None:
    seen: list[str] = []

    def made(name: str) -> App:
        async def note(tick: Tick) -> None:
            seen.append(name)

        app = App(name)
        app.cron("@hourly")(note)
        return app

    async with harness_of([made("one"), made("two")]) as harness:
        await harness.advance(timedelta(hours=1))
    assert sorted(seen) == ["one", "two"]


async def test_nobody_gets_a_runner_without_restriction(harness_of: Callable[..., Harness]) -> None:
    async with harness_of([App("office")]) as harness:
        for nobody in (None, "", 7):
            with pytest.raises(InvalidArgs, match="give a text"):
                harness.runner.as_user(nobody)  # type: ignore[arg-type]


# -- keys -------------------------------------------------------------------------------------------------------------


def keys(*calls: tuple[Any, ...], identity: str = "tick:1") -> list[str]:
    counted = Calls(identity)
    return [counted.key(*call) for call in calls]


def test_equal_calls_of_one_execution_differ_and_those_of_the_next_are_the_same() -> None:
    call = ("run", "office", "u1", Report, {"name": "a"})
    first = keys(call, call)
    assert len(set(first)) == 2
    assert keys(call, call) == first
    assert keys(call, identity="tick:2")[0] not in first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x", "y", "z"}}, {"a": {"z", "y", "x"}}),
        (Job(name="a"), {"name": "a"}),
        (Part("a"), Part("a")),
        ([Job(name="a")], ({"name": "a"},)),
    ],
)
def test_the_same_args_in_another_guise_are_the_same_call(one: Any, other: Any) -> None:
    assert keys(("run", one)) == keys(("run", other))


@pytest.mark.parametrize(
    "other", [("run", "office", "u2", {}), ("run", "shop", "u1", {}), ("run", "office", "u1", {"a": 0})]
)
def test_another_call_has_another_key(other: tuple[Any, ...]) -> None:
    assert keys(("run", "office", "u1", {})) != keys(other)


async def test_injection_that_closes_itself(harness_of: Callable[..., Harness]) -> None:
    seen: list[str] = []

    async def resource() -> AsyncIterator[str]:
        seen.append("open")
        yield "r"
        seen.append("closed")

    app = App("office")

    async def use(tick: Tick, name: Any = Depends(resource)) -> None:  # noqa: B008
        seen.append(name)

    app.cron("@hourly")(use)
    async with harness_of([app]) as harness:
        await harness.advance(timedelta(hours=1))
    assert seen == ["open", "r", "closed"]
