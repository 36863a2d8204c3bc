"""Identification of the caller (rule 41). The first of these that the request presents decides:

1. a token or a JWT in `Authorization`, then a token in the session's cookie, where `Settings.auth` accepts them
2. under `stepwell dev`, the developer of this machine
3. the user that the application names: `mount(user=Depends(current_user))`

Without any of these: 401 where a user could sign in, 403 with the cure where no user ever could.

The dependencies of the whole application, `FastAPI(dependencies=[...])`, run before that and once, whatever the request
presents: a gateway's key or a list of addresses is a condition for every caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from fastapi import Depends, Request, Response, params

from stepwell.console.http.access.application_user import ApplicationGate, ApplicationUser
from stepwell.console.http.access.known_tokens import Attempts, KnownTokens, address_of
from stepwell.console.http.access.makers import Makers
from stepwell.console.http.access.principal import Principal, permit, principal_of, refuse_own
from stepwell.console.http.access.tokens import PREFIX, principal_of_token
from stepwell.console.reading.tokens import TokenRow
from stepwell.engine.run import Moment
from stepwell.errors import ConfigurationError, NoAccess, NotSignedIn, TooManyAttempts
from stepwell.faults import Condition
from stepwell.runner.opening import Opening
from stepwell.runner.runner import WorkflowRunner
from stepwell.settings import AuthSettings, Settings
from stepwell.triggers.handlers import Triggers
from stepwell.triggers.scheduler import Scheduler

if TYPE_CHECKING:
    from stepwell.console.http.access.oidc import Issuer

__all__ = ["COOKIE", "Access", "Identity", "Principal", "no_user", "permit"]
COOKIE: Final = "stepwell_session"
_IDENTIFIED: Final = "stepwell.identified"
_ADMITTED: Final = "stepwell.admitted"
_CURE = (
    "This API refuses all requests until the application names its users: stepwell.mount(app, user=Depends(current_user)), "
    "where current_user returns the user's id, or an object with an id. Or accept tokens: Settings(auth=AuthSettings())."
)
_TOKENS_OFF = "API tokens aren't accepted here until they are turned on: Settings(auth=AuthSettings())."


async def no_user() -> object:
    """Return None where the application names no user. `stepwell dev` replaces it with this machine's developer."""
    return None


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller of a request, and what identified them."""

    principal: Principal
    token: TokenRow | None = None
    in_cookie: bool = False
    until: Moment | None = None
    """The time at which what was presented expires."""

    @property
    def ends(self) -> Moment | None:
        """Return the time at which what was presented expires: what it creates expires no later."""
        return self.until


class Access:
    """Identification of callers. Raises ConfigurationError if `user` can't identify one."""

    identity: Callable[..., Awaitable[Identity]]
    """A FastAPI dependency: the caller, and what identified them. Raises NotSignedIn, NoAccess, TooManyAttempts or
    IssuerUnavailable.
    """
    principal: Callable[..., Awaitable[Principal]]
    """A FastAPI dependency: the caller. Raises the same."""
    admission: Callable[..., Awaitable[None]]
    """A FastAPI dependency of operations that need no caller: the dependencies of the whole application. Raises what they
    raise.
    """

    def __init__(self, stepwell: Served, user: object, first: Sequence[params.Depends] = ()) -> None:
        auth = stepwell.settings.auth or AuthSettings(tokens=False)
        self._clock = stepwell.opening.shared.clock
        attempts = Attempts(auth.failed_logins, auth.failed_login_seconds)
        self._gate = ApplicationGate(first) if first else None
        self._application = None if user is None else ApplicationUser(user, first)
        self._tokens = KnownTokens(stepwell.opening, attempts) if auth.tokens else None
        self._makers = Makers(stepwell.opening) if auth.tokens else None
        self._issuer = _issuer(auth, attempts, stepwell.settings.groups_claim)

        async def principal(identity: Any = Depends(self._identify)) -> Principal:  # noqa: B008
            found: Principal = identity.principal
            return found

        self.identity = self._identify
        self.principal = principal
        self.admission = self._admit

    def check_tokens(self) -> KnownTokens:
        """Return the tokens that are accepted. Raises NoAccess where tokens are turned off."""
        if self._tokens is None:
            raise NoAccess(_TOKENS_OFF)
        return self._tokens

    def forget(self, *tokens: TokenRow) -> None:
        """Look up these tokens anew when they are presented next."""
        for token in tokens:
            if self._tokens is not None:
                self._tokens.forget(token)

    async def holds(self, identity: Identity) -> bool:
        """Return whether what was presented is still valid: for streams, which outlive the request that opened them."""
        if identity.until is not None and self._clock.now() >= identity.until:
            return False
        return identity.token is None or await self.check_tokens().holds(identity.token)

    async def identify(self, request: Request) -> Identity:
        """Identify the caller before anything else of the request is read; `identity` is then the same. Raises as that."""
        response = _without_length()
        made: Any = request.app.dependency_overrides.get(no_user, no_user)()
        developer = await made if inspect.isawaitable(made) else made
        identity = await self._found(request, response, developer)
        request.scope[_IDENTIFIED] = (self, identity, response.headers.raw)
        return identity

    async def admit(self, request: Request) -> None:
        """Run the dependencies of the whole application before anything else; `admission` is then done. Raises as that."""
        response = _without_length()
        await self._pass(request, response)
        request.scope[_ADMITTED] = (self, response.headers.raw)

    async def _identify(self, request: Request, response: Response) -> Identity:
        known = request.scope.get(_IDENTIFIED)
        if known is None or known[0] is not self:
            await self.identify(request)
        _, identity, headers = request.scope[_IDENTIFIED]
        response.headers.raw.extend(headers)
        found: Identity = identity
        return found

    async def _admit(self, request: Request, response: Response) -> None:
        known = request.scope.get(_ADMITTED)
        if known is None or known[0] is not self:
            await self.admit(request)
        response.headers.raw.extend(request.scope[_ADMITTED][1])

    async def _pass(self, request: Request, response: Response) -> None:
        if self._gate is not None:
            await self._gate.admit(request, response)

    async def _found(self, request: Request, response: Response, developer: Any) -> Identity:
        by_header = self._in_header(request)
        in_cookie = None
        if by_header is None and (developer is not None or self._application is not None):
            in_cookie = await self._in_cookie(request)
            if in_cookie is None and developer is None and self._application is not None:
                return await self._named(await self._application.identify(request, response))
        await self._pass(request, response)
        if by_header is not None:
            return await by_header(request)
        if in_cookie is not None:
            return in_cookie
        if developer is not None:
            return Identity(principal_of(developer))
        return await self._by_cookie_alone(request)

    async def _by_cookie_alone(self, request: Request) -> Identity:
        secret = request.cookies.get(COOKIE)
        if secret is not None and self._tokens is not None:
            return await self._by_token(secret, request, in_cookie=True)
        if self._tokens is None and self._issuer is None:
            raise NoAccess(_CURE)
        ways = [(self._tokens, "an API token"), (self._issuer, "a JWT of the issuer")]
        accepted = " or ".join(name for way, name in ways if way is not None)
        raise NotSignedIn(f"Sign in: this needs {accepted} (`Authorization: Bearer ...`).")

    async def _named(self, principal: Principal) -> Identity:
        refuse_own(principal.user_id)
        if self._makers is not None:
            await self._makers.see(principal)
        return Identity(principal)

    def _in_header(self, request: Request) -> Callable[[Request], Awaitable[Identity]] | None:
        """Return how `Authorization` identifies the caller, whose request it then decides alone; None if it doesn't."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            return None
        if self._tokens is not None and secret.startswith(PREFIX):
            return partial(self._by_token, secret)
        if self._issuer is not None and (self._application is None or self._issuer.issued(secret)):
            return partial(self._by_jwt, self._issuer, secret)
        if self._application is None and self._tokens is not None:
            return _no_token
        return None

    @staticmethod
    async def _by_jwt(issuer: Issuer, secret: str, request: Request) -> Identity:
        principal, until = await issuer.verify(secret, client_address(request))
        refuse_own(principal.user_id)
        return Identity(principal, until=until)

    async def _in_cookie(self, request: Request) -> Identity | None:
        """Return the session's user; None without a valid session, where the caller is identified in another way too.

        A cookie remains when its token has expired, is revoked or is no longer accepted: it locks out no such caller.
        """
        secret = request.cookies.get(COOKIE)
        if secret is None or self._tokens is None:
            return None
        with suppress(NotSignedIn, NoAccess, TooManyAttempts):
            return await self._by_token(secret, request, in_cookie=True)
        return None

    async def _by_token(self, secret: str, request: Request, *, in_cookie: bool = False) -> Identity:
        row = await self.check_tokens().find(secret, client_address(request))
        return Identity(principal_of_token(row), row, in_cookie, row.expires_at)


async def _no_token(_: Request) -> Identity:
    raise NotSignedIn(f"The value of `Authorization` isn't a Stepwell token: those begin with {PREFIX!r}.")


def _without_length() -> Response:
    response = Response()
    del response.headers["content-length"]
    return response


def _issuer(auth: AuthSettings, attempts: Attempts, groups_claim: str | None) -> Issuer | None:
    if auth.oidc is None:
        return None
    try:
        from stepwell.console.http.access.oidc import Issuer
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"Settings.auth.oidc: {error}. Run: pip install 'stepwell[oidc]'.") from error
    return Issuer(auth.oidc, attempts, groups_claim=groups_claim)


def client_address(request: Request) -> str:
    """Return the origin that failed logins are counted for."""
    return address_of(request.client.host if request.client else None)


class Served(Protocol):
    """A Stepwell, open or not yet."""

    @property
    def apps(self) -> Mapping[str, Triggers]: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def opening(self) -> Opening: ...
    @property
    def runner(self) -> WorkflowRunner: ...
    @property
    def scheduler(self) -> Scheduler:
        """Return the scheduler. Raises StepwellError while the Stepwell isn't open."""
        ...

    async def condition(self, *, brief: bool = False) -> Condition:
        """Return whether work should be sent to this process, and its faults; `brief`: without the texts of errors."""
        ...
