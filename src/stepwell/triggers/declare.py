"""The triggers of an `App`: frozen data, made by functions that check everything and report all faults.

Names are unique per app; the App checks that, because only it sees them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import get_annotations
from typing import Any, Final, TypeAlias, TypedDict, Unpack

from stepwell.definition.authoring.marks import Retry
from stepwell.definition.compile.options import attempt_faults
from stepwell.definition.schedules.policy import CATCH_UP, LONGEST_USER, NO_JITTER, Overlap, late_faults, name_faults
from stepwell.definition.schedules.schedule_times import (
    EPOCH,
    CronRule,
    IntervalRule,
    Misfire,
    TickRule,
    cron_faults,
    interval_faults,
)
from stepwell.definition.text import SYSTEM_USER, is_text
from stepwell.errors import DefinitionError
from stepwell.nearest import UnknownKeyword, unknown_keywords
from stepwell.triggers.challenges import ChallengeAnswer, meta_challenge
from stepwell.triggers.signatures import UrlVerifier, Verifier

Handler: TypeAlias = Callable[..., Any]
"""A function of the application. What it is given is decided where it is called."""


@dataclass(frozen=True, slots=True)
class StartWorkflow:
    """The start of one run at each tick."""

    workflow: type[Any] | str
    """The class, or its name."""
    args: object = None
    """A model or JSON-ready data, validated by the App against the workflow."""
    user_id: str = SYSTEM_USER


@dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """A schedule: its ticks, their effect, and the policy for ticks that are late or overlap."""

    name: str
    """Unique in the app, and the identity of its ticks: a renamed schedule starts over."""
    rule: TickRule
    action: Handler | StartWorkflow
    overlap: Overlap = "skip"
    misfire: Misfire = "latest"
    catch_up: timedelta = CATCH_UP
    jitter: timedelta = NO_JITTER
    timeout: timedelta | None = None
    """Of one attempt of the handler; None: the setting `transition_timeout`, zero: no limit."""
    retry: Retry | None = None
    """Of the handler; None: three retries, which begin after a second."""


@dataclass(frozen=True, slots=True)
class WebhookRoute:
    """A webhook: the path that takes deliveries, their sender, and their handler."""

    path: str
    verify: Verifier | UrlVerifier
    handler: Handler
    name: str
    """Unique in the app; delivery ids are unique within it."""
    challenge: ChallengeAnswer | None = None
    """Answers requests by which the sender tests the address."""
    timeout: timedelta | None = None
    """Of one attempt of the handler; None: the setting `transition_timeout`, zero: no limit."""
    retry: Retry | None = None
    """Of the handler, by Stepwell; None: the sender sends a delivery again whose handler has failed."""


class TickOptions(TypedDict, total=False):
    """The keywords of `app.cron` and `app.schedule` for ticks that are late or overlap, and for attempts of handlers."""

    overlap: Overlap
    misfire: Misfire
    catch_up: timedelta | None
    jitter: timedelta
    timeout: timedelta | None
    """Of one attempt of the handler; None: the setting `transition_timeout`, zero: no limit."""
    retry: Retry | None
    """Of the handler. Default: three retries."""


class CronOptions(TickOptions, total=False):
    """The further keywords of `app.cron`."""

    name: str | None
    """Default: the handler's name."""


class ScheduleOptions(TickOptions, total=False):
    """The further keywords of `app.schedule`."""

    handler: Handler | None
    anchor: datetime


class RuleOptions(CronOptions, total=False):
    """The keywords that a schedule takes whatever its rule is."""

    handler: Handler | None
    workflow: type[Any] | str | None
    args: object
    user_id: str | None


RULE_OPTIONS: Final = tuple(get_annotations(RuleOptions))
SCHEDULE_OPTIONS: Final = tuple(get_annotations(ScheduleOptions))


def cron_schedule(expression: str, *, timezone: str = "UTC", **options: Unpack[RuleOptions]) -> DeclaredSchedule:
    """Return a checked schedule that ticks by a cron expression. Raises DefinitionError with all faults."""
    policy = _policy(options, "timezone")
    _refuse(f"The schedule {policy.title!r}", cron_faults(expression, timezone) + policy.faults())
    return policy.schedule(CronRule(expression, timezone))


def interval_schedule(
    every: timedelta, *, anchor: datetime = EPOCH, **options: Unpack[RuleOptions]
) -> DeclaredSchedule:
    """Return a checked schedule that ticks every `every` from `anchor` on. Raises DefinitionError with all faults."""
    policy = _policy(options, "anchor")
    _refuse(f"The schedule {policy.title!r}", interval_faults(every, anchor) + policy.faults())
    return policy.schedule(IntervalRule(every, anchor))


