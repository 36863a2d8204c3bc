"""A Stepwell belongs to the process and the event loop that opened it: elsewhere each verb is refused, and stores nothing.

Refused means an error at once. Before, a forked worker and a second loop waited for ever for threads and loops that
weren't theirs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from backends import Database
from conformance.support import ME, StepwellOn, everything
from stepwell import END, Start, Stepwell, Workflow, WorkflowRunner, transition
from stepwell.errors import ConfigurationError, StepwellError

# Python 3.12 warns of each fork of a process with threads: that it is dangerous is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

Verb = Callable[[WorkflowRunner, str], Coroutine[Any, Any, Any]]


class Parks(Workflow):
    @transition(target="open")
    async def begin(self) -> None: ...

    @transition("open", END, wait=True)
    async def close(self) -> None: ...


class Plain(Workflow[int]):
    @transition(target=END)
    def double(self) -> int:
        return self.args * 2


VERBS: dict[str, Verb] = {
    "run": lambda runner, _: runner.run(Parks, **ME),
    "run_many": lambda runner, _: runner.run_many([Start(Parks), Start(Parks)], **ME),
    "run_sync": lambda runner, _: runner.run_sync(Parks, **ME),
    "signal": lambda runner, run: runner.signal(run, "close"),
    "emit": lambda runner, _: runner.emit("something.happened"),
    "cancel": lambda runner, run: runner.cancel(run),
    "retry": lambda runner, run: runner.retry(run),
    "get": lambda runner, run: runner.get(run),
    "list": lambda runner, _: runner.list(),
    "history": lambda runner, run: runner.history(run),
    "documents": lambda runner, run: runner.documents(run),
    "explain": lambda runner, run: runner.explain(run),
    "handle.result": lambda runner, run: runner.handle(run).result(),
    "handle.result with a time limit": lambda runner, run: runner.handle(run).result(1),
    "handle.get": lambda runner, run: runner.handle(run).get(),
    "handle.signal": lambda runner, run: runner.handle(run).signal("close"),
    "handle.cancel": lambda runner, run: runner.handle(run).cancel(),
    "handle.retry": lambda runner, run: runner.handle(run).retry(),
    "as_user.run": lambda runner, _: runner.as_user("u1").run(Parks, app_name="shop"),
    "as_user.get": lambda runner, run: runner.as_user("u1").get(run),
    "as_user.signal": lambda runner, run: runner.as_user("u1").signal(run, "close"),
}


def in_fork(act: Callable[[], Any]) -> Any:
    """What `act` returned or raised in a fork of this process, which is killed if it hangs."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, pickle.dumps(outcome(act)))
        finally:
            os._exit(0)
    os.close(writing)
    hung = threading.Timer(20, os.kill, (child, signal.SIGKILL))
    hung.start()
    with os.fdopen(reading, "rb") as answers:
        said = answers.read()
    hung.cancel()
    os.waitpid(child, 0)
    assert said, "the child hung, or died"
    return pickle.loads(said)


def outcome(act: Callable[[], Any]) -> Any:
    """What it returned, or the name and the text of what it raised."""
    try:
        return act()
    except BaseException as error:  # noqa: BLE001 - shown to the parent
        return type(error).__name__, str(error)


def in_thread(act: Callable[[], Any]) -> Any:
    """What `act` returned or raised in a thread beside."""
    said: list[Any] = []
    thread = threading.Thread(target=lambda: said.append(outcome(act)), name="beside", daemon=True)
    thread.start()
    thread.join(20)
    assert said, "it hung"
    return said[0]


def rows(stepwell: Stepwell) -> Any:
    """Everything that is stored, asked for from plain code."""
    assert stepwell.opening.context is not None
    return asyncio.run_coroutine_threadsafe(everything(stepwell), stepwell.opening.context.loop).result(60)


