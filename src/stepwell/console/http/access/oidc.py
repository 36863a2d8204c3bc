"""JWTs of an OIDC issuer: verified by PyJWT with the issuer's public keys, and read as a Principal.

The keys are fetched beside the loop, kept, and fetched again when a new one appears.
Nothing that a JWT says about itself is trusted: neither its algorithm, nor where its key is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt
from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from stepwell.console.http.access.known_tokens import Attempts
from stepwell.console.http.access.principal import ROLES, Principal, Role
from stepwell.definition.text import is_text
from stepwell.engine.run import Moment
from stepwell.errors import IssuerUnavailable, NoAccess, NotSignedIn
from stepwell.runner.arguments import MAX_NAME, MOST_GROUPS
from stepwell.settings import OidcSettings, SafeUrl
from stepwell.urls import shown_url

log = logging.getLogger("stepwell.http")

AGAIN: Final = 60.0
"""Seconds between two fetches, at least: a client can make up the name of a key."""
KEPT: Final = 3600.0
"""Seconds after which keys are fetched again although all are known: one may have been withdrawn."""
SOON: Final = 5.0
"""Seconds between two fetches, as long as no key is known."""
_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024
_SCOPES: Final = ("scope", "scp")
_KINDS: Final = {"RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("Ed",)}
_SAFE: TypeAdapter[str] = TypeAdapter(SafeUrl)


class Issuer:
    """Verification of the JWTs of an issuer."""

    def __init__(
        self,
        settings: OidcSettings,
        attempts: Attempts,
        keys: IssuerKeys | None = None,
        groups_claim: str | None = None,
    ) -> None:
        self._settings = settings
        self._groups_claim = groups_claim
        self._attempts = attempts
        self._keys = keys or IssuerKeys(settings)

    def issued(self, token: str) -> bool:
        """Return whether this claims to be a JWT of the issuer. Proves nothing."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, RecursionError):
            return False
        return claims.get("iss") == self._settings.issuer

    async def verify(self, token: str, address: str) -> tuple[Principal, Moment]:
        """Return the user of this JWT, and when it expires.

        Raises NotSignedIn, NoAccess for a user without a role, TooManyAttempts, IssuerUnavailable.
        """
        try:
            claims = await self._claims(token)
        except jwt.ExpiredSignatureError as error:
            raise NotSignedIn("This JWT has expired: get another one from the issuer.") from error
        except (jwt.PyJWTError, RecursionError) as error:  # the latter from JSON in it that is nested too deeply
            # A signature can't be guessed: others at the same address don't lock out a user with a valid JWT.
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
        if not is_text(user_id, MAX_NAME):
            raise NotSignedIn(
                f"This JWT names no user: the claim {self._settings.user_claim!r} isn't a text of 1 to {MAX_NAME} "
                "characters without NUL."
            )
        values = values_at(claims, self._settings.role_claim)
        role = self._role(values)
        everybody = not values.isdisjoint(self._settings.everybody)
        claim = self._settings.apps_claim
        apps = None if claim is None else values_at(claims, claim)
        return Principal(user_id, role, everybody, apps, method="oidc", groups=self._groups(claims))

    def _groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        claim = self._groups_claim
        found = frozenset() if claim is None else values_at(claims, claim)
        if len(found) > MOST_GROUPS:
            raise NoAccess(
                f"The claim {claim!r} of this JWT names {len(found):,} groups: at most {MOST_GROUPS:,} count."
            )
        return frozenset(name for name in found if is_text(name, MAX_NAME))  # no question is asked to another

    def _role(self, values: frozenset[str]) -> Role:
        settings = self._settings
        found = [settings.roles[value] for value in values if value in settings.roles]
        if found:
            return max(found, key=ROLES.index)
        if settings.default_role is not None:
            return settings.default_role
        if settings.role_claim is None:
            return "operator"
        raise NoAccess(f"The issuer gives you no role: settings.auth maps no value of {settings.role_claim!r} to one.")


