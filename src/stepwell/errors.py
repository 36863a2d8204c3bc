"""The tree of errors that Stepwell raises on purpose.

    StepwellError
    ├── ConfigurationError        settings, URLs, extras or schema that don't fit
    ├── DefinitionError           a workflow class breaks the rules; lists all faults at once
    ├── NotBuilt                  named by the contract, not built yet
    ├── UnknownApp                no app of that name is registered
    ├── UnknownWorkflow           the app doesn't list that workflow
    ├── UnknownTransition         no transition of the workflow could ever take it
    ├── WorkflowNotFound          no such run, or another user's
    ├── WorkspaceNotFound         no such workspace, or another user's
    ├── ScheduleNotFound          no such schedule, or another user's
    ├── ScheduleExists            the name of a new schedule is taken
    ├── GroupNotFound             no such group of children, or another user's
    ├── BatchNotFound             no such batch, or another user's
    ├── LimitNotFound             no run holds such a limit, or waits for it
    ├── DeliveryNotFound          no such delivery of a webhook
    ├── CursorNotFound            a cursor that isn't valid for this caller
    ├── InvalidArgs               args don't validate (Pydantic's errors() attached)
    ├── InvalidPayload            a signal's data doesn't validate (errors() attached)
    ├── InvalidState              the state for a fork or a retry doesn't validate (errors() attached)
    ├── PayloadTooLarge           args, state, payload, document or body over its limit
    ├── RunFinished               the run takes nothing any more
    ├── RunBusy                   a worker executes the run now: ask again
    ├── RunNotFinished            the run hasn't ended, and can't be deleted
    ├── CheckpointGone            the state of a checkpoint is no longer kept
    ├── AlreadyAnswered           another answer, which leads on from the place, came first
    ├── LinkNotFound              a link to a question isn't valid, or no longer
    ├── LinkExpired               the time of a link to a question is over
    ├── IdempotencyConflict       a key used again for something else
    ├── StatelessError            a stateless run parked, or asked for the database
    ├── TransitionFailed          an attempt of a transition failed
    │   ├── TransitionTimeout     ... because it exceeded its time
    │   └── StepTimeout           ... because a step of it exceeded its time
    ├── RunFailed                 result() of a run that failed or was cancelled
    ├── LeaseLost                 this process no longer owns the run it executes
    ├── StoreUnavailable          the database can't be reached or refuses to write
    │   └── ReadTooLong           ... or a read for a user took longer than it may
    ├── BadSignature              a webhook isn't provably from its sender, or not from now
    ├── NotSignedIn               a request without credentials, or with invalid ones
    ├── NoAccess                  the caller may not do this, or the API has no access rules yet
    ├── TooManyAttempts           too many recent failed logins from one address
    ├── TooManyStreams            no more live streams of this user, or of this process
    ├── TooManyReads              no more reads of this user until earlier ones are answered
    ├── TooManyTokens             no more valid API tokens of this user
    ├── TokenNotFound             no such API token, or another user's
    ├── IssuerUnavailable         the keys of the OIDC issuer can't be fetched
    ├── NonRetryable              raised by authors: no retry can help
    │   └── StepUnknown           a step that may run only once was begun, and its outcome isn't known
    └── RetryAfter                raised by authors: try again after this long

Each class carries the HTTP status with which the API answers (`http_status`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

__all__ = [
    "AlreadyAnswered", "BadSignature", "BatchNotFound", "CheckpointGone", "ConfigurationError", "CursorNotFound",
    "DefinitionError", "DeliveryNotFound", "GroupNotFound", "IdempotencyConflict", "InvalidArgs", "InvalidPayload",
    "InvalidState", "IssuerUnavailable", "LeaseLost", "LimitNotFound", "LinkExpired", "LinkNotFound", "NoAccess",
    "NonRetryable", "NotBuilt", "NotSignedIn", "PayloadTooLarge", "ReadTooLong", "RetryAfter", "RunBusy",
    "RunFailed", "RunFinished", "RunNotFinished", "ScheduleExists", "ScheduleNotFound", "StatelessError",
    "StepTimeout", "StepUnknown", "StepwellError", "StoreUnavailable", "TokenNotFound", "TooManyAttempts",
    "TooManyReads", "TooManyStreams", "TooManyTokens", "TransitionFailed", "TransitionTimeout", "UnknownApp",
    "UnknownTransition", "UnknownWorkflow", "WorkflowNotFound", "WorkspaceNotFound",
]  # fmt: skip


class StepwellError(Exception):
    """The root: `except StepwellError` catches all that Stepwell raises on purpose."""

    http_status: int = 500


class ConfigurationError(StepwellError):
    """Settings, a database URL, a missing extra or a schema version that can't work as given."""


