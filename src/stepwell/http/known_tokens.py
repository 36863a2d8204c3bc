"""The tokens that are presented here: looked up by their digests, and remembered for some seconds.

A token that is revoked elsewhere opens nothing after `REMEMBERED` seconds; one that is revoked through this process, at
once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stepwell.engine.run import Moment
from stepwell.errors import NotSignedIn, StepwellError
from stepwell.execution.clock import to_datetime
from stepwell.http.attempts import Attempts
from stepwell.http.tokens import SHOWN, digest_of
from stepwell.runner.opening import Opening
from stepwell.store import tokens
from stepwell.store.tokens import TokenRow

log = logging.getLogger("stepwell.http")

REMEMBERED: Final = 3.0
"""Seconds for which a row that was read counts as read now."""
_ROOM: Final = 2_000
_NOTED_EVERY: Final = 60_000_000
"""Microseconds after which another use of a token is worth a write."""
_UNKNOWN: Final = "This token isn't known here. Was it cut off, or made for another database?"


@dataclass(slots=True)
class _Seen:
    row: TokenRow
    read_at: float
    noted: Moment = 0


class KnownTokens:
    """Answers whose a secret is."""

    def __init__(self, opening: Opening, attempts: Attempts, now: Callable[[], float] = time.monotonic) -> None:
        self._opening = opening
        self._attempts = attempts
        self._now = now
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    async def find(self, secret: str, address: str) -> TokenRow:
        """The token of this secret, which is valid. Raises NotSignedIn, or TooManyAttempts unless it was seen here before.

        Who guesses can't lock out those whose tokens work.
        """
        digest = digest_of(secret)
        places = (address, f"token {secret[:SHOWN]}")
        if digest not in self._seen:
            self._attempts.check(*places)
        row = None if digest is None else await self._row(digest)
        if row is None:
            self._attempts.failed(*places)
            raise NotSignedIn(_UNKNOWN)
        self._check_valid(row)
        self._note_use(row)
        return row

    async def holds(self, row: TokenRow) -> bool:
        """Whether the token is still valid."""
        found = await self._row(row.digest)
        return found is not None and found.valid(self._clock())

    def forget(self, row: TokenRow) -> None:
        """The token is looked up anew when it is presented next."""
        self._seen.pop(row.digest, None)

    async def _row(self, digest: str) -> TokenRow | None:
        seen = self._seen.get(digest)
        if seen is not None and self._now() - seen.read_at < REMEMBERED:
            return seen.row
        began = self._now()
        row = await self._opening.core.store.read(lambda tx: tokens.of_digest(tx, digest))
        if row is None:
            self._seen.pop(digest, None)
            return None
        noted = max(seen.noted if seen else 0, row.last_used_at or 0)
        self._seen[digest] = _Seen(row, began, noted)
        self._seen.move_to_end(digest)
        while len(self._seen) > _ROOM:
            self._seen.popitem(last=False)
        return row

    def _check_valid(self, row: TokenRow) -> None:
        if row.revoked_at is not None:
            raise NotSignedIn(
                f"The token {row.prefix}... was revoked at {to_datetime(row.revoked_at):%Y-%m-%d %H:%M} UTC."
            )
        if not row.valid(self._clock()):
            raise NotSignedIn(f"The token {row.prefix}... has expired. Make another one.")

    def _clock(self) -> Moment:
        return self._opening.shared.clock.now()

    def _note_use(self, row: TokenRow) -> None:
        seen, now = self._seen.get(row.digest), self._clock()
        if seen is None or now - seen.noted < _NOTED_EVERY:
            return
        seen.noted = now
        # Beside the request, which doesn't wait for it and doesn't fail with it.
        task = asyncio.get_running_loop().create_task(self._write_use(row, now))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write_use(self, row: TokenRow, now: Moment) -> None:
        try:
            await self._opening.core.store.writer.call(lambda tx: tokens.used(tx, row.id, now))
        except StepwellError as error:  # also where this Stepwell has closed meanwhile
            log.warning("when the token %s... was used last could not be written: %s", row.prefix, error)
