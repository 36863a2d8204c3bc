"""A handler whose attempt is over does nothing more through its runner, whatever of it still runs."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conformance.support import until
from stepwell import END, App, Event, Retry, Start, Workflow, WorkflowRunner, transition
from stepwell.errors import LeaseLost
from stepwell.execution.begun import current_attempt
from stepwell.testing import Harness
from stepwell.triggers.handler_runner import HandlerRunner

HOUR = timedelta(hours=1)
LONG = 60.0
HarnessOf = Callable[..., Harness]


class Report(Workflow[None, None, str], on=Event("late")):
    @transition(target=END)
    async def write(self) -> str:
        return "written"


def time_is_up(loop: asyncio.AbstractEventLoop) -> None:
    """End the attempt that this is called in, as its time limit would."""
    inside = current_attempt.get()
    assert inside is not None
    loop.call_soon_threadsafe(inside.attempt.scope.stop, "timeout")


GIVEN: dict[str, Any] = {"app_name": "office", "user_id": "u1"}

VERBS: dict[str, Callable[[Any, str], Any]] = {
    "run": lambda runner, known: runner.run(Report, labels=["late"], **GIVEN),
    "run of as_user": lambda runner, known: runner.as_user("u1").run(Report, labels=["late"]),
    "run_many": lambda runner, known: runner.run_many([Start(Report)] * 2, **GIVEN),
    "run_batch": lambda runner, known: runner.run_batch([Start(Report)] * 2, **GIVEN),
    "run_sync": lambda runner, known: runner.run_sync(Report, labels=["late"], **GIVEN),
    "stateless": lambda runner, known: runner.run_sync(Report, stateless=True, **GIVEN),
    "signal": lambda runner, known: runner.signal(known, "write"),
    "emit": lambda runner, known: runner.emit("late"),
    "cancel": lambda runner, known: runner.cancel(known),
    "retry": lambda runner, known: runner.retry(known),
    "get": lambda runner, known: runner.get(known),
    "list": lambda runner, known: runner.list(),
    "signal of a handle": lambda runner, known: runner.handle(known).signal("write"),
}


async def only_run(harness: Harness) -> str:
    [run] = (await harness.runner.list(workflow=Report)).items
    return run.workflow_id


async def test_threads_of_timed_out_attempts_start_nothing(harness_of: HarnessOf) -> None:
    app, loop = App("office", workflows=[Report]), asyncio.get_running_loop()
    gate, attempts = threading.Event(), []
    refused: list[tuple[str, str]] = []

    @app.cron("0 1 * * *", name="slow", timeout=HOUR, retry=Retry(retries=2, delay=timedelta(seconds=1)))
    def slow(runner: Any) -> None:
        known = runner.run(Report, **GIVEN).workflow_id
        attempts.append(known)
        time_is_up(loop)
        assert gate.wait(LONG)
        for name, verb in VERBS.items():
            try:
                verb(runner, known)
            except LeaseLost as error:
                refused.append((name, str(error)))

    async with harness_of([app]) as harness:
        try:
            await harness.advance(2 * HOUR)
            known = await only_run(harness)
            assert attempts == [known] * 3
        finally:
            gate.set()

        async def all_refused() -> bool:
            return len(refused) == 3 * len(VERBS)

        await until(all_refused)
        assert {name for name, _ in refused} == set(VERBS)
        assert all("tick:office:slow:" in text and "timeout=" in text for _, text in refused)
        assert await only_run(harness) == known


async def test_a_task_that_a_handler_left_behind_starts_nothing(harness_of: HarnessOf) -> None:
    app, gate = App("office", workflows=[Report]), asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    @app.cron("0 1 * * *", name="leaves")
    async def leaves(runner: WorkflowRunner) -> None:
        known = (await runner.run(Report, **GIVEN)).workflow_id

        async def late(verb: Callable[[Any, str], Any]) -> None:
            await gate.wait()
            await verb(runner, known)

        # With a context of its own a task isn't ended with the attempt.
        made = asyncio.get_running_loop().create_task
        tasks.extend(made(late(verb), context=contextvars.Context()) for verb in VERBS.values())

    async with harness_of([app]) as harness:
        await harness.advance(2 * HOUR)
        known = await only_run(harness)
        gate.set()
        async with asyncio.timeout(LONG):
            found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [LeaseLost] * len(VERBS)
        assert await only_run(harness) == known


async def test_a_handler_that_ignores_its_cancellation_starts_nothing(harness_of: HarnessOf) -> None:
    app, refused, known = App("office", workflows=[Report]), [], []

    @app.cron("0 1 * * *", name="deaf", timeout=HOUR, retry=Retry(retries=0))
    async def deaf(runner: WorkflowRunner) -> None:
        known.append((await runner.run(Report, **GIVEN)).workflow_id)
        try:
            time_is_up(asyncio.get_running_loop())
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for name, verb in VERBS.items():
                with pytest.raises(LeaseLost):
                    await verb(runner, known[0])
                refused.append(name)

    async with harness_of([app]) as harness:
        await harness.advance(2 * HOUR)
        assert refused == list(VERBS)
        assert [await only_run(harness)] == known


async def test_reads_for_a_user_keep_the_handlers_keys(harness_of: HarnessOf) -> None:
    app, failures = App("office", workflows=[Report]), []

    @app.cron("0 1 * * *", name="asks", retry=Retry(retries=1, delay=timedelta(seconds=1)))
    async def asks(runner: WorkflowRunner) -> None:
        asked = runner.asked_by("u1")
        assert isinstance(asked, HandlerRunner)
        await asked.as_user("u1").run(Report)
        if not failures:
            failures.append(1)
            raise RuntimeError("not yet")

    async with harness_of([app]) as harness:
        await harness.advance(2 * HOUR)
        run = await harness.runner.get(await only_run(harness))
        assert (run.app_name, failures) == ("office", [1])
