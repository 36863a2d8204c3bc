"""Tools for tests of workflows: a real Stepwell whose clock only the test moves, crashes at every commit, signed webhooks.

    from stepwell.testing import Harness

The kit reaches the product through its seams (the clock, the writer, the storage) and never through branches in it. What
its failures show what was there instead. May import everything but `cli`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepwell.testing.clock import VirtualClock
    from stepwell.testing.crash import CrashReport
    from stepwell.testing.harness import Harness
    from stepwell.testing.rehearsal import Committed, EmittedEvent, StartedChild

__all__ = ["Committed", "CrashReport", "EmittedEvent", "Harness", "StartedChild", "VirtualClock"]

# Loaded on first use: pytest imports this package for its plugin in every project that has Stepwell installed.
_HOME = {
    "Committed": "stepwell.testing.rehearsal",
    "CrashReport": "stepwell.testing.crash",
    "EmittedEvent": "stepwell.testing.rehearsal",
    "Harness": "stepwell.testing.harness",
    "StartedChild": "stepwell.testing.rehearsal",
    "VirtualClock": "stepwell.testing.clock",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'stepwell.testing' has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