def values_at(claims: Mapping[str, Any], path: str | None) -> frozenset[str]:
    """Return the texts of a claim, one or many; `a.b` is `b` inside `a`, unless a claim has that very name.

    A claim called `scope` or `scp` has several in one text, with spaces between them (RFC 8693, 4.2).
    """
    if path is None:
        return frozenset()
    found: Any = claims
    names = (path,) if path in claims else path.split(".")
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str) and names[-1] in _SCOPES:
        found = found.split()
    listed = found if isinstance(found, list | tuple) else [found]
    return frozenset(one for one in listed if isinstance(one, str))


def _reason(error: jwt.PyJWTError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "its JSON is nested too deeply"
    return str(error).rstrip(".") or type(error).__name__


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, and its purpose."""

    kid: str | None
    kind: str
    algorithm: str | None
    public: Any

    def fits(self, algorithm: str) -> bool:
        """Return whether it verifies what is signed with this algorithm."""
        return self.algorithm == algorithm if self.algorithm else algorithm[:2] in _KINDS[self.kind]


class IssuerKeys:
    """The keys of an issuer. While the issuer can't be reached, those that are known remain in use."""

    def __init__(
        self,
        settings: OidcSettings,
        *,
        fetch: Callable[[str], Mapping[str, Any]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetch = fetch or fetch_json
        self._now = now
        self._keys: Sequence[PublicKey] = ()
        self._fetched_at = self._tried_at = float("-inf")
        self._failure = "no attempt has been made yet"
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key of this name for this algorithm; unnamed, the only one that fits. Raises IssuerUnavailable."""
        found = self._known(kid, algorithm)
        if found is None or (self._now() - self._fetched_at >= KEPT and not self._lock.locked()):
            await self._refresh()
            found = self._known(kid, algorithm)
        if not self._keys:
            raise IssuerUnavailable(f"The keys of {self._settings.issuer} can't be fetched: {self._failure}.")
        return found

    def _known(self, kid: str | None, algorithm: str) -> PublicKey | None:
        fitting = [key for key in self._keys if key.fits(algorithm) and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None

    async def _refresh(self) -> None:
        async with self._lock:
            if self._now() - self._tried_at < (AGAIN if self._keys else SOON):
                return  # or another task has fetched them, while this one waited
            try:
                self._keys = await to_thread.run_sync(self._read)
                self._fetched_at = self._now()
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                self._failure = " ".join(str(error).split()) or type(error).__name__
                log.warning("the keys of %s can't be fetched: %s", self._settings.issuer, self._failure)
            finally:
                self._tried_at = self._now()

    def _read(self) -> Sequence[PublicKey]:
        url = self._settings.jwks_url or self._discovered()
        keys = [key for one in _listed(self._fetch(url)) if (key := _key_of(one)) is not None]
        if not keys:
            raise ValueError(f"{shown_url(url)} has no public key that can be used")
        return keys

    def _discovered(self) -> str:
        where = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = self._fetch(where)
        if document.get("issuer") != self._settings.issuer:
            raise ValueError(f"{shown_url(where)} belongs to the issuer {document.get('issuer')!r}")
        try:
            return _SAFE.validate_python(document.get("jwks_uri"))
        except ValidationError as error:
            raise ValueError(f"{shown_url(where)} names no jwks_uri that can be trusted") from error


def _key_of(given: Mapping[str, Any]) -> PublicKey | None:
    kind, use = given.get("kty"), given.get("use", "sig")
    if kind not in _KINDS or use != "sig":
        return None
    try:
        return PublicKey(given.get("kid"), kind, given.get("alg"), jwt.PyJWK(dict(given)).key)
    except jwt.PyJWTError:
        return None  # an unknown curve or use: other keys of the set may be usable


def _listed(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = document.get("keys")
    if not isinstance(found, list):
        raise ValueError("it isn't a set of keys")
    return [one for one in found if isinstance(one, Mapping)]


def fetch_json(url: str) -> Mapping[str, Any]:
    """Return the JSON object that is there now. Blocks for some seconds at most. Raises HTTPError, InvalidURL or ValueError.

    Redirects aren't followed: nothing is fetched from where the settings don't say.
    """
    with httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=False) as answer:
        if not answer.is_success:
            raise ValueError(f"{shown_url(url)} answered HTTP {answer.status_code} {answer.reason_phrase}")
        body = b""
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise ValueError(f"{shown_url(url)} is larger than {_MOST_BYTES} bytes")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError(f"{shown_url(url)} isn't a JSON object")
    return found
