"""Failed logins of late: after some from one place, more are refused for a while, unlooked at."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from stepwell.errors import TooManyAttempts

_ROOM: Final = 10_000
"""Places that are remembered; the ones that failed longest ago are forgotten first."""


class Attempts:
    """Counts, in this process. A place is an address, or the beginning of a token."""

    def __init__(
        self, most: int, seconds: float, *, now: Callable[[], float] = time.monotonic, room: int = _ROOM
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._room = room
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """When the first of the failures was that count, and how many there were since."""

    def check(self, *places: str) -> None:
        """Another attempt may be made from these places. Raises TooManyAttempts."""
        left = max((self._left(place) for place in places), default=0.0)
        if left > 0:
            raise TooManyAttempts(
                f"Too many failed logins. Wait {ceil(left)} s, then try again with the right token.",
                retry_after=ceil(left),
            )

    def failed(self, *places: str) -> None:
        """It is remembered that an attempt from these places failed."""
        now = self._now()
        for place in places:
            since, count = self._failed.pop(place, (now, 0))
            if now - since >= self._seconds:
                since, count = now, 0
            self._failed[place] = (since, count + 1)
        while len(self._failed) > self._room:
            self._failed.popitem(last=False)

    def _left(self, place: str) -> float:
        since, count = self._failed.get(place, (0.0, 0))
        return since + self._seconds - self._now() if count >= self._most else 0.0


def address_of(host: str | None) -> str:
    """The place of a client: its address, and of IPv6 the network, whose addresses all belong to one."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return f"from {host}"
    if isinstance(address, IPv6Address):
        return f"from {address.packed[:8].hex()}"
    return f"from {address}"
