"""PostgreSQL: engines of asyncpg through SQLAlchemy, and what its errors say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool
from sqlalchemy.util import await_only, greenlet_spawn

from stepwell.errors import ConfigurationError
from stepwell.settings import Settings
from stepwell.store import outcome
from stepwell.store.base import Advance, Begin, Item, Record
from stepwell.store.flush import Answer, Delayed, Flusher, Unavailable, Verdict, cause_of
from stepwell.store.postgres_dialect import Postgres
from stepwell.store.tx import Hints

_GOODBYE: Final = 1.0
_CONTENDED: Final = {"55P03", "40P01", "40001"}
"""lock_not_available, deadlock_detected, serialization_failure."""
_TAKEN: Final = "23505"
"""unique_violation: somebody with the same key has committed since this transaction looked for it."""
_WAIT_CLASSES: Final = ("08", "57P", "53")
"""Connections, operator intervention (restarts, shutdowns), insufficient resources (connections, memory, disk)."""
_CANCELED: Final = "57014"
"""query_canceled: by a statement_timeout of somebody's."""
_UNSTORABLE: Final = ("22", "23", "54")
"""Data, constraints, limits of the program: the same again will never be stored."""
_WAIT: Final = {"25006", "25P03", "25P04"}
"""read_only_sql_transaction (a standby that isn't promoted yet), idle_in_transaction_session_timeout (a process that slept)."""
_GONE: Final = {"28000", "28P01", "3D000", "42501"}
"""Who may not log in or write, or has no such database."""


def url_of(settings: Settings) -> URL:
    """The URL with its driver. Raises ConfigurationError for one that names no database on PostgreSQL by asyncpg."""
    try:
        import asyncpg as _  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "PostgreSQL needs the driver asyncpg, which isn't installed: pip install 'stepwell[postgres]'."
        ) from error
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            f"database_url isn't a URL: {error} Example: 'postgresql+asyncpg://user:password@host/database'."
        ) from error
    if url.drivername not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise ConfigurationError(
            f"database_url names the driver {url.drivername!r}: Stepwell uses asyncpg. Write "
            "'postgresql+asyncpg://...' or 'postgresql://...'."
        )
    return url.set(drivername="postgresql+asyncpg")


def engine(
    settings: Settings,
    *,
    size: int = 0,
    silent_seconds: float = 30.0,
    statement_seconds: float | None = 0.0,
    lock: int = 0,
    autocommit: bool = False,
) -> AsyncEngine:
    """An engine with at most `size` connections, or one for each `connect` (0).

    A session that is silent inside a transaction for `silent_seconds` is ended by the server: a process that was stopped,
    or whose network was cut, must not hold rows for ever. Half a lease, or `statement_seconds`, is how long an answer is
    waited for; None: for ever. A row that is held is waited for `lock` milliseconds
    (0: as long as it takes).
    With `autocommit`, each statement is a transaction of its own.
    """
    options: dict[str, Any] = {"poolclass": NullPool}
    if size:
        options = {"poolclass": AsyncAdaptedQueuePool, "pool_size": size, "max_overflow": 0, "pool_recycle": 1800}
    if autocommit and not settings.transaction_pooler:
        options["isolation_level"] = "AUTOCOMMIT"
    answer = None if statement_seconds is None else max(settings.lease_seconds / 2, statement_seconds, 1.0)
    arguments = {"timeout": 5, "command_timeout": answer, "connection_class": _connection_class()} | _session(
        settings, silent_seconds, lock
    )
    return create_async_engine(url_of(settings), connect_args=arguments, **options)


@lru_cache(maxsize=1)
def _connection_class() -> Any:
    from asyncpg import Connection

    class Brief(Connection):  # type: ignore[misc]
        """A connection that says goodbye to a silent server only shortly; the driver would wait as for a statement."""

        async def close(self, *, timeout: float | None = None) -> None:
            await super().close(timeout=_GOODBYE if timeout is None else timeout)

    return Brief


def limits(silent_seconds: float, lock: int) -> tuple[str, tuple[str, ...]]:
    """The statement that begins a transaction behind a pooler: what is set for others' sessions is set for it alone."""
    given = {"idle_in_transaction_session_timeout": str(round(silent_seconds * 1000))}
    if lock:
        given["lock_timeout"] = str(lock)
    calls = ", ".join(f"set_config('{name}', ${n}, true)" for n, name in enumerate(given, 1))
    return f"SELECT {calls}", tuple(given.values())


def channel(settings: Settings) -> str:
    """The channel of this database's Stepwell: one per schema."""
    return (
        "stepwell" if settings.database_schema is None else f"stepwell_{crc32(settings.database_schema.encode()):08x}"
    )


def said(error: BaseException) -> str:
    """The error in one line, without SQLAlchemy's frame around it."""
    cause = cause_of(error)
    text = " ".join(str(cause).split()) or type(cause).__name__
    return text.split("'> : ", 1)[-1] if text.startswith("<class") else text.split(">: ", 1)[-1]


