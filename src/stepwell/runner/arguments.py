"""The arguments of the verbs: checked, and in the form in which they are stored or looked for."""

from __future__ import annotations

import sys
from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast, get_args
from uuid import UUID

from stepwell.definition.model import Definition
from stepwell.definition.text import is_text
from stepwell.definition.values.misfit import shown
from stepwell.engine.run import Status
from stepwell.errors import InvalidArgs, WorkflowNotFound
from stepwell.execution.arguments import MAX_DELAY as MAX_DELAY
from stepwell.execution.arguments import MAX_KEY as MAX_KEY
from stepwell.execution.arguments import MAX_LABELS as MAX_LABELS
from stepwell.execution.arguments import MAX_NAME as MAX_NAME
from stepwell.execution.arguments import MAX_SUBJECT as MAX_SUBJECT
from stepwell.execution.arguments import RESERVED_KEYS as RESERVED_KEYS
from stepwell.execution.arguments import check_in_flight as check_in_flight
from stepwell.execution.arguments import check_user as check_user
from stepwell.execution.arguments import checked_key as checked_key
from stepwell.execution.arguments import checked_priority as checked_priority
from stepwell.execution.arguments import due_at as due_at
from stepwell.execution.arguments import id_of as id_of
from stepwell.execution.arguments import labels_json as labels_json
from stepwell.execution.arguments import refuse_reserved as refuse_reserved
from stepwell.execution.arguments import users_key as users_key
from stepwell.execution.arguments import workspace_id as workspace_id
from stepwell.execution.clock import to_moment
from stepwell.nearest import nearest

MAX_REASON = 10_000
MOST_GROUPS = 1_000
"""Groups of one user."""
MOST_ROWS = 10_000
"""Rows of the history, and documents, that one call returns at most."""


def run_id(given: object, user_id: str | None = None) -> str:
    """Return the id of a run (of a user). Raises WorkflowNotFound for an invalid id, without a query."""
    found = id_of(given)
    if found is None:
        whose = "." if user_id is None else f" of user {user_id!r}."
        cure = (
            "" if isinstance(given, str) else f" It is of type {type(given).__name__}: give the id, as run.workflow_id."
        )
        raise WorkflowNotFound(f"No run {shown(given)}{whose}{cure}")
    return found


def checked_name(option: str, given: Any) -> str:
    """Return the id of a user, or the name of a group. Raises InvalidArgs."""
    if not is_text(given, MAX_NAME):
        raise InvalidArgs(f"{option}={shown(given)}: give a text of 1 to {MAX_NAME} characters, without NUL.")
    return given


def checked_groups(groups: Any) -> frozenset[str]:
    """Return the groups of a person. Raises InvalidArgs: one text isn't a collection of texts."""
    if isinstance(groups, str) or not isinstance(groups, Collection) or len(groups) > MOST_GROUPS:
        raise InvalidArgs(
            f"groups={shown(groups)}: give a collection of at most {MOST_GROUPS:,} texts, as in {{'ops'}}."
        )
    if not all(is_text(one, MAX_NAME) for one in groups):
        raise InvalidArgs(f"groups={shown(groups)}: a group is a text of 1 to {MAX_NAME} characters, without NUL.")
    return frozenset(groups)


def checked_reason(reason: Any) -> str | None:
    """Return the reason of a cancellation, if it can be stored as an error. Raises InvalidArgs."""
    if reason is None or reason == "" or is_text(reason, MAX_REASON):
        return cast("str | None", reason)
    raise InvalidArgs(f"reason={repr(reason)[:80]}: give a text of at most {MAX_REASON} characters, without NUL.")


def checked_subject(subject: Any) -> str | None:
    """Return a run's subject as it is stored: what is too long is cut. Raises InvalidArgs."""
    if subject is None or subject == "" or is_text(subject, sys.maxsize):
        return None if subject is None else str(subject)[:MAX_SUBJECT]
    raise InvalidArgs(f"subject={shown(subject)}: give a text without NUL.")


def checked_seconds(given: Any, what: str = "timeout") -> float | None:
    """Return the seconds of a duration, such as a timeout. Raises InvalidArgs."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0):
        raise InvalidArgs(f"{what}={shown(given)}: give a timedelta, or seconds, zero or more.")
    return seconds


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


def checked_moment(what: str, given: Any) -> int | None:
    """Return a moment to compare with; None: any. Raises InvalidArgs."""
    if given is None:
        return None
    try:
        return to_moment(given)
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgs(f"{what}={shown(given)}: give an aware datetime, as in datetime.now(UTC).") from None


def wanted_id(what: str, given: Any) -> str | None:
    """Return an id to look for; an invalid one matches nothing."""
    return checked_text(what, given if given is None else id_of(given) or given)
