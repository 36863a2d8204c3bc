"""JWTs of an OIDC issuer: verified by PyJWT with the issuer's public keys, and read as a Principal.

Nothing that a JWT says about itself is believed: neither which algorithm it is signed with, nor where its key is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from stepwell.engine.run import Moment
from stepwell.errors import NoAccess, NotSignedIn
from stepwell.http.attempts import Attempts
from stepwell.http.issuer_keys import IssuerKeys
from stepwell.http.principal import ROLES, Principal, Role
from stepwell.settings import OidcSettings


class Issuer:
    """Answers whose a JWT is."""

    def __init__(self, settings: OidcSettings, attempts: Attempts, keys: IssuerKeys | None = None) -> None:
        self._settings = settings
        self._attempts = attempts
        self._keys = keys or IssuerKeys(settings)

    def issued(self, token: str) -> bool:
        """Whether this says that it is a JWT of the issuer. Proves nothing."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            return False
        return claims.get("iss") == self._settings.issuer

    async def verify(self, token: str, address: str) -> tuple[Principal, Moment]:
        """Who asks with this JWT, and when it ends.

        Raises NotSignedIn, NoAccess for a user without a role, TooManyAttempts, IssuerUnavailable.
        """
        try:
            claims = await self._claims(token)
        except jwt.ExpiredSignatureError as error:
            raise NotSignedIn("This JWT has expired: get another one from the issuer.") from error
        except jwt.PyJWTError as error:
            # Nobody guesses a signature: who has a valid JWT isn't kept out by others at the same address.
            self._attempts.check(address)
            self._attempts.failed(address)
            raise NotSignedIn(f"This JWT isn't valid here: {_reason(error)}.") from error
        return self._principal(claims), int(float(claims["exp"]) * 1_000_000)

    async def _claims(self, token: str) -> Mapping[str, Any]:
        settings = self._settings
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in settings.algorithms:
            raise jwt.InvalidAlgorithmError(f"it is signed with {algorithm!r}, not with one of {settings.algorithms}")
        key = await self._keys.find(header.get("kid"), algorithm)
        if key is None:
            raise jwt.InvalidKeyError("the issuer has no key of that name for that algorithm")
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.leeway_seconds,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        user_id = claims.get(self._settings.user_claim)
        if not isinstance(user_id, str) or not user_id:
            raise NotSignedIn(f"This JWT names no user: it has no text in the claim {self._settings.user_claim!r}.")
        values = values_at(claims, self._settings.role_claim)
        role = self._role(values)
        everybody = not values.isdisjoint(self._settings.everybody)
        claim = self._settings.apps_claim
        apps = None if claim is None else values_at(claims, claim)
        return Principal(user_id, role, everybody, apps, method="oidc")

    def _role(self, values: frozenset[str]) -> Role:
        settings = self._settings
        found = [settings.roles[value] for value in values if value in settings.roles]
        if found:
            return max(found, key=ROLES.index)
        if settings.default_role is not None:
            return settings.default_role
        if settings.role_claim is None:
            return "operator"
        raise NoAccess(f"The issuer gives you no role here: {settings.role_claim!r} names none of those that have one.")


def values_at(claims: Mapping[str, Any], path: str | None) -> frozenset[str]:
    """The texts of a claim, one or many; `a.b` is `b` inside `a`, unless a claim has that very name."""
    if path is None:
        return frozenset()
    found: Any = claims
    for name in (path,) if path in claims else path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list | tuple) else [found]
    return frozenset(one for one in listed if isinstance(one, str))


def _reason(error: jwt.PyJWTError) -> str:
    return str(error).rstrip(".") or type(error).__name__
