"""Lines from the terminal, which can be given up: a question may be answered elsewhere while it is asked here.

That is why this isn't one of the prompts of Typer, Rich or Click: they block until somebody presses Enter.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Callable

from stepwell.cli.output import plain


def is_interactive() -> bool:
    """Whether a person can be asked: stdin and stderr are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def line(question: str) -> str:
    """What was written up to Enter. Raises EOFError at Ctrl-D on an empty line.

    When it is cancelled the terminal stands at the beginning of a new line, and what was written is forgotten.
    """
    sys.stderr.write(plain(question))
    sys.stderr.flush()
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    written: asyncio.Future[str] = loop.create_future()
    loop.add_reader(fd, _reader(fd, written))
    try:
        return await written
    except asyncio.CancelledError:
        termios.tcflush(fd, termios.TCIFLUSH)
        sys.stderr.write("\n")
        sys.stderr.flush()
        raise
    finally:
        loop.remove_reader(fd)


def _reader(fd: int, written: asyncio.Future[str]) -> Callable[[], None]:
    found = bytearray()

    def read() -> None:
        # The terminal gives whole lines; a part of one where Ctrl-D ended it, and nothing where the line was empty.
        part = os.read(fd, 65_536)
        found.extend(part)
        if written.done() or (part and not part.endswith(b"\n")):
            return
        if found:
            written.set_result(found.decode(errors="replace").rstrip("\r\n"))
        else:
            sys.stderr.write("\n")
            written.set_exception(EOFError())

    return read
