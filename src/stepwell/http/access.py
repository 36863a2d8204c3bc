"""Who asks (semantics 41): whom the application names, or under `stepwell dev` the developer, and without either nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, params

from stepwell.errors import ConfigurationError, NoAccess
from stepwell.http.principal import Principal, permit, principal_of
from stepwell.http.served import Served
from stepwell.runner.runner import WorkflowRunner

__all__ = ["Access", "Principal", "nobody", "permit", "runner_for"]

RunnerOf = Callable[..., Awaitable[WorkflowRunner]]


_CURE = (
    "This API shows nobody's runs until the application says who asks: stepwell.mount(app, user=Depends(current_user)), "
    "where current_user returns the user's id, or an object with an id."
)


async def nobody() -> object:
    """Stands where the application names no user. `stepwell dev` puts the developer of this machine in its place."""
    return None


class Access:
    """Finds who asks. Raises ConfigurationError if `user` can't say it."""

    principal: Callable[..., Awaitable[Principal]]
    """A FastAPI dependency: the Principal of the request. Raises NotSignedIn or NoAccess."""

    def __init__(self, stepwell: Served, user: object) -> None:
        self._stepwell = stepwell
        self._named = user is not None
        given = Depends(nobody) if user is None else user if isinstance(user, params.Depends) else _depends(user)

        async def principal(user: Any = given) -> Principal:
            return self._found(user)

        self.principal = principal

    def _found(self, user: object) -> Principal:
        if user is None and not self._named:
            raise NoAccess(_CURE)
        return principal_of(user)


def _depends(user: object) -> Any:
    if not callable(user) or type(user).__module__.startswith("fast_depends"):
        raise ConfigurationError(f"mount(user={user!r}): give FastAPI's Depends, as in user=Depends(current_user).")
    return Depends(user)


def runner_for(stepwell: Served, user: object) -> RunnerOf:
    """A FastAPI dependency: the runner, restricted to the user of the request. Raises ConfigurationError."""
    access = Access(stepwell, user)

    async def restricted(principal: Any = Depends(access.principal)) -> WorkflowRunner:  # noqa: B008
        return stepwell.runner if principal.everybody else stepwell.runner.as_user(principal.user_id)

    return restricted
