"""The frames of PostgreSQL's protocol 3: a byte that names the message, its length, its content."""

from __future__ import annotations

import asyncio
import struct

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102

Message = tuple[bytes, bytes]


async def read_startup(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """(code, parameters) of the first packet, which has no name."""
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    body = await reader.readexactly(length - 4)
    words = body[4:].split(b"\0")
    names, values = words[0::2], words[1::2]
    (code,) = struct.unpack("!I", body[:4])
    return code, {name.decode(): value.decode() for name, value in zip(names, values, strict=False) if name}


def startup(parameters: dict[str, str]) -> bytes:
    """The first packet of a client."""
    body = struct.pack("!I", 196608)
    body += b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


async def read_message(reader: asyncio.StreamReader) -> Message:
    """(name, content). Raises IncompleteReadError at the end of the stream."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], await reader.readexactly(length - 4)


def packed(name: bytes, content: bytes) -> bytes:
    """The message as it is sent."""
    return name + struct.pack("!I", len(content) + 4) + content


def failure(code: str, text: str) -> bytes:
    """A FATAL error."""
    fields = {b"S": "FATAL", b"V": "FATAL", b"C": code, b"M": text}
    return packed(b"E", b"".join(key + value.encode() + b"\0" for key, value in fields.items()) + b"\0")
