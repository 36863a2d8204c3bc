"""An event loop in a thread of its own, for what runs beside a test, or is called from code that doesn't await."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from servers.ports import free_port

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for whoever waits in another thread, until it is closed."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], seconds: float = 60.0) -> T:
        """What the coroutine returned. Raises TimeoutError, after which it is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    def close(self) -> None:
        """Its tasks are cancelled, and its thread has ended."""
        if self.loop.is_closed():
            return
        self.call(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()


class LoopServer:
    """Something that listens on 127.0.0.1, in a thread of its own, until it is closed."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        self._thread = LoopThread(name)

    def close(self) -> None:
        """Nobody is connected any more, and nobody listens."""
        self._thread.call(self._end())
        self._thread.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _end(self) -> None:
        """In the thread: open connections end."""
        raise NotImplementedError
