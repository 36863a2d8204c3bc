"""Challenges: requests by which a sender tests a new address, before it delivers anything there.

Meta sends a GET with a token and a text to send back, Trello a HEAD, Microsoft Graph a POST with the text in the query. None
of them is signed. So nothing is stored for them, and the answer is short plain text that no browser takes for a page.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl

from stepwell.triggers.forms import FormFields
from stepwell.triggers.signatures import Secret, encoded, refuse, secret_faults, secrets

LONGEST_ANSWER: Final = 4_096
"""Bytes of the answer to a challenge."""

_MOST_PARAMETERS: Final = 100


@dataclass(frozen=True, slots=True)
class Challenge:
    """A request that may be a test of the address: any GET and HEAD, and a POST that has a query."""

    method: Literal["GET", "HEAD", "POST"]
    query: FormFields
    """The parameters of the query, by name."""
    headers: Mapping[str, str]
    """By lower-case name."""
    url: str
    """The URL that the sender called, as far as it is known here."""


ChallengeAnswer: TypeAlias = Callable[[Challenge], str | Awaitable[str | None] | None]
"""Returns the text of the answer. None: the request isn't a challenge, or it isn't the sender's.

A plain function is called in a thread. Anyone can have it called: see `limited_calls.py` for how often and how long.
"""


def challenge_of(method: str, query: str, headers: Mapping[str, str], url: str) -> Challenge:
    """Return the request. Raises ValueError if its query has too many parameters."""
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS) if query else []
    return Challenge(cast("Literal['GET', 'HEAD', 'POST']", method), FormFields(pairs), headers, url)


def meta_challenge(verify_token: Secret) -> ChallengeAnswer:
    """Return the answer to Meta's verification request, for `challenge=` of a webhook.

    It is a GET with `hub.mode=subscribe`, your `hub.verify_token`, and the `hub.challenge` to send back. A request with
    another token is refused; tokens are compared in constant time, and several are accepted while one replaces another.

    Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started#verification-requests
    """
    refuse("meta_challenge", [fault.replace("the secret", "verify_token") for fault in secret_faults(verify_token)])
    tokens = [encoded(token) for token in secrets(verify_token)]

    def answer(request: Challenge) -> str | None:
        given = encoded(request.query.get("hub.verify_token", ""))
        known = (
            sum(hmac.compare_digest(token, given) for token in tokens) > 0
        )  # all of them, however the first compares
        asked = request.method != "POST" and request.query.get("hub.mode") == "subscribe"
        return request.query.get("hub.challenge") if known and asked else None

    return answer
