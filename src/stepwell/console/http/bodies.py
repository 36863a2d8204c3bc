"""Bodies of requests: bounded in bytes, in time, and in how many of them are unfinished at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Message, Receive

from stepwell.errors import PayloadTooLarge

MOST: Final = 200
"""Bodies of one process that are still arriving, at most. One more ends the oldest."""
_TEXTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BEGINNINGS: Final = (b",", b"[", b"{")


class BodyTooSlow(TimeoutError):
    """A body that didn't arrive in time, or whose place was needed for others."""


@dataclass(eq=False)
class IncomingBody:
    """The body of one request while it is read: `receive` stands for the server's."""

    source: Receive
    unfinished: UnfinishedBodies
    limit: int | None = None
    """Bytes; None: the code that reads it has a limit of its own."""
    seconds: float | None = None
    """Seconds from the first read to the end."""
    portion: int | None = None
    """Bytes for which there are so many seconds; None: for all of them together."""
    complete: bool = False
    size: int = 0
    _until: float | None = None
    _ended: bool = False
    _waiting: asyncio.Timeout | None = None

    async def receive(self) -> Message:
        """Return the next message. Raises PayloadTooLarge, BodyTooSlow."""
        if self.complete:
            return await self.source()
        self.unfinished.add(self)
        message = await self._next()
        if message["type"] == "http.request":
            before, self.size = self.size, self.size + len(message.get("body", b""))
            if self.portion is not None and self.size // self.portion > before // self.portion:
                self._until = None
            if self.limit is not None and self.size > self.limit:
                raise PayloadTooLarge(f"The body is larger than {self.limit:,} bytes.")
            self.complete = not message.get("more_body", False)
        if self.complete or message["type"] != "http.request":
            self.unfinished.remove(self)
        return message

    async def _next(self) -> Message:
        now = asyncio.get_running_loop().time()
        if self._until is None and self.seconds is not None:
            self._until = now + self.seconds
        try:
            async with asyncio.timeout_at(now if self._ended else self._until) as self._waiting:
                return await self.source()
        except TimeoutError as error:
            if self._ended:
                raise BodyTooSlow("The body was still arriving when its place was needed: send it at once.") from error
            raise BodyTooSlow(f"The body didn't arrive within {self.seconds:g} s.") from error
        finally:
            self._waiting = None

    def end(self) -> None:
        """Have the reader told that there is no more time."""
        self._ended = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())


@dataclass
class UnfinishedBodies:
    """The bodies of a process that are being read. Of too many, the oldest is ended: those that are sent at once are short."""

    most: int = field(default_factory=lambda: MOST)
    _open: dict[IncomingBody, None] = field(default_factory=dict)

    def add(self, body: IncomingBody) -> None:
        """Count a body; one that is counted already stays where it is."""
        self._open.setdefault(body)
        while len(self._open) > self.most:
            oldest = next(iter(self._open))
            self.remove(oldest)
            oldest.end()

    def remove(self, body: IncomingBody) -> None:
        """Count it no longer."""
        self._open.pop(body, None)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def reading(
        self, receive: Receive, limit: int | None = None, seconds: float | None = None
    ) -> Iterator[IncomingBody]:
        """Provide the body of a request; it isn't counted after its answer."""
        body = IncomingBody(receive, self, limit, seconds)
        try:
            yield body
        finally:
            self.remove(body)


def is_over(text: bytes, most: int) -> bool:
    """Return whether JSON has more values than this, without parsing it; texts are taken for what they are."""
    if _values(text) <= most:
        return False
    return _values(_TEXTS.sub(b"0", text)) > most


def _values(text: bytes) -> int:
    """Return a number that is at least that of the values: each begins the document, a list or object, or follows a comma."""
    return 1 + sum(text.count(one) for one in _BEGINNINGS)
