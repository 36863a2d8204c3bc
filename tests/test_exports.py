"""The public names, pinned: a new one is a decision, a missing one a break."""

from __future__ import annotations

import importlib

import pytest

import stepwell
import stepwell.errors

PUBLIC = [
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

ERRORS = [
    "AlreadyAnswered",
    "BadSignature",
    "BatchNotFound",
    "CheckpointGone",
    "ConfigurationError",
    "CursorNotFound",
    "DefinitionError",
    "DeliveryNotFound",
    "GroupNotFound",
    "IdempotencyConflict",
    "InvalidArgs",
    "InvalidPayload",
    "InvalidState",
    "IssuerUnavailable",
    "LeaseLost",
    "LimitNotFound",
    "LinkExpired",
    "LinkNotFound",
    "NoAccess",
    "NonRetryable",
    "NotBuilt",
    "NotSignedIn",
    "PayloadTooLarge",
    "ReadTooLong",
    "RetryAfter",
    "RunBusy",
    "RunFailed",
    "RunFinished",
    "RunNotFinished",
    "ScheduleExists",
    "ScheduleNotFound",
    "StatelessError",
    "StepTimeout",
    "StepUnknown",
    "StepwellError",
    "StoreUnavailable",
    "TokenNotFound",
    "TooManyAttempts",
    "TooManyReads",
    "TooManyStreams",
    "TooManyTokens",
    "TransitionFailed",
    "TransitionTimeout",
    "UnknownApp",
    "UnknownTransition",
    "UnknownWorkflow",
    "WorkflowNotFound",
    "WorkspaceNotFound",
]


def test_the_public_names_are_exactly_these() -> None:
    assert stepwell.__all__ == PUBLIC == sorted(PUBLIC)


def test_the_errors_are_exactly_these() -> None:
    assert stepwell.errors.__all__ == ERRORS == sorted(ERRORS)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(stepwell, name) is not None
    assert name in dir(stepwell)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_the_one_of_its_room(name: str) -> None:
    home = importlib.import_module(stepwell._HOME[name])
    assert getattr(stepwell, name) is getattr(home, name)


def test_the_places_where_runs_begin_and_end() -> None:
    assert (stepwell.START, stepwell.END) == ("start", "end")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'stepwell' has no attribute 'Manager'"):
        stepwell.Manager  # noqa: B018
