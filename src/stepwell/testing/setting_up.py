"""A Stepwell on a database of its own, with a clock that only the test moves, steps of the test's own, and its tables."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from stepwell.app import App
from stepwell.composition import Stepwell
from stepwell.definition.values.misfit import shown
from stepwell.errors import InvalidArgs
from stepwell.execution.clock import Clock
from stepwell.execution.shared import Shared
from stepwell.settings import Settings
from stepwell.testing.stand_ins import StandIns

Setup = Callable[[Stepwell], Awaitable[object]]
"""Makes what the workflows need besides Stepwell's own tables; called with the open Stepwell, once for each database."""


class RehearsedStepwell(Stepwell):
    """A Stepwell whose steps may be replaced."""

    def __init__(self, apps: Sequence[App], settings: Settings, clock: Clock, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins
        super().__init__(apps, settings=settings, clock=clock)

    def _make_shared(self, clock: Clock) -> Shared:
        return replace(super()._make_shared(clock), body_of=self._stand_ins.body_of)


def checked_setup(setup: object) -> None:
    """Raise InvalidArgs for what can't be called with a Stepwell."""
    if setup is not None and not callable(setup):
        raise InvalidArgs(f"setup={shown(setup)}: give an async function, as in `async def setup(stepwell): ...`.")


async def set_up(stepwell: Stepwell, setup: Setup | None) -> None:
    """Have the test make what its workflows need. Raises InvalidArgs if `setup` isn't async."""
    if setup is None:
        return
    making: object = setup(stepwell)
    if not inspect.isawaitable(making):
        name = getattr(setup, "__qualname__", shown(setup))
        raise InvalidArgs(f"setup={name} returned {shown(making)}: write it as `async def`.")
    await making