def _policy(options: RuleOptions, rules: str) -> _Policy:
    """Return the options of a schedule, whose rule takes one more. Raises UnknownKeyword."""
    known = [*RULE_OPTIONS, rules]
    if unknown := unknown_keywords(options, known):
        handler = options.get("handler")
        name = options.get("name") or getattr(handler, "__name__", "")
        raise UnknownKeyword(f"The schedule {name!r}", unknown)
    return _Policy(**options)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """The options of a schedule with their defaults, not yet checked."""

    name: str | None = None
    handler: Handler | None = None
    workflow: type[Any] | str | None = None
    args: object = None
    user_id: str | None = None
    overlap: Overlap = "skip"
    misfire: Misfire = "latest"
    catch_up: timedelta | None = None
    jitter: timedelta = NO_JITTER
    timeout: timedelta | None = None
    retry: Retry | None = None

    @property
    def title(self) -> str:
        return getattr(self.handler, "__name__", "") if self.name is None else self.name

    def faults(self) -> list[str]:
        return [
            *name_faults(self.title),
            *self._action_faults(),
            *late_faults(self.overlap, self.misfire, self.catch_up, self.jitter),
            *attempt_faults(self.timeout, self.retry),
        ]

    def schedule(self, rule: TickRule) -> DeclaredSchedule:
        action = self.handler or StartWorkflow(self.workflow or "", self.args, self.user_id or SYSTEM_USER)
        catch_up = CATCH_UP if self.catch_up is None else self.catch_up
        late = (self.overlap, self.misfire, catch_up, self.jitter)
        return DeclaredSchedule(self.title, rule, action, *late, self.timeout, self.retry)

    def _action_faults(self) -> list[str]:
        if (self.handler is None) == (self.workflow is None):
            return ["give either a handler to call or workflow=... to start."]
        return self._start_faults() if self.handler is None else self._call_faults()

    def _call_faults(self) -> list[str]:
        spare = [
            f"{option}=... belongs to workflow=...; a handler decides itself what to start, and for which user."
            for option, given in (("args", self.args), ("user_id", self.user_id))
            if given is not None
        ]
        return _handler_faults(self.handler) + spare

    def _start_faults(self) -> list[str]:
        faults = [
            f"{option}=... is for a handler; a workflow's transitions have their own: @transition(..., {option}=...)."
            for option, given in (("timeout", self.timeout), ("retry", self.retry))
            if given is not None
        ]
        if not self.workflow or not isinstance(self.workflow, (str, type)):
            faults.append(f"workflow={self.workflow!r} must be a workflow class or its name.")
        if isinstance(self.args, (str, bytes)):
            faults.append(f"args={self.args!r} must be a model or a mapping, not text.")
        if self.user_id is not None and not is_text(self.user_id, LONGEST_USER):
            faults.append(f"user_id={self.user_id!r} must be a user's id, as in 'system'.")
        return faults


def webhook_route(
    path: str,
    *,
    verify: Verifier | UrlVerifier,
    handler: Handler,
    name: str | None = None,
    challenge: ChallengeAnswer | None = None,
    timeout: timedelta | None = None,
    retry: Retry | None = None,
) -> WebhookRoute:
    """Return a checked route, served at exactly `path`; its name is the handler's unless given.

    Raises DefinitionError with all that is wrong.
    """
    resolved = getattr(handler, "__name__", "") if name is None else name
    faults = _path_faults(path) + _handler_faults(handler) + name_faults(resolved)
    if isinstance(verify, type) or not isinstance(verify, Verifier):
        faults.append(f"verify={verify!r} must be a verifier, as in stripe_signature(secret=...).")
    faults += _challenge_faults(challenge)
    faults += attempt_faults(timeout, retry)
    _refuse(f"The webhook {path!r}", faults)
    return WebhookRoute(path, verify, handler, resolved, challenge, timeout, retry)


def _challenge_faults(challenge: object) -> list[str]:
    if challenge is meta_challenge:
        return ["challenge=meta_challenge isn't called: write challenge=meta_challenge(verify_token=...)."]
    if challenge is None or (callable(challenge) and not isinstance(challenge, type)):
        return []
    return [
        f"challenge={challenge!r} must be a function that takes a Challenge and returns the answer's text or None, as in "
        "meta_challenge(verify_token=...)."
    ]


def duplicates(declared: Mapping[str, list[str]]) -> list[str]:
    """Return one fault for each name that occurs twice in its kind: `{"schedule": [names], "webhook": [names]}`."""
    return [
        f"two {kind}s are named {name!r}: give one of them another name=..."
        for kind, names in declared.items()
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _refuse(subject: str, faults: list[str]) -> None:
    if faults:
        raise DefinitionError(subject, faults)


def _handler_faults(handler: object) -> list[str]:
    return [] if callable(handler) else [f"the handler {handler!r} must be a function."]


def _path_faults(path: object) -> list[str]:
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        return [f"the path {path!r} must begin with '/' and name something, as in '/webhooks/stripe'."]
    if any(character in path for character in "{}?#") or any(character.isspace() for character in path):
        return [f"the path {path!r} is matched exactly as it is: leave out parameters, query, fragment and spaces."]
    return []
