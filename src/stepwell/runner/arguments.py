"""The arguments of the verbs: checked, and in the form in which they are stored or looked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast, get_args
from uuid import UUID

from pydantic_core import to_json

from stepwell.definition.model import Definition
from stepwell.definition.text import is_text
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, WorkflowNotFound, WorkspaceNotFound
from stepwell.execution.clock import microseconds, to_moment
from stepwell.nearest import nearest
from stepwell.store.workspaces import DERIVED_KEY, EVENT_KEY

MAX_KEY = 512
MAX_LABELS = 50
MAX_NAME = 256
MAX_REASON = 10_000
RESERVED_KEYS = (DERIVED_KEY, EVENT_KEY)
MAX_DELAY = timedelta(days=366 * 1000)
"""The longest delay: not far beyond it there is no date, because the year 9999 is the last."""
MOST_ROWS = 10_000
"""Rows of the history, and documents, that one call returns at most."""
_CANONICAL: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# -- ids, however they are written: as text or UUID, in capitals, braces, or as a URN ------------------------------


def id_of(given: object) -> str | None:
    """Return the id as it is stored; None for an invalid one."""
    if isinstance(given, str):
        if _CANONICAL.fullmatch(given):
            return given
        try:
            return str(UUID(given))
        except ValueError:
            return None
    # UUIDs of other libraries too: the one that makes the ids here has a class of its own.
    return str(given) if isinstance(given, UUID) or type(given).__name__ == "UUID" else None


def run_id(given: object, user_id: str | None = None) -> str:
    """Return the id of a run (of a user). Raises WorkflowNotFound for an invalid id, without a query."""
    found = id_of(given)
    if found is None:
        whose = "." if user_id is None else f" of user {user_id!r}."
        cure = (
            "" if isinstance(given, str) else f" It is of type {type(given).__name__}: give the id, as run.workflow_id."
        )
        raise WorkflowNotFound(f"No run {given!r}{whose}{cure}")
    return found


def workspace_id(given: object, user_id: str) -> str:
    """Return the id of a workspace of this user. Raises WorkspaceNotFound for an invalid id."""
    found = id_of(given)
    if found is None:
        raise WorkspaceNotFound(f"No workspace {given!r} of user {user_id!r}.")
    return found


# -- what starts and steers a run -----------------------------------------------------------------------------------


def check_user(user_id: Any) -> None:
    """Raise InvalidArgs for an invalid user id."""
    if not is_text(user_id, MAX_NAME):
        raise InvalidArgs(f"user_id={user_id!r}: give a text of 1 to {MAX_NAME} characters, without NUL.")


def labels_json(labels: Any) -> str:
    """Return the labels as they are stored, each once. Raises InvalidArgs."""
    if not labels:
        return "[]"
    if (
        not isinstance(labels, Collection)
        or isinstance(labels, str | Mapping)
        or not all(is_text(one, MAX_NAME) for one in labels)
    ):
        raise InvalidArgs(f"labels={labels!r}: give a sequence of texts without NUL, as in labels=['vip'].")
    if len(labels) > MAX_LABELS:
        raise InvalidArgs(f"{len(labels)} labels: a run has at most {MAX_LABELS}.")
    return to_json(list(dict.fromkeys(labels))).decode()


def checked_priority(priority: Any) -> int | None:
    """Return the priority if it is valid. Raises InvalidArgs."""
    if priority is not None and (
        not isinstance(priority, int) or isinstance(priority, bool) or not -(2**31) <= priority < 2**31
    ):
        raise InvalidArgs(f"priority={priority!r}: give a whole number; higher goes first.")
    return priority


def due_at(delay: Any, at: Any, now: int) -> int | None:
    """Return when a start with this `delay` or `at` is due; None: at once. Raises InvalidArgs."""
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


def checked_reason(reason: Any) -> str | None:
    """Return the reason of a cancellation, if it can be stored as an error. Raises InvalidArgs."""
    if reason is None or reason == "" or is_text(reason, MAX_REASON):
        return cast("str | None", reason)
    raise InvalidArgs(f"reason={repr(reason)[:80]}: give a text of at most {MAX_REASON} characters, without NUL.")


def checked_seconds(timeout: Any) -> float | None:
    """Return the seconds of a timeout. Raises InvalidArgs."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and (not isinstance(seconds, int | float) or seconds < 0):
        raise InvalidArgs(f"timeout={timeout!r}: give a timedelta, or seconds, zero or more.")
    return seconds


def checked_key(key: Any) -> str | None:
    """Return the idempotency key if it is valid. Raises InvalidArgs."""
    if key is None or is_text(key, MAX_KEY):
        return key
    raise InvalidArgs(f"idempotency_key={key!r}: give a text of 1 to {MAX_KEY} characters, without NUL.")


def users_key(key: Any) -> str | None:
    """Return the user's idempotency key if it is valid. Raises InvalidArgs, also for keys that only Stepwell makes."""
    refuse_reserved("idempotency_key", checked_key(key))
    return checked_key(key)


def refuse_reserved(what: str, key: Any) -> None:
    """Raise InvalidArgs for a key that only Stepwell makes: its meaning goes beyond a user's keys."""
    if isinstance(key, str) and key.startswith(RESERVED_KEYS):
        raise InvalidArgs(
            f"{what}={key!r}: keys that begin with {' or '.join(map(repr, RESERVED_KEYS))} are made by Stepwell; "
            "begin yours with something else."
        )


# -- what is looked for ---------------------------------------------------------------------------------------------


def check_limit(limit: Any) -> None:
    """Raise InvalidArgs for an invalid size of a page."""
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 1000:
        raise InvalidArgs(f"limit={limit!r}: it is 1 to 1,000.")


def check_rows(limit: Any) -> None:
    """Raise InvalidArgs for an invalid number of rows."""
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST_ROWS:
        raise InvalidArgs(f"limit={limit!r}: it is 1 to {MOST_ROWS:,}.")


def statuses_of(status: Any) -> tuple[str, ...] | None:
    """Return the statuses to look for; None: all. Raises InvalidArgs."""
    if status is None:
        return None
    wanted = (status,) if isinstance(status, str) else tuple(status)
    known = get_args(Status)
    wrong = [one for one in wanted if one not in known]
    if wrong:
        near = nearest(str(wrong[0]), known)
        cure = f" Did you mean {near!r}?" if near else ""
        raise InvalidArgs(f"status={wrong[0]!r} isn't a status: a run is {', '.join(known)}.{cure}")
    return wanted


def cursor_of(cursor: Any) -> str | None:
    """Return the id after which a page continues. Raises InvalidArgs."""
    try:
        return None if cursor is None else str(UUID(cursor))
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgs(f"cursor={cursor!r}: give the next_cursor of the page before, or leave it out.") from None


def workflow_name_of(workflow: Any) -> str | None:
    """Return the name of a workflow, given by its class or its name. Raises InvalidArgs."""
    if workflow is None or isinstance(workflow, str):
        return workflow
    found = getattr(workflow, "stepwell_definition", None)
    if isinstance(workflow, type) and isinstance(found, Definition):
        return found.name
    raise InvalidArgs(f"workflow={workflow!r}: give a workflow class, or its name.")


def checked_text(what: str, given: Any) -> str | None:
    """Return a text to look for; None: any. Raises InvalidArgs."""
    if given is None or isinstance(given, str):
        return given
    raise InvalidArgs(f"{what}={given!r} is of type {type(given).__name__}: give a text.")


def wanted_id(what: str, given: Any) -> str | None:
    """Return an id to look for; an invalid one matches nothing."""
    return checked_text(what, given if given is None else id_of(given) or given)
