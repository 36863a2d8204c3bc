"""API tokens: who asks with which secret. Only the digest of a secret is stored."""

from __future__ import annotations

import json
from typing import NamedTuple

from stepwell.engine.run import Moment
from stepwell.store import rows
from stepwell.store.tables import tokens
from stepwell.store.tx import Tx

_ALL = rows.columns(tokens)


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

    def valid(self, now: Moment) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def app_names(self) -> frozenset[str] | None:
        """The apps that exist for it; None: all of them."""
        return None if self.apps is None else frozenset(json.loads(self.apps))


def add(tx: Tx, token: TokenRow) -> None:
    """The token is there."""
    tx.insert(tokens, [token])


def of_digest(tx: Tx, digest: str) -> TokenRow | None:
    """The token whose secret has this digest, valid or not."""
    return _one(tx.fetch(TokenRow._make, f"SELECT {_ALL} FROM stepwell_tokens WHERE digest=?", digest))


def load(tx: Tx, token_id: str) -> TokenRow | None:
    """The token, valid or not."""
    return _one(tx.fetch(TokenRow._make, f"SELECT {_ALL} FROM stepwell_tokens WHERE id=?", token_id))


def page(tx: Tx, user_id: str | None, before: str | None, limit: int) -> list[TokenRow]:
    """The newest tokens that this user holds or has made, before this id; None: everybody's."""
    wanted, given = ["1=1"], []
    if user_id is not None:
        wanted.append("(user_id=? OR created_by=?)")
        given += [user_id, user_id]
    if before is not None:
        wanted.append("id<?")
        given.append(before)
    sql = f"SELECT {_ALL} FROM stepwell_tokens WHERE {' AND '.join(wanted)} ORDER BY id DESC LIMIT ?"
    return tx.fetch(TokenRow._make, sql, *given, limit)


def revoke(tx: Tx, token_id: str, now: Moment) -> None:
    """The token opens nothing any more; when it was revoked first stays."""
    tx.run("UPDATE stepwell_tokens SET revoked_at=? WHERE id=? AND revoked_at IS NULL", now, token_id)


def used(tx: Tx, token_id: str, now: Moment) -> None:
    """It is known that the token was used at this moment, or later."""
    tx.run(
        "UPDATE stepwell_tokens SET last_used_at=? WHERE id=? AND (last_used_at IS NULL OR last_used_at<?)",
        now,
        token_id,
        now,
    )


def _one(found: list[TokenRow]) -> TokenRow | None:
    return found[0] if found else None
