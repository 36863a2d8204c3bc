"""What this room needs of the Stepwell that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import Settings
from stepwell.triggers.handlers import Triggers
from stepwell.triggers.scheduler import Scheduler


class Served(Protocol):
    """A Stepwell, open or not yet."""

    @property
    def apps(self) -> Mapping[str, Triggers]: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def opening(self) -> Opening: ...
    @property
    def runner(self) -> WorkflowRunner: ...
    @property
    def scheduler(self) -> Scheduler:
        """Raises StepwellError while it isn't open."""
        ...

    async def faults(self) -> list[str]:
        """Why nothing should be sent here now; empty if it is ready."""
        ...
