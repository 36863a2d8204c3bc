"""The harness: a real Stepwell on a database of its own, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from typing_extensions import TypeVar

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.definition.authoring.workflow import Workflow
from stepwell.definition.unset import UNSET
from stepwell.errors import StepwellError
from stepwell.execution.clock import microseconds
from stepwell.execution.starts import Start
from stepwell.nearest import checks_keywords
from stepwell.process import Process
from stepwell.runner.handle import RunHandle
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.testing.clock import Rest, VirtualClock, advance
from stepwell.testing.crash import CrashReport, crash_everywhere
from stepwell.testing.databases import Databases, checked_server
from stepwell.testing.expectation import Expectation, checked_expectation
from stepwell.testing.player import Script, Story, checked_script
from stepwell.testing.rehearsal import Committed, chosen, rehearse, rehearsed
from stepwell.testing.setting_up import RehearsedStepwell, Setup, checked_setup, set_up
from stepwell.testing.stand_ins import StandIns
from stepwell.testing.standing import app_of, standing

A = TypeVar("A", default=Any)
S = TypeVar("S", default=Any)
R = TypeVar("R", default=Any)

START_OF_TIME = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday, midnight."""


class Harness:
    """Open it with `async with`. Time stands still until `advance`; everything else is as in production.

    `setup` makes the tables of the test's workflows: it is awaited with the open Stepwell, once for each database.
    `settings` are taken over but for the database; without them the defaults count, whatever the environment says. The
    database is a temporary SQLite file, or, with `server` (the URL of a PostgreSQL server), a database there that is
    dropped in the end.
    """

    @checks_keywords("Harness")
    def __init__(
        self,
        apps: Sequence[App],
        setup: Setup | None = None,
        *,
        now: datetime | None = None,
        settings: Settings | None = None,
        server: str | None = None,
    ) -> None:
        checked_setup(setup)
        self.clock = VirtualClock(START_OF_TIME if now is None else now)
        self._apps = tuple(apps)
        self._setup = setup
        self._databases = Databases(settings, checked_server(server))
        self._stand_ins = StandIns()
        self._stepwell: Stepwell | None = None
        self._rest: Rest | None = None
        self._stack = AsyncExitStack()

    @property
    def stepwell(self) -> Stepwell:
        """The open Stepwell. Raises StepwellError outside of `async with`."""
        if self._stepwell is None:
            raise StepwellError("This harness isn't open: use it inside `async with Harness(apps=[...]) as harness:`.")
        return self._stepwell

    @property
    def runner(self) -> WorkflowRunner:
        """The verbs."""
        return self.stepwell.runner

    @property
    def url(self) -> str:
        """The URL of the database, as SQLAlchemy's async engines take it: for tables of the test's own."""
        return self.stepwell.settings.database_url

    async def __aenter__(self) -> Harness:
        async with AsyncExitStack() as stack:
            settings = await stack.enter_async_context(self._databases.fresh())
            made = RehearsedStepwell(self._apps, settings, self.clock, self._stand_ins)
            stepwell = await stack.enter_async_context(made)
            await set_up(stepwell, self._setup)
            assert stepwell.process is not None  # it is open
            self._rest = Rest(stepwell.process, self.clock, stepwell.runner)
            self._stepwell = stepwell
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stepwell = self._rest = None
        stand_ins, self._stand_ins = self._stand_ins, StandIns()
        await self._stack.aclose()
        if error is None:
            stand_ins.check()

    # -- time ---------------------------------------------------------------------------------------------------------

    async def drain(self, *, timeout: float = 60.0) -> None:
        """Execute everything that is due, until nothing executes, is ready or is due at the clock's time.

        Raises AssertionError, which lists what is still busy and why, after `timeout` seconds of real time.
        """
        await self._resting().reached(timeout)

    async def advance(self, duration: timedelta, *, timeout: float = 60.0) -> None:
        """Move the clock on by `duration`, from one due moment to the next, and drain at each.

        Due moments are those of timers, ticks, retries and delayed runs. `timeout` is for each drain. Raises as `drain`.
        """
        if duration < timedelta(0):
            raise ValueError(f"advance({duration!r}): time goes forward only.")
        await advance(self._resting(), self.clock, self.clock.now() + microseconds(duration), timeout)

    # -- parts of workflows -------------------------------------------------------------------------------------------

    def steps(self, steps: Mapping[str, object]) -> None:
        """Replace steps by their names, until the harness closes, also within `crash_everywhere`.

        An exception (or its class) is raised; a function is called with the step's arguments, and awaited if it is
        async; anything else is the step's value. Leaving the harness raises AssertionError for names that no step had.
        Raises InvalidArgs.
        """
        _ = self.stepwell  # says that it isn't open
        self._stand_ins.give(steps)

    async def run_transition(
        self,
        workflow: type[Workflow[A, S, R]] | str,
        transition: str | Callable[..., object],
        *,
        args: A | Mapping[str, Any] | None = None,
        state: object = UNSET,
        place: object = UNSET,
        data: object = UNSET,
        app_name: str | None = None,
        user_id: str = "u1",
    ) -> Committed[S, R]:
        """Execute one transition, and return what it would commit. Nothing is stored, and nothing else is executed.

        `state` is the one that it finds (by default the initial one); `place` the one that it leaves, where it leaves
        several; `data` the payload of its signal or event, or a whole `Signal`. The run has no history: no documents, and
        no steps of other transitions. Raises what the method or its guard raises, AssertionError where its guard refuses,
        UnknownWorkflow, UnknownTransition, InvalidArgs, InvalidState, InvalidPayload.
        """
        process, shared = self._process(), self._process().shared
        start = self._start(workflow, args, app_name)
        definition = shared.registry.get(start.app_name or "", workflow)
        found = chosen(definition, transition, place)
        _, commit = standing(shared, start, found.source, state, user_id)
        given = rehearsed(shared, definition, found, commit, process.worker_id, data)
        return await rehearse(shared, process.store, given)

    async def at(
        self,
        workflow: type[Workflow[A, S, R]] | str,
        place: str,
        *,
        args: A | Mapping[str, Any] | None = None,
        state: object = UNSET,
        app_name: str | None = None,
        user_id: str = "u1",
    ) -> RunHandle[R]:
        """Return a run that has entered this place now, after `drain`: its waits and its timers are as if it had come there.

        `state` is by default the initial one. Raises UnknownWorkflow, InvalidArgs, InvalidState.
        """
        process = self._process()
        _, commit = standing(process.shared, self._start(workflow, args, app_name), place, state, user_id)
        [started] = await process.store.writer.begin(commit)
        await self.drain()
        return RunHandle(self.runner, started.run.id, started.created, started.run.workspace_id)

    # -- crashes ------------------------------------------------------------------------------------------------------

    async def crash_everywhere(
        self,
        workflow: type[Workflow[Any, Any, Any]] | str,
        args: Any = None,
        *,
        app_name: str | None = None,
        user_id: str = "u1",
        signals: Script = (),
        within: timedelta = timedelta(days=30),
        timeout: float = 60.0,
        expect: Expectation = "completed",
        setup: Setup | None = None,
    ) -> CrashReport:
        """Crash a run before and after each of its commits: everything must end as in the undisturbed run.

        The undisturbed run has to end as `expect` says: a status; a place, where it neither failed nor was cancelled; or a
        callable that returns true for the `Run`. All of `signals` have to be sent to it.

        Compared are state, result, documents, history and children, without ids and times. Each run has a database of its
        own, made ready by `setup` (by default the harness's), and begins at this harness's time. Whenever it rests, the next
        of `signals` happens: `(name or method, data)`, a timedelta that passes, `("emit", name, data)`, or
        `("child", n, name, data)` for its n-th child; after them, time passes until nothing is due `within` this time. A
        step that was journaled isn't executed again; a test that wants to see that counts its calls.

        Raises AssertionError with the end of the undisturbed run, or with the crash and what was there after it; InvalidArgs.
        """
        checked_setup(setup)
        checked_expectation(expect)
        script = checked_script(signals)
        name = app_of(self._process().shared, workflow) if app_name is None else app_name
        story = Story(
            self._apps,
            self._databases,
            self._stand_ins,
            self._setup if setup is None else setup,
            self.clock.now_datetime(),
            workflow,
            args,
            name,
            user_id,
            script,
            within,
            timeout,
            expect,
        )
        return await crash_everywhere(story)

    # -- what is open -------------------------------------------------------------------------------------------------

    def _start(self, workflow: Any, args: object, app_name: str | None) -> Start:
        found = app_of(self._process().shared, workflow) if app_name is None else app_name
        return Start(workflow, args, app_name=found)

    def _process(self) -> Process:
        process = self.stepwell.process
        assert process is not None  # it is open
        return process

    def _resting(self) -> Rest:
        if self._rest is None:
            _ = self.stepwell  # says that it isn't open
        assert self._rest is not None
        return self._rest
