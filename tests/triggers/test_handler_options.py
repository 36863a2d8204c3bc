"""`timeout=` and `retry=` of handlers: those of a tick and of a delivery mean what those of a transition mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from stepwell import END, App, NonRetryable, Retry, RetryAfter, Tick, Workflow, WorkflowRunner, transition
from stepwell.console.reading.schedules import Schedules
from stepwell.errors import DefinitionError
from stepwell.store.schedules import TickRow, ticks_of
from stepwell.testing import Harness
from stepwell.triggers import github_signature

HOUR = timedelta(hours=1)
HarnessOf = Callable[..., Harness]


class Report(Workflow[None, None, str]):
    @transition(target=END)
    async def write(self) -> str:
        return "written"


def failing(error: Callable[[], BaseException] | None = None, **options: Any) -> tuple[App, list[Tick]]:
    """An app whose only tick, at one o'clock, fails in each attempt; and the attempts."""
    app, attempts = App("office", workflows=[Report]), []

    @app.cron("0 1 * * *", name="broken", **options)
    async def broken(runner: WorkflowRunner, tick: Tick) -> None:
        attempts.append(tick)
        await runner.run(Report, app_name="office", user_id="u1")
        raise RuntimeError("never") if error is None else error()

    return app, attempts


async def tick_of(harness: Harness) -> tuple[TickRow, Any]:
    process = harness.stepwell.process
    assert process is not None
    [row] = await process.store.read(lambda tx: ticks_of(tx, "office", "broken"))
    return row, await harness.runner.get(row.run_id)


@pytest.mark.parametrize(
    ("options", "error", "attempts"),
    [
        ({}, None, 4),
        ({"retry": None}, None, 4),
        ({"retry": Retry(retries=0)}, None, 1),
        ({"retry": Retry(retries=2, delay=timedelta(minutes=5), backoff="fixed")}, None, 3),
        ({"retry": Retry(retries=5, on=(KeyError,))}, lambda: ValueError("no"), 1),
        ({"retry": Retry(retries=5, give_up_on=(ValueError,))}, lambda: ValueError("no"), 1),
        ({"retry": Retry(retries=5)}, lambda: NonRetryable("no"), 1),
        ({"retry": Retry(retries=1)}, lambda: RetryAfter("later", delay=timedelta(minutes=30)), 2),
    ],
)
async def test_a_tick_is_tried_again_by_retry(
    harness_of: HarnessOf,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    error: Callable[[], BaseException] | None,
    attempts: int,
) -> None:
    app, seen = failing(error, **options)
    async with harness_of([app]) as harness:
        await harness.advance(2 * HOUR)
        _, run = await tick_of(harness)
        assert (len(seen), run.status, run.attempt) == (attempts, "failed", attempts)
        assert len({tick.fired_at for tick in seen}) == 1
        # Retries start nothing twice.
        assert len((await harness.runner.list(workflow=Report)).items) == 1
        assert harness.stepwell.process is not None
        view = await Schedules(harness.runner, harness.stepwell.scheduler).get("office", "broken")
        assert view.last is not None
        assert (view.last.status, view.last.workflow_id) == ("failed", None)
    errors = [
        one
        for one in caplog.records
        if one.levelno == logging.ERROR and getattr(one, "workflow_id", 0) == run.workflow_id
    ]
    assert [one.attempt for one in errors if one.name == "stepwell.triggers"] == [*range(1, attempts + 1)]  # type: ignore[attr-defined]
    assert any("failed" in one.getMessage() for one in errors)
    given_up = [one.getMessage() for one in errors if one.name == "stepwell.execution"]
    assert len(given_up) == (attempts > 1)


async def test_a_delay_between_retries_is_kept(harness_of: HarnessOf) -> None:
    app, seen = failing(retry=Retry(retries=2, delay=timedelta(minutes=10), max_delay=HOUR, backoff="fixed"))
    async with harness_of([app]) as harness:
        await harness.advance(HOUR)
        assert len(seen) == 1
        await harness.advance(timedelta(minutes=9))
        assert len(seen) == 1
        await harness.advance(timedelta(minutes=1))
        assert len(seen) == 2
        assert (await tick_of(harness))[1].status == "retrying"