class DefinitionError(StepwellError):
    """A workflow class, app or trigger breaks the rules; `faults` lists everything that is wrong with it."""

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(f"{subject} can't be used:{lines}")


class NotBuilt(StepwellError, NotImplementedError):
    """The contract names it, and this version doesn't have it yet."""

    http_status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} isn't built yet in this version of Stepwell; nothing was stored.")


class UnknownApp(StepwellError):
    """No app of that name was given to Stepwell(apps=[...])."""

    http_status = 404


class UnknownWorkflow(StepwellError):
    """The app doesn't list that workflow."""

    http_status = 404


class WorkflowNotFound(StepwellError):
    """No such run, or it belongs to another user: the two look the same on purpose."""

    http_status = 404


class WorkspaceNotFound(StepwellError):
    """No such workspace, or it belongs to another user."""

    http_status = 404


class GroupNotFound(StepwellError):
    """No such group of children, or it belongs to another user."""

    http_status = 404


class BatchNotFound(StepwellError):
    """No such batch, or it belongs to another user."""

    http_status = 404


class LimitNotFound(StepwellError):
    """No run that the reader may see holds such a limit, or waits for it."""

    http_status = 404


class ScheduleNotFound(StepwellError):
    """No such schedule in this process, or it belongs to another user: the two look the same on purpose."""

    http_status = 404


class ScheduleExists(StepwellError):
    """The user has a schedule of that name in the app, or the app declares one; nothing was stored."""

    http_status = 409


class DeliveryNotFound(StepwellError):
    """No such delivery of a webhook, or it is older than deliveries are kept."""

    http_status = 404


class CursorNotFound(StepwellError):
    """The cursor of a page isn't valid for this caller: it works only for callers with the same visibility."""

    http_status = 404


