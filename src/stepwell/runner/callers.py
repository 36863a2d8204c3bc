"""`connection=`: the caller's transaction, used where it may be used.

SQLAlchemy's asynchronous connections are used on the loop. Synchronous ones, and Django's, are used in the thread that
called a blocking verb: the verb runs on the loop as ever, and its thread executes the statements while it waits.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from queue import SimpleQueue
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from stepwell.errors import ConfigurationError, StepwellError
from stepwell.store.callers import CallersTransaction, DjangoTransaction, SqlalchemyTransaction, refusal

T = TypeVar("T")


class DjangoConnection(Protocol):
    """A connection of Django's, as `django.db.connection`."""

    in_atomic_block: bool

    @property
    def alias(self) -> str:
        """Its name in `DATABASES`."""
        ...

    def get_autocommit(self) -> bool:
        """Return whether no transaction is open."""
        ...


class DjangoConnectionProxy(Protocol):
    """`django.db.connection` as its own source describes it: an object that passes everything on."""

    def __getattr__(self, item: Any, /) -> Any:
        """Return an attribute of this thread's connection."""
        ...


AwaitedConnection: TypeAlias = "AsyncConnection | AsyncSession | async_scoped_session[Any]"
"""The types of `connection=` in the verbs of the runner."""
BlockingConnection: TypeAlias = "Connection | Session | scoped_session[Any] | DjangoConnection | DjangoConnectionProxy"
"""Those in `runner.blocking`."""


class Borrowed(Protocol):
    """The caller's transaction, for a verb on the loop."""

    async def run(self, act: Callable[[CallersTransaction], T]) -> T:
        """Return what `act` returns, called where the connection may be used."""
        ...


class _InGreenlet:
    """An asynchronous connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def run(self, act: Callable[[CallersTransaction], T]) -> T:
        return await self._connection.run_sync(lambda connection: act(SqlalchemyTransaction(connection)))


class CallersThread:
    """A synchronous connection, and the thread that has it. It waits for a verb, and does meanwhile what that asks of it."""

    def __init__(self, caller: CallersTransaction) -> None:
        self._caller = caller
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    async def run(self, act: Callable[[CallersTransaction], T]) -> T:
        # Carried as a value: a future can't hold every exception.
        done: Future[tuple[Any, Exception | None]] = Future()

        def job() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                found = act(self._caller), None
            except Exception as error:  # noqa: BLE001 - it is raised where it is awaited
                done.set_result((None, error))
            else:
                done.set_result(found)

        self._jobs.put(job)
        value, error = await asyncio.wrap_future(done)
        if error is not None:
            raise error
        answer: T = value
        return answer

    def wait(self, answer: Future[T]) -> T:
        """Return the answer of the verb. An interruption of this thread (Ctrl-C) ends the verb too.

        Raises StepwellError if the Stepwell is closed meanwhile.
        """
        answer.add_done_callback(lambda _: self._jobs.put(None))
        try:
            while (job := self._jobs.get()) is not None:
                job()
        except BaseException:
            answer.cancel()
            raise
        try:
            return answer.result()
        except CancelledError:
            raise StepwellError("This Stepwell was closed during the call: roll your transaction back.") from None


async def borrowed(given: Any) -> Borrowed:
    """Return the transaction of a verb on the loop. Raises ConfigurationError."""
    if isinstance(given, CallersThread):
        return given
    try:
        session = given() if isinstance(given, async_scoped_session) else given
        connection = await session.connection() if isinstance(session, AsyncSession) else session
    except InvalidRequestError as error:
        raise refusal(error) from error
    if isinstance(connection, AsyncConnection):
        return _InGreenlet(connection)
    if isinstance(given, Connection | Session | scoped_session) or _django(given) is not None:
        raise ConfigurationError(
            f"connection={given!r} is synchronous, and would block the event loop: call runner.blocking in the thread "
            f"that has it, or give an AsyncConnection or AsyncSession. {_NOTHING}"
        )
    raise ConfigurationError(
        f"connection={given!r} is neither an AsyncConnection nor an AsyncSession of SQLAlchemy. {_NOTHING}"
    )


def lent(given: Any) -> CallersThread:
    """Return the transaction of a blocking verb, which this thread lends it. Raises ConfigurationError."""
    if isinstance(given, AsyncConnection | AsyncSession | async_scoped_session):
        raise _asynchronous(given)
    try:
        session = given() if isinstance(given, scoped_session) else given
        if isinstance(session, Session) and session.get_bind().dialect.is_async:
            raise _asynchronous(given)
        connection = session.connection() if isinstance(session, Session) else session
    except InvalidRequestError as error:
        raise refusal(error) from error
    if isinstance(connection, Connection):
        if connection.dialect.is_async:
            raise _asynchronous(given)
        return CallersThread(SqlalchemyTransaction(connection))
    if (django := _django(given)) is not None:
        return CallersThread(DjangoTransaction(django))
    raise ConfigurationError(
        f"connection={given!r} is neither a Connection nor a Session of SQLAlchemy, nor a connection of Django "
        f"(django.db.connection). {_NOTHING}"
    )


_NOTHING: Final = "Nothing was stored."


def _asynchronous(given: object) -> ConfigurationError:
    return ConfigurationError(
        f"connection={given!r} is asynchronous: await the runner's own verb with it, on its event loop, or give "
        f"runner.blocking a Connection or Session of a synchronous engine. {_NOTHING}"
    )


def _django(given: object) -> Any:
    """Return Django's connection, of this thread if it is the one that stands for each thread's own; None for other things."""
    if "django.db" not in sys.modules:
        return None
    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.utils.connection import ConnectionProxy

    if isinstance(given, ConnectionProxy):
        return connections[given.alias]
    return given if isinstance(given, BaseDatabaseWrapper) else None
