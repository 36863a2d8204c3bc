"""The only reader of the environment: one frozen object, merged once and passed down."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024

Seconds = Annotated[float, Field(gt=0)]
Bytes = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("give an origin, as in https://studio.example.com: no path, no wildcard")
    return value.lower()


def _safe_url(value: str) -> str:
    # What is fetched from there decides who is signed in.
    parts = urlsplit(value)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("give a URL that begins with https:// (http:// only on this machine)")
    return value


Origin = Annotated[str, AfterValidator(_origin)]
SafeUrl = Annotated[str, AfterValidator(_safe_url)]
Role = Literal["viewer", "operator", "admin"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures whose secret stays with the issuer: `none` and the HS family can't be chosen."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OidcSettings(_Part):
    """Whose JWTs are accepted, and what their claims mean. Needs `pip install 'stepwell[oidc]'`."""

    issuer: SafeUrl
    """What `iss` must say, to the letter; its discovery document names the keys."""
    audience: Name | tuple[Name, ...]
    """What `aud` must hold: that of this API (one of them, where several are given)."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    jwks_url: SafeUrl | None = None
    """Where the keys are. None: where the issuer's `/.well-known/openid-configuration` says."""
    user_claim: Name = "sub"
    """The claim that is the user's id."""
    role_claim: Name | None = None
    """The claim with the user's roles or groups: a text or a list; `a.b` is `b` inside `a`."""
    roles: dict[str, Role] = {}
    """What each value of that claim makes of a user; the highest counts."""
    everybody: tuple[str, ...] = ()
    """Values of that claim whose users see everybody's runs."""
    default_role: Role | None = None
    """The role of those whose claim says nothing. None: operator without a `role_claim`, and with one they are refused."""
    apps_claim: Name | None = None
    """The claim with the names of the apps that exist for the user: a text or a list, found as `role_claim` is. None: all do."""
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30.0
    """By how much the issuer's clock may differ."""


class AuthSettings(_Part):
    """Who may ask the API besides those whom the application itself names (`mount(user=...)`)."""

    tokens: bool = True
    """API tokens are accepted: `Authorization: Bearer sw_...`, and in browsers by signing in with one."""
    oidc: OidcSettings | None = None
    """JWTs of this issuer are accepted."""
    cors_origins: tuple[Origin, ...] = ()
    """Other origins whose pages may use the API."""
    allowed_hosts: tuple[Name, ...] = ()
    """What `Host` may say; `*.example.com` includes its subdomains. Empty: anything."""
    failed_logins: Annotated[int, Field(ge=1)] = 10
    """Failed logins from one address, or with one token's beginning, after which more are refused for a while."""
    failed_login_seconds: Seconds = 60.0
    """That while."""


class Settings(BaseSettings):
    """What can be set, by keyword, by `STEPWELL_...` variables or in `.env`, in this order. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(
        env_prefix="STEPWELL_", env_file=".env", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    database_url: str = "sqlite+aiosqlite:///stepwell.db"
    """Where runs live. Plain `sqlite://` and `postgresql://` are accepted too."""
    database_schema: str | None = None
    """The schema of Stepwell's tables on PostgreSQL."""
    database_connections: Annotated[int, Field(ge=1, le=1_000)] = 12
    """Connections of one process to PostgreSQL, at most."""
    transaction_pooler: bool = False
    """PostgreSQL is behind a pooler in transaction mode (PgBouncer): nothing is prepared or listened for in sessions."""
    auto_migrate: bool | None = None
    """Migrate at start. Default: on SQLite yes, on PostgreSQL no (`stepwell db upgrade` does it)."""
    queue_url: str | None = None
    """None: the database is the queue. `redis://...`: BullMQ."""
    queue_prefix: Annotated[str, Field(min_length=1, max_length=100)] = "bull"
    """What BullMQ's keys in Redis begin with; that of Node's BullMQ, unless it is told otherwise."""

    worker_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Runs that one process executes at once."""
    sync_threads: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Threads for plain `def` methods, private to Stepwell."""
    lease_seconds: Seconds = 30.0
    """A worker whose heartbeat has stood still for this long is dead, and its runs are taken over."""
    drain_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long a stopping worker lets transitions finish before it hands them over."""
    transition_timeout: Annotated[float, Field(ge=0)] = 300.0
    """Default time for one attempt of a transition; 0: no limit."""
    transaction_seconds: Seconds = 5.0
    """How long `self.transaction()` may stay open."""
    busy_seconds: Seconds = 30.0
    """How long a database locked by somebody else is waited for."""
    max_takeovers: Annotated[int, Field(ge=1)] = 10
    """A run whose worker died this often at one checkpoint fails."""
    max_transitions_per_pass: Annotated[int, Field(ge=1)] = 1000
    """Automatic transitions in a row without parking."""
    history_states: Annotated[int, Field(ge=1)] = 100
    """History rows of a run that keep their state."""

    max_args_bytes: Bytes = MIB
    max_state_bytes: Bytes = MIB
    max_payload_bytes: Bytes = MIB
    max_document_bytes: Bytes = MIB
    max_webhook_bytes: Bytes = 5 * MIB
    max_request_bytes: Bytes | None = None
    """The body of a request to the API. None: what args or a payload may have, and some room around them."""
    max_kept_signals: Annotated[int, Field(ge=1)] = 1000
    """Signals of one run that wait to be taken."""

    retention: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    """Finished runs older than this are deleted with all they own. None: never."""
    auth: AuthSettings | None = None
    """Access to the API by tokens or an OIDC issuer. None: only those whom the application itself names."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8642