def _session(settings: Settings, silent_seconds: float, lock: int) -> dict[str, Any]:
    if settings.transaction_pooler:
        # Sessions are another's from one transaction to the next: nothing may be left in them, or counted on.
        return {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            # Unnamed: a name would stay in a session that nobody comes back to.
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
    if lock:
        server["lock_timeout"] = str(lock)
        # Each write finds its few hundred rows by key. A plan that reads the whole table looks cheaper as long as the
        # statistics say that the table is small, and is kept when it isn't any more.
        server |= {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}
    return {"server_settings": server}


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of an error, of SQLAlchemy or the driver; None if the server didn't send it."""
    cause = cause_of(error)
    return getattr(cause, "sqlstate", None) or getattr(cause.__cause__, "sqlstate", None)


def grant(error: BaseException, settings: Settings) -> str:
    """What gives the right that the server says is missing; nothing if it says something else."""
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
    """What lets the user read and write Stepwell's tables."""
    schema, user = settings.database_schema or "public", url_of(settings).username or "the user"
    return f"As its owner: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}."


def verdict(error: BaseException) -> Verdict:
    """What an error says about going on."""
    state = sqlstate(error)
    if state == _CANCELED or isinstance(cause_of(error), TimeoutError):
        return Verdict.SLOW
    if state is None:
        return Verdict.WAIT if is_broken(error) else Verdict.REFUSED
    if state == _TAKEN:
        return Verdict.AGAIN
    if state in _CONTENDED:
        return Verdict.CONTENDED
    if state in _GONE:
        return Verdict.GONE
    return Verdict.WAIT if state in _WAIT or state.startswith(_WAIT_CLASSES) else Verdict.REFUSED


def is_broken(error: BaseException) -> bool:
    """True if the connection is lost, or none could be made: nothing that the server has said."""
    import asyncpg

    kinds = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    return any(isinstance(one, kinds) for one in (error, cause_of(error), cause_of(error).__cause__))


def is_lost(error: BaseException) -> bool:
    """True if the connection is gone, with all that was open on it: cut, or ended by the server."""
    state = sqlstate(error)
    return is_broken(error) if state is None else state == "25P03" or state.startswith(("08", "57P"))


class PostgresBackend:
    """Flushes to PostgreSQL. A COMMIT in doubt is settled by doing the same again: what is there already isn't done twice."""

    def __init__(
        self, engine: AsyncEngine, dialect: Postgres, settings: Settings, silent_seconds: float, lock: int
    ) -> None:
        self.engine: Engine = engine.sync_engine
        self.dialect = dialect
        self._settings = settings
        self._silent_seconds = silent_seconds
        self._lock = lock

    def verdict(self, error: BaseException) -> Verdict:
        return verdict(error)

    def refuses(self, error: BaseException) -> bool:
        state = sqlstate(error)
        return isinstance(error, TimeoutError) or (state is not None and not state.startswith(_UNSTORABLE))

    def said(self, error: BaseException) -> str:
        return said(error)

    def cure(self, error: BaseException) -> str:
        return grant(error, self._settings)

    def begun(self, connection: Connection) -> None:
        if self._settings.transaction_pooler:
            connection.exec_driver_sql(*limits(self._silent_seconds, self._lock))

    def cancelled(self, error: BaseException) -> bool:
        return isinstance(error, asyncio.CancelledError)

    def pause(self, seconds: float) -> None:
        await_only(asyncio.sleep(max(seconds, 0.1)))

    def in_doubt(self, error: BaseException) -> bool:
        return is_lost(error)

    def look_up(self, flusher: Flusher, items: Sequence[Item], answers: list[Answer], error: Exception) -> list[Answer]:
        # The server may still be about to commit: only doing it again, behind the locks of the first, is certain.
        found: list[Answer] = [outcome.unknown(item, cause_of(error)) for item in items]
        with contextlib.suppress(Delayed, Unavailable):  # then all that are left are unknown, as they say already
            for index, item in enumerate(items):
                if isinstance(item, Advance | Begin | Record):
                    with contextlib.suppress(DBAPIError):
                        [found[index]] = flusher.insist([item])
        return found


KINDS: Final = "rdelc"
"""Ready, due, ended, lost, children."""


def kinds(hints: Hints) -> str:
    """What the hints are of, a letter each: ready, due, ended, lost, children."""
    given = {"r": hints.ready, "d": hints.due, "e": hints.resting, "l": hints.lost, "c": hints.children}
    return "".join(letter for letter, some in given.items() if some)


def notice(process_id: str, kinds: str) -> str:
    """What is notified; `process_id` says who needn't hear it."""
    return json.dumps([process_id, kinds])


@contextlib.contextmanager
def loop_of_its_own() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """For a thread: what is called inside runs on an event loop of the thread's."""
    with asyncio.Runner() as runner:
        yield lambda act: runner.run(greenlet_spawn(act))
