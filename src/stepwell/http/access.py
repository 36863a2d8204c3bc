"""Who asks (semantics 41): found by what the request presents, in this order, and by the first that says it.

1. a token or a JWT in `Authorization`, then a token in the session's cookie, where `Settings.auth` accepts them
2. whom the application names: `mount(user=Depends(current_user))`
3. under `stepwell dev`, the developer of this machine

Else nobody: 401 where somebody could sign in, 403 with the cure where nobody ever could.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, Request, Response

from stepwell.engine.run import Moment
from stepwell.errors import ConfigurationError, NoAccess, NotSignedIn, TooManyAttempts
from stepwell.http.application import ApplicationUser
from stepwell.http.attempts import Attempts, address_of
from stepwell.http.known_tokens import KnownTokens
from stepwell.http.principal import Principal, permit, principal_of
from stepwell.http.served import Served
from stepwell.http.tokens import PREFIX, principal_of_token
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import AuthSettings
from stepwell.store.tokens import TokenRow

if TYPE_CHECKING:
    from stepwell.http.oidc import Issuer

__all__ = ["COOKIE", "Access", "Asked", "Principal", "nobody", "permit", "runner_for"]

COOKIE: Final = "stepwell_session"

RunnerOf = Callable[..., Awaitable[WorkflowRunner]]

_CURE = (
    "This API shows nobody's runs until the application says who asks: stepwell.mount(app, user=Depends(current_user)), "
    "where current_user returns the user's id, or an object with an id. Or accept tokens: Settings(auth=AuthSettings())."
)
_TOKENS_OFF = "API tokens aren't accepted here until they are turned on: Settings(auth=AuthSettings())."


async def nobody() -> object:
    """Stands where the application names no user. `stepwell dev` puts the developer of this machine in its place."""
    return None


_DEVELOPER: Any = Depends(nobody)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and what said so."""

    principal: Principal
    token: TokenRow | None = None
    in_cookie: bool = False
    until: Moment | None = None
    """When what was presented ends."""

    @property
    def token_ends(self) -> Moment | None:
        """When the token that was presented ends: what it makes ends no later."""
        return None if self.token is None else self.until


class Access:
    """Finds who asks. Raises ConfigurationError if `user` can't say it."""

    asked: Callable[..., Awaitable[Asked]]
    """A FastAPI dependency: who asks, and by what. Raises NotSignedIn, NoAccess, TooManyAttempts or IssuerUnavailable."""
    principal: Callable[..., Awaitable[Principal]]
    """A FastAPI dependency: who asks. Raises the same."""

    def __init__(self, stepwell: Served, user: object) -> None:
        auth = stepwell.settings.auth or AuthSettings(tokens=False)
        self._clock = stepwell.opening.shared.clock
        attempts = Attempts(auth.failed_logins, auth.failed_login_seconds)
        self._application = None if user is None else ApplicationUser(user)
        self._tokens = KnownTokens(stepwell.opening, attempts) if auth.tokens else None
        self._issuer = _issuer(auth, attempts)

        async def principal(asked: Any = Depends(self._ask)) -> Principal:  # noqa: B008
            found: Principal = asked.principal
            return found

        self.asked = self._ask
        self.principal = principal

    def check_tokens(self) -> KnownTokens:
        """The tokens that are accepted. Raises NoAccess where none are."""
        if self._tokens is None:
            raise NoAccess(_TOKENS_OFF)
        return self._tokens

    def forget(self, token: TokenRow) -> None:
        """The token is looked up anew when it is presented next."""
        if self._tokens is not None:
            self._tokens.forget(token)

    async def holds(self, asked: Asked) -> bool:
        """Whether what was presented still opens anything: for streams, which outlive what opened them."""
        if asked.until is not None and self._clock.now() >= asked.until:
            return False
        return asked.token is None or await self.check_tokens().holds(asked.token)

    async def _ask(self, request: Request, response: Response, developer: Any = _DEVELOPER) -> Asked:
        found = await self._in_header(request) or await self._in_cookie(request, developer)
        if found is not None:
            return found
        if self._application is not None:
            return Asked(await self._application.ask(request, response))
        if developer is not None:
            return Asked(principal_of(developer))
        if self._tokens is None and self._issuer is None:
            raise NoAccess(_CURE)
        raise NotSignedIn(f"Sign in: this needs {self._ways()} (`Authorization: Bearer ...`).")

    async def _in_header(self, request: Request) -> Asked | None:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            return None
        if self._tokens is not None and secret.startswith(PREFIX):
            return await self._by_token(secret, request)
        if self._issuer is not None and (self._application is None or self._issuer.issued(secret)):
            principal, until = await self._issuer.verify(secret, client_address(request))
            return Asked(principal, until=until)
        if self._application is None and self._tokens is not None:
            raise NotSignedIn(f"What `Authorization` holds is no token of Stepwell's: those begin with {PREFIX!r}.")
        return None

    async def _in_cookie(self, request: Request, developer: object) -> Asked | None:
        secret = request.cookies.get(COOKIE)
        if secret is None or self._tokens is None:
            return None
        try:
            return await self._by_token(secret, request, in_cookie=True)
        except (NotSignedIn, TooManyAttempts):
            # A cookie stays behind when its token has ended: it mustn't keep out whom others know.
            if self._application is None and developer is None:
                raise
            return None

    async def _by_token(self, secret: str, request: Request, *, in_cookie: bool = False) -> Asked:
        row = await self.check_tokens().find(secret, client_address(request))
        return Asked(principal_of_token(row), row, in_cookie, row.expires_at)

    def _ways(self) -> str:
        ways = [(self._tokens, "an API token"), (self._issuer, "a JWT of the issuer")]
        return " or ".join(name for way, name in ways if way is not None)


def _issuer(auth: AuthSettings, attempts: Attempts) -> Issuer | None:
    if auth.oidc is None:
        return None
    try:
        from stepwell.http.oidc import Issuer
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"Settings.auth.oidc: {error}. Run: pip install 'stepwell[oidc]'.") from error
    return Issuer(auth.oidc, attempts)


def client_address(request: Request) -> str:
    """The place that failed logins are counted for."""
    return address_of(request.client.host if request.client else None)


def runner_for(stepwell: Served, user: object) -> RunnerOf:
    """A FastAPI dependency: the runner, restricted to the user of the request. Raises ConfigurationError."""
    access = Access(stepwell, user)

    async def restricted(principal: Any = Depends(access.principal)) -> WorkflowRunner:  # noqa: B008
        return stepwell.runner if principal.everybody else stepwell.runner.as_user(principal.user_id)

    return restricted
