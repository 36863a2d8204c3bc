"""A payment provider that isn't one: local, deterministic, and as unreliable as the real ones. The card decides."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import cache
from hashlib import sha256
from typing import Annotated

from stepwell import Depends, NonRetryable


class Declined(NonRetryable):
    """The bank said no: asking it again doesn't help."""


class Gateway:
    """`good` cards work, `flaky` ones at the third call, `slow` ones after two seconds; `declined` ones never."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    async def charge(self, card: str, cents: int, idempotency_key: str) -> str:
        """The id of the charge. The same key is charged once, however often it is sent, as with Stripe or Adyen.

        Raises Declined, and ConnectionError where nobody knows what has happened.
        """
        self._calls[idempotency_key] += 1
        await asyncio.sleep(2.0 if card == "slow" else 0.05)
        if card == "declined":
            raise Declined(f"the card was declined for {cents} cents")
        if card == "flaky" and self._calls[idempotency_key] < 3:
            raise ConnectionError("the payment gateway didn't answer")
        return f"ch_{sha256(idempotency_key.encode()).hexdigest()[:12]}"


@cache
def gateway() -> Gateway:
    """The one gateway of the process; a test would replace it here."""
    return Gateway()


PaymentGateway = Annotated[Gateway, Depends(gateway)]
"""A transition's parameter of this type is the gateway."""
