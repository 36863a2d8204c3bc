"""PostgreSQL: engines of asyncpg through SQLAlchemy, and the meaning of its errors."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool
from sqlalchemy.util import greenlet_spawn

from stepwell.errors import ConfigurationError
from stepwell.nearest import suggestion
from stepwell.settings import Settings
from stepwell.store.base import Verdict
from stepwell.store.writing.flush import cause_of
from stepwell.urls import is_scheme, shown_parameter, shown_url

_GOODBYE: Final = 1.0
_CONTENDED: Final = {"55P03", "40P01", "40001"}
"""lock_not_available, deadlock_detected, serialization_failure."""
_TAKEN: Final = "23505"
"""unique_violation: another transaction with the same key has committed since this one looked for it."""
_WAIT_CLASSES: Final = ("08", "57P", "53")
"""Connections, operator intervention (restarts, shutdowns), insufficient resources (connections, memory, disk)."""
_CANCELED: Final = "57014"
"""query_canceled: by a statement_timeout that was set elsewhere."""
_UNSTORABLE: Final = ("22", "23", "54")
"""Data, constraints, limits of the program: the same again will never be stored."""
_WAIT: Final = {"25006", "25P03", "25P04"}
"""read_only_sql_transaction (a standby that isn't promoted yet), idle_in_transaction_session_timeout (a process that slept)."""
_GONE: Final = {"28000", "28P01", "3D000", "42501"}
"""Errors of users who may not log in or write, or whose database doesn't exist."""

_PARAMETERS: Final = (
    *("ssl", "sslmode", "host", "port", "user", "password", "database", "passfile", "service", "servicefile"),
    *("target_session_attrs", "krbsrvname", "gsslib", "prepared_statement_cache_size"),
)
_SET_HERE: Final = (
    "timeout",
    "command_timeout",
    "connect_timeout",
    "statement_cache_size",
    "server_settings",
    "application_name",
)


def shown(url: URL) -> str:
    """Return the URL as text, without what may be secret. A password with an `@` in it reaches into the host."""
    host = url.host and url.host.rpartition("@")[2]
    text = shown_url(url.set(host=host).render_as_string())
    return text.replace("//***@", f"//{url.username}:***@", 1) if url.username and url.password else text


def url_of(settings: Settings) -> URL:
    """Return the URL with its driver. Raises ConfigurationError for one that names no database on PostgreSQL by asyncpg."""
    try:
        import asyncpg as _  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "PostgreSQL needs the driver asyncpg, which isn't installed: pip install 'stepwell[postgres]'."
        ) from error
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError):  # its text may repeat a part of the password
        raise ConfigurationError(
            "database_url isn't a URL (in a password, `@`, `/` and `:` are %40, %2F and %3A). Example: "
            "'postgresql+asyncpg://user:password@host/database'."
        ) from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+asyncpg"):
        driver = repr(url.drivername) if is_scheme(url.drivername) else "of something else"
        raise ConfigurationError(
            f"database_url names the driver {driver}: Stepwell uses asyncpg. Write "
            "'postgresql+asyncpg://...' or 'postgresql://...'."
        )
    return _with_known_parameters(url).set(drivername="postgresql+asyncpg")