class _Validation(StepwellError):
    http_status = 422

    def __init__(self, message: str, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        self._errors = [dict(error) for error in errors]
        super().__init__(message)

    def errors(self) -> list[dict[str, Any]]:
        """Return Pydantic's list of errors: `loc`, `msg`, `type`, `input` of each field."""
        return self._errors


class InvalidArgs(_Validation):
    """The args of a start don't validate; nothing was stored."""


class InvalidPayload(_Validation):
    """The data of a signal or an event doesn't validate; the run is untouched."""


class InvalidState(_Validation):
    """The state for a fork or a retry doesn't validate, or that of then doesn't fit this code; nothing was stored."""


class UnknownTransition(_Validation):
    """The workflow has no signal transition of that name, or only ends of the run's children may fire it."""

    def __init__(self, message: str, *, callback: bool = False) -> None:
        super().__init__(message, [{"loc": ("name",), "msg": message, "type": "unknown_transition"}])
        if callback:
            self.http_status = 409


class PayloadTooLarge(StepwellError):
    """Args, state, payload, document or webhook body over its limit; nothing was stored."""

    http_status = 413


class RunFinished(StepwellError):
    """The run has ended, or has failed and waits for a retry: it takes nothing now."""

    http_status = 409

    def __init__(self, message: str, *, failed: bool = False) -> None:
        super().__init__(message)
        self.failed = failed


class RunNotFinished(StepwellError):
    """The run, or the group that it belongs to, is neither completed nor cancelled: it can't be deleted."""

    http_status = 409


class RunBusy(StepwellError):
    """A worker executes the run now: what was asked for can't be done meanwhile, and is to be asked for again."""

    http_status = 409


class CheckpointGone(StepwellError):
    """The state of that row of the history is no longer kept: no run can be forked from it."""

    http_status = 410


class AlreadyAnswered(StepwellError):
    """Another answer, which leads on from the place, came first: nothing was stored.

    `by` is the user who sent it (None: the system, an event or the end of a child), `at` when it was accepted.
    """

    http_status = 409

    def __init__(self, message: str, *, by: str | None, at: datetime) -> None:
        self.by = by
        self.at = at
        super().__init__(message)


class LinkNotFound(StepwellError):
    """A link to a question isn't valid: it was changed on its way, or its question has been assigned anew since."""

    http_status = 404


class LinkExpired(StepwellError):
    """The time of a link to a question is over."""

    http_status = 410


class IdempotencyConflict(StepwellError):
    """The idempotency key was used before, for another workflow, other args or another signal."""

    http_status = 409


class StatelessError(StepwellError):
    """A stateless run parked, or asked for something that only a stored run has."""

    http_status = 409


class TransitionFailed(StepwellError):
    """An attempt of a transition failed for a reason that Stepwell found, not the method."""


class TransitionTimeout(TransitionFailed):
    """The transition (or the run) used up its time and was stopped."""


class StepTimeout(TransitionFailed):
    """A try of a step used up its `timeout`. The step's `retry`, and then the transition's, may try again."""


class RunFailed(StepwellError):
    """The run of a `result()` failed or was cancelled; `status` is either."""

    http_status = 409

    def __init__(self, message: str, *, workflow_id: str, status: Literal["failed", "canceled"]) -> None:
        self.workflow_id = workflow_id
        self.status: Literal["failed", "canceled"] = status
        super().__init__(message)


class LeaseLost(StepwellError):
    """Another worker took the run over, or it was cancelled: this process's further work on it is discarded."""

    http_status = 409


class StoreUnavailable(StepwellError):
    """The database can't be reached, is full, read-only or locked.

    `outcome` is "nothing" (the call stored nothing) or "unknown" (the answer to a commit was lost and the database
    couldn't be asked again; look for `workflow_id` later). `refused`: the database works, and refuses this very write.
    """

    http_status = 503

    def __init__(
        self,
        message: str,
        *,
        outcome: Literal["nothing", "unknown"] = "nothing",
        workflow_id: str | None = None,
        refused: bool = False,
    ) -> None:
        self.outcome: Literal["nothing", "unknown"] = outcome
        self.workflow_id = workflow_id
        self.refused = refused
        super().__init__(message)


class ReadTooLong(StoreUnavailable):
    """A read for a user took longer than `Settings.read_seconds`, and was stopped. A narrower filter reads less."""


class BadSignature(StepwellError):
    """The request isn't provably from the sender, or is too old. The text is for the log, never for the caller."""

    http_status = 401


class NotSignedIn(StepwellError):
    """The request has no credentials, or a token that isn't valid (any more)."""

    http_status = 401


class NoAccess(StepwellError):
    """The caller lacks a right, which the text names; or the application hasn't said who may use the API at all."""

    http_status = 403


class _TooMany(StepwellError):
    http_status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class TooManyAttempts(_TooMany):
    """Too many recent failed logins: the credentials weren't checked. Try again after `retry_after` seconds."""


class TooManyStreams(_TooMany):
    """The limit of live streams of one user, or one process, is reached. Try again after `retry_after` seconds."""


class TooManyReads(_TooMany):
    """Too many reads of one user wait for a reader in this process. Try again after `retry_after` seconds."""


class TooManyTokens(StepwellError):
    """The user has as many valid API tokens as one user may have (`AuthSettings.max_tokens`). Revoke one."""

    http_status = 409


class TokenNotFound(StepwellError):
    """No such API token, or it belongs to another user."""

    http_status = 404


class IssuerUnavailable(StepwellError):
    """The OIDC issuer's keys aren't known here and can't be fetched now, so no JWT can be verified."""

    http_status = 503


class NonRetryable(StepwellError):
    """Raise it in a transition to fail without further automatic retries."""


class StepUnknown(NonRetryable):
    """A step with `once=True` has begun in this visit before, and no value was stored: it isn't called again."""


class RetryAfter(StepwellError):
    """Raise it in a transition to set the delay of the next automatic retry (a rate limit that says when)."""

    def __init__(self, delay: timedelta, message: str = "") -> None:
        self.delay = delay
        super().__init__(message or f"try again after {delay.total_seconds():g} s")
