"""What is told after commits: which run has changed here, and of what kind the changes of others were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stepwell.engine.run import Run


@dataclass(frozen=True, slots=True)
class News:
    """Somebody else has committed something: runs that are ready, that become due, that parked or ended, and so on."""

    ready: bool = True
    due: bool = True
    ended: bool = True
    lost: bool = True
    """Runs that this process executes may not be its own any more."""
    children: bool = True


Listener = Callable[[Run | News], None]
"""Called on the loop with the row of a run that this process has changed, or with what others did."""
