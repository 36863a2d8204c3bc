"""The tokens presented to this process, looked up by their digests and remembered for some seconds; and failed logins.

A token that is revoked elsewhere stops working after `REMEMBERED` seconds; one that is revoked through this process, at
once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final
from weakref import WeakValueDictionary

from stepwell.console.http.access.principal import OWN_USERS
from stepwell.console.http.access.tokens import SHOWN, digest_of
from stepwell.console.reading.tokens import StoredTokens, TokenRow
from stepwell.engine.run import Moment
from stepwell.errors import NotSignedIn, StepwellError, TooManyAttempts
from stepwell.execution.clock import to_datetime
from stepwell.runner.opening import Opening

log = logging.getLogger("stepwell.http")

REMEMBERED: Final = 3.0
"""Seconds for which a row that was read counts as current."""
_MOST_TOKENS: Final = 2_000
_NOTED_EVERY: Final = 60_000_000
"""Microseconds after which another use of a token is worth a write."""
_UNKNOWN: Final = "This token isn't known here. Was it cut off, or made for another database?"
_MOST_ORIGINS: Final = 10_000
"""Origins that are remembered; those that failed longest ago are forgotten first."""


@dataclass(slots=True)
class _Seen:
    row: TokenRow
    read_at: float
    noted: Moment = 0


class KnownTokens:
    """Lookup of the tokens that secrets belong to."""

    def __init__(self, opening: Opening, attempts: Attempts, now: Callable[[], float] = time.monotonic) -> None:
        self._stored = StoredTokens(opening)
        self._clock = opening.shared.clock
        self._attempts = attempts
        self._now = now
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()
        self._forgotten = 0

    async def find(self, secret: str, address: str) -> TokenRow:
        """Return the valid token of this secret.

        Raises NotSignedIn, or TooManyAttempts unless the secret was accepted here before.

        An attacker who guesses can't lock out users whose tokens work.
        """
        digest = digest_of(secret)
        places = (address, f"token {secret[:SHOWN]}")
        async with nullcontext() if digest in self._seen else self._attempts.one_by_one(*places):
            row = None if digest is None else await self._row(digest)
            if row is None:
                self._attempts.failed(*places)
                raise NotSignedIn(_UNKNOWN)
        self._check_valid(row)
        self._note_use(row)
        return row

    async def holds(self, row: TokenRow) -> bool:
        """Return whether the token is still valid, and may still do what this row says."""
        found = await self._row(row.digest)
        return found is not None and found.valid(self._clock.now()) and _rights(found) == _rights(row)

    def forget(self, row: TokenRow) -> None:
        """Look up the token anew when it is presented next."""
        self._seen.pop(row.digest, None)
        self._forgotten += 1

    async def _row(self, digest: str) -> TokenRow | None:
        seen = self._seen.get(digest)
        if seen is not None and self._now() - seen.read_at < REMEMBERED:
            return seen.row
        while True:
            began, forgotten = self._now(), self._forgotten
            row = await self._stored.find_by_digest(digest)
            if forgotten == self._forgotten:
                break  # else a token was revoked here meanwhile, perhaps this one after it was read
        if row is None:
            self._seen.pop(digest, None)
            return None
        noted = max(seen.noted if seen else 0, row.last_used_at or 0)
        self._seen[digest] = _Seen(row, began, noted)
        self._seen.move_to_end(digest)
        while len(self._seen) > _MOST_TOKENS:
            self._seen.popitem(last=False)
        return row

    def _check_valid(self, row: TokenRow) -> None:
        if row.revoked_at is not None:
            raise NotSignedIn(
                f"The token {row.prefix}... was revoked at {to_datetime(row.revoked_at):%Y-%m-%d %H:%M} UTC."
            )
        if not row.valid(self._clock.now()):
            raise NotSignedIn(f"The token {row.prefix}... has expired. Create another one.")

        if row.created_via is None and row.user_id in OWN_USERS:  # made while such a login wasn't refused yet
            raise NotSignedIn(
                f"The token {row.prefix}... is of {row.user_id!r}, one of Stepwell's own users. Create another."
            )

    def _note_use(self, row: TokenRow) -> None:
        seen, now = self._seen.get(row.digest), self._clock.now()
        if seen is None or now - seen.noted < _NOTED_EVERY:
            return
        seen.noted = now
        # Beside the request, which neither waits for it nor fails with it.
        task = asyncio.get_running_loop().create_task(self._write_use(row, now))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_use(self, row: TokenRow, now: Moment) -> None:
        try:
            await self._stored.note_use(row.id, now)
        except StepwellError as error:  # also where this Stepwell has closed meanwhile
            log.warning("when the token %s... was used last could not be written: %s", row.prefix, error)


def _rights(row: TokenRow) -> tuple[str, str, int, str | None]:
    return row.user_id, row.role, row.everybody, row.apps


class Attempts:
    """Counts of failed logins, in this process. An origin is an address, or the beginning of a token."""

    def __init__(
        self, most: int, seconds: float, *, now: Callable[[], float] = time.monotonic, room: int = _MOST_ORIGINS
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._room = room
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """The time of the first counted failure of each origin, and the number of failures since."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def one_by_one(self, *places: str) -> AsyncIterator[None]:
        """Make an attempt from these origins once those before it have ended, so that their failures count.

        Raises TooManyAttempts. Always to be called with the wider origin first.
        """
        async with AsyncExitStack() as stack:
            for place in places:
                await stack.enter_async_context(self._locks.setdefault(place, asyncio.Lock()))
            self.check(*places)
            yield

    def check(self, *places: str) -> None:
        """Raise TooManyAttempts if another attempt from these origins isn't allowed yet."""
        left = max((self._left(place) for place in places), default=0.0)
        if left > 0:
            raise TooManyAttempts(
                f"Too many failed logins. Wait {ceil(left)} s, then try again with the right token.",
                retry_after=ceil(left),
            )

    def failed(self, *places: str) -> None:
        """Count a failed attempt from these origins."""
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
    """Return the origin of a client: its address, or for IPv6 its network, whose addresses all belong to one owner."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return f"from {host}"
    if isinstance(address, IPv6Address):
        return f"from {address.packed[:8].hex()}"
    return f"from {address}"
