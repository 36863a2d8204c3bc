"""The public keys of an OIDC issuer: fetched beside the loop, kept, and fetched again when a new one shows up."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final

import jwt
from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from stepwell.errors import IssuerUnavailable
from stepwell.settings import OidcSettings, SafeUrl

log = logging.getLogger("stepwell.http")

AGAIN: Final = 60.0
"""Seconds between two fetches, at least: anybody can make up the name of a key."""
KEPT: Final = 3600.0
"""Seconds after which keys are fetched again although all are known: one may have been withdrawn."""
SOON: Final = 5.0
"""The same, as long as no key is known."""
_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024
_KINDS: Final = {"RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("Ed",)}

_SAFE: TypeAdapter[str] = TypeAdapter(SafeUrl)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and what it is for."""

    kid: str | None
    kind: str
    algorithm: str | None
    public: Any

    def fits(self, algorithm: str) -> bool:
        """Whether it verifies what is signed with this algorithm."""
        return self.algorithm == algorithm if self.algorithm else algorithm[:2] in _KINDS[self.kind]


class IssuerKeys:
    """Finds keys. While the issuer can't be reached, those that are known go on working."""

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
        self._keys: Sequence[Key] = ()
        self._fetched_at = self._tried_at = float("-inf")
        self._failure = "nothing was tried yet"
        self._lock = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of this name for this algorithm; without a name, the only one that fits. Raises IssuerUnavailable."""
        found = self._known(kid, algorithm)
        if found is None or (self._now() - self._fetched_at >= KEPT and not self._lock.locked()):
            await self._refresh()
            found = self._known(kid, algorithm)
        if not self._keys:
            raise IssuerUnavailable(f"The keys of {self._settings.issuer} can't be fetched: {self._failure}.")
        return found

    def _known(self, kid: str | None, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if key.fits(algorithm) and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None

    async def _refresh(self) -> None:
        async with self._lock:
            if self._now() - self._tried_at < (AGAIN if self._keys else SOON):
                return  # also: somebody else has, while this one waited
            try:
                self._keys = await to_thread.run_sync(self._read)
                self._fetched_at = self._now()
            except (OSError, HTTPException, ValueError) as error:
                self._failure = " ".join(str(error).split()) or type(error).__name__
                log.warning("the keys of %s can't be fetched: %s", self._settings.issuer, self._failure)
            finally:
                self._tried_at = self._now()

    def _read(self) -> Sequence[Key]:
        url = self._settings.jwks_url or self._discovered()
        keys = [key for one in _listed(self._fetch(url)) if (key := _key_of(one)) is not None]
        if not keys:
            raise ValueError(f"{url} has no public key that can be used")
        return keys

    def _discovered(self) -> str:
        where = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        document = self._fetch(where)
        if document.get("issuer") != self._settings.issuer:
            raise ValueError(f"{where} is of the issuer {document.get('issuer')!r}")
        try:
            return _SAFE.validate_python(document.get("jwks_uri"))
        except ValidationError as error:
            raise ValueError(f"{where} names no jwks_uri that can be trusted") from error


def _key_of(given: Mapping[str, Any]) -> Key | None:
    kind, use = given.get("kty"), given.get("use", "sig")
    if kind not in _KINDS or use != "sig":
        return None
    try:
        return Key(given.get("kid"), kind, given.get("alg"), jwt.PyJWK(dict(given)).key)
    except jwt.PyJWTError:
        return None  # of a curve or for a use that isn't known here: others of the set may be


def _listed(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = document.get("keys")
    if not isinstance(found, list):
        raise ValueError("it isn't a set of keys")
    return [one for one in found if isinstance(one, Mapping)]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        """Nothing is fetched from where the settings don't say."""
        return


_OPENER = urllib.request.build_opener(_NoRedirect)


def fetch_json(url: str) -> Mapping[str, Any]:
    """The JSON object that is there now. Blocks for some seconds at most. Raises OSError, HTTPException or ValueError."""
    with _OPENER.open(url, timeout=_TIMEOUT) as answer:
        body = answer.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise ValueError(f"{url} is larger than {_MOST_BYTES} bytes")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError(f"{url} isn't a JSON object")
    return found
