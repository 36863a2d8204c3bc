"""The URL of a Redis or Valkey: what it may hold."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from redis.asyncio.connection import parse_url

from stepwell.errors import ConfigurationError
from stepwell.nearest import suggestion
from stepwell.urls import shown_parameter, shown_url

_SCHEMES: Final = ("redis", "rediss", "unix")
_PARAMETERS: Final = (
    *("db", "username", "password", "protocol", "health_check_interval", "socket_keepalive", "socket_timeout"),
    *("socket_connect_timeout", "socket_read_size", "max_connections", "retry_on_timeout"),
)
_TLS_PARAMETERS: Final = (
    *("ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile", "ssl_password"),
    *("ssl_check_hostname", "ssl_ciphers"),
)


def checked_url(url: str) -> str:
    """Return the URL as the client wants it. Raises ConfigurationError."""
    given = url.replace("valkey", "redis", 1) if url.startswith(("valkey://", "valkeys://")) else url
    try:
        parts = urlsplit(given)
        parse_url(given)
        database = parts.path.strip("/")
        fits = parts.scheme in _SCHEMES and (parts.scheme == "unix" or (parts.hostname and (database or "0").isdigit()))
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"queue_url {shown(url)!r} isn't the URL of a Redis or Valkey. Example: 'redis://localhost:6379/0'."
        )
    _check_parameters(parts)
    return given


def _check_parameters(parts: SplitResult) -> None:
    """Raise ConfigurationError for parameters that the client doesn't take; it would say so only when it connects."""
    known = [*_PARAMETERS, *(_TLS_PARAMETERS if parts.scheme in ("rediss", "valkeys") else ())]
    given = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    for name in given:
        if name not in known:
            tls = " It needs rediss://." if name in _TLS_PARAMETERS else ""
            told = shown_parameter(name, given)
            raise ConfigurationError(f"queue_url: the parameter {told} is unknown;{tls} {suggestion(name, known)}")
        if given.count(name) > 1:
            raise ConfigurationError(
                f"queue_url: the parameter {name!r} is given {given.count(name)} times; give it once."
            )


def shown(url: str) -> str:
    """Return the URL without what is secret in it."""
    return shown_url(url)
