"""The only reader of the environment: one frozen object, merged once and passed down."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stepwell.errors import ConfigurationError
from stepwell.nearest import nearest, suggestion
from stepwell.urls import shown_url

log = logging.getLogger("stepwell")

MIB = 1024 * 1024

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]
SettingName = Annotated[str, Field(min_length=1)]

_PREFIX: Final = "STEPWELL_"
_CERTAIN: Final = 0.8
_OTHERS: Final = ("app", "url", "token")
"""The names that the command line reads."""
_FOREIGN: Final = re.compile(
    r"test_\w+|dev_target|(skip|require)_studio"
    # What Kubernetes sets for a service that is named stepwell.
    r"|(\w+_)?service_(host|port\w*)|(\w+_)?port_\d+_(tcp|udp)\w*"
)

_SECRET: Final = ("database_url", "queue_url")
"""Settings that hold passwords: `repr` shows them without. Settings of the issuer hold none."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _parts(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:  # its text may repeat a part of a password
        raise ValueError("give a URL, as in https://login.example.com") from None
    return parts


def _origin(value: str) -> str:
    parts = _parts(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("give an origin, as in https://studio.example.com: no path, no wildcard")
    return value.lower()


def _safe_url(value: str) -> str:
    # The document fetched from there decides who is signed in.
    parts = _parts(value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("give a URL without user and password: they would show up in errors and logs")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("give a URL that begins with https:// (http:// only on this machine)")
    return value


def _public_url(value: str) -> str:
    parts = _parts(value)
    whole = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
    if not whole or parts.username is not None or parts.password is not None or value.endswith(("?", "#")):
        raise ValueError("give an address such as https://orders.example.com, without user, query and fragment")
    return value.rstrip("/")


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("give a long random text, such as that of `secrets.token_urlsafe(32)`")
    return value


PublicUrl = Annotated[str, AfterValidator(_public_url)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
OriginUrl = Annotated[str, AfterValidator(_origin)]
SafeUrl = Annotated[str, AfterValidator(_safe_url)]
Role = Literal["viewer", "operator", "admin"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures whose secret stays with the issuer: `none` and the HS family can't be chosen."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        unknown = [name for name in given if name not in cls.model_fields] if isinstance(given, dict) else []
        if unknown:
            raise ValueError(f"{unknown[0]} is unknown; {suggestion(unknown[0], cls.model_fields)}")
        return given


class OidcSettings(_Part):
    """The accepted JWTs and the meaning of their claims. Needs `pip install 'stepwell[oidc]'`."""

    issuer: SafeUrl
    """The exact value of `iss`; the issuer's discovery document names the keys."""
    audience: SettingName | tuple[SettingName, ...]
    """The value required in `aud`: that of this API (one of them, where several are given)."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    jwks_url: SafeUrl | None = None
    """The address of the keys. None: the one in the issuer's `/.well-known/openid-configuration`."""
    user_claim: SettingName = "sub"
    """The claim that is the user's id."""
    role_claim: SettingName | None = None
    """The claim with the user's roles or groups: a text or a list; `a.b` is `b` inside `a`. The text of `scope` or `scp` has
    several, with spaces between them."""
    roles: dict[str, Role] = {}
    """The role for each value of that claim; the highest counts."""
    everybody: tuple[str, ...] = ()
    """Values of that claim whose users see the runs of all users."""
    default_role: Role | None = None
    """The role of users whose claim has no known value. None: operator without a `role_claim`; with one they are refused."""
    apps_claim: SettingName | None = None
    """The claim with the names of the apps visible to the user: a text or a list, found as `role_claim` is. None: all apps."""
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30.0
    """Seconds by which the issuer's clock may differ."""


class AuthSettings(_Part):
    """Access to the API for callers besides those whom the application itself names (`mount(user=...)`)."""

    tokens: bool = True
    """API tokens are accepted: `Authorization: Bearer sw_...`, and in browsers by signing in with one."""
    oidc: OidcSettings | None = None
    """JWTs of this issuer are accepted."""
    cors_origins: tuple[OriginUrl, ...] = ()
    """Other origins whose pages may use the API."""
    allowed_hosts: tuple[SettingName, ...] = ()
    """Allowed values of `Host`; `*.example.com` includes its subdomains. Empty: any."""
    max_tokens: Annotated[int, Field(ge=1)] = 100
    """Valid API tokens of one user; more can be created only by `stepwell tokens create` on the database."""
    failed_logins: Annotated[int, Field(ge=1)] = 10
    """Failed logins from one address, or with one token's beginning, after which more are refused for a while."""
    failed_login_seconds: Seconds = 60.0
    """Seconds for which they are refused."""


class Settings(BaseSettings):
    """Settings, given as keywords, as `STEPWELL_...` variables or in `.env`, in this order. Times are seconds, sizes bytes."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=".env", env_nested_delimiter="__", extra="ignore", frozen=True,
        hide_input_in_errors=True,  # a value may be a secret in the wrong place
    )  # fmt: skip

    database_url: str = "sqlite+aiosqlite:///stepwell.db"
    """The database of the runs. Plain `sqlite://` and `postgresql://` are accepted too."""
    database_schema: str | None = None
    """The schema of Stepwell's tables on PostgreSQL."""
    database_connections: Annotated[int, Field(ge=1, le=1_000)] = 18
    """Connections of one process to PostgreSQL, at most."""
    transaction_pooler: bool = False
    """True if PostgreSQL is behind a pooler in transaction mode (PgBouncer): no prepared statements, no LISTEN in sessions."""
    auto_migrate: bool | None = None
    """Migrate at start. Default: on SQLite yes, on PostgreSQL no (`stepwell db upgrade` does it)."""
    queue_url: str | None = None
    """None: the database is the queue. `redis://...`: BullMQ."""
    queue_prefix: Annotated[str, Field(min_length=1, max_length=100)] = "bull"
    """The prefix of BullMQ's keys in Redis; the default is that of Node's BullMQ."""

    worker_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Runs that one process executes at once."""
    sync_threads: Annotated[int, Field(ge=1, le=1_000)] = 32
    """Threads for plain `def` methods, private to Stepwell."""
    lease_seconds: Seconds = 30.0
    """A worker whose heartbeat has stood still for this long is dead, and its runs are taken over."""
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Seconds that a stopping worker gives transitions to finish before it hands them over."""
    transition_timeout: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 300.0
    """Default time for one attempt of a transition; 0: no limit."""
    transaction_seconds: Seconds = 5.0
    """Seconds for which `self.transaction()` may stay open."""
    cleanup_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Seconds that a stopped method has to clean up before it is interrupted again."""
    busy_seconds: Seconds = 30.0
    """Seconds to wait for a database that another process has locked."""
    read_seconds: Seconds = 10.0
    """Seconds that a read for a user may take: it is stopped then, with ReadTooLong."""
    max_takeovers: Annotated[int, Field(ge=1)] = 10
    """The number of workers that may die at one checkpoint of a run before the run fails."""
    max_transitions_per_pass: Annotated[int, Field(ge=1)] = 1000
    """Automatic transitions in a row without parking."""
    priority_ageing: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 60.0
    """Seconds of waiting that one level of priority is worth, so that no ready run waits for ever."""
    history_states: Annotated[int, Field(ge=1)] = 100
    """History rows of a run that keep their state."""

    max_args_bytes: Bytes = MIB
    max_state_bytes: Bytes = MIB
    max_payload_bytes: Bytes = MIB
    max_document_bytes: Bytes = MIB
    max_webhook_bytes: Bytes = 5 * MIB
    max_request_bytes: Bytes | None = None
    """The largest body of a request to the API. None: the limit of args or payloads, and some room around them."""
    max_request_values: Annotated[int, Field(ge=1)] = 150_000
    """JSON values (texts, numbers, lists, objects and so on) in the body of such a request."""
    max_request_seconds: Seconds = 30.0
    """Seconds in which the body of such a request must arrive."""
    max_batch_bytes: Bytes = 64 * MIB
    """The largest body of lines (NDJSON) that starts a batch."""
    max_kept_signals: Annotated[int, Field(ge=1)] = 1000
    """Signals of one run that wait to be taken."""
    max_kept_bytes: Bytes = 64 * MIB
    """Bytes of these signals together."""

    public_url: PublicUrl | None = None
    """The address at which people reach this application, with the prefix of `mount`: links to questions begin with it."""
    secret_key: Secret | None = None
    """The key that signs links to questions: a long random text, the same in all processes."""
    former_secret_keys: tuple[Secret, ...] = ()
    """Keys that were used before, the oldest first: links that they have signed stay valid."""
    retention: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    """Finished runs older than this are deleted with all they own. None: never."""
    journal_retention: Annotated[timedelta, Field(gt=timedelta(0))] | None = None
    """Values of steps older than this are deleted, where neither a retry nor an undo can need them. None: never."""
    auth: AuthSettings | None = None
    """Access to the API by tokens or an OIDC issuer. None: only for callers whom the application itself names."""
    groups_claim: SettingName | None = None
    """The claim of a JWT with the groups of its user, who may answer what these are asked; found as `apps_claim` is."""
    host: str = "127.0.0.1"
    """The address or name of this machine on which `stepwell dev` serves."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8642

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, shown_url(value) if name in _SECRET and isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return Pydantic's sources. Raises ConfigurationError if one of them holds the name of no setting."""
        names = [*settings_cls.model_fields]
        if isinstance(init_settings, InitSettingsSource):
            _check_keywords(init_settings.init_kwargs, names)
        for source in (env_settings, dotenv_settings):
            if isinstance(source, EnvSettingsSource):
                _check_variables(source.env_vars, names, nested=("auth",))
        return init_settings, env_settings, dotenv_settings, file_secret_settings


def _check_keywords(given: Iterable[str], settings: Sequence[str]) -> None:
    """Raise ConfigurationError for a keyword that isn't a setting."""
    faults = [f"{name}= is unknown; {suggestion(name, settings, '{}=')}" for name in given if name not in settings]
    if faults:
        raise ConfigurationError(f"Settings: {' '.join(faults)}")


def _check_variables(given: Iterable[str], settings: Sequence[str], nested: Sequence[str]) -> None:
    """Raise ConfigurationError for a variable that nearly names a setting; log other unknown ones, each once.

    Those may belong to something else that shares the prefix.
    """
    ours = [name[len(_PREFIX) :].lower() for name in given if name.upper().startswith(_PREFIX)]
    unknown = [name for name in ours if not _is_known(name, settings, nested)]
    known = [*settings, *_OTHERS]
    for name in unknown:
        if meant := nearest(name, known, cutoff=_CERTAIN):
            written = _PREFIX + meant.upper()
            raise ConfigurationError(f"{_PREFIX}{name.upper()} isn't a setting; did you mean {written}?")
    for name in unknown:
        _tell(name, suggestion(name, settings) if nearest(name, settings) else "")


def _is_known(name: str, settings: Sequence[str], nested: Sequence[str]) -> bool:
    field, delimiter, _ = name.partition("__")
    if delimiter and field in nested:
        return True
    return name in settings or name in _OTHERS or _FOREIGN.fullmatch(name) is not None


@cache
def _tell(name: str, cure: str) -> None:
    log.warning("%s%s isn't a setting of Stepwell, and is ignored. %s", _PREFIX, name.upper(), cure.capitalize())
