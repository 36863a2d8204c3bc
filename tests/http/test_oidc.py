"""JWTs of an OIDC issuer: what is believed, what isn't, and where the keys come from."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Depends, FastAPI, Header
from issuer import AUDIENCE, EC, ED, OTHER_RSA, RSA, Issuer, public
from pydantic import ValidationError

from stepwell import App, Stepwell
from stepwell.console.http.access import oidc
from stepwell.console.http.access.oidc import IssuerKeys, fetch_json, values_at
from stepwell.errors import IssuerUnavailable
from stepwell.settings import AuthSettings, OidcSettings

StepwellOf = Callable[..., Stepwell]
ClientOf = Callable[..., Any]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind is enough: nothing here depends on it."""
    return f"sqlite:///{tmp_path / 'stepwell.db'}"


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer().serving() as serving:
        yield serving


@pytest.fixture
def api(issuer: Issuer, stepwell_of: StepwellOf, client_of: ClientOf) -> Callable[..., Any]:
    """`async with api(**oidc) as client`: an application that believes the issuer."""

    @asynccontextmanager
    async def opened(user: Any = None, tokens: bool = True, **oidc: Any) -> AsyncIterator[httpx.AsyncClient]:
        given = {"issuer": issuer.url, "audience": AUDIENCE, **oidc}
        stepwell = stepwell_of(App("shop"), auth=AuthSettings(tokens=tokens, oidc=OidcSettings(**given)))
        app = FastAPI(lifespan=stepwell.lifespan)
        stepwell.mount(app, user=user)
        async with client_of(stepwell, app) as client:
            yield client

    return opened


async def asked(client: httpx.AsyncClient, token: str, **headers: str) -> httpx.Response:
    return await client.get("/api/v1/me", headers={"authorization": f"Bearer {token}", **headers})


async def detail(client: httpx.AsyncClient, token: str, status: int = 401) -> str:
    answer = await asked(client, token)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    found: str = answer.json()["detail"]
    return found


def seconds(number: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=number)


# -- what is believed -------------------------------------------------------------------------------------------------


async def test_a_jwt_of_the_issuer_opens_the_api_for_its_user(issuer: Issuer, api: Any) -> None:
    async with api() as client:
        me = (await asked(client, issuer.token())).json()
        assert (me["user_id"], me["role"], me["everybody"], me["method"], me["sign_out"]) == (
            "ann",
            "operator",
            False,
            "oidc",
            False,
        )
        assert (await asked(client, issuer.token(EC, "ES256", "ec"))).status_code == 200
        assert (await asked(client, issuer.token(aud=["other", AUDIENCE]))).status_code == 200
        assert issuer.asked == ["document", "keys"]  # once, for all of them


async def test_clocks_may_differ_a_little(issuer: Issuer, api: Any) -> None:
    async with api() as client:
        assert (await asked(client, issuer.token(exp=seconds(-20)))).status_code == 200
        assert (await asked(client, issuer.token(nbf=seconds(20)))).status_code == 200
        assert "has expired" in await detail(client, issuer.token(exp=seconds(-40)))
        assert "not yet valid" in await detail(client, issuer.token(nbf=seconds(40)))


async def test_what_the_claims_do_not_prove_is_refused(issuer: Issuer, api: Any) -> None:
    async with api() as client:
        for claims, said in (
            ({"aud": "other"}, "Audience"),
            ({"aud": None}, "aud"),
            ({"exp": None}, "exp"),
            ({"iss": "https://evil.example"}, "issuer"),
            ({"iss": None}, "iss"),
            ({"sub": None}, "names no user"),
            ({"sub": ""}, "names no user"),
            ({"sub": "a\0b"}, "names no user"),
            ({"sub": "\ud800"}, "names no user"),
            ({"sub": "a" * 257}, "names no user"),
        ):
            assert said.lower() in (await detail(client, issuer.token(**claims))).lower()


def unsigned(issuer: Issuer, algorithm: str) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": issuer.url, "aud": AUDIENCE, "sub": "ann", "exp": seconds(3600).timestamp()}
    return f"{part({'alg': algorithm, 'kid': 'rsa'})}.{part(claims)}."


