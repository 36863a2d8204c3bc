"""The rights of users who made tokens, as the application gives them now: a token never has more than its maker.

A token is presented without its maker, so the application isn't asked then. What it said of the user last counts.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from stepwell.console.http.access.known_tokens import REMEMBERED
from stepwell.console.http.access.principal import Principal
from stepwell.console.http.access.tokens import rights_of
from stepwell.console.reading.tokens import StoredTokens, TokenUser
from stepwell.errors import StoreUnavailable
from stepwell.runner.opening import Opening

log = logging.getLogger("stepwell.http")

_MOST_USERS: Final = 2_000


class Makers:
    """The application's users, as they were seen in this process a moment ago."""

    def __init__(self, opening: Opening, now: Callable[[], float] = time.monotonic) -> None:
        self._stored = StoredTokens(opening)
        self._now = now
        self._seen: OrderedDict[str, tuple[TokenUser, float]] = OrderedDict()

    async def see(self, principal: Principal) -> None:
        """Store the rights that the application gives to the user now, if the user has made tokens and they are others.

        Where the database can't be reached, the request goes on without: its own reads will tell.
        """
        rights, now = rights_of(principal), self._now()
        known = self._seen.get(principal.user_id)
        if known is not None and known[0] == rights and now - known[1] < REMEMBERED:
            return
        try:
            await self._stored.note_rights(rights)
        except StoreUnavailable as error:
            log.warning("the rights of a user who may have made tokens could not be compared: %s", error)
            return
        self._seen[principal.user_id] = rights, now
        self._seen.move_to_end(principal.user_id)
        while len(self._seen) > _MOST_USERS:
            self._seen.popitem(last=False)
