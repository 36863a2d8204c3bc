"""Durable workflows for Python backends, started from code.

The public names, and nothing else. Each is loaded when it is first used: `import stepwell` costs next to nothing,
and a module that only writes workflows never loads the database or the web framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fast_depends import Depends

    from stepwell.app import App
    from stepwell.composition import Stepwell
    from stepwell.definition.authoring.asks import Ask
    from stepwell.definition.authoring.context import Signal
    from stepwell.definition.authoring.document import Document, ErrorDocument, Link, Markdown, Message, Plain
    from stepwell.definition.authoring.groups import Group, GroupItem
    from stepwell.definition.authoring.limits import Concurrency, Debounce, RateLimit
    from stepwell.definition.authoring.marks import END, START, Event, Retry, transition
    from stepwell.definition.authoring.migration import Migration, migrate
    from stepwell.definition.authoring.steps import Step
    from stepwell.definition.authoring.workflow import Workflow
    from stepwell.definition.unset import UNSET
    from stepwell.errors import NonRetryable, RetryAfter, StepwellError
    from stepwell.runner.batch_handle import BatchHandle
    from stepwell.runner.batch_models import Batch
    from stepwell.runner.checking import Misfit
    from stepwell.runner.groups import GroupProgress
    from stepwell.runner.handle import RunHandle
    from stepwell.runner.models import Checkpoint, Run, RunResult, StoredDocument
    from stepwell.runner.pausing import Pause
    from stepwell.runner.people import Question
    from stepwell.runner.runner import WorkflowRunner
    from stepwell.runner.schedule_models import Schedule
    from stepwell.runner.start import Start
    from stepwell.runner.step_models import StepRow
    from stepwell.runner.workspaces import Workspace
    from stepwell.settings import Settings
    from stepwell.store.migrations import alembic_include_object
    from stepwell.triggers.answers import WebhookResponse
    from stepwell.triggers.events import Tick, WebhookEvent

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - sorted as `sorted()` does it
    "App",
    "Ask",
    "Batch",
    "BatchHandle",
    "Checkpoint",
    "Concurrency",
    "Debounce",
    "Depends",
    "Document",
    "END",
    "ErrorDocument",
    "Event",
    "Group",
    "GroupItem",
    "GroupProgress",
    "Link",
    "Markdown",
    "Message",
    "Migration",
    "Misfit",
    "NonRetryable",
    "Pause",
    "Plain",
    "Question",
    "RateLimit",
    "Retry",
    "RetryAfter",
    "Run",
    "RunHandle",
    "RunResult",
    "START",
    "Schedule",
    "Settings",
    "Signal",
    "Start",
    "Step",
    "StepRow",
    "Stepwell",
    "StepwellError",
    "StoredDocument",
    "Tick",
    "UNSET",
    "WebhookEvent",
    "WebhookResponse",
    "Workflow",
    "WorkflowRunner",
    "Workspace",
    "alembic_include_object",
    "migrate",
    "transition",
]

_HOME = {
    "App": "stepwell.app",
    "Ask": "stepwell.definition.authoring.asks",
    "Batch": "stepwell.runner.batch_models",
    "BatchHandle": "stepwell.runner.batch_handle",
    "Checkpoint": "stepwell.runner.models",
    "Concurrency": "stepwell.definition.authoring.limits",
    "Debounce": "stepwell.definition.authoring.limits",
    "Depends": "fast_depends",
    "Document": "stepwell.definition.authoring.document",
    "END": "stepwell.definition.authoring.marks",
    "ErrorDocument": "stepwell.definition.authoring.document",
    "Event": "stepwell.definition.authoring.marks",
    "Group": "stepwell.definition.authoring.groups",
    "GroupItem": "stepwell.definition.authoring.groups",
    "GroupProgress": "stepwell.runner.groups",
    "Link": "stepwell.definition.authoring.document",
    "Markdown": "stepwell.definition.authoring.document",
    "Message": "stepwell.definition.authoring.document",
    "Migration": "stepwell.definition.authoring.migration",
    "Misfit": "stepwell.runner.checking",
    "NonRetryable": "stepwell.errors",
    "Pause": "stepwell.runner.pausing",
    "Plain": "stepwell.definition.authoring.document",
    "Question": "stepwell.runner.people",
    "RateLimit": "stepwell.definition.authoring.limits",
    "Retry": "stepwell.definition.authoring.marks",
    "RetryAfter": "stepwell.errors",
    "Run": "stepwell.runner.models",
    "RunHandle": "stepwell.runner.handle",
    "RunResult": "stepwell.runner.models",
    "START": "stepwell.definition.authoring.marks",
    "Schedule": "stepwell.runner.schedule_models",
    "Settings": "stepwell.settings",
    "Signal": "stepwell.definition.authoring.context",
    "Start": "stepwell.runner.start",
    "Step": "stepwell.definition.authoring.steps",
    "StepRow": "stepwell.runner.step_models",
    "Stepwell": "stepwell.composition",
    "StepwellError": "stepwell.errors",
    "StoredDocument": "stepwell.runner.models",
    "Tick": "stepwell.triggers.events",
    "UNSET": "stepwell.definition.unset",
    "WebhookEvent": "stepwell.triggers.events",
    "WebhookResponse": "stepwell.triggers.answers",
    "Workflow": "stepwell.definition.authoring.workflow",
    "WorkflowRunner": "stepwell.runner.runner",
    "Workspace": "stepwell.runner.workspaces",
    "alembic_include_object": "stepwell.store.migrations",
    "migrate": "stepwell.definition.authoring.migration",
    "transition": "stepwell.definition.authoring.marks",
}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'stepwell' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
