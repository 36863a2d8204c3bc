"""Durable workflows for Python backends, started from code.

The public names, and nothing else. Each is loaded when it is first used: `import stepwell` costs next to nothing,
and a module that only writes workflows never loads the database or the web framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepwell.app import App, Stepwell
    from stepwell.definition.document import Document, ErrorDocument, Link, Markdown, Message, Plain
    from stepwell.definition.event import Event
    from stepwell.definition.injection import Depends
    from stepwell.definition.model import END, START
    from stepwell.definition.retry import Retry
    from stepwell.definition.signal import Signal
    from stepwell.definition.workflow import Workflow, transition
    from stepwell.errors import NonRetryable, RetryAfter, StepwellError
    from stepwell.runner.handle import RunHandle
    from stepwell.runner.models import Checkpoint, Run, RunResult, StoredDocument
    from stepwell.runner.runner import WorkflowRunner
    from stepwell.runner.start import Start
    from stepwell.settings import Settings
    from stepwell.triggers.event import WebhookEvent
    from stepwell.triggers.tick import Tick

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - sorted as `sorted()` does it
    "App",
    "Checkpoint",
    "Depends",
    "Document",
    "END",
    "ErrorDocument",
    "Event",
    "Link",
    "Markdown",
    "Message",
    "NonRetryable",
    "Plain",
    "Retry",
    "RetryAfter",
    "Run",
    "RunHandle",
    "RunResult",
    "START",
    "Settings",
    "Signal",
    "Start",
    "Stepwell",
    "StepwellError",
    "StoredDocument",
    "Tick",
    "WebhookEvent",
    "Workflow",
    "WorkflowRunner",
    "transition",
]

_HOME = {
    "App": "stepwell.app",
    "Checkpoint": "stepwell.runner.models",
    "Depends": "stepwell.definition.injection",
    "Document": "stepwell.definition.document",
    "END": "stepwell.definition.model",
    "ErrorDocument": "stepwell.definition.document",
    "Event": "stepwell.definition.event",
    "Link": "stepwell.definition.document",
    "Markdown": "stepwell.definition.document",
    "Message": "stepwell.definition.document",
    "NonRetryable": "stepwell.errors",
    "Plain": "stepwell.definition.document",
    "Retry": "stepwell.definition.retry",
    "RetryAfter": "stepwell.errors",
    "Run": "stepwell.runner.models",
    "RunHandle": "stepwell.runner.handle",
    "RunResult": "stepwell.runner.models",
    "START": "stepwell.definition.model",
    "Settings": "stepwell.settings",
    "Signal": "stepwell.definition.signal",
    "Start": "stepwell.runner.start",
    "Stepwell": "stepwell.app",
    "StepwellError": "stepwell.errors",
    "StoredDocument": "stepwell.runner.models",
    "Tick": "stepwell.triggers.tick",
    "WebhookEvent": "stepwell.triggers.event",
    "Workflow": "stepwell.definition.workflow",
    "WorkflowRunner": "stepwell.runner.runner",
    "transition": "stepwell.definition.workflow",
}

_NOT_BUILT = frozenset({"FanOut", "Sequence"})


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if name in _NOT_BUILT:
        from stepwell.errors import NotBuilt

        raise NotBuilt(f"stepwell.{name}")
    if home is None:
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