def test_after_a_fork_each_verb_is_refused_and_stores_nothing(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Parks]) as stepwell:
        run = stepwell.runner.blocking.run_sync(Parks, **ME).workflow_id or ""
        before = rows(stepwell)

        def child() -> dict[str, Any]:
            said = {name: outcome(lambda: asyncio.run(VERBS[name](stepwell.runner, run))) for name in VERBS}  # noqa: B023
            calls: dict[str, Callable[[], Any]] = {
                "blocking.run": lambda: stepwell.runner.blocking.run(Parks, **ME),
                "blocking.run_sync": lambda: stepwell.runner.blocking.run_sync(Parks, **ME),
                "blocking.get": lambda: stepwell.runner.blocking.get(run),
                "blocking.result": lambda: stepwell.runner.blocking.handle(run).result(),
                "blocking.as_user": lambda: stepwell.runner.blocking.as_user("u1").signal(run, "close"),
            }
            return said | {name: outcome(call) for name, call in calls.items()}

        said = in_fork(child)
        assert len(said) == len(VERBS) + 5
        for verb, (kind, text) in said.items():
            assert kind == "ConfigurationError", (verb, text)
            assert f"opened in process {os.getpid()} and can't be used in process" in text, verb
            assert "nothing was stored" in text
            assert "lifespan=stepwell.lifespan" in text
        assert rows(stepwell) == before
        stepwell.runner.blocking.signal(run, "close")
        assert stepwell.runner.blocking.handle(run).result(60) is None


def test_a_process_of_multiprocessing_is_told_so_too(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Parks]) as stepwell:
        answers = multiprocessing.SimpleQueue()

        def child() -> None:
            answers.put(outcome(lambda: stepwell.runner.blocking.run(Parks, **ME)))

        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(20)
        assert process.exitcode == 0
        assert answers.get()[0] == "ConfigurationError"
        assert len(stepwell.runner.blocking.list().items) == 0


def test_leaving_it_in_a_fork_closes_nothing_and_returns(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Parks]) as stepwell:

        def child() -> str:
            stepwell.__exit__(None, None, None)
            asyncio.run(stepwell.__aexit__(None, None, None))
            return "left"

        assert in_fork(child) == "left"
        assert stepwell.runner.blocking.run_sync(Parks, **ME).status == "waiting"


