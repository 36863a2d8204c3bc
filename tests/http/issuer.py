"""An OIDC issuer of the tests' own: real keys, a discovery document and a set of keys, served on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from serving import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

AUDIENCE = "flows"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str | None, **more: str) -> dict[str, Any]:
    """The public half of a key, as a set of keys has it."""
    algorithm: Any = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}.get(
        next((kind for kind in (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey) if isinstance(key, kind)), object),
        OKPAlgorithm,
    )
    named = {} if kid is None else {"kid": kid}
    return {**json.loads(algorithm.to_jwk(key.public_key())), **named, **more}


class Issuer:
    """Signs, and serves what a verifier needs. `keys` may change while it runs."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[Any] = [public(RSA, "rsa", use="sig"), public(EC, "ec", alg="ES256")]
        self.document: dict[str, Any] = {}
        self.asked: list[str] = []
        self.down = False
        self.moved = False

    def token(self, key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **claims: Any) -> str:
        """A JWT for `ann`, good for an hour; claims that are None are left out."""
        now = datetime.now(UTC)
        given = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "iat": now,
            "exp": now + timedelta(hours=1),
            **claims,
        }
        said = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(said, key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})

    async def _document(self, request: Request) -> Response:
        self.asked.append("document")
        return self._answer({"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.document})

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        if self.moved:
            return RedirectResponse(f"{self.url}/elsewhere")
        return self._answer({"keys": self.keys})

    async def _elsewhere(self, request: Request) -> Response:
        self.asked.append("elsewhere")
        return self._answer({"keys": self.keys})

    def _answer(self, content: Any) -> Response:
        return Response(status_code=503) if self.down else JSONResponse(content)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Issuer]:
        """It answers on loopback."""
        routes = [
            Route("/.well-known/openid-configuration", self._document),
            Route("/keys", self._keys),
            Route("/elsewhere", self._elsewhere),
        ]
        async with serving(Starlette(routes=routes)) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self
