"""API tokens: their creation, never with more rights than the creator's, and their models.

A secret is 256 random bits, and its SHA-256 is stored. A slow hash (bcrypt, Argon2) protects what people make up and
others can guess; 2**256 values can't be tried however fast each is, and a slow hash would only make every request slow.
See docs/access.md.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Final
from unicodedata import category

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from uuid_utils import uuid7

from stepwell.console.http.access.principal import OWN_USERS, ROLES, Method, Principal, Role
from stepwell.console.reading.tokens import TokenRow, TokenUser
from stepwell.definition.text import is_text
from stepwell.engine.run import Moment
from stepwell.errors import InvalidArgs, NoAccess, NotSignedIn
from stepwell.execution.clock import to_datetime, to_moment

PREFIX: Final = "sw_"
SHOWN: Final = 9
"""Characters of a secret that are stored and shown, so that people recognise it: 6 of 43 that are secret."""

_SECRET = re.compile(r"sw_[A-Za-z0-9_-]{43}\Z")


_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
"""Categories of characters that change how a line looks, and aren't seen themselves."""


def _text(value: str) -> str:
    if not is_text(value, 256):
        raise ValueError("give a text of 1 to 256 characters, without NUL")
    return value


def _plain(value: str) -> str:
    if not value.strip() or any(category(one) in _UNSEEN for one in value):
        raise ValueError("give a name that can be seen, without line ends and other invisible characters")
    return value


TokenText = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_text)]
TokenName = Annotated[TokenText, AfterValidator(_plain)]


class NewToken(BaseModel):
    """The rights of a new token. Defaults: the creator's id, all apps that they see, the end of their own token."""

    model_config = ConfigDict(extra="forbid")

    name: TokenName
    """A name that people recognise it by."""
    user_id: TokenText | None = None
    role: Role
    everybody: bool = False
    apps: Annotated[list[TokenText], Field(min_length=1, max_length=100)] | None = None
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
    """The beginning of its secret."""
    created_at: datetime
    created_by: str
    """The user who created it."""
    created_with: str | None
    """The id of the token that its creator was signed in with: it ends with that one, and never has more rights."""
    created_via: Method | None
    """The method by which its creator was identified. None: before this was recorded."""
    descendants: int
    """The number of valid tokens that were created with it, directly or not: revoking it revokes them."""
    expires_at: datetime | None
    last_used_at: datetime | None
    """Accurate to the minute."""
    revoked_at: datetime | None


class CreatedToken(Token):
    """A token with its secret, which can't be shown again."""

    token: str


def digest_of(secret: str) -> str | None:
    """Return what is stored of a secret; None for what can't be one."""
    return sha256(secret.encode()).hexdigest() if _SECRET.match(secret) else None


def make_token(
    wanted: NewToken, creator: Principal, until: Moment | None, now: Moment, parent: TokenRow | None = None
) -> tuple[str, TokenRow]:
    """Return the secret and the row of a new token, limited to the rights of its creator, which end at `until`.

    It ends with its `parent`, the token that the creator presented.

    Raises NoAccess with all rights that would exceed the creator's, InvalidArgs if it would have expired already.
    """
    excess = _excess(wanted, creator, until)
    if excess:
        raise NoAccess(f"A token can't do more than its creator: {', '.join(excess)}.")
    expires_at = until if wanted.expires_at is None else to_moment(wanted.expires_at)
    if until is not None and until <= now:
        raise NotSignedIn("What you are signed in with has expired, and so would the token: sign in again.")
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
        created_with=None if parent is None else parent.id,
        created_via="token" if parent is not None else creator.method,
    )
    return secret, row


def _excess(wanted: NewToken, creator: Principal, until: Moment | None) -> list[str]:
    found = []
    what = "token" if creator.method == "token" else "sign-in"
    if wanted.user_id not in (None, creator.user_id) and creator.role != "admin":
        found.append(f"user_id {wanted.user_id!r} needs the role admin")
    elif wanted.user_id in OWN_USERS and wanted.user_id != creator.user_id and creator.method != "local":
        found.append(f"user_id {wanted.user_id!r} is one of Stepwell's own")
    if ROLES.index(wanted.role) > ROLES.index(creator.role):
        found.append(f"role {wanted.role!r} is above yours, {creator.role!r}")
    if wanted.everybody and not creator.everybody:
        found.append("`everybody` is a right that you don't have")
    if creator.apps is not None and (others := sorted(set(wanted.apps or ()) - creator.apps)):
        found.append(f"apps {', '.join(map(repr, others))} aren't among yours")
    if until is not None and wanted.expires_at is not None and to_moment(wanted.expires_at) > until:
        found.append(f"expires_at is after {to_datetime(until):%Y-%m-%dT%H:%M:%SZ}, when your own {what} ends")
    return found


def may_do_more(row: TokenRow, than: Principal) -> bool:
    """Return whether a token has a right that this principal hasn't."""
    apps = row.app_names
    wider = than.apps is not None and (apps is None or not apps <= than.apps)
    higher = ROLES.index(principal_of_token(row).role) > ROLES.index(than.role)
    return wider or higher or (bool(row.everybody) and not than.everybody)


def principal_of_token(row: TokenRow) -> Principal:
    """Return the caller with this token."""
    role: Any = row.role
    return Principal(row.user_id, role, bool(row.everybody), row.app_names, method="token")


def token_of(row: TokenRow, descendants: int = 0) -> Token:
    """Return the model of a token, which as many valid ones descend from."""
    return Token(**_fields(row, descendants))


def created_token(row: TokenRow, secret: str) -> CreatedToken:
    """Return the model that the creator gets, once."""
    return CreatedToken(**_fields(row, 0), token=secret)


def rights_of(principal: Principal) -> TokenUser:
    """Return the rights of a user as they are stored."""
    apps = None if principal.apps is None else json.dumps(sorted(principal.apps))
    return TokenUser(principal.user_id, principal.role, int(principal.everybody), apps)


def _fields(row: TokenRow, descendants: int) -> dict[str, Any]:
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
        "created_with": row.created_with,
        "created_via": row.created_via,
        "descendants": descendants,
        "expires_at": _moment(row.expires_at),
        "last_used_at": _moment(row.last_used_at),
        "revoked_at": _moment(row.revoked_at),
    }


def _moment(moment: Moment | None) -> datetime | None:
    return None if moment is None else to_datetime(moment)


def invalid(field: str, why: str) -> InvalidArgs:
    """Return the refusal of one field of a request's body."""
    return InvalidArgs(f"{field}: {why}.", [{"loc": ("body", field), "msg": why, "type": "value_error"}])