PROGRAM = """
import os, sys
from stepwell import App, Settings, Stepwell

stepwell = Stepwell([App("shop")], settings=Settings(_env_file=None, database_url=sys.argv[1]))
with stepwell:
    child = os.fork()
    if not child:
        sys.exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_that_ends_inside_of_it_ends(sqlite_database: Database) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, sqlite_database.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout.strip(), ended.returncode) == ("3", 0), ended.stderr


def test_a_fork_says_that_it_is_unhealthy_and_cant_open_what_is_open(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Parks]) as stepwell:
        [fault] = in_fork(lambda: asyncio.run(stepwell.faults()))
        assert f"a fork of process {os.getpid()}" in fault
        for enter in (lambda: asyncio.run(opened(stepwell)), lambda: asyncio.run(lived(stepwell)), stepwell.__enter__):
            kind, text = in_fork(cast("Callable[[], Any]", enter))
            assert kind == "ConfigurationError"
            assert f"open already, in process {os.getpid()}" in text
            assert "make another Stepwell here" in text


async def opened(stepwell: Stepwell) -> int:
    """What a plain `def` of a run returns."""
    async with stepwell:
        return (await stepwell.runner.run_sync(Plain, 21, **ME)).result or 0


async def lived(stepwell: Stepwell) -> int:
    """The same, inside the lifespan of an application."""
    async with stepwell.lifespan():
        return (await stepwell.runner.run_sync(Plain, 21, **ME)).result or 0


def test_one_that_was_not_open_at_the_fork_works_in_each_child(stepwell_on: StepwellOn) -> None:
    stepwell = stepwell_on([Plain])
    # Its threads, too, have been there before: those of the parent aren't in the child.
    stateless = {"stateless": True, **ME}
    assert asyncio.run(stepwell.runner.run_sync(Plain, 4, **stateless)).result == 8
    with stepwell:
        assert stepwell.runner.blocking.run_sync(Plain, 5, **ME).result == 10
    assert in_fork(lambda: asyncio.run(opened(stepwell))) == 42
    assert in_fork(lambda: asyncio.run(lived(stepwell))) == 42
    assert in_fork(lambda: asyncio.run(stepwell.runner.run_sync(Plain, 6, **stateless)).result) == 12


def test_beside_an_open_one_a_child_opens_another(stepwell_on: StepwellOn) -> None:
    with stepwell_on([Plain]) as one:
        assert one.runner.blocking.run_sync(Plain, 5, **ME).result == 10
        other = stepwell_on([Plain])
        assert in_fork(lambda: asyncio.run(opened(other))) == 42
        assert one.runner.blocking.run_sync(Plain, 6, **ME).result == 12


async def test_on_another_loop_each_verb_is_refused_and_stores_nothing(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as stepwell:
        run = (await stepwell.runner.run_sync(Parks, **ME)).workflow_id or ""
        before = await everything(stepwell)
        for name, verb in VERBS.items():
            kind, text = in_thread(lambda: asyncio.run(verb(stepwell.runner, run)))  # noqa: B023
            assert kind == "ConfigurationError", (name, text)
            assert "opened on another event loop (in the thread 'MainThread' of process" in text
            assert "called on the one of the thread 'beside'; nothing was stored" in text
            assert "runner.blocking" in text
        assert await everything(stepwell) == before


async def test_without_any_loop_it_is_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as stepwell:
        kind, text = in_thread(lambda: stepwell.runner.run(Parks, **ME).send(None))
        assert kind == "ConfigurationError"
        assert "in the thread 'beside', without any" in text
        assert (await stepwell.runner.list()).items == ()


async def test_a_coroutine_made_elsewhere_and_awaited_on_its_loop_is_fine(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as stepwell:
        loop = asyncio.get_running_loop()

        def beside() -> Any:
            return asyncio.run_coroutine_threadsafe(stepwell.runner.run_sync(Parks, **ME), loop).result(60).status

        assert await asyncio.to_thread(beside) == "waiting"


async def test_on_another_loop_it_is_neither_closed_nor_opened_again(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as stepwell:
        kind, text = in_thread(lambda: asyncio.run(stepwell.__aexit__(None, None, None)))
        assert (kind, "close it there. It is still open" in text) == ("ConfigurationError", True)
        kind, text = in_thread(lambda: asyncio.run(opened(stepwell)))
        assert (kind, "open already (in the thread 'MainThread'" in text) == ("ConfigurationError", True)
        assert in_thread(lambda: asyncio.run(stepwell.faults())) == ["it was opened on another event loop"]
        assert await stepwell.faults() == []
        assert (await stepwell.runner.run_sync(Parks, **ME)).status == "waiting"


def test_between_two_turns_of_its_loop_nobody_would_answer(stepwell_on: StepwellOn) -> None:
    stepwell = stepwell_on([Parks])
    with asyncio.Runner() as runner:
        runner.run(stepwell.__aenter__())
        with pytest.raises(ConfigurationError, match=r"has stopped running.*nothing was stored"):
            stepwell.runner.blocking.run(Parks, **ME)
        assert runner.run(stepwell.runner.list()).items == ()
        runner.run(stepwell.__aexit__(None, None, None))


async def test_without_a_database_it_runs_on_any_loop(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Plain]) as stepwell:
        run = stepwell.runner.run_sync
        assert in_thread(lambda: asyncio.run(run(Plain, 4, stateless=True, **ME)).result) == 8


async def test_while_it_closes_and_afterwards_each_verb_is_refused(stepwell_on: StepwellOn) -> None:
    async with stepwell_on([Parks]) as stepwell:
        runner = stepwell.runner
        run = (await runner.run_sync(Parks, **ME)).workflow_id or ""
    for name, verb in VERBS.items():
        with pytest.raises(StepwellError, match="isn't open"):
            await verb(runner, run)
        assert name
