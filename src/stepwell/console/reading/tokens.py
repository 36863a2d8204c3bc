"""The API's tokens, with the rights that they have now.

A token never has more than what made it has. So its rights, its end and its revocation are those of all tokens from it up
to the first, together; and those that the application last gave to the user who made the first one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stepwell.engine.run import Moment
from stepwell.runner.opening import Opening
from stepwell.store import tokens
from stepwell.store.tokens import TokenRow, TokenUser
from stepwell.store.tx import Tx

__all__ = ["StoredTokens", "TokenRow", "TokenUser"]

APPLICATION: Final = "application"
"""`created_via` of tokens whose makers the application named."""
_ROLES: Final = ("viewer", "operator", "admin")
_ENDED_KEPT: Final = 100
"""A user's tokens that are no longer valid and still shown; older ones are deleted."""


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """Reads and writes of tokens. A write is durable when the call returns. Raises StoreUnavailable.

    All rows that are returned have the rights, the end and the revocation that count now.
    """

    opening: Opening

    async def find(self, token_id: str) -> TokenRow | None:
        """Return the token with this id, valid or not."""
        return await self.opening.core.store.read(lambda tx: _one(tx, tokens.load(tx, token_id)))

    async def find_by_digest(self, digest: str) -> TokenRow | None:
        """Return the token whose secret has this digest, valid or not."""
        return await self.opening.core.store.read(lambda tx: _one(tx, tokens.of_digest(tx, digest)))

    async def newest(self, user_id: str | None, before: str | None, limit: int) -> Sequence[TokenRow]:
        """Return the newest tokens that this user holds or has made, before this id; None: those of all users."""
        return await self.opening.core.store.read(lambda tx: _folded(tx, tokens.page(tx, user_id, before, limit)))

    async def descendants(self, rows: Sequence[TokenRow], now: Moment) -> Mapping[str, int]:
        """Return the number of valid tokens that each of these made, directly or not, where there are any."""
        ids = [row.id for row in rows]
        return await self.opening.core.store.read(lambda tx: tokens.descendants(tx, ids, now))

    async def add(self, token: TokenRow, rights: TokenUser | None, most: int | None) -> None:
        """Store a new token; with the rights of its maker, if the application named them.

        Raises TooManyTokens if its user has `most` valid ones, NotSignedIn if the token that it is made with was revoked.
        However many calls and processes do this at once, no more are stored.
        """

        def mint(tx: Tx) -> None:
            if rights is not None:
                tokens.note_rights(tx, rights, new=True)
            tokens.mint(tx, token, most, _ENDED_KEPT)

        await self.opening.core.store.writer.call(mint)

    async def revoke(self, token_id: str, now: Moment) -> Sequence[TokenRow]:
        """Revoke a token and all that it made, directly or not; return those that weren't yet revoked, as stored."""
        return await self.opening.core.store.writer.call(lambda tx: tokens.revoke(tx, token_id, now))

    async def note_use(self, token_id: str, now: Moment) -> None:
        """Store when a token was last used, unless a later use is already stored."""
        await self.opening.core.store.writer.call(lambda tx: tokens.used(tx, token_id, now))

    async def note_rights(self, rights: TokenUser) -> None:
        """Store the rights that the application gives to a user now, if the user has made tokens."""
        known = await self.opening.core.store.read(lambda tx: tokens.rights_of(tx, [rights.user_id]))
        if known.get(rights.user_id, rights) != rights:
            await self.opening.core.store.writer.call(lambda tx: tokens.note_rights(tx, rights, new=False))


def _one(tx: Tx, row: TokenRow | None) -> TokenRow | None:
    return None if row is None else _folded(tx, [row])[0]


def _folded(tx: Tx, rows: Sequence[TokenRow]) -> list[TokenRow]:
    above = tokens.ancestors(tx, rows)
    makers = {row.created_by for row in (*rows, *above.values()) if row.created_via == APPLICATION}
    users = tokens.rights_of(tx, makers) if makers else {}
    return [fold(row, above, users) for row in rows]


def fold(row: TokenRow, above: Mapping[str, TokenRow], users: Mapping[str, TokenUser]) -> TokenRow:
    """Return the token as it counts now: with no more than any of the tokens above it has, and than its first maker."""
    found = row
    for one in _line(row, above):
        if one is not row:
            found = _within(found, one.role, one.everybody, one.apps)._replace(
                expires_at=_sooner(found.expires_at, one.expires_at),
                revoked_at=one.revoked_at if found.revoked_at is None else found.revoked_at,
            )
        user = users.get(one.created_by) if one.created_via == APPLICATION else None
        if user is not None and user.role is not None:
            found = _within(found, user.role, user.everybody, user.apps)
        if one.created_with is not None and one.created_with not in above:  # deleted, some time after it had ended
            found = found._replace(revoked_at=one.created_at if found.revoked_at is None else found.revoked_at)
    return found


def _line(row: TokenRow, above: Mapping[str, TokenRow]) -> Iterator[TokenRow]:
    seen: set[str] = set()
    at: TokenRow | None = row
    while at is not None and at.id not in seen:
        yield at
        seen.add(at.id)
        at = above.get(at.created_with) if at.created_with is not None else None


def _within(row: TokenRow, role: str, everybody: int, apps: str | None) -> TokenRow:
    return row._replace(
        role=min(row.role, role, key=_rank),
        everybody=min(row.everybody, everybody),
        apps=row.apps if apps is None else apps if row.apps is None else _common(row.apps, apps),
    )


def _common(one: str, other: str) -> str:
    try:
        return json.dumps(sorted({*json.loads(one)} & {*json.loads(other)}))
    except (ValueError, TypeError):
        return "[]"  # edited by hand, into something that names no apps: none are left


def _rank(role: str) -> int:
    # A role that this version doesn't know is no role: it stays, and is refused where the token is used.
    return _ROLES.index(role) if role in _ROLES else -1


def _sooner(one: Moment | None, other: Moment | None) -> Moment | None:
    return other if one is None else one if other is None else min(one, other)
