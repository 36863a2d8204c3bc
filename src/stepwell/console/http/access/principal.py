"""The caller and their rights: a value that every route decides by."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeGuard, cast, get_args

from stepwell.definition.text import SYSTEM_USER, is_text
from stepwell.errors import ConfigurationError, NoAccess, NotSignedIn
from stepwell.runner.arguments import MAX_NAME, MOST_GROUPS

log = logging.getLogger("stepwell.http")

Role = Literal["viewer", "operator", "admin"]
Method = Literal["local", "application", "token", "oidc"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""The roles in ascending order: each may do all that the ones before it may."""

COMMAND_LINE: Final = "cli"
"""The user of what the server's operator starts on the command line, unless they name another."""
DEVELOPER: Final = "local"
"""The one user of `stepwell dev`."""
OWN_USERS: Final = frozenset({SYSTEM_USER, COMMAND_LINE, DEVELOPER})
"""The users whose runs are Stepwell's or its operator's own: no login from outside becomes one of them."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user as Stepwell sees them. Raises ConfigurationError for what can't be one, NotSignedIn for a text that can't.

    A viewer reads; an operator also starts, answers, cancels and retries; an admin is an operator over all users' runs,
    and over all users' tokens. `everybody`: all users' runs are visible to them, else only their own. `apps`: what
    belongs to other apps isn't visible to them; None: all apps are. `groups`: they may answer what one of these is asked.
    """

    user_id: str
    role: Role = "operator"
    everybody: bool = False
    apps: frozenset[str] | None = None
    method: Method = "application"
    groups: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.user_id != "" and isinstance(given := cast("object", self.user_id), str):
            _id(given)  # it may come from the request: that is no fault of the application
        faults = _faults(self.user_id, self.role, self.everybody, self.apps)
        if not _groups(self.groups):
            faults.append(f"groups={self.groups!r} isn't a set of at most {MOST_GROUPS:,} names of groups")
        if faults:
            raise ConfigurationError(f"Principal: {'; '.join(faults)}.")
        object.__setattr__(self, "groups", frozenset(self.groups))
        object.__setattr__(self, "everybody", self.everybody or self.role == "admin")
        if self.apps is not None:
            object.__setattr__(self, "apps", frozenset(self.apps))

    def sees(self, app_name: str) -> bool:
        """Return whether this app is visible to them."""
        return self.apps is None or app_name in self.apps


def _faults(user_id: object, role: object, everybody: object, apps: object) -> list[str]:
    faults = []
    if not is_text(user_id, MAX_NAME):
        faults.append(f"user_id={user_id!r} isn't a valid user id")
    if role not in ROLES:
        faults.append(f"role={role!r} isn't one of {', '.join(ROLES)}")
    if not isinstance(everybody, bool):
        faults.append(f"everybody={everybody!r} is neither True nor False")
    if apps is not None and not _names(apps):
        faults.append(f"apps={apps!r} isn't a set of apps' names")
    return faults


def _names(apps: object) -> bool:
    if isinstance(apps, str) or not isinstance(apps, Iterable):
        return False
    return all(isinstance(name, str) for name in apps)


def _groups(groups: object) -> TypeGuard[Collection[str]]:
    if isinstance(groups, str | bytes) or not isinstance(groups, Collection) or len(groups) > MOST_GROUPS:
        return False
    return all(is_text(name, MAX_NAME) for name in groups)


def permit(principal: Principal, *, act: bool = False, everybody: bool = False) -> None:
    """Check that they may change something (`act`) and see what is all users' (`everybody`). Raises NoAccess."""
    missing = []
    if act and principal.role == "viewer":
        missing.append("the role operator or admin (yours is viewer)")
    if everybody and not principal.everybody:
        missing.append("access to all users' runs (`everybody`, or the role admin)")
    if missing:
        raise NoAccess(f"This needs {' and '.join(missing)}.")


def refuse_own(user_id: str) -> None:
    """Raise NoAccess for an id that an application or an issuer gave to a user, and that is one of Stepwell's own."""
    if user_id in OWN_USERS:
        raise NoAccess(
            f"The user id {user_id!r} is one of Stepwell's own ({', '.join(sorted(OWN_USERS))}): its runs aren't a user's. "
            "Sign in with another id."
        )


def principal_of(user: object) -> Principal:
    """Return what the application's dependency returned, as a Principal: a bare id is an operator of their own runs.

    Raises NotSignedIn if it is None, ConfigurationError if it can't be a user.
    """
    if isinstance(user, Principal):
        return user
    if isinstance(user, str):
        return Principal(_id(user))
    if user is not None and not hasattr(user, "id"):
        raise ConfigurationError(f"mount(user=...): {type(user).__name__} has no id; return one, or the id itself.")
    found: Any = user
    user_id = _id(getattr(found, "id", None))
    role = _given(found, "role", "operator")
    everybody = _given(found, "everybody", False)
    apps = _given(found, "apps", None)
    faults = _faults(user_id, role, everybody, apps)
    groups = _given(found, "groups", ())
    if isinstance(groups, str):
        faults.append(f"groups={groups!r} is one text, not a set of names of groups")
    if faults:
        raise ConfigurationError(
            f"mount(user=...): {type(user).__name__}: {'; '.join(faults)}. If these attributes mean something else in the "
            "application, return a stepwell.fastapi.Principal."
        )
    given = frozenset(groups) if _groups(groups) else _other_groups(type(user).__name__)
    return Principal(user_id, cast("Role", role), everybody, None if apps is None else frozenset(apps), groups=given)


@cache
def _other_groups(kind: str) -> frozenset[str]:
    """Return none, and log why, once: `groups` of a user of another library are often rows of its own."""
    log.warning(
        "mount(user=...): %s.groups isn't a set of names, so its users are in no group here. To say their groups, return a "
        "stepwell.fastapi.Principal(..., groups={...}).",
        kind,
    )
    return frozenset()


def _given(user: Any, name: str, default: object) -> Any:
    value = getattr(user, name, None)
    if value is None:
        return default
    return getattr(value, "value", value) if name == "role" else value  # roles are often an Enum


def _id(found: object) -> str:
    if found is None or str(found) == "":
        raise NotSignedIn("Not signed in: the application found no user for this request.")
    user_id = str(found)
    if not is_text(user_id, MAX_NAME):
        raise NotSignedIn(
            f"Not signed in: the application's id of this user isn't a text of 1 to {MAX_NAME} characters without NUL "
            "and halves of surrogate pairs."
        )
    return user_id
