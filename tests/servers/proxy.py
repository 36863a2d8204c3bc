"""A network that a test can break: a TCP proxy that passes, holds back, delays and resets."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from servers.loop import LoopServer

_CHUNK = 65_536
_HELD = 64
"""Chunks of a direction that are under way at once; the rest waits in the sender."""


class TcpProxy(LoopServer):
    """Listens on 127.0.0.1 and passes all to the server behind it, from the moment it is made."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__("proxy")
        self.connections = 0
        """How many are open."""
        self.accepted = 0
        """How many there were ever."""
        self._target = (host, port)
        self._seconds = 0.0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._passing = asyncio.Event()
        self._answering = asyncio.Event()
        self._thread.call(self._listen())

    def passes(self) -> None:
        """Everything goes through at once; what was held back goes on."""
        self._thread.call(self._pass(0.0))

    def delay(self, seconds: float) -> None:
        """Everything goes through, and takes so long in each direction."""
        self._thread.call(self._pass(seconds))

    def drop(self) -> None:
        """Nothing goes through, and nobody is told: a black hole. Connections stay open, and new ones get no answer."""
        self._thread.call(self._hold())

    def deafen(self) -> None:
        """What clients say goes through, and no answer comes back; connections stay open."""
        self._thread.call(self._hold(answers=True))

    def reset(self, *, refuse: bool = False) -> None:
        """Open connections were reset (RST). With `refuse`, new ones are refused until `passes` or `delay`."""
        self._thread.call(self._reset(refuse))

    # -- in the thread ----------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)
        self._passing.set()
        self._answering.set()

    async def _pass(self, seconds: float) -> None:
        self._seconds = seconds
        await self._listen()

    async def _hold(self, *, answers: bool = False) -> None:
        self._answering.clear()
        if not answers:
            self._passing.clear()

    async def _reset(self, refuse: bool) -> None:
        if refuse and self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            _abort(writer)

    async def _end(self) -> None:
        await self._reset(True)
        self._passing.set()
        self._answering.set()
        if serving := [task for task in self._serving if task is not None]:
            await asyncio.wait(serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            await self._connect(reader, writer)
        finally:
            self._serving.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            await self._passing.wait()
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            self._open.discard(writer)
            _abort(writer)
            return
        self._open.add(back)
        self.connections += 1
        ended = _abort
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._carry(reader, back, self._passing))
                directions.create_task(self._carry(there, writer, self._answering))
            ended = _close
        except* OSError:
            pass  # one side is gone, and so is the other
        finally:
            self.connections -= 1
            for one in (writer, back):
                self._open.discard(one)
                ended(one)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._take(source, under_way))
            both.create_task(self._deliver(under_way, sink, passing))

    async def _take(self, source: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        clock = asyncio.get_running_loop()
        while data := await source.read(_CHUNK):
            await under_way.put((clock.time() + self._seconds, data))
        await under_way.put((clock.time() + self._seconds, b""))

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter, passing: asyncio.Event
    ) -> None:
        clock = asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            if due > clock.time():
                await asyncio.sleep(due - clock.time())
            await passing.wait()
            if not data:
                sink.write_eof()
                return
            sink.write(data)
            await sink.drain()


def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):  # it is closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
