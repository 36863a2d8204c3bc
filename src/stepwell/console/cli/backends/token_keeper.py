"""The API's tokens that a command is about: in a database, or behind the API of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from stepwell.composition import Stepwell
from stepwell.console.cli.backends.local import opened
from stepwell.console.http.access.principal import COMMAND_LINE, Principal
from stepwell.console.http.access.tokens import CreatedToken, NewToken, Token, created_token, make_token, token_of
from stepwell.console.reading.tokens import StoredTokens
from stepwell.errors import TokenNotFound
from stepwell.runner.models import Page
from stepwell.settings import Settings

if TYPE_CHECKING:
    from stepwell.console.cli.backends.remote import Remote

_MOST = 1000
"""Tokens in one answer of a server, at most."""


class DatabaseTokens:
    """The tokens of a database that the user of the command may write. A change is durable when the call returns."""

    def __init__(self, stepwell: Stepwell) -> None:
        self._stored = StoredTokens(stepwell.opening)
        self._clock = stepwell.opening.shared.clock

    async def create(self, wanted: NewToken) -> CreatedToken:
        machine = Principal(COMMAND_LINE, "admin", method="local")
        secret, row = make_token(wanted, machine, None, self._clock.now())
        await self._stored.add(row, None, None)  # the operator's: no limit, no maker with fewer rights
        return created_token(row, secret)

    async def newest(self, user: str | None, limit: int) -> Sequence[Token]:
        rows = await self._stored.newest(user, None, limit)
        made = await self._stored.descendants(rows, self._clock.now())
        return [token_of(row, made.get(row.id, 0)) for row in rows]

    async def revoke(self, token_id: str) -> Token:
        now = self._clock.now()
        revoked = await self._stored.revoke(token_id, now)
        row = await self._stored.find(token_id)
        if row is None:
            raise _not_there(token_id)
        return token_of(row, sum(one.id != token_id for one in revoked))


class ServerTokens:
    """The tokens of a server, as far as its API permits."""

    def __init__(self, server: Remote) -> None:
        self._server = server

    async def create(self, wanted: NewToken) -> CreatedToken:
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
        # Not read again: it may be the caller's own token, which has just stopped working.
        return found if found.revoked_at else found.model_copy(update={"revoked_at": datetime.now(UTC)})

    async def _find(self, token_id: str) -> Token:
        async for one in self._each(_MOST):
            if one.id == token_id:
                return one
        raise _not_there(token_id)

    async def _each(self, at_once: int) -> AsyncIterator[Token]:
        cursor: str | None = None
        while True:
            params: dict[str, Any] = {"limit": at_once, **({} if cursor is None else {"cursor": cursor})}
            page = await self._server.fetch(Page[Token], "/tokens", params=params)
            for one in page.items:
                yield one
            if page.next_cursor is None:
                return
            cursor = page.next_cursor


TokenKeeper: TypeAlias = DatabaseTokens | ServerTokens
"""Creates, shows and revokes tokens. Errors are StepwellErrors, whichever side they come from."""


@asynccontextmanager
async def on_database(settings: Settings, *, creates: bool = True) -> AsyncIterator[TokenKeeper]:
    """Return the tokens of a database, of which nothing else is needed: no apps and no queue."""
    alone = settings.model_copy(update={"queue_url": None})
    stepwell = Stepwell(apps=[], settings=alone, embedded_worker=False)
    async with opened(stepwell, nothing=None if creates else "no token has been stored there"):
        yield DatabaseTokens(stepwell)


@asynccontextmanager
async def on_server(server: Remote) -> AsyncIterator[TokenKeeper]:
    """Return the tokens of a server."""
    async with server.open():
        yield ServerTokens(server)


def _not_there(token_id: str) -> TokenNotFound:
    return TokenNotFound(f"No token {token_id!r}: `stepwell tokens list` shows the existing ones.")