def _with_known_parameters(url: URL) -> URL:
    """Return the URL with the driver's names of libpq's parameters. Raises ConfigurationError for unknown ones."""
    for name, value in url.query.items():
        if name not in _PARAMETERS:
            set_here = " Stepwell sets it itself." if name in _SET_HERE else ""
            raise ConfigurationError(
                f"database_url: the parameter {shown_parameter(name, [*url.query])} is unknown.{set_here} "
                f"{_sentence(suggestion(name, _PARAMETERS))}"
            )
        if isinstance(value, tuple) and name not in ("host", "port"):
            raise ConfigurationError(f"database_url: the parameter {name!r} is given {len(value)} times; give it once.")
    if "sslmode" not in url.query:
        return url
    if "ssl" in url.query:
        raise ConfigurationError("database_url: sslmode and ssl mean the same; give one of them.")
    query = dict(url.query)
    query["ssl"] = query.pop("sslmode")
    return url.set(query=query)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def engine(
    settings: Settings,
    *,
    size: int = 0,
    silent_seconds: float = 30.0,
    statement_seconds: float | None = 0.0,
    lock: int = 0,
    autocommit: bool = False,
    longest: float | None = None,
) -> AsyncEngine:
    """Return an engine with at most `size` connections, or one for each `connect` (0).

    A session that is silent inside a transaction for `silent_seconds` is ended by the server: a process that was stopped,
    or whose network was cut, must not hold rows forever. Half a lease, or `statement_seconds`, is how long an answer is
    waited for; None: forever. A row that is held is waited for `lock` milliseconds
    (0: as long as it takes).
    With `autocommit`, each statement is a transaction of its own. The server stops a statement that takes `longest`
    seconds, except behind a pooler (see `time_limit`).
    """
    options: dict[str, Any] = {"poolclass": NullPool}
    if size:
        options = {"poolclass": AsyncAdaptedQueuePool, "pool_size": size, "max_overflow": 0, "pool_recycle": 1800}
    if autocommit and not settings.transaction_pooler:
        options["isolation_level"] = "AUTOCOMMIT"
    answer = None if statement_seconds is None else max(settings.lease_seconds / 2, statement_seconds, 1.0)
    if answer is not None and longest is not None:
        answer = max(answer, longest + 1.0)
    arguments = {"timeout": 5, "command_timeout": answer, "connection_class": _connection_class()} | _session(
        settings, silent_seconds, lock, longest
    )
    return create_async_engine(url_of(settings), connect_args=arguments | _creator(), **options)


def _creator() -> dict[str, Any]:
    """Return how connections are made where SQLAlchemy passes on what asyncpg raises then (2.0); 2.1 wraps it itself."""
    if not sqlalchemy.__version__.startswith("2.0."):
        return {}
    import asyncpg

    async def connect(*given: Any, **named: Any) -> Any:
        try:
            return await asyncpg.connect(*given, **named)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OperationalError(None, None, error) from error

    return {"async_creator_fn": connect}


@lru_cache(maxsize=1)
def _connection_class() -> Any:
    from asyncpg import Connection

    class Brief(Connection):  # type: ignore[misc]
        """A connection that says goodbye to a silent server only shortly; the driver would wait as for a statement."""

        async def close(self, *, timeout: float | None = None) -> None:
            await super().close(timeout=_GOODBYE if timeout is None else timeout)

    return Brief


def limits(silent_seconds: float, lock: int) -> tuple[str, tuple[str, ...]]:
    """Return the statement that begins a transaction behind a pooler: what is set for others' sessions is set for it alone."""
    given = {"idle_in_transaction_session_timeout": str(round(silent_seconds * 1000))}
    if lock:
        given["lock_timeout"] = str(lock)
    calls = ", ".join(f"set_config('{name}', ${n}, true)" for n, name in enumerate(given, 1))
    return f"SELECT {calls}", tuple(given.values())


def time_limit(seconds: float) -> tuple[str, tuple[str, ...]]:
    """Return the statement that begins a read of a user behind a pooler: its other statements take so long at most."""
    return "SELECT set_config('statement_timeout', $1, true)", (str(_milliseconds(seconds)),)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 1)  # 0 would be without an end


def channel(settings: Settings) -> str:
    """Return the channel of this database's Stepwell: one per schema."""
    return (
        "stepwell" if settings.database_schema is None else f"stepwell_{crc32(settings.database_schema.encode()):08x}"
    )


