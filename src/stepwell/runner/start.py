"""A start, worked out: everything is validated before anything is stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import to_json

from stepwell.definition.inputs import args_json, is_text
from stepwell.definition.model import Definition
from stepwell.engine.begin import Request, begin
from stepwell.engine.commit import Commit
from stepwell.errors import InvalidArgs
from stepwell.execution.clock import microseconds, to_moment
from stepwell.execution.shared import Shared, new_id
from stepwell.store.identity import DERIVED_KEY, EVENT_KEY, workspace_of

if TYPE_CHECKING:
    from stepwell.definition.workflow import Workflow

MAX_KEY = 512
MAX_LABELS = 50
MAX_NAME = 256
MAX_REASON = 10_000
RESERVED_KEYS = (DERIVED_KEY, EVENT_KEY)
MAX_DELAY = timedelta(days=366 * 1000)
"""Further away there soon is no date: the year 9999 is the last."""


@dataclass(frozen=True, slots=True)
class Start:
    """One of the starts of `run_many`."""

    workflow: type[Workflow[Any, Any, Any]] | str
    args: Any = None
    labels: Sequence[str] = ()
    idempotency_key: str | None = None
    delay: timedelta | None = None
    at: datetime | None = None
    priority: int | None = None
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """On whose behalf a run starts."""

    app_name: str
    user_id: str
    internal: int = 0


def prepare(shared: Shared, start: Start, origin: Origin, owner: str | None = None) -> tuple[Definition, Commit]:
    """The commit that creates the run. Raises UnknownApp, UnknownWorkflow, InvalidArgs, PayloadTooLarge, ValueError."""
    definition = shared.registry.get(origin.app_name, start.workflow)
    check_user(origin.user_id)
    now = shared.clock.now()
    request = Request(
        id=new_id(),
        app_name=origin.app_name,
        user_id=origin.user_id,
        workspace_id=workspace_of(origin.app_name, origin.user_id)
        if start.workspace_id is None
        else start.workspace_id,
        # What a handler is given was bounded where it came in: a webhook's body may be larger than args.
        args=args_json(definition, start.args, sys.maxsize if origin.internal else shared.limits.args),
        labels=_labels(start.labels),
        priority=_priority(start.priority),
        idempotency_key=checked_key(start.idempotency_key),
        due_at=_due(start.delay, start.at, now),
        owner=owner,
        internal=origin.internal,
    )
    return definition, begin(definition, request, now)


def check_user(user_id: Any) -> None:
    """Raises InvalidArgs for what can't be a user's id."""
    if not is_text(user_id, MAX_NAME):
        raise InvalidArgs(f"user_id={user_id!r}: give a text of 1 to {MAX_NAME} characters, without NUL.")


def _labels(labels: Any) -> str:
    if not labels:
        return "[]"
    if isinstance(labels, str | Mapping) or not all(is_text(one, MAX_NAME) for one in labels):
        raise InvalidArgs(f"labels={labels!r}: give a sequence of texts without NUL, as in labels=['vip'].")
    if len(labels) > MAX_LABELS:
        raise InvalidArgs(f"{len(labels)} labels: a run has at most {MAX_LABELS}.")
    return to_json(list(dict.fromkeys(labels))).decode()


def _priority(priority: Any) -> int | None:
    if priority is not None and (not isinstance(priority, int) or not -(2**31) <= priority < 2**31):
        raise InvalidArgs(f"priority={priority!r}: give a whole number; higher goes first.")
    return priority


def checked_reason(reason: Any) -> str | None:
    """Why a run is cancelled, if it can be stored as its error. Raises InvalidArgs."""
    if reason is None or reason == "" or is_text(reason, MAX_REASON):
        return cast("str | None", reason)
    raise InvalidArgs(f"reason={repr(reason)[:80]}: give a text of at most {MAX_REASON} characters, without NUL.")


def checked_seconds(timeout: Any) -> float | None:
    """The seconds of a timeout. Raises InvalidArgs."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and (not isinstance(seconds, int | float) or seconds < 0):
        raise InvalidArgs(f"timeout={timeout!r}: give a timedelta, or seconds, zero or more.")
    return seconds


def checked_key(key: Any) -> str | None:
    """The idempotency key, if it can be one. Raises InvalidArgs."""
    if key is None or is_text(key, MAX_KEY):
        return key
    raise InvalidArgs(f"idempotency_key={key!r}: give a text of 1 to {MAX_KEY} characters, without NUL.")


def users_key(key: Any) -> str | None:
    """The idempotency key that a user gives, if it can be one. Raises InvalidArgs, also for those that Stepwell makes."""
    refuse_reserved("idempotency_key", checked_key(key))
    return checked_key(key)


def refuse_reserved(what: str, key: Any) -> None:
    """Raises InvalidArgs for a key that only Stepwell makes: it stands for more than a user could say with it."""
    if isinstance(key, str) and key.startswith(RESERVED_KEYS):
        raise InvalidArgs(
            f"{what}={key!r}: keys that begin with {' or '.join(map(repr, RESERVED_KEYS))} are made by Stepwell; "
            "begin yours with something else."
        )


def _due(delay: Any, at: Any, now: int) -> int | None:
    if delay is not None and at is not None:
        message = "delay and at exclude each other: give one of them."
        raise InvalidArgs(message, [{"loc": ("at",), "msg": message, "type": "one_of"}])
    if delay is not None:
        if not isinstance(delay, timedelta) or not timedelta(0) <= delay <= MAX_DELAY:
            raise InvalidArgs(
                f"delay={delay!r}: a delay is a timedelta, zero or more, and at most {MAX_DELAY.days} days."
            )
        return now + microseconds(delay)
    if at is None:
        return None
    if not isinstance(at, datetime):
        raise InvalidArgs(f"at={at!r}: give an aware datetime, as in datetime.now(UTC) + timedelta(hours=1).")
    try:
        return to_moment(at)
    except ValueError as error:
        raise InvalidArgs(f"at={at!r}: {error}") from error
