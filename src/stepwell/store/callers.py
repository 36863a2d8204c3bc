"""The caller's own transaction, in which a verb writes: a connection of SQLAlchemy's, or Django's.

Everything here is called where the caller's connection may be used: in its greenlet, or in its thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from stepwell.errors import ConfigurationError, StepwellError, StoreUnavailable
from stepwell.store.tx import Dialect, Tx, formatted

T = TypeVar("T")

_DATABASE: Final = "stepwell_database"
_NO_TRANSACTION: Final = "25P01"
"""no_active_sql_transaction: each statement is a transaction of its own."""

_OUTDATED: Final = {"23505", "40001", "40P01"}
"""unique_violation (of a key that the transaction can't see yet), serialization_failure, deadlock_detected."""


class CallersTransaction(Protocol):
    """An open transaction of the caller's."""

    @property
    def name(self) -> str:
        """The kind of database, as SQLAlchemy names it."""
        ...

    @property
    def url(self) -> URL:
        """The database; shown without what may be secret."""
        ...

    @property
    def notes(self) -> MutableMapping[Any, Any]:
        """Notes about the driver's connection, kept for as long as that is open. Raises InvalidRequestError."""
        ...

    @property
    def raw(self) -> Any:
        """The driver's connection."""
        ...

    def tx(self, dialect: Dialect) -> Tx:
        """Return the transaction, to be written in. May raise ConfigurationError where there is none."""
        ...

    def savepoint(self) -> AbstractContextManager[object]:
        """Return a savepoint, which is released at the end, or rolled back by an error."""
        ...


def known(given: CallersTransaction, find: Callable[[], T]) -> T:
    """Return what `find` returns, which is called once for each connection of the driver's: its database."""
    notes = given.notes
    if _DATABASE not in notes:
        notes[_DATABASE] = find()
    found: T = notes[_DATABASE]
    return found


class SqlalchemyTransaction:
    """A connection of SQLAlchemy's, whichever its driver."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def name(self) -> str:
        return self._connection.dialect.name

    @property
    def url(self) -> URL:
        return self._connection.engine.url

    @property
    def notes(self) -> MutableMapping[Any, Any]:
        return self._connection.info  # the engine says little: its creator may open any database

    @property
    def raw(self) -> Any:
        return self._connection.connection.driver_connection

    def tx(self, dialect: Dialect) -> Tx:
        return Tx(self._connection, dialect)

    def savepoint(self) -> AbstractContextManager[object]:
        return self._connection.begin_nested()


class DjangoTransaction:
    """A connection of Django's, used by its cursors: its hooks hear the statements, and its `atomic()` the savepoint."""

    __slots__ = ("_given",)

    def __init__(self, given: Any) -> None:
        self._given = given

    @property
    def name(self) -> str:
        return str(self._given.vendor)

    @property
    def url(self) -> URL:
        given = self._given.settings_dict
        host, port = given.get("HOST") or None, given.get("PORT") or None
        return URL.create(
            self.name, given.get("USER") or None, None, host, None if port is None else int(port), str(given["NAME"])
        )

    @property
    def notes(self) -> MutableMapping[Any, Any]:
        return {}  # a test database takes the place of the other under the same name

    @property
    def raw(self) -> Any:
        return self._given.connection

    def tx(self, dialect: Dialect) -> Tx:
        with _translated(self._given, "", ()):
            if self._given.get_autocommit():
                raise no_transaction("wrap the call in `with transaction.atomic():`")
        return Tx(None, dialect, _DjangoDriver(self._given))

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        from django.db import transaction

        with _translated(self._given, "SAVEPOINT", ()), transaction.atomic(using=self._given.alias):
            yield


class _DjangoDriver:
    __slots__ = ("_given",)

    def __init__(self, given: Any) -> None:
        self._given = given

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Sequence[Any]:
        with _translated(self._given, sql, parameters), self._given.cursor() as cursor:
            cursor.execute(formatted(sql), parameters)
            found: Sequence[Any] = cursor.fetchall()
            return found

    def change(self, sql: str, parameters: tuple[Any, ...] = ()) -> int:
        with _translated(self._given, sql, parameters), self._given.cursor() as cursor:
            cursor.execute(formatted(sql), parameters)
            return int(cursor.rowcount)

    def each(self, sql: str, rows: list[tuple[Any, ...]]) -> int:
        with _translated(self._given, sql, rows), self._given.cursor() as cursor:
            cursor.executemany(formatted(sql), rows)
            return int(cursor.rowcount)


@contextmanager
def _translated(given: Any, sql: str, parameters: Any) -> Iterator[None]:
    """Let the driver's errors be those that SQLAlchemy makes of them. Django's own refusals have no such cause."""
    from django.db import Error

    try:
        yield
    except Error as error:
        cause = error.__cause__
        if not isinstance(cause, given.Database.Error):
            raise unusable(error) from error
        raise DBAPIError.instance(sql, parameters, cause, given.Database.Error) from error


# -- refusals -----------------------------------------------------------------------------------------------------


def no_transaction(cure: str) -> ConfigurationError:
    """Return the refusal of a connection on which nothing could be rolled back."""
    return ConfigurationError(
        f"connection= has no transaction (it is in autocommit): what it writes would be stored at once. Nothing was "
        f"stored. Begin one ({cure}), or leave connection= out."
    )


def unusable(error: BaseException) -> ConfigurationError:
    """Return the refusal of a connection that is closed, broken off, or another thread's."""
    return ConfigurationError(
        f"connection= can't be used: {str(error).rstrip('.')}. Nothing was stored. Give one of this thread, on "
        "Stepwell's database, whose transaction is open."
    )


def refusal(error: DBAPIError | InvalidRequestError) -> StepwellError:
    """Return what an error on the caller's connection means for the caller."""
    if isinstance(error, InvalidRequestError) or isinstance(error.orig, sqlite3.ProgrammingError):
        return unusable(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    state = _state(error.orig)
    if state == _NO_TRANSACTION:
        return no_transaction(AUTOCOMMIT_CURE)
    text = f"The database can't be written: {str(error.orig).rstrip('.')}. Nothing was stored."
    if state in _OUTDATED:
        return StoreUnavailable(
            f"{text} Another transaction has changed this since yours began: roll back, and begin again."
        )
    if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return StoreUnavailable(
            f"{text} Another connection has written since this transaction first read: begin it with a write, or with "
            "BEGIN IMMEDIATE."
        )
    return StoreUnavailable(text)


AUTOCOMMIT_CURE: Final = "without isolation_level='AUTOCOMMIT'"


def _state(error: BaseException | None) -> str | None:
    """Return the SQLSTATE, as asyncpg, psycopg, psycopg2 or pg8000 has it."""
    for one in (error, getattr(error, "__cause__", None)):
        if found := getattr(one, "sqlstate", None) or getattr(one, "pgcode", None):
            return str(found)
    given = error.args[0] if error is not None and error.args else None
    return str(given["C"]) if isinstance(given, dict) and "C" in given else None