def said(error: BaseException) -> str:
    """Return the error in one line, without SQLAlchemy's frame around it."""
    cause = cause_of(error)
    text = " ".join(str(cause).split()) or type(cause).__name__
    return text.split("'> : ", 1)[-1] if text.startswith("<class") else text.split(">: ", 1)[-1]


def _session(settings: Settings, silent_seconds: float, lock: int, longest: float | None) -> dict[str, Any]:
    if settings.transaction_pooler:
        # Sessions are another's from one transaction to the next: nothing may be left in them, or counted on.
        return {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            # Unnamed: a name would stay in a session that isn't used again.
            "prepared_statement_name_func": str,
        }
    server = {
        "application_name": "stepwell",
        "idle_in_transaction_session_timeout": str(round(silent_seconds * 1000)),
        "jit": "off",
        # The server notices a process that is gone, and with it the rows that it holds, within some seconds.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }
    if longest is not None:
        server["statement_timeout"] = str(_milliseconds(longest))
    if lock:
        server["lock_timeout"] = str(lock)
        # Each write finds its few hundred rows by key. A plan that reads the whole table looks cheaper as long as the
        # statistics say that the table is small, and is kept when it isn't any more.
        server |= {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}
    return {"server_settings": server}


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error, of SQLAlchemy or the driver; None if the server didn't send it."""
    cause = cause_of(error)
    return getattr(cause, "sqlstate", None) or getattr(cause.__cause__, "sqlstate", None)


def grant(error: BaseException, settings: Settings) -> str:
    """Return the statement that grants the right that the server misses; empty for other errors."""
    if sqlstate(error) != "42501":
        return ""
    url, text = url_of(settings), said(error)
    if "for table" in text:
        return grant_on_tables(settings)
    if "for database" in text:
        right = f"CREATE ON DATABASE {url.database}"
    else:
        right = f"USAGE, CREATE ON SCHEMA {settings.database_schema or 'public'}"
    return f"As its owner: GRANT {right} TO {url.username or 'the user'}."


def grant_on_tables(settings: Settings) -> str:
    """Return the statements that let the user read and write Stepwell's tables."""
    schema, user = settings.database_schema or "public", url_of(settings).username or "the user"
    return f"As its owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}."


def verdict(error: BaseException) -> Verdict:
    """Return the verdict on an error."""
    state = sqlstate(error)
    if state == _CANCELED or isinstance(cause_of(error), TimeoutError):
        return Verdict.SLOW
    if state is None:
        return Verdict.WAIT if is_broken(error) else Verdict.UNSTORABLE
    if state == _TAKEN:
        return Verdict.AGAIN
    if state in _CONTENDED:
        return Verdict.CONTENDED
    if state in _GONE:
        return Verdict.GONE
    if state in _WAIT or state.startswith(_WAIT_CLASSES):
        return Verdict.WAIT
    return Verdict.UNSTORABLE if state.startswith(_UNSTORABLE) else Verdict.REFUSED


def is_canceled(error: BaseException) -> bool:
    """Return True if the server has stopped the statement, since it took too long."""
    return sqlstate(error) == _CANCELED


def is_broken(error: BaseException) -> bool:
    """Return True if the connection is lost, or none could be made: nothing that the server has said."""
    import asyncpg

    kinds = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    return any(isinstance(one, kinds) for one in (error, cause_of(error), cause_of(error).__cause__))


def is_lost(error: BaseException) -> bool:
    """Return True if the connection is gone, with all that was open on it: cut, or ended by the server."""
    state = sqlstate(error)
    return is_broken(error) if state is None else state == "25P03" or state.startswith(("08", "57P"))


def notice(process_id: str, kinds: str) -> str:
    """Return the payload of a notification; `process_id` names the process that doesn't need it."""
    return json.dumps([process_id, kinds])


@contextlib.contextmanager
def loop_of_its_own() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Let a thread run coroutines inside the block on an event loop of its own."""
    with asyncio.Runner() as runner:
        yield lambda act: runner.run(greenlet_spawn(act))
