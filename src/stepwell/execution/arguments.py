"""The arguments of starts: checked, and in the form in which they are stored."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.errors import InvalidArgs, WorkspaceNotFound
from stepwell.execution.clock import microseconds, to_moment
from stepwell.store.workspaces import DERIVED_KEY, EVENT_KEY

MAX_KEY = 512
MAX_LABELS = 50
MAX_NAME = 256
MAX_SUBJECT = 200
RESERVED_KEYS = (DERIVED_KEY, EVENT_KEY)
MAX_DELAY = timedelta(days=366 * 1000)
"""The longest delay: not far beyond it there is no date, because the year 9999 is the last."""
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


def workspace_id(given: object, user_id: str) -> str:
    """Return the id of a workspace of this user. Raises WorkspaceNotFound for an invalid id."""
    found = id_of(given)
    if found is None:
        raise WorkspaceNotFound(f"No workspace {shown(given)} of user {user_id!r}.")
    return found


# -- what starts and steers a run -----------------------------------------------------------------------------------


def check_user(user_id: Any) -> None:
    """Raise InvalidArgs for an invalid user id."""
    if not is_text(user_id, MAX_NAME):
        raise InvalidArgs(f"user_id={shown(user_id)}: give a text of 1 to {MAX_NAME} characters, without NUL.")


def labels_json(labels: Any) -> str:
    """Return the labels as they are stored, each once. Raises InvalidArgs."""
    if not labels:
        return "[]"
    if (
        not isinstance(labels, Collection)
        or isinstance(labels, str | Mapping)
        or not all(is_text(one, MAX_NAME) for one in labels)
    ):
        raise InvalidArgs(
            f"labels={shown(labels)}: give a sequence of texts of 1 to {MAX_NAME} characters, without NUL, as in "
            "labels=['vip']."
        )
    if len(labels) > MAX_LABELS:
        raise InvalidArgs(f"{len(labels)} labels: a run has at most {MAX_LABELS}.")
    return to_json(list(dict.fromkeys(labels))).decode()


def checked_priority(priority: Any) -> int | None:
    """Return the priority if it is valid. Raises InvalidArgs."""
    if priority is not None and (
        not isinstance(priority, int) or isinstance(priority, bool) or not -(2**31) <= priority < 2**31
    ):
        raise InvalidArgs(f"priority={shown(priority)}: give a whole number; higher goes first.")
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


def checked_key(key: Any) -> str | None:
    """Return the idempotency key if it is valid. Raises InvalidArgs."""
    if key is None or is_text(key, MAX_KEY):
        return key
    raise InvalidArgs(f"idempotency_key={shown(key)}: give a text of 1 to {MAX_KEY} characters, without NUL.")


def users_key(key: Any) -> str | None:
    """Return the user's idempotency key if it is valid. Raises InvalidArgs, also for keys that only Stepwell makes."""
    refuse_reserved("idempotency_key", checked_key(key))
    return checked_key(key)


def refuse_reserved(what: str, key: Any) -> None:
    """Raise InvalidArgs for a key that only Stepwell makes: its meaning goes beyond a user's keys."""
    if isinstance(key, str) and key.startswith(RESERVED_KEYS):
        raise InvalidArgs(
            f"{what}={shown(key)}: keys that begin with {' or '.join(map(repr, RESERVED_KEYS))} are made by Stepwell; "
            "begin yours with something else."
        )


def check_in_flight(given: Any) -> None:
    """Raise InvalidArgs for an invalid number of runs that may be under way at once."""
    if given is not None and (type(given) is not int or not 1 <= given < 2**31):
        raise InvalidArgs(f"max_in_flight={shown(given)}: give a whole number, 1 or more; None: no limit.")
