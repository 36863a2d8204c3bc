"""The harness: a real Stepwell on a private temporary SQLite file, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.definition.authoring.workflow import Workflow
from stepwell.errors import StepwellError
from stepwell.execution.clock import microseconds
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.testing.clock import Rest, VirtualClock, advance
from stepwell.testing.crash import CrashReport, Script, Story, crash_everywhere, private
from stepwell.testing.expectation import Expectation

START_OF_TIME = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday, midnight."""


class Harness:
    """Open it with `async with`. Time stands still until `advance`; everything else is as in production.

    `settings` are taken over but for the database; without them the defaults count, whatever the environment says.
    """

    def __init__(self, apps: Sequence[App], *, now: datetime | None = None, settings: Settings | None = None) -> None:
        self.clock = VirtualClock(START_OF_TIME if now is None else now)
        self._apps = tuple(apps)
        self._settings = settings
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

    async def __aenter__(self) -> Harness:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True))
            stepwell = await stack.enter_async_context(
                Stepwell(self._apps, settings=private(self._settings, Path(folder)), clock=self.clock)
            )
            assert stepwell.process is not None  # it is open
            self._rest = Rest(stepwell.process, self.clock, stepwell.runner)
            self._stepwell = stepwell
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stepwell = self._rest = None
        await self._stack.aclose()

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

    async def crash_everywhere(
        self,
        workflow: type[Workflow[Any, Any, Any]] | str,
        args: Any = None,
        *,
        app_name: str,
        user_id: str = "u1",
        signals: Script = (),
        within: timedelta = timedelta(days=30),
        timeout: float = 60.0,
        expect: Expectation = "completed",
    ) -> CrashReport:
        """Crash a run before and after each of its commits: everything must end as in the undisturbed run.

        The undisturbed run has to end as `expect` says: a status; a place, where it neither failed nor was cancelled; or a
        callable that returns true for the `Run`. All of `signals` have to be sent to it.

        Compared are state, result, documents, history and children, without ids and times. Each run has a database of its
        own and begins at this harness's time. Whenever it rests, the next of `signals` is sent: `(name or method, data)`, or a
        timedelta that passes; after them, time passes until nothing is due `within` this time. A step that was journaled
        isn't executed again; a test that wants to see that counts its calls.

        Raises AssertionError with the end of the undisturbed run, or with the crash and what was there after it.
        """
        story = Story(
            self._apps,
            self._settings,
            self.clock.now_datetime(),
            workflow,
            args,
            app_name,
            user_id,
            signals,
            within,
            timeout,
            expect,
        )
        return await crash_everywhere(story)

    def _resting(self) -> Rest:
        if self._rest is None:
            _ = self.stepwell  # says that it isn't open
        assert self._rest is not None
        return self._rest