@pytest.mark.parametrize("kind", ["cron", "schedule"])
async def test_a_timeout_ends_an_attempt_and_is_logged(
    harness_of: HarnessOf, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    app, cancelled = App("office"), []

    async def broken(tick: Tick) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(tick)
            raise

    options: dict[str, Any] = {"timeout": timedelta(milliseconds=50), "retry": Retry(retries=1)}
    if kind == "cron":
        app.cron("0 1 * * *", **options)(broken)
    else:
        app.schedule("broken", handler=broken, cron="0 1 * * *", **options)
    async with harness_of([app]) as harness:
        await harness.advance(2 * HOUR)
        _, run = await tick_of(harness)
        assert (run.status, run.attempt, len(cancelled)) == ("failed", 2, 2)
        assert "0.05 s" in (run.error or "")
    found = [
        (one.levelname, one.attempt) for one in caplog.records if getattr(one, "workflow_id", 0) == run.workflow_id
    ]  # type: ignore[attr-defined]
    assert found == [("WARNING", 1), ("ERROR", 2)]


async def test_a_handler_without_timeout_has_that_of_the_settings(harness_of: HarnessOf) -> None:
    for timeout, expected in ((None, None), (timedelta(0), 0.0), (timedelta(seconds=90), 90.0)):
        app, _ = failing(timeout=timeout)
        async with harness_of([app]) as harness:
            views = Schedules(harness.runner, harness.stepwell.scheduler)
            assert [(one.timeout, one.retries) for one in (await views.page()).items] == [(expected, 3)]
            definition = harness.stepwell.opening.core.shared.registry.find("office", "schedule:broken")
            assert definition is not None
            [made] = definition.places["start"].automatic
            assert made.timeout == timeout


async def test_the_options_of_a_schedule_are_shown(harness_of: HarnessOf) -> None:
    app, _ = failing(retry=Retry(retries=7), timeout=timedelta(minutes=1))
    app.schedule("starts", workflow=Report, every=HOUR)
    async with harness_of([app]) as harness:
        views = Schedules(harness.runner, harness.stepwell.scheduler)
        assert {one.name: (one.retries, one.timeout) for one in (await views.page()).items} == {
            "broken": (7, 60.0),
            "starts": (None, None),
        }


def handler(tick: Tick) -> None: ...


def received(event: Any) -> None: ...


GITHUB = github_signature(secret="s3cret")
DECLARED: list[Callable[[App, dict[str, Any]], object]] = [
    lambda app, options: app.cron("@daily", **options)(handler),
    lambda app, options: app.schedule("s", every=HOUR, handler=handler, **options),
    lambda app, options: app.webhook("/in", verify=GITHUB, **options)(received),
]


@pytest.mark.parametrize("declare", DECLARED, ids=["cron", "schedule", "webhook"])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": 5}, "its timeout=5 isn't a timedelta; write timedelta(seconds=...)."),
        ({"timeout": timedelta(seconds=-1)}, "its timeout=timedelta(seconds=-1) is negative"),
        ({"timeout": True}, "its timeout=True isn't a timedelta"),
        ({"retry": 3}, "its retry=3 isn't a Retry; write retry=Retry(retries=3)."),
        ({"retry": Retry}, "isn't a Retry"),
        ({"retries": 3}, "retries"),
        ({"time_out": HOUR}, "timeout"),
        ({"retry_target": "start"}, "retry_target"),
    ],
)
def test_options_of_another_type_are_refused(
    declare: Callable[[App, dict[str, Any]], object], options: dict[str, Any], text: str
) -> None:
    app = App("office")
    with pytest.raises(DefinitionError) as refused:
        declare(app, options)
    assert text in str(refused.value)
    assert not app.schedules
    assert not app.webhooks


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(DefinitionError) as refused:
        App("office").cron("*/90 * * * *", timeout=5, retry="no")(handler)  # type: ignore[arg-type]
    assert all(text in str(refused.value) for text in ("'*/90'", "timeout=5", "retry='no'"))


@pytest.mark.parametrize("rule", [{"every": HOUR}, {"cron": "@daily"}])
@pytest.mark.parametrize(
    ("option", "value"), [("timeout", HOUR), ("timeout", timedelta(0)), ("retry", Retry(retries=1))]
)
def test_a_schedule_that_starts_a_workflow_refuses_what_it_cannot_honour(
    rule: dict[str, Any], option: str, value: object
) -> None:
    app = App("office", workflows=[Report])
    with pytest.raises(DefinitionError) as refused:
        app.schedule("starts", workflow=Report, **rule, **{option: value})  # type: ignore[arg-type]
    assert (
        f"{option}=... is for a handler; a workflow's transitions have their own: @transition(..., {option}=...)."
        in str(refused.value)
    )
    assert not app.schedules
