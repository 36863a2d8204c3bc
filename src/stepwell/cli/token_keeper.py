"""Where the API's tokens are that a command is about: in a database, or behind the API of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from stepwell.app import Stepwell
from stepwell.errors import TokenNotFound
from stepwell.runner.models import Page
from stepwell.settings import Settings
from stepwell.store import tokens

if TYPE_CHECKING:
    from stepwell.cli.remote import Remote
    from stepwell.http.tokens import CreatedToken, NewToken, Token

_MOST = 1000
"""Tokens in one answer of a server."""


class TokenKeeper(Protocol):
    """Makes, shows and revokes tokens inside `open`. Errors are StepwellErrors, whichever side they come from."""

    async def create(self, wanted: NewToken) -> CreatedToken:
        """The new token, durable, with its secret."""
        ...

    async def newest(self, user: str | None, limit: int) -> Sequence[Token]:
        """The newest tokens that this user holds or has made (None: all that one may see), never their secrets."""
        ...

    async def revoke(self, token_id: str) -> Token:
        """The token as it is then. Raises TokenNotFound."""
        ...


class DatabaseTokens:
    """For whoever may write the database."""

    def __init__(self, stepwell: Stepwell) -> None:
        self._core = stepwell.opening.core
        self._clock = stepwell.opening.shared.clock

    async def create(self, wanted: NewToken) -> CreatedToken:
        from stepwell.http.principal import Principal
        from stepwell.http.tokens import created_token, make_token

        machine = Principal("cli", "admin", method="local")
        secret, row = make_token(wanted, machine, None, self._clock.now())
        await self._core.store.writer.call(lambda tx: tokens.add(tx, row))
        return created_token(row, secret)

    async def newest(self, user: str | None, limit: int) -> Sequence[Token]:
        from stepwell.http.tokens import token_of

        rows = await self._core.store.read(lambda tx: tokens.page(tx, user, None, limit))
        return [token_of(row) for row in rows]

    async def revoke(self, token_id: str) -> Token:
        from stepwell.http.tokens import token_of

        now = self._clock.now()
        await self._core.store.writer.call(lambda tx: tokens.revoke(tx, token_id, now))
        row = await self._core.store.read(lambda tx: tokens.load(tx, token_id))
        if row is None:
            raise _not_there(token_id)
        return token_of(row)


class ServerTokens:
    """For whoever the server's API lets, and as far as it does."""

    def __init__(self, server: Remote) -> None:
        self._server = server

    async def create(self, wanted: NewToken) -> CreatedToken:
        from stepwell.http.tokens import CreatedToken

        body = wanted.model_dump(mode="json", exclude_none=True)
        return await self._server.post(CreatedToken, "/tokens", json=body)

    async def newest(self, user: str | None, limit: int) -> Sequence[Token]:
        found: list[Token] = []
        async for one in self._each(limit if user is None else _MOST):
            if user in (None, one.user_id, one.created_by):
                found.append(one)
            if len(found) == limit:
                break
        return found

    async def revoke(self, token_id: str) -> Token:
        found = await self._find(token_id)
        await self._server.delete(f"/tokens/{quote(found.id, safe='')}")
        # Not looked up again: it may be the one that asks, which opens nothing any more.
        return found if found.revoked_at else found.model_copy(update={"revoked_at": datetime.now(UTC)})

    async def _find(self, token_id: str) -> Token:
        async for one in self._each(_MOST):
            if one.id == token_id:
                return one
        raise _not_there(token_id)

    async def _each(self, at_once: int) -> AsyncIterator[Token]:
        from stepwell.http.tokens import Token

        cursor: str | None = None
        while True:
            params: dict[str, Any] = {"limit": at_once, **({} if cursor is None else {"cursor": cursor})}
            page = await self._server.fetch(Page[Token], "/tokens", params=params)
            for one in page.items:
                yield one
            if page.next_cursor is None:
                return
            cursor = page.next_cursor


@asynccontextmanager
async def on_database(settings: Settings) -> AsyncIterator[TokenKeeper]:
    """The tokens of a database, of which nothing else is needed: no apps and no queue."""
    alone = settings.model_copy(update={"queue_url": None})
    async with Stepwell(apps=[], settings=alone, embedded_worker=False) as stepwell:
        yield DatabaseTokens(stepwell)


@asynccontextmanager
async def on_server(server: Remote) -> AsyncIterator[TokenKeeper]:
    """The tokens of a server."""
    async with server.open():
        yield ServerTokens(server)


def _not_there(token_id: str) -> TokenNotFound:
    return TokenNotFound(f"No token {token_id!r}: `stepwell tokens list` shows which there are.")
