"""Free TCP ports that no outgoing connection is given meanwhile."""

from __future__ import annotations

import random
import socket

_BELOW_EPHEMERAL = range(20_000, 32_000)
"""A client that tries again and again to reach a stopped server on an ephemeral port would end up talking to itself."""


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    for _ in range(100):
        port = random.choice(_BELOW_EPHEMERAL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port between 20000 and 32000")
