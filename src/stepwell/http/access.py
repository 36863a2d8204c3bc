"""Whose runs a request may see (semantics 41): those of the user whom the application names, and without one nobody's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, params

from stepwell.errors import ConfigurationError, NoAccess, NotSignedIn
from stepwell.http.served import Served
from stepwell.runner.runner import WorkflowRunner

RunnerOf = Callable[..., Awaitable[WorkflowRunner]]


_CURE = (
    "This API shows nobody's runs until the application says who asks: stepwell.mount(app, user=Depends(current_user)), "
    "where current_user returns the user's id, or an object with an id."
)


def runner_for(stepwell: Served, user: object) -> RunnerOf:
    """A FastAPI dependency: the runner, restricted to the user of the request. Raises ConfigurationError."""
    if user is None:
        return refuse
    given = user if isinstance(user, params.Depends) else _depends(user)

    async def restricted(user: Any = given) -> WorkflowRunner:
        return stepwell.runner.as_user(id_of(user))

    return restricted


async def refuse() -> WorkflowRunner:
    """Stands where nobody has said who asks."""
    raise NoAccess(_CURE)


def _depends(user: object) -> Any:
    if not callable(user) or type(user).__module__.startswith("fast_depends"):
        raise ConfigurationError(f"mount(user={user!r}): give FastAPI's Depends, as in user=Depends(current_user).")
    return Depends(user)


def id_of(user: object) -> str:
    """The id of what the application's dependency returned. Raises NotSignedIn if that is nobody."""
    if user is not None and not isinstance(user, str) and not hasattr(user, "id"):
        raise ConfigurationError(f"mount(user=...): {type(user).__name__} has no id; return one, or the id itself.")
    found = user if isinstance(user, str) else getattr(user, "id", None)
    if found is None or str(found) == "":
        raise NotSignedIn("Nobody is signed in: the application found no user for this request.")
    return str(found)
