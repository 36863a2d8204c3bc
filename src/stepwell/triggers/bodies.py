"""Bodies of webhooks as they arrive: read up to a limit of bytes and of time, and inflated up to the same limit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final

from stepwell.errors import InvalidPayload, PayloadTooLarge

READ_WITHIN: Final = 30.0
"""Seconds for the body to arrive."""

_PLAIN: Final = frozenset({"", "identity"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_MEMBERS: Final = 16
"""Members of one gzip file: each costs a copy of those that follow. Senders make one."""


async def read_body(declared: str | None, chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Return the body. Raises PayloadTooLarge as soon as it is known to be over `limit`, TimeoutError after `READ_WITHIN`."""
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    async with asyncio.timeout(READ_WITHIN):
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            parts.append(chunk)
    return b"".join(parts)


def can_decode(encoding: str) -> bool:
    """Return whether a body with this `Content-Encoding` can be read: none, or gzip once."""
    return encoding.strip().lower() in _PLAIN | _GZIP


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Return the body with its `Content-Encoding` undone; it is never inflated further than `limit`.

    Raises PayloadTooLarge, and InvalidPayload if it isn't gzip.
    """
    if encoding.strip().lower() in _PLAIN:
        return body
    try:
        return _inflated(body, limit)
    except zlib.error as error:
        raise InvalidPayload(f"The body isn't gzip, although its Content-Encoding says so: {error}.") from error


def _inflated(body: bytes, limit: int) -> bytes:
    """Return the contents of all members of a gzip file, one after the other."""
    parts, size, rest = [], 0, body
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        parts.append(member.decompress(rest, limit - size + 1))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not member.eof:
            raise zlib.error("it ends too early")
        rest = member.unused_data
        if not rest:
            return b"".join(parts)
    raise zlib.error(f"it has more than {_MEMBERS} members")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit:,} bytes, the limit of this webhook.")
