"""API tokens: the principal of each secret. Only the digest of a secret is stored.

A token that was made with another one has its id as `created_with`. The rows of a tree are revoked together; what a token may
do follows from all rows from it up to its root (`console.reading.tokens`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from stepwell.engine.run import Moment
from stepwell.errors import NotSignedIn, TooManyTokens
from stepwell.store import tables
from stepwell.store.tables import token_users, tokens
from stepwell.store.tx import Tx

_ALL = tables.columns(tokens)
_OF_USER = tables.columns(token_users)
_SET_RIGHTS = ", ".join(f"{name}=?" for name in tables.names(token_users)[1:])
_UP = (
    "WITH RECURSIVE up(id) AS (SELECT created_with FROM stepwell_tokens WHERE id IN list(?) UNION"
    " SELECT t.created_with FROM stepwell_tokens t JOIN up ON t.id=up.id)"
)
_DOWN = (
    "WITH RECURSIVE down(id) AS (SELECT id FROM stepwell_tokens WHERE id=? UNION"
    " SELECT t.id FROM stepwell_tokens t JOIN down ON t.created_with=down.id)"
)
_MADE = (
    "WITH RECURSIVE made(root, id) AS (SELECT created_with, id FROM stepwell_tokens WHERE created_with IN list(?) UNION"
    " SELECT made.root, t.id FROM stepwell_tokens t JOIN made ON t.created_with=made.id)"
)
_VALID = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at>?)"


class TokenRow(NamedTuple):
    """A token as it is stored: `apps` is a JSON list, None: all of them."""

    id: str
    name: str
    user_id: str
    role: str
    everybody: int
    apps: str | None
    digest: str
    prefix: str
    created_by: str
    created_at: Moment
    expires_at: Moment | None = None
    last_used_at: Moment | None = None
    revoked_at: Moment | None = None
    created_with: str | None = None
    """The token that it was made with."""
    created_via: str | None = None
    """The method by which its maker was identified; None: before this was stored."""

    def valid(self, now: Moment) -> bool:
        """Return whether it is valid now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def app_names(self) -> frozenset[str] | None:
        """The apps that exist for it; None: all of them."""
        return None if self.apps is None else frozenset(json.loads(self.apps))


class TokenUser(NamedTuple):
    """The rights that the application last gave to a user who has or makes tokens; a role of None: none are known."""

    user_id: str
    role: str | None = None
    everybody: int = 0
    apps: str | None = None


def mint(tx: Tx, token: TokenRow, most: int | None, kept: int) -> None:
    """Insert the token, unless what it is made with has been revoked, or its user has `most` valid ones already.

    Of the user's tokens that are no longer valid, the newest `kept` stay. Raises NotSignedIn or TooManyTokens.
    """
    if token.created_with is not None:
        # Locked until this is committed: a revocation comes before, and is seen here, or after, and finds this row.
        held = "SELECT id FROM stepwell_tokens WHERE id=? AND revoked_at IS NULL FOR NO KEY UPDATE"
        if not tx.rows(held, token.created_with):
            raise NotSignedIn("The token that you are signed in with has been revoked.")
    if most is not None:
        _count(tx, token, most)
        _purge(tx, token.user_id, kept, token.created_at)
    add(tx, token)


def add(tx: Tx, token: TokenRow) -> None:
    """Insert the token, as it is."""
    tx.insert(tokens, [token])


def _count(tx: Tx, token: TokenRow, most: int) -> None:
    hold(tx, token.user_id)
    sql = f"SELECT count(*) FROM stepwell_tokens WHERE user_id=? AND {_VALID}"
    if tx.scalar(sql, token.user_id, token.created_at) >= most:
        raise TooManyTokens(
            f"The user {token.user_id!r} has {most} valid tokens, and may have no more: revoke one that isn't used, or "
            "raise AuthSettings(max_tokens=...)."
        )


def _purge(tx: Tx, user_id: str, kept: int, now: Moment) -> None:
    ended = f"user_id=? AND NOT ({_VALID})"
    newest = f"SELECT id FROM stepwell_tokens WHERE {ended} ORDER BY id DESC LIMIT ?"
    tx.run(f"DELETE FROM stepwell_tokens WHERE {ended} AND id NOT IN ({newest})", user_id, now, user_id, now, kept)


