"""The verbs of Stepwell: start, signal, cancel, retry, read. May import `execution` and below, never `worker`."""

from stepwell.runner.runner import WorkflowRunner
from stepwell.runner.start import Start

__all__ = ["Start", "WorkflowRunner"]
