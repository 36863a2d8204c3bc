"""A way to PostgreSQL that loses a COMMIT, or the answer to one: of this connection, at this moment."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Literal

from servers.loop import LoopServer

Side = Literal["before", "after", "late"]
Address = tuple[str, int]

_COMMIT = b"Q\0\0\0\x0cCOMMIT;\0"
"""As the driver sends it: by itself, to a server that is idle."""


class Cutter(LoopServer):
    """Listens on 127.0.0.1 and passes all to the server behind it, but for what it was told to cut."""

    def __init__(self, port: int) -> None:
        super().__init__("cutter")
        self.late_seconds = 0.3
        """How long the server waits for a COMMIT that comes late."""
        self._target = port
        self._next: tuple[Address, Side, float] | None = None
        self._refusing_until = 0.0
        self._open: set[asyncio.StreamWriter] = set()
        self._server = self._thread.call(asyncio.start_server(self._serve, "127.0.0.1", self.port))

    def cut(self, client: Address, side: Side, blind_seconds: float = 0.0) -> None:
        """The next COMMIT of this client is lost with its connection: "before" the server has it, or "after" it was made.

        "late": the client is told that its connection is gone, and the server gets the COMMIT all the same, later. Then
        nobody can connect for `blind_seconds`.
        """
        self._next = (client, side, blind_seconds)

    def passes(self) -> None:
        """Whoever wants to connect can."""
        self._refusing_until = 0.0

    # -- in the thread ----------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        self._server.close()
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() < self._refusing_until:
            return _reset(writer)
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, back}
        cut = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(reader, back, writer, cut))
                both.create_task(self._answer(there, writer, cut))
        except* OSError:
            pass  # one side is gone, and so is the other
        finally:
            self._open -= {writer, back}
            for one in (writer, back):
                _reset(one)

    async def _ask(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await source.read(65_536):
            side = self._side(client.get_extra_info("peername")) if data == _COMMIT else None
            if side is not None:
                cut.set()
            if side in ("before", "late"):
                _reset(client)
            if side == "before":
                raise ConnectionAbortedError
            if side == "late":
                await asyncio.sleep(self.late_seconds)
            sink.write(data)
            await sink.drain()
            if side is not None:
                return  # what the server answers ends it
        raise ConnectionAbortedError

    def _side(self, client: Address) -> Side | None:
        if self._next is None or self._next[0] != client:
            return None
        (_, side, blind), self._next = self._next, None
        self._refusing_until = time.monotonic() + blind
        return side

    @staticmethod
    async def _answer(source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event) -> None:
        while data := await source.read(65_536):
            if cut.is_set():
                break
            sink.write(data)
            await sink.drain()
        raise ConnectionAbortedError


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
