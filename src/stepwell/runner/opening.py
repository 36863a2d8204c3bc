"""What exists before the database is open: a runner can be made, and can run stateless, at any time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepwell.errors import StepwellError
from stepwell.execution.shared import Shared

if TYPE_CHECKING:
    from stepwell.runner.core import Core


class Opening:
    """Holds the open parts while there are any."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.loop: asyncio.AbstractEventLoop | None = None
        self._core: Core | None = None

    @property
    def core(self) -> Core:
        """The open parts. Raises StepwellError while there are none."""
        if self._core is None:
            raise StepwellError(
                "This Stepwell isn't open: use it inside `async with stepwell:`, `with stepwell:` or FastAPI's "
                "lifespan=stepwell.lifespan. Only run_sync(..., stateless=True) works before."
            )
        return self._core

    def open(self, core: Core) -> None:
        """The runner works from now on, on this loop."""
        self._core = core
        self.loop = asyncio.get_running_loop()

    def close(self) -> None:
        """The runner refuses again."""
        self._core = None
        self.loop = None
