"""Who one is here, signing in with a token, and the tokens that one may manage."""

# Without `from __future__ import annotations`: FastAPI couldn't see the dependency that is made here.

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from stepwell import __version__
from stepwell.definition.inputs import is_text
from stepwell.errors import NoAccess, TokenNotFound
from stepwell.http.access import COOKIE, Access, Asked, client_address
from stepwell.http.cursors import Cursor, Cursors
from stepwell.http.principal import Method, Principal, Role
from stepwell.http.schemas import problems
from stepwell.http.served import Served
from stepwell.http.tokens import (
    CreatedToken,
    NewToken,
    Token,
    created_token,
    invalid,
    make_token,
    may_do_more,
    principal_of_token,
    token_of,
)
from stepwell.runner.models import Page
from stepwell.store import tokens
from stepwell.store.tokens import TokenRow

_SESSION_SECONDS = 30 * 24 * 3600
"""A browser forgets the cookie after this long, or when its token ends."""


class Me(BaseModel):
    """Who asks, what they may do, and what they ask."""

    user_id: str
    role: Role
    everybody: bool
    apps: list[str] | None
    method: Method
    version: str
    database: Literal["sqlite", "postgresql"]
    queue: Literal["database", "bullmq"]
    sign_out: bool
    """Whether this is a session that `DELETE /session` ends."""


class SignIn(BaseModel):
    """A token to sign in with."""

    token: Annotated[str, Field(max_length=1000)]


def add_session(router: APIRouter, stepwell: Served, access: Access) -> None:
    """`/me`, `/session` and `/tokens` are served."""
    Asking = Annotated[Asked, Depends(access.asked)]
    add_tokens(router, stepwell, access)

    @router.get("/me", operation_id="get_me", responses=problems())
    async def get_me(asked: Asking) -> Me:
        """Who asks, and what they may do."""
        return me(stepwell, asked.principal, sign_out=asked.in_cookie)

    @router.post("/session", operation_id="sign_in", responses=problems())
    async def sign_in(given: Annotated[SignIn, Body()], request: Request, response: Response) -> Me:
        """This browser is signed in: it has the token in a cookie that no script can read."""
        row = await access.check_tokens().find(given.token, client_address(request))
        now = stepwell.opening.shared.clock.now()
        left = _SESSION_SECONDS if row.expires_at is None else (row.expires_at - now) // 1_000_000
        response.set_cookie(COOKIE, given.token, max_age=min(left, _SESSION_SECONDS), **_cookie(request))
        return me(stepwell, principal_of_token(row), sign_out=True)

    @router.delete("/session", operation_id="sign_out", responses=problems(), status_code=204)
    async def sign_out(request: Request, response: Response) -> None:
        """This browser has no token any more. The token itself stays valid."""
        access.check_tokens()
        response.delete_cookie(COOKIE, **_cookie(request))


def add_tokens(router: APIRouter, stepwell: Served, access: Access) -> None:
    """`/tokens` is served."""
    Asking = Annotated[Asked, Depends(access.asked)]

    @router.get("/tokens", operation_id="list_tokens", responses=problems(404))
    async def list_tokens(
        asked: Asking, limit: Annotated[int, Query(ge=1, le=1000)] = 50, cursor: Cursor = None
    ) -> Page[Token]:
        """The tokens that one holds or has made, the newest first, valid or not; everybody's for an admin of all apps."""
        only = None if _sees_all(asked.principal) else asked.principal.user_id
        cursors = Cursors.whose(only)
        before = cursors.position(cursor)
        found = await stepwell.opening.core.store.read(lambda tx: tokens.page(tx, only, before, limit + 1))
        more = found[limit - 1].id if len(found) > limit else None
        return Page(items=tuple(token_of(row) for row in found[:limit]), next_cursor=cursors.cursor(more))

    @router.post("/tokens", operation_id="create_token", responses=problems(404, 409), status_code=201)
    async def create_token(wanted: NewToken, asked: Asking) -> CreatedToken:
        """A new token, durable. Its secret is in this answer and nowhere else."""
        access.check_tokens()
        unknown = [] if wanted.apps is None else [name for name in wanted.apps if name not in stepwell.apps]
        secret, row = make_token(wanted, asked.principal, asked.token_ends, stepwell.opening.shared.clock.now())
        if unknown:
            raise invalid("apps", f"there is no app {unknown[0]!r}")
        await stepwell.opening.core.store.writer.call(lambda tx: tokens.add(tx, row))
        return created_token(row, secret)

    @router.delete("/tokens/{token_id}", operation_id="revoke_token", responses=problems(404), status_code=204)
    async def revoke_token(token_id: str, asked: Asking) -> None:
        """The token opens nothing any more: here at once, in other processes within seconds."""
        row = await _mine(stepwell, token_id, asked.principal)
        if asked.principal.method == "token" and may_do_more(row, asked.principal):
            raise NoAccess("A token can't revoke one that may do more than itself: sign in otherwise.")
        now = stepwell.opening.shared.clock.now()
        await stepwell.opening.core.store.writer.call(lambda tx: tokens.revoke(tx, token_id, now))
        access.forget(row)


def me(stepwell: Served, principal: Principal, *, sign_out: bool) -> Me:
    """What is told to whom asks."""
    settings = stepwell.settings
    return Me(
        user_id=principal.user_id,
        role=principal.role,
        everybody=principal.everybody,
        apps=None if principal.apps is None else sorted(principal.apps),
        method=principal.method,
        version=__version__,
        database="postgresql" if settings.database_url.startswith("postgres") else "sqlite",
        queue="database" if settings.queue_url is None else "bullmq",
        sign_out=sign_out,
    )


async def _mine(stepwell: Served, token_id: str, principal: Principal) -> TokenRow:
    found = None
    if is_text(token_id, 64):
        found = await stepwell.opening.core.store.read(lambda tx: tokens.load(tx, token_id))
    if found is None or not (_sees_all(principal) or principal.user_id in (found.user_id, found.created_by)):
        raise TokenNotFound(f"No token {token_id!r}.")
    return found


def _sees_all(principal: Principal) -> bool:
    return principal.role == "admin" and principal.apps is None


def _cookie(request: Request) -> dict[str, Any]:
    # Only the API needs it; other pages of the same host never see it.
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return {
        "path": f"{root}/api/v1",
        "httponly": True,
        "samesite": "strict",
        "secure": request.url.scheme == "https",
    }
