"""The harness: a real Stepwell on a private temporary SQLite file, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stepwell.app import App, Stepwell
from stepwell.errors import StepwellError
from stepwell.execution.clock import microseconds
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.testing.clock import VirtualClock
from stepwell.testing.rest import Rest

START_OF_TIME = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday, midnight."""


class Hermetic(Settings):
    """Settings that no variable and no `.env` of the machine can change."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


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

    async def drain(self, *, timeout: float = 30.0) -> None:
        """Everything that is due was executed: nothing executes, is ready or is due at the clock's time.

        Raises AssertionError, which lists what is still busy and why, after `timeout` seconds of real time.
        """
        await self._resting().reached(timeout)

    async def advance(self, duration: timedelta, *, timeout: float = 30.0) -> None:
        """The clock has moved on by `duration`, from one due moment to the next, and everything was drained at each.

        Due moments are those of timers, ticks, retries and delayed runs. `timeout` is for each drain. Raises as `drain`.
        """
        if duration < timedelta(0):
            raise ValueError(f"advance({duration!r}): time goes forward only.")
        await advance(self._resting(), self.clock, self.clock.now() + microseconds(duration), timeout)

    def _resting(self) -> Rest:
        if self._rest is None:
            _ = self.stepwell  # says that it isn't open
        assert self._rest is not None
        return self._rest


async def advance(rest: Rest, clock: VirtualClock, target: int, timeout: float) -> None:
    """As `Harness.advance`, to a moment."""
    await rest.reached(timeout)
    while (moment := await rest.next_moment()) is not None and moment <= target:
        clock.move_to(moment)
        await rest.reached(timeout)
    clock.move_to(target)
    await rest.reached(timeout)


def private(settings: Settings | None, folder: Path, **changes: Any) -> Settings:
    """Settings on a file of their own in `folder`; what a test leaves executing isn't waited for when it closes."""
    changes = {"database_url": f"sqlite+aiosqlite:///{folder / 'stepwell.db'}", "drain_seconds": 0.0, **changes}
    return Hermetic(**changes) if settings is None else settings.model_copy(update=changes)
