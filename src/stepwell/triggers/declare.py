"""What an `App` holds about its triggers: frozen data, made by functions that check everything and report all faults.

Names are unique per app; the App checks that, because only it sees them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypedDict, Unpack, get_args

from stepwell.errors import DefinitionError
from stepwell.triggers.cron import EPOCH, CronRule, IntervalRule, Rule, cron_faults, interval_faults
from stepwell.triggers.due import Misfire
from stepwell.triggers.verify import Verifier

Overlap = Literal["skip", "queue", "allow"]
Handler: TypeAlias = Callable[..., Any]
"""A function of the application. What it is given is decided where it is called."""

SYSTEM_USER: Final = "system"
CATCH_UP: Final = timedelta(days=1)
NO_JITTER: Final = timedelta(0)
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class StartWorkflow:
    """Each tick starts one run."""

    workflow: type[Any] | str
    """The class, or its name."""
    args: object = None
    """A model or JSON-ready data, validated by the App against the workflow."""
    user_id: str = SYSTEM_USER


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something happens, what happens, and what a late or crowded tick does."""

    name: str
    """Unique in the app, and the identity of its ticks: a renamed schedule begins anew."""
    rule: Rule
    action: Handler | StartWorkflow
    overlap: Overlap = "skip"
    """While the last tick is still worked on: don't fire ("skip"), fire when it has ended ("queue"), fire ("allow")."""
    misfire: Misfire = "latest"
    catch_up: timedelta = CATCH_UP
    jitter: timedelta = NO_JITTER


@dataclass(frozen=True, slots=True)
class WebhookRoute:
    """A path that takes deliveries, who they must be from, and who handles them."""

    path: str
    verify: Verifier
    handler: Handler
    name: str
    """Unique in the app; delivery ids are unique within it."""


class ScheduleOptions(TypedDict, total=False):
    """The keywords that all kinds of schedules take."""

    name: str | None
    """Default: the handler's name."""
    handler: Handler | None
    workflow: type[Any] | str | None
    args: object
    user_id: str
    overlap: Overlap
    misfire: Misfire
    catch_up: timedelta
    jitter: timedelta


def cron_schedule(expression: str, *, timezone: str = "UTC", **options: Unpack[ScheduleOptions]) -> Schedule:
    """A checked schedule that ticks by a cron expression. Raises DefinitionError with all that is wrong."""
    policy = _Policy(**options)
    _refuse(f"The schedule {policy.title!r}", cron_faults(expression, timezone) + policy.faults())
    return policy.schedule(CronRule(expression, timezone))


def interval_schedule(every: timedelta, *, anchor: datetime = EPOCH, **options: Unpack[ScheduleOptions]) -> Schedule:
    """A checked schedule that ticks every `every` from `anchor` on. Raises DefinitionError with all that is wrong."""
    policy = _Policy(**options)
    _refuse(f"The schedule {policy.title!r}", interval_faults(every, anchor) + policy.faults())
    return policy.schedule(IntervalRule(every, anchor))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """The options of a schedule with their defaults, not yet checked."""

    name: str | None = None
    handler: Handler | None = None
    workflow: type[Any] | str | None = None
    args: object = None
    user_id: str = SYSTEM_USER
    overlap: Overlap = "skip"
    misfire: Misfire = "latest"
    catch_up: timedelta = CATCH_UP
    jitter: timedelta = NO_JITTER

    @property
    def title(self) -> str:
        return getattr(self.handler, "__name__", "") if self.name is None else self.name

    def faults(self) -> list[str]:
        return [
            *_name_faults(self.title),
            *self._action_faults(),
            *_choice_faults("overlap", self.overlap, get_args(Overlap)),
            *_choice_faults("misfire", self.misfire, get_args(Misfire)),
            *_span_faults("catch_up", self.catch_up),
            *_span_faults("jitter", self.jitter),
        ]

    def schedule(self, rule: Rule) -> Schedule:
        action = self.handler or StartWorkflow(self.workflow or "", self.args, self.user_id)
        return Schedule(self.title, rule, action, self.overlap, self.misfire, self.catch_up, self.jitter)

    def _action_faults(self) -> list[str]:
        if (self.handler is None) == (self.workflow is None):
            return ["give either a handler to call or workflow=... to start."]
        return self._start_faults() if self.handler is None else self._call_faults()

    def _call_faults(self) -> list[str]:
        spare = ["args=... belongs to workflow=...; a handler starts what it wants."] if self.args is not None else []
        return _handler_faults(self.handler) + spare

    def _start_faults(self) -> list[str]:
        faults = []
        if not self.workflow or not isinstance(self.workflow, (str, type)):
            faults.append(f"workflow={self.workflow!r} must be a workflow class or its name.")
        if isinstance(self.args, (str, bytes)):
            faults.append(f"args={self.args!r} must be a model or a mapping, not text.")
        if not self.user_id or not isinstance(self.user_id, str):
            faults.append(f"user_id={self.user_id!r} must be a user's id, as in 'system'.")
        return faults


def webhook_route(path: str, *, verify: Verifier, handler: Handler, name: str | None = None) -> WebhookRoute:
    """A checked route, served at exactly `path`; its name is the handler's unless given.

    Raises DefinitionError with all that is wrong.
    """
    resolved = getattr(handler, "__name__", "") if name is None else name
    faults = _path_faults(path) + _handler_faults(handler) + _name_faults(resolved)
    if isinstance(verify, type) or not isinstance(verify, Verifier):
        faults.append(f"verify={verify!r} must be a verifier, as in stripe_signature(secret=...).")
    _refuse(f"The webhook {path!r}", faults)
    return WebhookRoute(path, verify, handler, resolved)


def duplicates(declared: Mapping[str, list[str]]) -> list[str]:
    """One fault for each name that occurs twice in its kind: `{"schedule": [names], "webhook": [names]}`."""
    return [
        f"two {kind}s are named {name!r}: give one of them another name=..."
        for kind, names in declared.items()
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _refuse(subject: str, faults: list[str]) -> None:
    if faults:
        raise DefinitionError(subject, faults)


def _name_faults(name: object) -> list[str]:
    if isinstance(name, str) and name.strip() and len(name) <= LONGEST_NAME:
        return []
    return [f"name={name!r} must be text of 1 to {LONGEST_NAME} characters, as in name='nightly-cleanup'."]


def _handler_faults(handler: object) -> list[str]:
    return [] if callable(handler) else [f"the handler {handler!r} must be a function."]


def _choice_faults(parameter: str, value: object, choices: tuple[str, ...]) -> list[str]:
    return [] if value in choices else [f"{parameter}={value!r} must be one of {', '.join(map(repr, choices))}."]


def _span_faults(parameter: str, value: object) -> list[str]:
    if isinstance(value, timedelta) and value >= timedelta(0):
        return []
    return [f"{parameter}={value!r} must be a timedelta of zero or more."]


def _path_faults(path: object) -> list[str]:
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        return [f"the path {path!r} must begin with '/' and name something, as in '/webhooks/stripe'."]
    if any(character in path for character in "{}?#") or any(character.isspace() for character in path):
        return [f"the path {path!r} is served exactly as it is: it has no parameters, query, fragment or spaces."]
    return []
