"""API tokens: how one is made, never above who makes it, and what is told of it.

A secret is 256 random bits, and its SHA-256 is stored. A slow hash (bcrypt, Argon2) protects what people make up and
others can guess; nobody can go through 2**256 values however fast each is tried, and a slow hash would only make every
request slow. See docs/access.md.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from uuid_utils import uuid7

from stepwell.definition.inputs import is_text
from stepwell.engine.run import Moment
from stepwell.errors import InvalidArgs, NoAccess
from stepwell.execution.clock import to_datetime, to_moment
from stepwell.http.principal import ROLES, Principal, Role
from stepwell.store.tokens import TokenRow

PREFIX: Final = "sw_"
SHOWN: Final = 9
"""Characters of a secret that are stored and shown, so that people recognise it: 6 of 43 that are secret."""

_SECRET = re.compile(r"sw_[A-Za-z0-9_-]{43}\Z")


def _text(value: str) -> str:
    if not is_text(value, 256):
        raise ValueError("give a text of 1 to 256 characters, without NUL")
    return value


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_text)]


class NewToken(BaseModel):
    """What a new token shall be allowed. Left out: oneself, all apps that one sees, and no end but one's own."""

    model_config = ConfigDict(extra="forbid")

    name: Text
    """What people recognise it by."""
    user_id: Text | None = None
    role: Role
    everybody: bool = False
    apps: Annotated[list[Text], Field(min_length=1, max_length=100)] | None = None
    expires_at: AwareDatetime | None = None


class Token(BaseModel):
    """A token without its secret."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    user_id: str
    role: Role
    everybody: bool
    apps: list[str] | None
    prefix: str
    """How its secret begins."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None


class CreatedToken(Token):
    """A token with its secret, which nobody can see again."""

    token: str


def digest_of(secret: str) -> str | None:
    """What is stored of a secret; None of what can't be one."""
    return sha256(secret.encode()).hexdigest() if _SECRET.match(secret) else None


def make_token(wanted: NewToken, creator: Principal, until: Moment | None, now: Moment) -> tuple[str, TokenRow]:
    """The secret and the row of a new token that may do no more than its creator, whose own right ends at `until`.

    Raises NoAccess with all that would exceed it, InvalidArgs if it would be over already.
    """
    excess = _excess(wanted, creator, until)
    if excess:
        raise NoAccess(f"A token can't do more than who makes it: {', '.join(excess)}.")
    expires_at = until if wanted.expires_at is None else to_moment(wanted.expires_at)
    if expires_at is not None and expires_at <= now:
        raise invalid("expires_at", "it is in the past: give a later time, or leave it out")
    apps = creator.apps if wanted.apps is None else frozenset(wanted.apps)
    secret = PREFIX + secrets.token_urlsafe(32)
    row = TokenRow(
        id=str(uuid7()),
        name=wanted.name,
        user_id=wanted.user_id or creator.user_id,
        role=wanted.role,
        everybody=int(wanted.everybody or wanted.role == "admin"),
        apps=None if apps is None else json.dumps(sorted(apps)),
        digest=sha256(secret.encode()).hexdigest(),
        prefix=secret[:SHOWN],
        created_by=creator.user_id,
        created_at=now,
        expires_at=expires_at,
    )
    return secret, row


def _excess(wanted: NewToken, creator: Principal, until: Moment | None) -> list[str]:
    found = []
    if wanted.user_id not in (None, creator.user_id) and creator.role != "admin":
        found.append(f"user_id {wanted.user_id!r} needs the role admin")
    if ROLES.index(wanted.role) > ROLES.index(creator.role):
        found.append(f"role {wanted.role!r} is above yours, {creator.role!r}")
    if wanted.everybody and not creator.everybody:
        found.append("everybody is a right that you don't have")
    if creator.apps is not None and (others := sorted(set(wanted.apps or ()) - creator.apps)):
        found.append(f"apps {', '.join(map(repr, others))} aren't among yours")
    if until is not None and wanted.expires_at is not None and to_moment(wanted.expires_at) > until:
        found.append(f"expires_at is after {to_datetime(until):%Y-%m-%dT%H:%M:%SZ}, when your own token ends")
    return found


def may_do_more(row: TokenRow, than: Principal) -> bool:
    """Whether a token opens something that this principal can't."""
    apps = row.app_names
    wider = than.apps is not None and (apps is None or not apps <= than.apps)
    higher = ROLES.index(principal_of_token(row).role) > ROLES.index(than.role)
    return wider or higher or (bool(row.everybody) and not than.everybody)


def principal_of_token(row: TokenRow) -> Principal:
    """Who asks with this token."""
    role: Any = row.role
    return Principal(row.user_id, role, bool(row.everybody), row.app_names, method="token")


def token_of(row: TokenRow) -> Token:
    """What is told of a token."""
    return Token(**_told(row))


def created_token(row: TokenRow, secret: str) -> CreatedToken:
    """What its maker is told, once."""
    return CreatedToken(**_told(row), token=secret)


def _told(row: TokenRow) -> dict[str, Any]:
    apps = row.app_names
    return {
        "id": row.id,
        "name": row.name,
        "user_id": row.user_id,
        "role": row.role,
        "everybody": bool(row.everybody),
        "apps": None if apps is None else sorted(apps),
        "prefix": row.prefix,
        "created_at": to_datetime(row.created_at),
        "created_by": row.created_by,
        "expires_at": _moment(row.expires_at),
        "last_used_at": _moment(row.last_used_at),
        "revoked_at": _moment(row.revoked_at),
    }


def _moment(moment: Moment | None) -> datetime | None:
    return None if moment is None else to_datetime(moment)


def invalid(field: str, why: str) -> InvalidArgs:
    """The refusal of one field of a request's body."""
    return InvalidArgs(f"{field}: {why}.", [{"loc": ("body", field), "msg": why, "type": "value_error"}])