def signed_with_the_public_key(issuer: Issuer) -> str:
    """The old trick: a public key, used as the secret of a signature that anybody can make."""
    import hashlib
    import hmac

    head, claims, _ = unsigned(issuer, "HS256").split(".")
    secret = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hmac.new(secret, f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


async def test_signatures_that_prove_nothing_are_refused(issuer: Issuer, api: Any) -> None:
    good = issuer.token()
    forged = [
        unsigned(issuer, "none"),
        unsigned(issuer, "None"),
        unsigned(issuer, "RS256"),
        signed_with_the_public_key(issuer),
        issuer.token(OTHER_RSA),  # somebody else's key under the issuer's name for its own
        issuer.token(EC, "ES256", "rsa"),  # a key of another kind than its name says
        issuer.token(RSA, "RS512"),  # an algorithm that isn't among those of the settings
    ]
    head, claims, signature = good.split(".")
    forged.append(f"{head}.{claims[:-4]}AAAA.{signature}")
    for token in forged:
        async with api() as client:
            assert "isn't valid here" in await detail(client, token)
    async with api() as client:
        assert (await asked(client, good)).status_code == 200


@pytest.mark.parametrize("algorithms", [("none",), ("HS256",), ("RS256", "HS512"), ()])
def test_algorithms_that_anybody_could_sign_with_can_not_be_chosen(algorithms: Any) -> None:
    with pytest.raises(ValidationError):
        OidcSettings(issuer="https://login.example", audience="a", algorithms=algorithms)


@pytest.mark.parametrize("url", ["http://login.example", "file:///keys", "login.example", ""])
def test_what_decides_who_is_signed_in_comes_over_https(url: str) -> None:
    with pytest.raises(ValidationError, match="https://"):
        OidcSettings(issuer=url, audience="a")
    with pytest.raises(ValidationError, match="https://"):
        OidcSettings(issuer="https://login.example", audience="a", jwks_url=url)


async def test_wrong_jwts_count_as_failed_logins_and_old_ones_do_not(issuer: Issuer, api: Any) -> None:
    async with api() as client:
        for _ in range(15):
            assert (await asked(client, issuer.token(exp=seconds(-100)))).status_code == 401
        for _ in range(10):
            assert (await asked(client, issuer.token(OTHER_RSA))).status_code == 401
        refused = await asked(client, issuer.token(OTHER_RSA))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert (await asked(client, issuer.token())).status_code == 200, "a valid one isn't kept out by others"


async def test_a_jwt_of_deeply_nested_json_is_a_wrong_one(issuer: Issuer, api: Any) -> None:
    """Whichever part it is in, and whatever the library for JWTs does with it."""
    deep = "[" * 3_000 + "]" * 3_000
    header, payload, signature = issuer.token().split(".")
    nested = base64.urlsafe_b64encode(f'{{"iss": "{issuer.url}", "x": {deep}}}'.encode()).decode().rstrip("=")
    async with api() as client:
        for jwt in (f"{header}.{nested}.{signature}", f"{nested}.{payload}.{signature}"):
            for _ in range(5):
                assert (await asked(client, jwt)).status_code == 401
        assert (await asked(client, issuer.token(OTHER_RSA))).status_code == 429, "they are counted"


async def test_json_that_is_too_deep_for_the_library_is_a_wrong_jwt(
    issuer: Issuer, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions of PyJWT before 2.15 let the RecursionError through."""

    def nested(*_: Any, **__: Any) -> Any:
        raise RecursionError

    async with api() as client:
        monkeypatch.setattr("jwt.decode", nested)
        assert "nested too deeply" in await detail(client, issuer.token())


# -- what the claims mean ---------------------------------------------------------------------------------------------


async def test_roles_come_from_a_claim(issuer: Issuer, api: Any) -> None:
    meaning = {
        "role_claim": "realm_access.roles",
        "roles": {"reader": "viewer", "ops": "operator", "chief": "admin"},
        "everybody": ("ops",),
    }
    async with api(**meaning) as client:
        for values, role, everybody in (
            (["reader"], "viewer", False),
            (["reader", "ops", "unknown"], "operator", True),
            (["chief", "reader"], "admin", True),
            ("reader", "viewer", False),
        ):
            me = (await asked(client, issuer.token(realm_access={"roles": values}))).json()
            assert (me["role"], me["everybody"]) == (role, everybody)
        for claims in ({}, {"realm_access": {}}, {"realm_access": {"roles": ["unknown"]}}, {"realm_access": "chief"}):
            assert "gives you no role" in await detail(client, issuer.token(**claims), 403)
    async with api(**meaning, default_role="viewer") as client:
        assert (await asked(client, issuer.token())).json()["role"] == "viewer"


async def test_apps_come_from_a_claim(issuer: Issuer, api: Any) -> None:
    async with api(apps_claim="stepwell.apps") as client:
        for given, apps in ((["shop", "elsewhere"], ["elsewhere", "shop"]), ("shop", ["shop"]), ([], []), (None, [])):
            me = (await asked(client, issuer.token(stepwell={"apps": given}))).json()
            assert me["apps"] == apps
        assert (await asked(client, issuer.token())).json()["apps"] == []
    async with api() as client:
        assert (await asked(client, issuer.token())).json()["apps"] is None


async def test_the_user_may_be_in_another_claim(issuer: Issuer, api: Any) -> None:
    async with api(user_claim="email") as client:
        assert (await asked(client, issuer.token(email="a@b.example"))).json()["user_id"] == "a@b.example"
        assert "'email'" in await detail(client, issuer.token())
        assert "'email'" in await detail(client, issuer.token(email=7))


def test_a_claim_is_found_by_its_name_or_by_its_path() -> None:
    claims = {"https://x.example/roles": ["a"], "deep": {"er": {"roles": ["b", 1, None]}}, "group": "c"}
    assert values_at(claims, "https://x.example/roles") == {"a"}
    assert values_at(claims, "deep.er.roles") == {"b"}
    assert values_at(claims, "group") == {"c"}
    assert values_at({"group": "c d"}, "group") == {"c d"}
    assert values_at({"scope": "openid  flows"}, "scope") == {"openid", "flows"}
    assert values_at({"x": {"scp": "a b"}}, "x.scp") == {"a", "b"}
    assert values_at({"scp": ["a b"]}, "scp") == {"a b"}
    for path in (None, "nothing", "group.x", "deep.er", "deep.er.roles.x"):
        assert values_at(claims, path) == frozenset()


# -- beside other ways ------------------------------------------------------------------------------------------------


async def test_a_jwt_of_the_applications_own_is_for_the_application(issuer: Issuer, api: Any) -> None:
    async def user(authorization: Annotated[str | None, Header()] = None) -> str | None:
        return "application's" if authorization else None

    async with api(user=Depends(user)) as client:
        assert (await asked(client, issuer.token())).json()["method"] == "oidc"
        own = jwt.encode({"iss": "https://own.example", "sub": "x"}, "s" * 32, algorithm="HS256")
        assert (await asked(client, own)).json()["user_id"] == "application's"
        # One that claims to be of the issuer has to be.
        assert "isn't valid here" in await detail(client, issuer.token(OTHER_RSA))


async def test_without_tokens_only_jwts_open_the_api(issuer: Issuer, api: Any) -> None:
    async with api(tokens=False) as client:
        assert (await asked(client, issuer.token())).status_code == 200
        assert "isn't valid here" in await detail(client, "sw_" + "A" * 43)
        answer = await client.get("/api/v1/me")
        assert answer.status_code == 401
        assert "a JWT of the issuer" in answer.json()["detail"]


async def test_what_a_jwt_makes_is_a_token_that_ends_with_it(issuer: Issuer, api: Any) -> None:
    async with api() as client:
        ends = seconds(600).replace(microsecond=0)
        headers = {"authorization": f"Bearer {issuer.token(exp=ends)}"}
        made = await client.post("/api/v1/tokens", json={"name": "t", "role": "operator"}, headers=headers)
        assert (made.status_code, made.json()["user_id"]) == (201, "ann")
        assert datetime.fromisoformat(made.json()["expires_at"]) == ends


# -- where the keys come from -----------------------------------------------------------------------------------------


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keys_of(issuer: Issuer, time: Time, **oidc: Any) -> IssuerKeys:
    return IssuerKeys(OidcSettings(issuer=issuer.url, audience=AUDIENCE, **oidc), now=time)


async def test_a_new_key_is_looked_for_at_most_once_a_minute(issuer: Issuer) -> None:
    time = Time()
    keys = keys_of(issuer, time, jwks_url=f"{issuer.url}/keys")
    assert await keys.find("rsa", "RS256") is not None
    issuer.keys.append(public(OTHER_RSA, "new"))
    for _ in range(5):
        assert await keys.find("new", "RS256") is None
        assert await keys.find("made up", "RS256") is None
    assert issuer.asked == ["keys"]
    time.now += oidc.AGAIN
    assert await asyncio.gather(*(keys.find("new", "RS256") for _ in range(5))) != [None] * 5
    assert issuer.asked == ["keys"] * 2


async def test_a_key_that_was_withdrawn_is_forgotten(issuer: Issuer) -> None:
    time = Time()
    keys = keys_of(issuer, time)
    assert await keys.find("rsa", "RS256") is not None
    del issuer.keys[0]
    assert await keys.find("rsa", "RS256") is not None
    time.now += oidc.KEPT
    assert await keys.find("rsa", "RS256") is None


async def test_while_the_issuer_is_away_known_keys_work(issuer: Issuer) -> None:
    time = Time()
    keys = keys_of(issuer, time)
    issuer.down = True
    with pytest.raises(IssuerUnavailable, match=r"can't be fetched: .* answered HTTP 503"):
        await keys.find("rsa", "RS256")
    issuer.down = False
    with pytest.raises(IssuerUnavailable):
        await keys.find("rsa", "RS256")  # not at every request
    time.now += oidc.SOON
    assert await keys.find("rsa", "RS256") is not None
    issuer.down = True
    time.now += 2 * oidc.KEPT
    assert await keys.find("rsa", "RS256") is not None
    assert issuer.asked == ["document", "document", "keys", "document"]
    issuer.down = False
    time.now += oidc.AGAIN
    assert await keys.find("rsa", "RS256") is not None
    assert issuer.asked[-1] == "keys"


async def test_an_issuer_that_can_not_be_reached_is_503(issuer: Issuer, api: Any) -> None:
    issuer.down = True
    async with api() as client:
        answer = await asked(client, issuer.token())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_key_without_a_name_serves_if_it_is_the_only_one_that_fits(issuer: Issuer) -> None:
    issuer.keys[:] = [public(RSA, None), public(EC, None), public(ED, None), "nonsense", {"kty": "oct", "k": "AAAA"}]
    for algorithm in ("RS256", "PS512", "ES256", "EdDSA"):
        assert await keys_of(issuer, Time()).find(None, algorithm) is not None
    assert await keys_of(issuer, Time()).find(None, "HS256") is None
    issuer.keys.append(public(OTHER_RSA, None))
    assert await keys_of(issuer, Time()).find(None, "RS256") is None


async def test_keys_for_something_else_are_passed_over(issuer: Issuer) -> None:
    issuer.keys[:] = [
        public(RSA, "a", use="enc"),
        public(RSA, "b", alg="RS512"),
        public(RSA, "c", alg="RSA-OAEP"),
        {"kty": "EC", "crv": "unheard of", "kid": "d"},
        public(RSA, "e"),
    ]
    keys = keys_of(issuer, Time())
    assert [await keys.find(kid, "RS256") is not None for kid in "abcde"] == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "https://evil.example"}, "belongs to the issuer 'https://evil.example'"),
        ({"jwks_uri": "http://evil.example/keys"}, "names no jwks_uri that can be trusted"),
        ({"jwks_uri": "file:///etc/passwd"}, "names no jwks_uri that can be trusted"),
        ({"jwks_uri": None}, "names no jwks_uri that can be trusted"),
    ],
)
async def test_a_discovery_document_that_can_not_be_trusted_is_none(
    issuer: Issuer, document: dict[str, Any], said: str
) -> None:
    issuer.document = document
    with pytest.raises(IssuerUnavailable) as raised:
        await keys_of(issuer, Time()).find("rsa", "RS256")
    assert said in str(raised.value)


async def test_nothing_is_fetched_from_where_the_settings_do_not_say(issuer: Issuer) -> None:
    issuer.moved = True
    with pytest.raises(IssuerUnavailable, match="307"):
        await keys_of(issuer, Time()).find("rsa", "RS256")
    assert "elsewhere" not in issuer.asked


@pytest.mark.parametrize("keys", [[], [{"kty": "oct", "k": "AAAA"}], "nonsense"])
async def test_a_set_without_keys_is_none(issuer: Issuer, keys: Any) -> None:
    issuer.keys = keys
    with pytest.raises(IssuerUnavailable):
        await keys_of(issuer, Time()).find("rsa", "RS256")


async def test_an_answer_that_never_ends_is_not_read(issuer: Issuer) -> None:
    issuer.document = {"filler": "x" * 2_000_000}
    with pytest.raises(ValueError, match="is larger than"):
        await asyncio.to_thread(fetch_json, f"{issuer.url}/.well-known/openid-configuration")
