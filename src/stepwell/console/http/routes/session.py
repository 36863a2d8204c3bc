"""The current user, signing in with a token, and the tokens that a user may manage."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from stepwell import __version__
from stepwell.console.http.access.access import COOKIE, Access, Identity, Served, client_address
from stepwell.console.http.access.caller import CursorParam, Cursors
from stepwell.console.http.access.principal import Method, Principal, Role
from stepwell.console.http.access.tokens import (
    CreatedToken,
    NewToken,
    Token,
    created_token,
    invalid,
    make_token,
    may_do_more,
    principal_of_token,
    rights_of,
    token_of,
)
from stepwell.console.http.schemas import problems
from stepwell.console.reading.tokens import APPLICATION, StoredTokens, TokenRow
from stepwell.definition.text import is_text
from stepwell.engine.run import Moment
from stepwell.errors import NoAccess, TokenNotFound
from stepwell.execution.clock import to_datetime
from stepwell.runner.models import Page
from stepwell.settings import AuthSettings

_SESSION_SECONDS = 30 * 24 * 3600
"""Seconds after which a browser forgets the cookie, unless its token expires earlier."""


class Me(BaseModel):
    """The caller, their rights, and the server they talk to."""

    user_id: str
    role: Role
    everybody: bool
    apps: list[str] | None
    groups: list[str]
    """They may answer what one of these groups is asked."""
    method: Method
    version: str
    database: Literal["sqlite", "postgresql"]
    queue: Literal["database", "bullmq"]
    expires_at: datetime | None
    """The time at which what the caller presented expires: tokens that they create expire no later."""
    sign_out: bool
    """The caller has a session that `DELETE /session` ends."""


class SignIn(BaseModel):
    """A token to sign in with."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(max_length=1000)]


def add_session(router: APIRouter, stepwell: Served, access: Access) -> None:
    """Add `/me`, `/session` and `/tokens`."""
    ByCaller = Annotated[Identity, Depends(access.identity)]
    add_tokens(router, stepwell, access)

    @router.get("/me", operation_id="get_me", responses=problems())
    async def get_me(identity: ByCaller) -> Me:
        """Return the caller and their rights."""
        return me(stepwell, identity.principal, identity.until, sign_out=identity.in_cookie)

    admitted = [Depends(access.admission)]

    @router.post("/session", operation_id="sign_in", responses=problems(), dependencies=admitted)
    async def sign_in(given: Annotated[SignIn, Body()], request: Request, response: Response) -> Me:
        """Sign this browser in: it gets the token in a cookie that no script can read."""
        row = await access.check_tokens().find(given.token, client_address(request))
        now = stepwell.opening.shared.clock.now()
        left = _SESSION_SECONDS if row.expires_at is None else (row.expires_at - now) // 1_000_000
        response.set_cookie(COOKIE, given.token, max_age=min(left, _SESSION_SECONDS), **_cookie(request, router.prefix))
        return me(stepwell, principal_of_token(row), row.expires_at, sign_out=True)

    @router.delete("/session", operation_id="sign_out", responses=problems(), status_code=204, dependencies=admitted)
    async def sign_out(request: Request, response: Response) -> None:
        """Sign this browser out: it forgets the token, which itself stays valid."""
        access.check_tokens()
        response.delete_cookie(COOKIE, **_cookie(request, router.prefix))


def add_tokens(router: APIRouter, stepwell: Served, access: Access) -> None:
    """Add `/tokens`."""
    ByCaller = Annotated[Identity, Depends(access.identity)]
    stored = StoredTokens(stepwell.opening)
    auth = stepwell.settings.auth or AuthSettings()

    @router.get("/tokens", operation_id="list_tokens", responses=problems(404))
    async def list_tokens(
        identity: ByCaller, limit: Annotated[int, Query(ge=1, le=1000)] = 50, cursor: CursorParam = None
    ) -> Page[Token]:
        """List the tokens that the caller holds or has made, newest first, valid or not; for an admin of all apps, all."""
        only = None if _sees_all(identity.principal) else identity.principal.user_id
        cursors = Cursors.whose(only)
        before = cursors.position(cursor)
        found = await stored.newest(only, before, limit + 1)
        more = found[limit - 1].id if len(found) > limit else None
        made = await stored.descendants(found[:limit], stepwell.opening.shared.clock.now())
        items: list[Token] = []
        for row in found[:limit]:
            with stepwell.opening.shared.faults.apart(f"token {row.prefix}..."):
                items.append(token_of(row, made.get(row.id, 0)))
        return Page(items=tuple(items), next_cursor=cursors.cursor(more))

    @router.post("/tokens", operation_id="create_token", responses=problems(404, 409), status_code=201)
    async def create_token(wanted: NewToken, identity: ByCaller) -> CreatedToken:
        """Create a token, durably. Its secret is in this answer and nowhere else.

        It never has more rights than what the caller presents, ends with it, and is revoked with it if that is a token.
        """
        access.check_tokens()
        principal = identity.principal
        unknown = [] if wanted.apps is None else [name for name in wanted.apps if name not in stepwell.apps]
        now = stepwell.opening.shared.clock.now()
        secret, row = make_token(wanted, principal, identity.ends, now, identity.token)
        if unknown:
            raise invalid("apps", f"there is no app {unknown[0]!r}")
        rights = rights_of(principal) if row.created_via == APPLICATION else None
        await stored.add(row, rights, auth.max_tokens)
        return created_token(row, secret)

    @router.delete("/tokens/{token_id}", operation_id="revoke_token", responses=problems(404), status_code=204)
    async def revoke_token(token_id: str, identity: ByCaller) -> None:
        """Revoke a token and all that were created with it, directly or not.

        They stop working in this process at once, in other processes within seconds.
        """
        row = await _mine(stepwell, token_id, identity.principal)
        if identity.principal.method == "token" and may_do_more(row, identity.principal):
            raise NoAccess("A token can't revoke one that may do more than itself: sign in otherwise.")
        now = stepwell.opening.shared.clock.now()
        access.forget(row, *await stored.revoke(token_id, now))


def me(stepwell: Served, principal: Principal, until: Moment | None, *, sign_out: bool) -> Me:
    """Return what the caller is told about themselves."""
    settings = stepwell.settings
    return Me(
        user_id=principal.user_id,
        role=principal.role,
        everybody=principal.everybody,
        apps=None if principal.apps is None else sorted(principal.apps),
        groups=sorted(principal.groups),
        method=principal.method,
        version=__version__,
        database="postgresql" if settings.database_url.startswith("postgres") else "sqlite",
        queue="database" if settings.queue_url is None else "bullmq",
        expires_at=None if until is None else to_datetime(until),
        sign_out=sign_out,
    )


async def _mine(stepwell: Served, token_id: str, principal: Principal) -> TokenRow:
    found = None
    if is_text(token_id, 64):
        found = await StoredTokens(stepwell.opening).find(token_id)
    if found is None or not (_sees_all(principal) or _concerns(found, principal.user_id)):
        raise TokenNotFound(f"No token {token_id!r}.")
    return found


def _concerns(token: TokenRow, user_id: str) -> bool:
    # What the server's operator made isn't that of the user who happens to have the operator's name.
    return user_id == token.user_id or (user_id == token.created_by and token.created_via != "local")


def _sees_all(principal: Principal) -> bool:
    return principal.role == "admin" and principal.apps is None


def _cookie(request: Request, api_path: str) -> dict[str, Any]:
    # Only the API needs it; other pages of the same host never see it.
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return {
        "path": f"{root}{api_path}",
        "httponly": True,
        "samesite": "strict",
        "secure": request.url.scheme == "https",
    }
