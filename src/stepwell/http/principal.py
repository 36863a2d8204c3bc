"""Who asks, and what they may do: a value that every route is decided by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from stepwell.errors import ConfigurationError, NoAccess, NotSignedIn

Role = Literal["viewer", "operator", "admin"]
Method = Literal["local", "application", "token", "oidc"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""In order: each may do all that the ones before it may."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user as Stepwell sees them. Raises ConfigurationError for what can't be one.

    A viewer reads; an operator also starts, answers, cancels and retries; an admin is an operator over everybody's runs,
    and over everybody's tokens. `everybody`: all users' runs exist for them, else only their own. `apps`: what belongs to
    other apps doesn't exist for them; None: all apps do.
    """

    user_id: str
    role: Role = "operator"
    everybody: bool = False
    apps: frozenset[str] | None = None
    method: Method = "application"

    def __post_init__(self) -> None:
        faults = _faults(self.user_id, self.role, self.everybody, self.apps)
        if faults:
            raise ConfigurationError(f"Principal: {'; '.join(faults)}.")
        object.__setattr__(self, "everybody", self.everybody or self.role == "admin")
        if self.apps is not None:
            object.__setattr__(self, "apps", frozenset(self.apps))

    def sees(self, app_name: str) -> bool:
        """Whether this app exists for them."""
        return self.apps is None or app_name in self.apps


def _faults(user_id: object, role: object, everybody: object, apps: object) -> list[str]:
    faults = []
    if not isinstance(user_id, str) or not user_id:
        faults.append(f"user_id={user_id!r} isn't a text that names somebody")
    if role not in ROLES:
        faults.append(f"role={role!r} is none of {', '.join(ROLES)}")
    if not isinstance(everybody, bool):
        faults.append(f"everybody={everybody!r} is neither True nor False")
    if apps is not None and not _names(apps):
        faults.append(f"apps={apps!r} isn't a set of apps' names")
    return faults


def _names(apps: object) -> bool:
    if isinstance(apps, str) or not isinstance(apps, Iterable):
        return False
    return all(isinstance(name, str) for name in apps)


def permit(principal: Principal, *, act: bool = False, everybody: bool = False) -> None:
    """They may change something (`act`), and see what belongs to all users (`everybody`). Raises NoAccess."""
    missing = []
    if act and principal.role == "viewer":
        missing.append("the role operator or admin (yours is viewer)")
    if everybody and not principal.everybody:
        missing.append("access to everybody's runs (`everybody`, or the role admin)")
    if missing:
        raise NoAccess(f"This needs {' and '.join(missing)}.")


def principal_of(user: object) -> Principal:
    """What the application's dependency returned, as a Principal: a bare id is an operator of their own runs.

    Raises NotSignedIn if it is nobody, ConfigurationError if it can't be a user.
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
    if faults:
        raise ConfigurationError(
            f"mount(user=...): {type(user).__name__}: {'; '.join(faults)}. If these attributes mean something else in the "
            "application, return a stepwell.fastapi.Principal."
        )
    return Principal(user_id, cast("Role", role), everybody, None if apps is None else frozenset(apps))


def _given(user: Any, name: str, default: object) -> Any:
    value = getattr(user, name, None)
    if value is None:
        return default
    return getattr(value, "value", value) if name == "role" else value  # roles are often an Enum


def _id(found: object) -> str:
    if found is None or str(found) == "":
        raise NotSignedIn("Nobody is signed in: the application found no user for this request.")
    return str(found)
