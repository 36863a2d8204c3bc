"""A pooler in the manner of PgBouncer's transaction mode: many clients, few connections, and no session.

A client has a server connection from its first message until the server says that it is idle, and then anybody else has
it. Connections go round, so that what a session would keep (LISTEN, SET, named statements) is lost in the next transaction,
or is found by somebody else. Everybody is trusted.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from servers import wire
from servers.loop import LoopServer

_TRACKED = {
    "user", "database", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name",
}  # fmt: skip
_ANSWERED = {b"Q", b"S", b"F"}
"""Query, Sync, FunctionCall: what the server answers with ReadyForQuery."""


_Name = tuple[str, str]
"""(user, database)"""


class _Refused(Exception):
    """The server takes no further connection."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet


@dataclass(slots=True, eq=False)
class _Backend:
    """A connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    told: list[bytes]
    """The parameters that it has reported."""


@dataclass(slots=True)
class _Pool:
    """The connections of a user to a database."""

    size: int
    free: asyncio.Semaphore
    living: int = 0
    idle: deque[_Backend] = field(default_factory=deque)


class _Client:
    """A connection of a client, with the message that it may be sending."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._coming: asyncio.Task[wire.Message] | None = None

    def coming(self) -> asyncio.Task[wire.Message]:
        """Its next message; the same until it was taken, so that nothing is lost when somebody stops waiting."""
        if self._coming is None:
            self._coming = asyncio.create_task(wire.read_message(self.reader))
        return self._coming

    async def take(self) -> wire.Message:
        """Its next message. Raises ConnectionAbortedError if it says goodbye."""
        message = await self.coming()
        self._coming = None
        if message[0] == b"X":
            raise ConnectionAbortedError
        return message

    def close(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
        self.writer.close()


class TransactionPooler(LoopServer):
    """Listens on 127.0.0.1 before a PostgreSQL that trusts everybody, from the moment it is made."""

    def __init__(self, url: str, *, size: int = 4) -> None:
        super().__init__("pooler")
        parts = urlsplit(url)
        self.transactions = 0
        """How often a connection was given to a client."""
        self.most = 0
        """How many connections to the server there were at once."""
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._user = parts.username or "postgres"
        self._pools: dict[tuple[str, str], _Pool] = defaultdict(lambda: _Pool(size, asyncio.Semaphore(size)))
        self._backends: set[_Backend] = set()
        self._clients: dict[_Client, asyncio.Task[None] | None] = {}
        self._server = self._thread.call(asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512))

    def url(self, database: str) -> str:
        """The URL of a database, through the pooler."""
        return urlunsplit(("postgresql", f"{self._user}@127.0.0.1:{self.port}", f"/{database}", "", ""))

    # -- in the thread ----------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        self._server.close()
        serving = [task for task in self._clients.values() if task is not None]
        for client in self._clients:
            client.writer.transport.abort()
        if serving:
            await asyncio.wait(serving)
        for backend in self._backends:
            backend.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer)
        self._clients[client] = asyncio.current_task()
        try:
            name = await self._greet(client)
            while name is not None:
                await asyncio.wait([client.coming()])
                await self._transact(name, client)
        except _Refused as refused:
            writer.write(refused.packet)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client or the server is gone
        finally:
            del self._clients[client]
            client.close()

    async def _greet(self, client: _Client) -> _Name | None:
        code, given = await wire.read_startup(client.reader)
        while code in (wire.SSL_REQUEST, wire.GSS_REQUEST):
            client.writer.write(b"N")
            code, given = await wire.read_startup(client.reader)
        if code == wire.CANCEL_REQUEST:
            return None
        unknown = sorted(given.keys() - _TRACKED)
        if unknown:
            raise _Refused(wire.failure("08P01", f"unsupported startup parameter: {unknown[0]}"))
        name = (given["user"], given.get("database", given["user"]))
        backend = await self._take(name)
        self._give_back(name, backend)
        welcome = [wire.packed(b"R", bytes(4)), *backend.told, wire.packed(b"K", bytes(8)), wire.packed(b"Z", b"I")]
        client.writer.write(b"".join(welcome))
        await client.writer.drain()
        return name

    async def _transact(self, name: _Name, client: _Client) -> None:
        """One transaction of a client, or what it does outside of one until the server is idle again."""
        message = await client.take()
        backend = await self._take(name)
        self.transactions += 1
        try:
            await _Exchange(backend, client).run(message)
        except BaseException:
            self._drop(name, backend)  # a transaction may be open in it
            raise
        self._give_back(name, backend)

    async def _take(self, name: _Name) -> _Backend:
        pool = self._pools[name]
        await pool.free.acquire()
        # As many as may be are opened before one is used again, and then the one that has rested longest.
        if pool.living == pool.size:
            return pool.idle.popleft()
        pool.living += 1
        try:
            return await self._connect(*name)
        except BaseException:
            pool.living -= 1
            pool.free.release()
            raise

    def _give_back(self, name: _Name, backend: _Backend) -> None:
        self._pools[name].idle.append(backend)
        self._pools[name].free.release()

    def _drop(self, name: _Name, backend: _Backend) -> None:
        self._backends.discard(backend)
        backend.writer.transport.abort()
        self._pools[name].living -= 1
        self._pools[name].free.release()

    async def _connect(self, user: str, database: str) -> _Backend:
        reader, writer = await asyncio.open_connection(*self._target)
        backend = _Backend(reader, writer, [])
        try:
            writer.write(wire.startup({"user": user, "database": database}))
            while True:
                kind, content = await wire.read_message(reader)
                if kind == b"E":
                    raise _Refused(wire.packed(kind, content))
                if kind == b"S":
                    backend.told.append(wire.packed(kind, content))
                elif kind == b"Z":
                    break
        except BaseException:
            writer.transport.abort()
            raise
        self._backends.add(backend)
        self.most = max(self.most, len(self._backends))
        return backend


class _Exchange:
    """Carries messages between a client and its connection until nothing is under way and no transaction is open."""

    def __init__(self, backend: _Backend, client: _Client) -> None:
        self._backend = backend
        self._client = client
        self._unanswered = 0
        self._half = False
        """Whether the client has sent a part of what it will end with Sync."""

    async def run(self, first: wire.Message) -> None:
        """Raises OSError or IncompleteReadError when one of the two is gone."""
        await self._ask(first)
        answer = asyncio.create_task(wire.read_message(self._backend.reader))
        try:
            while True:
                await asyncio.wait([answer, self._client.coming()], return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    await self._ask(await self._client.take())
                    continue
                if await self._answer(*answer.result()):
                    return
                answer = asyncio.create_task(wire.read_message(self._backend.reader))
        finally:
            answer.cancel()

    async def _ask(self, message: wire.Message) -> None:
        kind, content = message
        self._half = kind not in _ANSWERED
        self._unanswered += not self._half
        self._backend.writer.write(wire.packed(kind, content))
        await self._backend.writer.drain()

    async def _answer(self, kind: bytes, content: bytes) -> bool:
        """True if the connection is free again."""
        self._client.writer.write(wire.packed(kind, content))
        await self._client.writer.drain()
        if kind != b"Z":
            return False
        self._unanswered -= 1
        return content == b"I" and self._unanswered == 0 and not self._half