def hold(tx: Tx, user_id: str) -> TokenUser:
    """Return the row of the user, made if there was none, and locked until the transaction ends."""
    tx.insert(token_users, [TokenUser(user_id)], unless=["user_id"])
    held = tx.one(
        TokenUser._make, f"SELECT {_OF_USER} FROM stepwell_token_users WHERE user_id=? FOR NO KEY UPDATE", user_id
    )
    assert held is not None
    return held


def note_rights(tx: Tx, rights: TokenUser, *, new: bool) -> None:
    """Store the rights that the application gave; unless `new`, only for a user who has a row."""
    if new:
        hold(tx, rights.user_id)
    user_id, *given = rights
    tx.run(f"UPDATE stepwell_token_users SET {_SET_RIGHTS} WHERE user_id=?", *given, user_id)


def rights_of(tx: Tx, user_ids: Iterable[str]) -> Mapping[str, TokenUser]:
    """Return what is known of these users' rights, by user."""
    sql = f"SELECT {_OF_USER} FROM stepwell_token_users WHERE user_id IN list(?)"
    found = tx.fetch(TokenUser._make, sql, tx.listed(user_ids))
    return {one.user_id: one for one in found}


def of_digest(tx: Tx, digest: str) -> TokenRow | None:
    """Return the token whose secret has this digest, valid or not."""
    return tx.one(TokenRow._make, f"SELECT {_ALL} FROM stepwell_tokens WHERE digest=?", digest)


def load(tx: Tx, token_id: str) -> TokenRow | None:
    """Return the token, valid or not."""
    return tx.one(TokenRow._make, f"SELECT {_ALL} FROM stepwell_tokens WHERE id=?", token_id)


def ancestors(tx: Tx, rows: Sequence[TokenRow]) -> Mapping[str, TokenRow]:
    """Return all tokens from which these descend, by id."""
    made = [row.id for row in rows if row.created_with is not None]
    if not made:
        return {}
    sql = f"{_UP} SELECT {_ALL} FROM stepwell_tokens WHERE id IN (SELECT id FROM up)"
    return {row.id: row for row in tx.fetch(TokenRow._make, sql, tx.listed(made))}


def descendants(tx: Tx, token_ids: Iterable[str], now: Moment) -> Mapping[str, int]:
    """Return how many valid tokens descend from each of these; those without any are left out."""
    sql = (
        f"{_MADE} SELECT made.root, count(*) FROM made JOIN stepwell_tokens t ON t.id=made.id"
        f" WHERE {_VALID} GROUP BY made.root"
    )
    return dict(map(tuple, tx.rows(sql, tx.listed(token_ids), now)))


def page(tx: Tx, user_id: str | None, before: str | None, limit: int) -> list[TokenRow]:
    """Return the newest tokens that this user holds or has made, before this id; for None those of all users.

    What the server's operator has made isn't that of the user who happens to have the operator's name.
    """
    wanted, given = ["1=1"], []
    if user_id is not None:
        wanted.append("(user_id=? OR (created_by=? AND coalesce(created_via, '') <> 'local'))")
        given += [user_id, user_id]
    if before is not None:
        wanted.append("id<?")
        given.append(before)
    sql = f"SELECT {_ALL} FROM stepwell_tokens WHERE {' AND '.join(wanted)} ORDER BY id DESC LIMIT ?"
    return tx.fetch(TokenRow._make, sql, *given, limit)


def revoke(tx: Tx, token_id: str, now: Moment) -> list[TokenRow]:
    """Revoke the token and all that descend from it, and return those; the moment of an earlier revocation stays.

    What another transaction adds meanwhile is found in a later round: once a row is revoked here, none is added below it.
    """
    revoked: list[TokenRow] = []
    sql = (
        f"UPDATE stepwell_tokens SET revoked_at=? WHERE revoked_at IS NULL AND id IN ({_DOWN} SELECT id FROM down)"
        f" RETURNING {_ALL}"
    )
    while found := tx.fetch(TokenRow._make, sql, now, token_id):
        revoked += found
    return revoked


def used(tx: Tx, token_id: str, now: Moment) -> None:
    """Note that the token was used at this moment, or later."""
    tx.run(
        "UPDATE stepwell_tokens SET last_used_at=? WHERE id=? AND (last_used_at IS NULL OR last_used_at<?)",
        now,
        token_id,
        now,
    )
